# Key of a disk is written into the configuration.
package lemnis.gcp_disk_key_written

import rego.v1

fail contains {"resource": i, "path": ["disk_encryption_key", n, "raw_key"], "message": "raw_key is written out"} if {
    some i, one in input.resources
    some n, key in one.disk_encryption_key
    is_string(key.raw_key)
    key.raw_key != ""
    not startswith(key.raw_key, "${")
}
