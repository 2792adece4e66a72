# A password is written into the configuration.
package lemnis.aws_password_written

import rego.v1

names := ["password", "master_password", "admin_password", "administrator_login_password"]

fail contains {"resource": i, "path": [name], "message": sprintf("%s is written out", [name])} if {
    some i, one in input.resources
    some name in names
    is_string(one[name])
    one[name] != ""
    not startswith(one[name], "${")
}
