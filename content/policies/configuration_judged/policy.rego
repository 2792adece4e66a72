# What nobody could judge is not clean.
package lemnis.configuration_judged

import rego.v1

medium := 3

changed contains file.path if {
    some file in input.change.files
    file.status != "D"
}

deny contains reason if {
    some health in input.health
    some path in changed
    checks := {one.check | some one in health.unjudged; one.path == path; one.severity_id >= medium}
    count(checks) > 0
    reason := {
        "message": sprintf("%s: %d checks could not judge what is known only later: %s", [
            health.tool, count(checks), concat(", ", sort(checks)),
        ]),
        "where": path,
        "fix": "scan what is applied: terraform show -json PLAN, helm template, kustomize build",
    }
}
