# Workflow does not say which rights it needs.
package lemnis.github_rights_not_set

import rego.v1

fail contains {"resource": i, "path": ["permissions", "all"], "message": "no permissions, here and in a job"} if {
    some i, one in input.resources
    one.permissions.all == "unset"
    one.unset_jobs > 0
}
