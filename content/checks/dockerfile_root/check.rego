# Image runs as root.
package lemnis.dockerfile_root

import rego.v1

fail contains {"resource": i, "path": ["user"], "message": "the last USER is root"} if {
    some i, one in input.resources
    one.user in ["root", "0"]
}

fail contains {"resource": i, "path": ["user"], "message": "no USER: it is the base image's, which is root nearly always"} if {
    some i, one in input.resources
    one.user == ""
}
