# Image does not say which commit it was built from.
package lemnis.image_no_source

import rego.v1

fail contains {"resource": i, "path": ["labels"], "message": "no label org.opencontainers.image.revision"} if {
    some i, one in input.resources
    not one.labels["org.opencontainers.image.revision"]
}
