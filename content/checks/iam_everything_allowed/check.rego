# Policy allows everything.
package lemnis.iam_everything_allowed

import rego.v1

fail contains {"resource": i, "path": ["statements", n], "message": "every action on every resource"} if {
    some i, one in input.resources
    some n, statement in one.statements
    statement.effect == "Allow"
    some action in statement.actions
    action in ["*", "*:*"]
    "*" in statement.resources
}
