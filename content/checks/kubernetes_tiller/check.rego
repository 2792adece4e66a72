# Helm 2 with its server is installed.
package lemnis.kubernetes_tiller

import rego.v1

fail contains {"resource": i, "path": ["image_parts"], "message": sprintf("%s is Helm 2's server", [one.image])} if {
    some i, one in input.resources
    endswith(one.image_parts.name, "/tiller")
}
