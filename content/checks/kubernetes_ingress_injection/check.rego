# Annotation of an ingress writes configuration.
package lemnis.kubernetes_ingress_injection

import rego.v1

names := ["auth-url", "auth-tls-match-cn", "mirror-target", "mirror-host"]

fail contains {"resource": i, "path": ["metadata", "annotations", key], "message": key} if {
    some i, one in input.resources
    some key, value in one.metadata.annotations
    some name in names
    key == sprintf("nginx.ingress.kubernetes.io/%s", [name])
    regex.match(`[\n\r;{}#|]`, value)
}
