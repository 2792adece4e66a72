package lemnis.configuration_judged_test

import rego.v1

import data.lemnis.configuration_judged as policy

unjudged := {"check": "aws_ebs_unencrypted", "path": "main.tf", "severity_id": 4}

health := [{"tool": "lemnis_modules", "unjudged": [unjudged]}]

change(status, path) := {"files": [{"status": status, "path": path}]}

test_a_changed_file_is_told if {
    some reason in policy.deny with input as {"health": health, "change": change("M", "main.tf")}
    reason.where == "main.tf"
    contains(reason.message, "aws_ebs_unencrypted")
}

test_another_file_is_not if {
    count(policy.deny) == 0 with input as {"health": health, "change": change("M", "other.tf")}
}

test_a_file_that_is_gone_is_not if {
    count(policy.deny) == 0 with input as {"health": health, "change": change("D", "main.tf")}
}

test_what_weighs_little_is_not if {
    count(policy.deny) == 0 with input as {
        "health": [{"tool": "lemnis", "unjudged": [object.union(unjudged, {"severity_id": 2})]}],
        "change": change("M", "main.tf"),
    }
}

test_all_that_was_judged_is_quiet if {
    count(policy.deny) == 0 with input as {
        "health": [{"tool": "lemnis", "unjudged": []}],
        "change": change("M", "main.tf"),
    }
}
