# Base image without a fixed tag.
package lemnis.dockerfile_base_latest

import rego.v1

fail contains {"resource": i, "path": ["tag"], "message": sprintf("%s moves: the tag is latest or none", [one.image])} if {
    some i, one in input.resources
    one.tag in ["", "latest"]
    one.digest == ""
    one.name != "scratch"
}
