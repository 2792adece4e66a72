# A merge request reaches an environment or a machine for deployments.
package lemnis.gitlab_merge_request_deploys

import rego.v1

machines := ["deploy", "production", "prod", "protected", "privileged", "release"]

fail contains {"resource": i, "path": ["environment"], "message": sprintf("runs for merge requests, in %s", [one.environment])} if {
    some i, one in input.resources
    one.merge_requests
    one.environment in ["production", "prod", "live"]
}

fail contains {"resource": i, "path": ["tags"], "message": sprintf("runs for merge requests, on %s", [tag])} if {
    some i, one in input.resources
    one.merge_requests
    some tag in one.tags
    tag in machines
}
