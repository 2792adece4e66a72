# A credential is handed to a build as an argument.
package lemnis.dockerfile_secret_argument

import rego.v1

fail contains {"resource": i, "path": ["variables", n], "message": sprintf("%s is handed over as an argument", [variable.name])} if {
    some i, one in input.resources
    one.word == "ARG"
    some n, variable in one.variables
    variable.secret_name
}
