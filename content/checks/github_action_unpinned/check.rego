# Another's action is not pinned to a commit.
package lemnis.github_action_unpinned

import rego.v1

fail contains {"resource": i, "path": ["uses"], "message": sprintf("%s@%s moves", [one.uses.action, one.uses.ref])} if {
    some i, one in input.resources
    one.uses.pinned == false
    one.uses.kind != "docker"
    one.uses.own == false
}
