# A stranger's text becomes part of a script.
package lemnis.github_script_injection

import rego.v1

fail contains {"resource": i, "path": ["injected", n], "message": sprintf("decided by a stranger: %s", [found.expression])} if {
    some i, one in input.resources
    some n, found in one.injected
    found.by == "outside"
}
