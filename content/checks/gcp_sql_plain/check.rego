# Database takes connections without TLS.
package lemnis.gcp_sql_plain

import rego.v1

fail contains {"resource": i, "path": ["settings", 0, "ip_configuration", 0], "message": "neither require_ssl nor an ssl_mode that asks for it"} if {
    some i, one in input.resources
    config := one.settings[0].ip_configuration[0]
    not config.require_ssl == true
    not config.ssl_mode in ["ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"]
}
