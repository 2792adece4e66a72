# Cluster of containers is not measured.
package lemnis.aws_ecs_no_insight

import rego.v1

fail contains {"resource": i, "path": ["setting"], "message": "containerInsights is not enabled"} if {
    some i, one in input.resources
    not measured(object.get(one, "setting", []))
}

measured(settings) if {
    some setting in settings
    setting.name == "containerInsights"
    setting.value in ["enabled", "enhanced"]
}
