# A cluster's API is open to everybody.
package lemnis.aws_eks_public

import rego.v1

held(config) if config.endpoint_public_access == false

held(config) if {
    count(config.public_access_cidrs) > 0
    not "0.0.0.0/0" in config.public_access_cidrs
}

fail contains {"resource": i, "path": ["vpc_config", n], "message": "endpoint_public_access, from every address"} if {
    some i, one in input.resources
    some n, config in one.vpc_config
    not held(config)
}
