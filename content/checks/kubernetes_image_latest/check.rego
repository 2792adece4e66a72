# Image without a fixed tag.
package lemnis.kubernetes_image_latest

import rego.v1

fail contains {"resource": i, "path": ["image_parts"], "message": sprintf("%s moves: the tag is latest or none", [one.image])} if {
    some i, one in input.resources
    one.image_parts.tag in ["", "latest"]
    one.image_parts.digest == ""
}
