# Container may run as root.
package lemnis.kubernetes_runs_as_root

import rego.v1

fail contains {"resource": i, "path": ["effective", "runAsNonRoot"], "message": "runAsNonRoot is not set, nor a user other than root"} if {
    some i, one in input.resources
    not one.effective.runAsNonRoot == true
    not one.effective.runAsUser > 0
}
