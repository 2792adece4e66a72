# Image of a job without a fixed tag.
package lemnis.gitlab_image_latest

import rego.v1

fail contains {"resource": i, "path": ["image"], "message": sprintf("%s moves: the tag is latest or none", [one.image.name])} if {
    some i, one in input.resources
    one.image.tag in ["", "latest"]
    one.image.digest == ""
}
