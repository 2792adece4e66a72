# Role runs commands in pods.
package lemnis.kubernetes_role_execs

import rego.v1

resources := ["pods/exec", "pods/attach", "pods/portforward", "nodes/proxy", "pods/ephemeralcontainers"]

verbs := ["create", "get", "update", "patch", "*"]

fail contains {"resource": i, "path": ["rules", n, "verbs"], "message": sprintf("%s on %s", [verb, kind])} if {
    some i, one in input.resources
    some n, rule in one.rules
    some kind in rule.resources
    kind in resources
    some verb in rule.verbs
    verb in verbs
}
