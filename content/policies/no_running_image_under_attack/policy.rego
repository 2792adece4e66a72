# A workload with an urgent alert is held until somebody looked.
package lemnis.no_running_image_under_attack

import rego.v1

high := 4

deny contains reason if {
    some alert in input.alerts
    alert.severity_id >= high
    reason := {
        "message": sprintf("alert %s of %s severity: %s", [alert.id, alert.severity, alert.title]),
        "where": sprintf("image %s", [input.image.digest]),
        "fix": "triage the alert; isolate the workload meanwhile",
    }
}
