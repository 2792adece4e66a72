# A credential is written into a workflow.
package lemnis.github_credential_written

import rego.v1

fail contains {"resource": i, "path": ["env", n], "message": sprintf("%s holds a %s", [found.name, found.what])} if {
    some i, one in input.resources
    some n, found in one.env
}

fail contains {"resource": i, "path": ["images", n], "message": sprintf("the password for %s is written out", [image.image])} if {
    some i, one in input.resources
    some n, image in one.images
    image.password_written
}
