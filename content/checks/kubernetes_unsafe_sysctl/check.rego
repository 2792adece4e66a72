# Pod sets kernel parameters that reach beyond it.
package lemnis.kubernetes_unsafe_sysctl

import rego.v1

safe := {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}

fail contains {"resource": i, "path": ["spec", "securityContext", "sysctls", n, "name"], "message": sysctl.name} if {
    some i, one in input.resources
    some n, sysctl in one.spec.securityContext.sysctls
    not sysctl.name in safe
}
