# A port is open to everybody.
package lemnis.cloud_open_to_everybody

import rego.v1

fail contains {"resource": i, "path": ["world"], "message": "an ingress rule for all addresses"} if {
    some i, one in input.resources
    one.direction == "ingress"
    one.world == true
}
