# A credential is written into an image.
package lemnis.dockerfile_secret

import rego.v1

fail contains {"resource": i, "path": ["variables", n], "message": sprintf("%s holds a %s", [variable.name, variable.what])} if {
    some i, one in input.resources
    some n, variable in one.variables
    variable.what != ""
}
