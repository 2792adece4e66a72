# Credential stands in a ConfigMap.
package lemnis.kubernetes_configmap_secret

import rego.v1

fail contains {"resource": i, "path": ["data", key], "message": sprintf("%s is written out", [key])} if {
    some i, one in input.resources
    some key, value in one.data
    regex.match(`(?i)(?:^|[_.-])(?:password|passwd|secret|token|api[_-]?key|private[_-]?key|access[_-]?key)$`, key)
    regex.match(`^[^\s${<%/][^\s${<%]{3,}$`, value)
    value != "(unknown)"
}

fail contains {"resource": i, "path": ["data", key], "message": sprintf("a credential in %s", [key])} if {
    some i, one in input.resources
    some key, value in one.data
    regex.match(
        `(?im)^\s*(?:export\s+)?["']?(?:\w+[_.-])?(?:password|passwd|secret|token|api[_-]?key)["']?\s*[=:]\s*["']?[^\s"'${<%]{4,}`,
        value,
    )
}
