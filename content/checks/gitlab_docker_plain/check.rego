# Docker in a job listens without TLS.
package lemnis.gitlab_docker_plain

import rego.v1

fail contains {"resource": i, "path": ["variables"], "message": "TLS is switched off by an empty DOCKER_TLS_CERTDIR"} if {
    some i, one in input.resources
    one.variables.DOCKER_TLS_CERTDIR == ""
}
