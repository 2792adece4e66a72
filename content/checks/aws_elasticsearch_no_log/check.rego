# Search domain writes no audit log.
package lemnis.aws_elasticsearch_no_log

import rego.v1

fail contains {"resource": i, "path": ["log_publishing_options"], "message": "AUDIT_LOGS is not among the logs"} if {
    some i, one in input.resources
    not audited(object.get(one, "log_publishing_options", []))
}

audited(options) if {
    some option in options
    option.log_type == "AUDIT_LOGS"
    not option.enabled == false
}
