# What a change brings in must be below medium severity.
package lemnis.new_findings_below_medium

import rego.v1

medium := 3

deny contains reason if {
    some finding in input.findings
    finding.new
    finding.severity_id >= medium
    reason := {
        "message": sprintf("new finding of %s severity: %s (%s:%s)", [
            finding.severity, finding.title, finding.tool, finding.rule_id,
        ]),
        "where": sprintf("%s:%d", [finding.path, finding.line]),
        "fix": "mend the line, or record an exception with an owner and an end",
    }
}
