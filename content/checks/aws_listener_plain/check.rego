# Load balancer takes plain HTTP.
package lemnis.aws_listener_plain

import rego.v1

fail contains {"resource": i, "path": ["protocol"], "message": "HTTP is not redirected"} if {
    some i, one in input.resources
    one.protocol == "HTTP"
    some action in one.default_action
    action.type in ["forward", "fixed-response"]
}

fail contains {"resource": i, "path": ["protocol"], "message": "HTTP, and no word of what becomes of it"} if {
    some i, one in input.resources
    one.protocol == "HTTP"
    not one.default_action
}
