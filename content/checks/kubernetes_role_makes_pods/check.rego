# Role creates pods or what makes them.
package lemnis.kubernetes_role_makes_pods

import rego.v1

resources := ["pods", "deployments", "daemonsets", "statefulsets", "jobs", "cronjobs", "replicasets", "replicationcontrollers"]

verbs := ["create", "*"]

fail contains {"resource": i, "path": ["rules", n, "verbs"], "message": sprintf("%s on %s", [verb, kind])} if {
    some i, one in input.resources
    some n, rule in one.rules
    some kind in rule.resources
    kind in resources
    some verb in rule.verbs
    verb in verbs
}
