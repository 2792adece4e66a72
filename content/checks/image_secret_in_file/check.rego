# A file of an image holds a credential.
package lemnis.image_secret_in_file

import rego.v1

fail contains {"resource": i, "path": ["secret"], "message": sprintf("%s in layer %d", [one.secret, one.layer])} if {
    some i, one in input.resources
    one.secret != ""
    one.deleted == false
}
