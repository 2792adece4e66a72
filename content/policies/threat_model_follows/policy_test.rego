package lemnis.threat_model_follows_test

import rego.v1

import data.lemnis.threat_model_follows as policy

given(model, followed, kinds) := {"threats": {
    "model": model, "followed": followed,
    "added": [{"kind": kind, "where": sprintf("a.py:%d", [n])} | some n, kind in kinds],
}}

test_each_kind_is_told_once if {
    found := policy.deny with input as given("", false, ["entry_point", "entry_point", "personal_data"])
    count(found) == 2
}

test_the_model_is_named if {
    some reason in policy.deny with input as given("threats.yaml", false, ["data_store"])
    contains(reason.fix, "threats.yaml")
}

test_followed_passes if count(policy.deny) == 0 with input as given("threats.yaml", true, ["entry_point"])

test_nothing_added_passes if count(policy.deny) == 0 with input as given("", false, [])
