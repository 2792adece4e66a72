# Machine runs with the default account and all its rights.
package lemnis.gcp_instance_default_account

import rego.v1

wide := ["cloud-platform", "https://www.googleapis.com/auth/cloud-platform"]

fail contains {"resource": i, "path": ["service_account", n, "scopes"], "message": "the default account, for the whole platform"} if {
    some i, one in input.resources
    some n, account in one.service_account
    not account.email
    some scope in account.scopes
    scope in wide
}
