# Port for administration is open to everybody.
package lemnis.cloud_admin_port_open

import rego.v1

doors := [22, 3389, 5985, 5986, 23, 2375, 2376, 6443, 10250]

fail contains {"resource": i, "path": ["world"], "message": sprintf("everybody reaches port %d", [door])} if {
    some i, one in input.resources
    one.direction == "ingress"
    one.world == true
    one.protocol in ["tcp", "6", "all", "*", "-1"]
    some range in one.ports
    some door in doors
    range.from <= door
    range.to >= door
}
