# Database reads files of its clients.
package lemnis.gcp_sql_local_files

import rego.v1

fail contains {"resource": i, "path": ["settings", n, "database_flags", m, "value"], "message": "local_infile is on"} if {
    some i, one in input.resources
    some n, setting in one.settings
    some m, flag in setting.database_flags
    flag.name == "local_infile"
    flag.value == "on"
}
