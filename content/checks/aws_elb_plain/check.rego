# Load balancer takes plain traffic.
package lemnis.aws_elb_plain

import rego.v1

fail contains {"resource": i, "path": ["listener", n, "lb_protocol"], "message": listener.lb_protocol} if {
    some i, one in input.resources
    some n, listener in one.listener
    listener.lb_protocol in ["http", "HTTP", "tcp", "TCP"]
}
