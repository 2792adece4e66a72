# Instance's disk is not encrypted.
package lemnis.aws_instance_disk_unencrypted

import rego.v1

fail contains {"resource": i, "path": ["root_block_device", 0, "encrypted"], "message": "the root disk is not encrypted"} if {
    some i, one in input.resources
    not one.root_block_device[0].encrypted == true
}

fail contains {"resource": i, "path": ["ebs_block_device", n, "encrypted"], "message": "a further disk is not encrypted"} if {
    some i, one in input.resources
    some n, disk in one.ebs_block_device
    not disk.encrypted == true
}
