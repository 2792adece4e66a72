package lemnis.scan_complete_test

import rego.v1

import data.lemnis.scan_complete as policy

change := {"commit": "c0ffee", "files": [{"status": "A", "path": "main.go"}]}

test_nothing_looked if count(policy.deny) == 1 with input as {"health": [], "change": change}

test_something_looked if count(policy.deny) == 0 with input as {"health": [{"tool": "bandit"}], "change": change}

test_nothing_changed if count(policy.deny) == 0 with input as {"health": [], "change": {"commit": "c", "files": []}}
