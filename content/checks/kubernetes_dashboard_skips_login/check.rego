# Dashboard of the cluster can be used without a login.
package lemnis.kubernetes_dashboard_skips_login

import rego.v1

arguments := ["--enable-skip-login", "--enable-skip-login=true", "--disable-auth", "--auth-mode=server"]

fail contains {"resource": i, "path": [from, n], "message": sprintf("%s lets anybody in", [word])} if {
    some i, one in input.resources
    some from in ["args", "command"]
    some n, word in one[from]
    word in arguments
}
