# Policy allows every action of a service on everything.
package lemnis.iam_service_wildcard

import rego.v1

fail contains {"resource": i, "path": ["statements", n], "message": sprintf("%s on every resource", [action])} if {
    some i, one in input.resources
    some n, statement in one.statements
    statement.effect == "Allow"
    count(statement.principals) == 0 # a resource's own policy: "*" is that resource alone
    "*" in statement.resources
    some action in statement.actions
    endswith(action, ":*")
    action != "*:*"
}
