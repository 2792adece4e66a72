# Container has neither a limit nor a request of CPU.
package lemnis.kubernetes_no_cpu_bound

import rego.v1

fail contains {"resource": i, "path": ["resources"], "message": "no cpu in limits or requests"} if {
    some i, one in input.resources
    not one.resources.limits.cpu
    not one.resources.requests.cpu
}
