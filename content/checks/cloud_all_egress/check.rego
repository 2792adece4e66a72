# Everything may go out to everywhere.
package lemnis.cloud_all_egress

import rego.v1

fail contains {"resource": i, "path": ["world"], "message": "all ports to all addresses"} if {
    some i, one in input.resources
    one.direction == "egress"
    one.world == true
    some range in one.ports
    range.from <= 1
    range.to >= 65535
}
