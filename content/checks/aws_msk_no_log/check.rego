# Brokers of streams write no log.
package lemnis.aws_msk_no_log

import rego.v1

fail contains {"resource": i, "path": ["logging_info"], "message": "no broker log is enabled"} if {
    some i, one in input.resources
    not kept(object.get(one, "logging_info", []))
}

kept(info) if {
    some one in info
    some logs in one.broker_logs
    some kind in ["cloudwatch_logs", "firehose", "s3"]
    some place in logs[kind]
    place.enabled == true
}
