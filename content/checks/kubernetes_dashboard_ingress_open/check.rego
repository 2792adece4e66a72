# Ingress leads to the cluster's dashboard without a login.
package lemnis.kubernetes_dashboard_ingress_open

import rego.v1

names := ["kubernetes-dashboard", "kubernetes-dashboard-kong-proxy", "dashboard-metrics-scraper", "headlamp", "weave-scope-app", "kubeview"]

guards := [
    "nginx.ingress.kubernetes.io/auth-url",
    "nginx.ingress.kubernetes.io/auth-secret",
    "nginx.ingress.kubernetes.io/auth-tls-secret",
    "nginx.ingress.kubernetes.io/whitelist-source-range",
    "nginx.ingress.kubernetes.io/allowlist-source-range",
    "traefik.ingress.kubernetes.io/router.middlewares",
    "haproxy.org/auth-type",
    "haproxy.org/allow-list",
    "haproxy-ingress.github.io/auth-secret",
    "haproxy-ingress.github.io/oauth",
    "alb.ingress.kubernetes.io/auth-type",
    "alb.ingress.kubernetes.io/inbound-cidrs",
    "konghq.com/plugins",
    "ingress.cilium.io/loadbalancer-source-ranges",
]

unknown := "(unknown)"

# What is not known may guard it.
guarded(one) if one.metadata == unknown

guarded(one) if one.metadata.annotations == unknown

guarded(one) if {
    some name in guards
    one.metadata.annotations[name]
}

guarded(one) if one.metadata.annotations["alb.ingress.kubernetes.io/scheme"] in ["internal", unknown]

guarded(one) if one.spec.ingressClassName in ["tailscale", unknown]

fail contains {"resource": i, "path": ["spec", "rules", n, "http", "paths", m, "backend", "service", "name"], "message": sprintf("%s is reached without a login", [path.backend.service.name])} if {
    some i, one in input.resources
    some n, rule in one.spec.rules
    some m, path in rule.http.paths
    path.backend.service.name in names
    not guarded(one)
}

fail contains {"resource": i, "path": ["spec", "defaultBackend", "service", "name"], "message": sprintf("%s is reached without a login", [one.spec.defaultBackend.service.name])} if {
    some i, one in input.resources
    one.spec.defaultBackend.service.name in names
    not guarded(one)
}
