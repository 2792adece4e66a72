package lemnis.image_evidence_complete_test

import rego.v1

import data.lemnis.image_evidence_complete as policy

good := {"state": "verified", "problem": ""}

given(sbom) := {
    "image": {"digest": "sha256:00"},
    "statements": {"sbom": sbom, "scan": good, "tests": good, "gate": good},
}

test_complete_passes if count(policy.deny) == 0 with input as given(good)

test_missing_is_named if {
    some reason in policy.deny with input as given({"state": "missing", "problem": ""})
    reason.message == "sbom of the image: missing"
}

test_the_problem_is_told if {
    some reason in policy.deny with input as given({"state": "invalid", "problem": "signature"})
    reason.message == "sbom of the image: invalid (signature)"
}
