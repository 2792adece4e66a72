# Rights for the default service account.
package lemnis.gcp_default_account_rights

import rego.v1

fail contains {"resource": i, "path": ["member"], "message": one.member} if {
    some i, one in input.resources
    some sign in ["-compute@developer.gserviceaccount.com", "@appspot.gserviceaccount.com", "google_compute_default_service_account."]
    contains(one.member, sign)
}
