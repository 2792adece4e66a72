# SSH keys of the whole project open the machine.
package lemnis.gcp_instance_project_keys

import rego.v1

blocked(metadata) if metadata["block-project-ssh-keys"] in [true, "true", "TRUE", "(unknown)"]

blocked(metadata) if metadata["enable-oslogin"] in [true, "true", "TRUE", "(unknown)"]

fail contains {"resource": i, "path": ["metadata"], "message": "keys of the project are taken"} if {
    some i, one in input.resources
    not blocked(object.get(one, "metadata", {}))
}
