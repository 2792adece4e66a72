package lemnis.exposed_services_are_strict_test

import rego.v1

import data.lemnis.exposed_services_are_strict as policy

given(internet, personal, level) := {
    "facts": {"internet_facing": internet, "personal_data": personal},
    "findings": [{
        "severity": "high", "severity_id": level, "suppressed": false, "title": "t", "where": "w",
        "fingerprint": "fp-1",
    }],
}

test_exposed_is_refused if {
    some reason in policy.deny with input as given("yes", "no", 4)
    contains(reason.message, "internet")
}

test_personal_is_refused if {
    some reason in policy.deny with input as given("unknown", "yes", 5)
    contains(reason.message, "personal")
}

test_inside_passes if count(policy.deny) == 0 with input as given("no", "no", 5)

test_unknown_passes if count(policy.deny) == 0 with input as given("unknown", "unknown", 5)

test_medium_passes if count(policy.deny) == 0 with input as given("yes", "yes", 3)

test_suppressed_passes if {
    one := given("yes", "yes", 5)
    quiet := object.union(one, {"findings": [object.union(one.findings[0], {"suppressed": true})]})
    count(policy.deny) == 0 with input as quiet
}
