# A deleted file of an image still holds a credential.
package lemnis.image_secret_deleted

import rego.v1

fail contains {"resource": i, "path": ["secret"], "message": sprintf("%s in layer %d, made by: %s", [one.secret, one.layer, one.made_by])} if {
    some i, one in input.resources
    one.secret != ""
    one.deleted == true
}
