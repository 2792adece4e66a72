# Base image is not pinned by digest.
package lemnis.dockerfile_base_not_pinned

import rego.v1

fail contains {"resource": i, "path": ["digest"], "message": sprintf("%s has no digest", [one.image])} if {
    some i, one in input.resources
    one.digest == ""
    one.name != "scratch"
}
