package lemnis.team_owns_service_test

import rego.v1

import data.lemnis.team_owns_service as policy

person := {"id": "person-1", "name": "dana", "roles": ["developer"], "teams": ["shop"], "how": "session"}

about := {"kind": "finding", "id": "fp-1", "service": "shop", "team": "shop", "owner": "", "author": "", "severity": "high"}

other := json.patch(about, [{"op": "replace", "path": "/team", "value": "billing"}])

nobodys := json.patch(about, [{"op": "replace", "path": "/team", "value": ""}])

test_own_team if count(policy.deny) == 0 with input as {
    "stage": "access", "permission": "finding.change", "person": person, "about": about,
}

test_another_team if count(policy.deny) == 1 with input as {
    "stage": "access", "permission": "finding.change", "person": person, "about": other,
}

test_nobody_owns_it if count(policy.deny) == 1 with input as {
    "stage": "access", "permission": "finding.change", "person": person, "about": nobodys,
}

test_security if count(policy.deny) == 0 with input as {
    "stage": "access", "permission": "finding.change", "about": other,
    "person": json.patch(person, [{"op": "replace", "path": "/roles", "value": ["analyst"]}]),
}

test_reading if count(policy.deny) == 0 with input as {
    "stage": "access", "permission": "finding.read", "person": person, "about": other,
}
