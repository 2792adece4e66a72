# Container keeps the default capabilities.
package lemnis.kubernetes_capabilities_kept

import rego.v1

fail contains {"resource": i, "path": ["dropped"], "message": "ALL is not among the capabilities that are dropped"} if {
    some i, one in input.resources
    not "ALL" in one.dropped
}
