package lemnis.no_running_image_under_attack_test

import rego.v1

import data.lemnis.no_running_image_under_attack as policy

given(level) := {
    "image": {"digest": "sha256:00"},
    "alerts": [{"id": "al-1", "severity": "high", "severity_id": level, "title": "shell"}],
}

test_urgent_is_refused if {
    some reason in policy.deny with input as given(4)
    contains(reason.message, "al-1")
}

test_medium_passes if count(policy.deny) == 0 with input as given(3)
