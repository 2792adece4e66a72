# Rights for a private mail account.
package lemnis.gcp_personal_account

import rego.v1

fail contains {"resource": i, "path": ["members", n], "message": member} if {
    some i, one in input.resources
    some n, member in one.members
    endswith(member, "@gmail.com")
}

fail contains {"resource": i, "path": ["member"], "message": one.member} if {
    some i, one in input.resources
    endswith(one.member, "@gmail.com")
}
