# What a change brings in must be below medium severity.
package lemnis.new_findings_below_medium

import rego.v1

medium := 3

deny contains reason if {
    some finding in input.findings
    finding.new
    not finding.suppressed
    finding.severity_id >= medium
    reason := {
        "message": sprintf("new finding of %s severity: %s (%s:%s)", [
            finding.severity, finding.title, finding.tool, finding.rule_id,
        ]),
        "where": finding.where,
        "fix": fix(finding),
        "finding": finding.fingerprint,
    }
}

fix(finding) := finding.fix if finding.fix != ""

fix(finding) := "mend the line, or record an exception with an owner and an end" if finding.fix == ""
