package lemnis.new_findings_below_medium_test

import rego.v1

import data.lemnis.new_findings_below_medium as policy

finding(severity, number, new) := {
    "tool": "bandit", "rule_id": "B602", "title": "shell", "severity": severity, "severity_id": number,
    "where": "app/x.py:5", "new": new, "fix": "", "suppressed": false, "fingerprint": "fp-1",
}

test_medium_is_refused if count(policy.deny) == 1 with input as {"findings": [finding("medium", 3, true)]}

test_the_line_is_named if {
    some reason in policy.deny with input as {"findings": [finding("high", 4, true)]}
    reason.where == "app/x.py:5"
    reason.finding == "fp-1"
}

test_the_scanners_own_fix_is_told if {
    better := object.union(finding("high", 4, true), {"fix": "no shell"})
    some reason in policy.deny with input as {"findings": [better]}
    reason.fix == "no shell"
}

test_low_passes if count(policy.deny) == 0 with input as {"findings": [finding("low", 2, true)]}

test_what_was_there_is_let_be if count(policy.deny) == 0 with input as {"findings": [finding("high", 4, false)]}

test_what_is_suppressed_is_let_be if {
    quiet := object.union(finding("high", 4, true), {"suppressed": true})
    count(policy.deny) == 0 with input as {"findings": [quiet]}
}
