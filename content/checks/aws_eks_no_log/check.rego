# A cluster's audit log is off.
package lemnis.aws_eks_no_log

import rego.v1

fail contains {"resource": i, "path": ["enabled_cluster_log_types"], "message": "audit is not among the logs"} if {
    some i, one in input.resources
    not "audit" in one.enabled_cluster_log_types
}
