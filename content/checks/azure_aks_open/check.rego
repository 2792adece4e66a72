# A cluster's API is open to everybody.
package lemnis.azure_aks_open

import rego.v1

fail contains {"resource": i, "path": ["private_cluster_enabled"], "message": "neither private nor held to address ranges"} if {
    some i, one in input.resources
    not object.get(one, "private_cluster_enabled", false) in [true, "(unknown)"]
    not one.api_server_authorized_ip_ranges
    not one.api_server_access_profile
}
