# Where it hurts most, old findings count too.
package lemnis.exposed_services_are_strict

import rego.v1

high := 4

exposed contains "reached from the internet" if input.facts.internet_facing == "yes"

exposed contains "holds personal data" if input.facts.personal_data == "yes"

deny contains reason if {
    count(exposed) > 0
    some finding in input.findings
    finding.severity_id >= high
    not finding.suppressed
    reason := {
        "message": sprintf("%s severity in a service that is %s: %s", [
            finding.severity, concat(" and ", sort(exposed)), finding.title,
        ]),
        "where": finding.where,
        "fix": "mend it before this service ships",
        "finding": finding.fingerprint,
    }
}
