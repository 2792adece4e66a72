# Policy of a resource lets everybody in.
package lemnis.iam_open_to_everybody

import rego.v1

fail contains {"resource": i, "path": ["statements", n], "message": "the principal is everybody, and no condition holds it back"} if {
    some i, one in input.resources
    some n, statement in one.statements
    statement.effect == "Allow"
    "*" in statement.principals
    not statement.conditions == true
}
