package lemnis.no_new_secrets_test

import rego.v1

import data.lemnis.no_new_secrets as policy

finding(kind, new, suppressed) := {
    "kind": kind, "new": new, "title": "AWS key", "tool": "betterleaks", "rule_id": "aws", "where": "a.py:1",
    "suppressed": suppressed, "fingerprint": "fp-1", "severity": "low",
}

test_new_secret_is_refused if count(policy.deny) == 1 with input as {"findings": [finding("secret", true, false)]}

test_old_secret_passes if count(policy.deny) == 0 with input as {"findings": [finding("secret", false, false)]}

test_code_passes if count(policy.deny) == 0 with input as {"findings": [finding("code", true, false)]}

test_suppressed_passes if count(policy.deny) == 0 with input as {"findings": [finding("secret", true, true)]}
