# A credential stands in the history of an image.
package lemnis.image_secret_in_history

import rego.v1

fail contains {"resource": i, "path": ["history_secrets", n], "message": sprintf("step %d holds a %s", [found.step, found.what])} if {
    some i, one in input.resources
    some n, found in one.history_secrets
}
