# Activity log is kept for less than a year.
package lemnis.azure_activity_log_short

import rego.v1

fail contains {"resource": i, "path": ["retention_policy", n, "days"], "message": sprintf("%d days", [policy.days])} if {
    some i, one in input.resources
    some n, policy in one.retention_policy
    policy.enabled == true
    policy.days > 0
    policy.days < 365
}
