# A pull request runs on the owner's machine.
package lemnis.github_own_runner

import rego.v1

events := ["pull_request", "pull_request_target", "issue_comment", "issues", "workflow_run"]

fail contains {"resource": i, "path": ["self_hosted"], "message": "self-hosted, and started by what anybody may send"} if {
    some i, one in input.resources
    one.self_hosted
    some event in one.events
    event in events
}
