# Role reads secrets.
package lemnis.kubernetes_role_reads_secrets

import rego.v1

resources := ["secrets", "*"]

verbs := ["get", "list", "watch", "*"]

fail contains {"resource": i, "path": ["rules", n, "verbs"], "message": sprintf("%s on %s", [verb, kind])} if {
    some i, one in input.resources
    some n, rule in one.rules
    some kind in rule.resources
    kind in resources
    some verb in rule.verbs
    verb in verbs
}
