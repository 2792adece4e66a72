# Dashboard of the cluster is open outside.
package lemnis.kubernetes_dashboard_exposed

import rego.v1

names := ["kubernetes-dashboard", "kubernetes-dashboard-kong-proxy", "dashboard", "argocd-server", "weave-scope-app"]

fail contains {"resource": i, "path": ["spec", "type"], "message": sprintf("%s is of type %s", [one.metadata.name, one.spec.type])} if {
    some i, one in input.resources
    one.metadata.name in names
    one.spec.type in ["NodePort", "LoadBalancer"]
}
