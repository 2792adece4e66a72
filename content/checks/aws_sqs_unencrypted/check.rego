# Queue is not encrypted.
package lemnis.aws_sqs_unencrypted

import rego.v1

fail contains {"resource": i, "path": ["kms_master_key_id"], "message": "neither kms_master_key_id nor sqs_managed_sse_enabled"} if {
    some i, one in input.resources
    object.get(one, "kms_master_key_id", "") == ""
    not object.get(one, "sqs_managed_sse_enabled", false) in [true, "(unknown)"]
}
