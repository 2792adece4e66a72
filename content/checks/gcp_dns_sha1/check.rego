# Zone is signed with SHA-1.
package lemnis.gcp_dns_sha1

import rego.v1

fail contains {
    "resource": i, "path": ["dnssec_config", n, "default_key_specs", m, "algorithm"], "message": "rsasha1",
} if {
    some i, one in input.resources
    some n, config in one.dnssec_config
    some m, spec in config.default_key_specs
    spec.algorithm == "rsasha1"
}
