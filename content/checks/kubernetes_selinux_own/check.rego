# Pod chooses its own SELinux label.
package lemnis.kubernetes_selinux_own

import rego.v1

fail contains {"resource": i, "path": ["spec", "securityContext", "seLinuxOptions", "type"], "message": options.type} if {
    some i, one in input.resources
    options := one.spec.securityContext.seLinuxOptions
    not options.type in ["container_t", "container_init_t", "container_kvm_t", "container_engine_t"]
    options.type != ""
}

fail contains {"resource": i, "path": ["spec", "securityContext", "seLinuxOptions", key], "message": key} if {
    some i, one in input.resources
    some key in ["user", "role"]
    one.spec.securityContext.seLinuxOptions[key] != ""
}
