# Image was built more than half a year ago.
package lemnis.image_old

import rego.v1

most := 183

fail contains {"resource": i, "path": ["age_days"], "message": sprintf("it is %d days old", [one.age_days])} if {
    some i, one in input.resources
    one.age_days > most
    is_number(one.age_days)
}
