package lemnis.image_labels_agree_test

import rego.v1

import data.lemnis.image_labels_agree as policy

given(states) := {
    "image": {"digest": "sha256:00", "name": "shop"},
    "labels": {"state": "unproven", "compared": [one |
        some state in states
        one := {
            "name": "org.opencontainers.image.revision", "place": "label", "value": state, "attested": "c",
            "state": state, "why": "the image was built from commit c",
        }
    ]},
}

test_agreeing_labels_pass if count(policy.deny) == 0 with input as given(["agrees"])

test_what_is_unproven_or_absent_passes if count(policy.deny) == 0 with input as given(["unproven", "absent"])

test_labels_that_were_not_read_pass if count(policy.deny) == 0 with input as given([])

test_a_contradiction_is_named if {
    some reason in policy.deny with input as given(["agrees", "contradicts"])
    reason.message == "the label org.opencontainers.image.revision says contradicts: the image was built from commit c"
    reason.where == "image sha256:00"
}

test_one_reason_a_label if count(policy.deny) == 1 with input as given(["agrees", "contradicts", "absent"])
