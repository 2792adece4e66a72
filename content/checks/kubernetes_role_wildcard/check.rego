# Role gives everything.
package lemnis.kubernetes_role_wildcard

import rego.v1

fail contains {"resource": i, "path": ["rules", n, "verbs"], "message": "every verb on something"} if {
    some i, one in input.resources
    some n, rule in one.rules
    "*" in rule.verbs
}

fail contains {"resource": i, "path": ["rules", n, "resources"], "message": "a verb on every resource"} if {
    some i, one in input.resources
    some n, rule in one.rules
    "*" in rule.resources
}
