package lemnis.image_attested_test

import rego.v1

import data.lemnis.image_attested as policy

image := {"digest": "sha256:00", "name": "shop"}

good := {
    "verified": true, "problem": "", "builder": "b", "commit": "c", "repository": "shop", "commit_known": true,
    "build_gate": "allow",
}

test_good_passes if count(policy.deny) == 0 with input as {"image": image, "attestation": good}

test_unverified if count(policy.deny) == 1 with input as {
    "image": image, "attestation": json.patch(good, [{"op": "replace", "path": "/verified", "value": false}]),
}

test_foreign_commit if count(policy.deny) == 1 with input as {
    "image": image, "attestation": json.patch(good, [{"op": "replace", "path": "/commit_known", "value": false}]),
}

test_gate_refused if count(policy.deny) == 1 with input as {
    "image": image, "attestation": json.patch(good, [{"op": "replace", "path": "/build_gate", "value": "deny"}]),
}

test_gate_never_asked if count(policy.deny) == 1 with input as {
    "image": image, "attestation": json.patch(good, [{"op": "replace", "path": "/build_gate", "value": "none"}]),
}
