# Every port is open to everybody.
package lemnis.cloud_all_ports_open

import rego.v1

fail contains {"resource": i, "path": ["world"], "message": "from port 0 or 1 to 65535, for everybody"} if {
    some i, one in input.resources
    one.direction == "ingress"
    one.world == true
    some range in one.ports
    range.from <= 1
    range.to >= 65535
}
