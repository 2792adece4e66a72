# An expression becomes part of a script.
package lemnis.github_script_expression

import rego.v1

fail contains {"resource": i, "path": ["injected", n], "message": sprintf("not decided here: %s", [found.expression])} if {
    some i, one in input.resources
    some n, found in one.injected
    found.by == "caller"
}
