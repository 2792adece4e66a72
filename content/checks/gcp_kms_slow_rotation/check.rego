# Key is rotated more seldom than every 90 days.
package lemnis.gcp_kms_slow_rotation

import rego.v1

fail contains {"resource": i, "path": ["rotation_period"], "message": one.rotation_period} if {
    some i, one in input.resources
    endswith(one.rotation_period, "s")
    to_number(trim_suffix(one.rotation_period, "s")) > 7776000
}
