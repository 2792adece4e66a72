# Load balancer is open to every address.
package lemnis.kubernetes_open_load_balancer

import rego.v1

internal := [
    "service.beta.kubernetes.io/aws-load-balancer-internal",
    "service.beta.kubernetes.io/azure-load-balancer-internal",
    "networking.gke.io/load-balancer-type",
    "cloud.google.com/load-balancer-type",
]

inside(one) if {
    some name in internal
    one.metadata.annotations[name] in ["true", "Internal", "0.0.0.0/0"]
}

inside(one) if one.metadata.annotations["service.beta.kubernetes.io/aws-load-balancer-scheme"] == "internal"

open_to_all(one) if not one.spec.loadBalancerSourceRanges

open_to_all(one) if "0.0.0.0/0" in one.spec.loadBalancerSourceRanges

fail contains {"resource": i, "path": ["spec", "loadBalancerSourceRanges"], "message": "no source ranges, or all addresses"} if {
    some i, one in input.resources
    one.spec.type == "LoadBalancer"
    not inside(one)
    open_to_all(one)
}
