# Image of a job, a service or a step is not pinned by digest.
package lemnis.github_image_unpinned

import rego.v1

fail contains {"resource": i, "path": ["images", n], "message": sprintf("%s has no digest", [image.image])} if {
    some i, one in input.resources
    some n, image in one.images
    image.digest == ""
}

fail contains {"resource": i, "path": ["uses"], "message": sprintf("%s has no digest", [one.uses.action])} if {
    some i, one in input.resources
    one.uses.kind == "docker"
    one.uses.pinned == false
}
