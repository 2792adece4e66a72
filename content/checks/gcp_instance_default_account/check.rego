# Machine runs with the default account and all its rights.
package lemnis.gcp_instance_default_account

import rego.v1

wide := ["cloud-platform", "https://www.googleapis.com/auth/cloud-platform"]

default_account(email) if email == ""

default_account(email) if endswith(email, "-compute@developer.gserviceaccount.com")

fail contains {"resource": i, "path": ["service_account", n], "message": "the default account, for the whole platform"} if {
    some i, one in input.resources
    some n, account in one.service_account
    default_account(object.get(account, "email", ""))
    some scope in account.scopes
    scope in wide
}
