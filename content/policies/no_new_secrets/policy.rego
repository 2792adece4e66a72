# A secret in code is everybody's who can read the code.
package lemnis.no_new_secrets

import rego.v1

deny contains reason if {
    some finding in input.findings
    finding.new
    finding.kind == "secret"
    not finding.suppressed
    reason := {
        "message": sprintf("a secret: %s (%s:%s)", [finding.title, finding.tool, finding.rule_id]),
        "where": finding.where,
        "fix": "take it out, read it from the environment, and revoke it if it was ever pushed",
        "finding": finding.fingerprint,
    }
}
