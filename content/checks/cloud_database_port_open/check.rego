# Port of a database is open to everybody.
package lemnis.cloud_database_port_open

import rego.v1

doors := [1433, 1521, 3306, 5432, 5984, 6379, 7000, 9042, 9200, 11211, 27017]

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
