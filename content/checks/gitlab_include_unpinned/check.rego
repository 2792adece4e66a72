# Another's pipeline is included and can change.
package lemnis.gitlab_include_unpinned

import rego.v1

fail contains {"resource": i, "path": ["includes", n, "pinned"], "message": sprintf("%s %s moves", [found.kind, found.where])} if {
    some i, one in input.resources
    some n, found in one.includes
    found.pinned == false
}
