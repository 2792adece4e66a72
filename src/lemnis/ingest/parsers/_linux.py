"""What Linux calls its system calls, by architecture as audit records name it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {"c000003e": "x86_64", "40000003": "i386", "c00000b7": "aarch64", "40000028": "arm"}
)
_X86_64 = {
    0: "read", 1: "write", 2: "open", 3: "close", 41: "socket", 42: "connect", 43: "accept", 44: "sendto",
    45: "recvfrom", 46: "sendmsg", 49: "bind", 50: "listen", 56: "clone", 57: "fork", 58: "vfork",
    59: "execve", 60: "exit", 62: "kill", 76: "truncate", 77: "ftruncate", 80: "chdir", 82: "rename",
    83: "mkdir",
    84: "rmdir", 85: "creat", 86: "link", 87: "unlink", 88: "symlink", 90: "chmod", 91: "fchmod", 92: "chown",
    93: "fchown", 94: "lchown", 101: "ptrace", 105: "setuid", 106: "setgid", 113: "setreuid", 114: "setregid",
    117: "setresuid", 119: "setresgid", 132: "utime", 133: "mknod", 155: "pivot_root", 159: "adjtimex",
    161: "chroot", 164: "settimeofday", 165: "mount", 166: "umount2", 170: "sethostname",
    171: "setdomainname", 175: "init_module", 176: "delete_module", 188: "setxattr", 189: "lsetxattr",
    190: "fsetxattr",
    197: "removexattr", 198: "lremovexattr", 199: "fremovexattr", 227: "clock_settime", 231: "exit_group",
    246: "kexec_load", 257: "openat", 258: "mkdirat", 259: "mknodat", 260: "fchownat", 263: "unlinkat",
    264: "renameat", 265: "linkat", 266: "symlinkat", 268: "fchmodat", 272: "unshare", 288: "accept4",
    304: "open_by_handle_at", 308: "setns", 310: "process_vm_readv", 311: "process_vm_writev",
    313: "finit_module", 316: "renameat2", 317: "seccomp", 319: "memfd_create", 321: "bpf", 322: "execveat",
    435: "clone3", 437: "openat2", 438: "pidfd_getfd", 452: "fchmodat2",
}  # fmt: skip
_AARCH64 = {
    33: "mknodat", 34: "mkdirat", 35: "unlinkat", 36: "symlinkat", 37: "linkat", 38: "renameat",
    39: "umount2", 40: "mount", 41: "pivot_root", 45: "truncate", 46: "ftruncate", 49: "chdir", 51: "chroot",
    52: "fchmod", 53: "fchmodat", 54: "fchownat", 55: "fchown", 56: "openat", 57: "close", 63: "read",
    64: "write", 93: "exit", 94: "exit_group", 97: "unshare", 104: "kexec_load", 105: "init_module",
    106: "delete_module", 112: "clock_settime", 117: "ptrace", 129: "kill", 143: "setregid", 144: "setgid",
    145: "setreuid", 146: "setuid", 147: "setresuid", 149: "setresgid", 161: "sethostname",
    162: "setdomainname", 170: "settimeofday", 198: "socket", 200: "bind", 201: "listen", 202: "accept",
    203: "connect", 206: "sendto", 207: "recvfrom", 211: "sendmsg", 220: "clone", 221: "execve",
    242: "accept4", 265: "open_by_handle_at", 268: "setns", 270: "process_vm_readv", 271: "process_vm_writev",
    273: "finit_module", 276: "renameat2", 277: "seccomp", 279: "memfd_create", 280: "bpf", 281: "execveat",
    435: "clone3", 437: "openat2", 438: "pidfd_getfd", 452: "fchmodat2",
}  # fmt: skip
_I386 = {
    1: "exit", 2: "fork", 3: "read", 4: "write", 5: "open", 6: "close", 8: "creat", 9: "link", 10: "unlink",
    11: "execve", 12: "chdir", 14: "mknod", 15: "chmod", 21: "mount", 23: "setuid", 26: "ptrace", 37: "kill",
    38: "rename", 39: "mkdir", 40: "rmdir", 61: "chroot", 83: "symlink", 102: "socketcall", 120: "clone",
    128: "init_module", 129: "delete_module", 190: "vfork", 295: "openat", 301: "unlinkat", 302: "renameat",
    350: "finit_module", 358: "execveat", 359: "socket", 361: "bind", 362: "connect", 363: "listen",
    364: "accept4", 435: "clone3", 437: "openat2",
}  # fmt: skip
_CALLS: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {"x86_64": _X86_64, "aarch64": _AARCH64, "i386": _I386}
)


def syscall(architecture: str, number: str) -> str | None:
    """Return a system call's name; None if it is not known here."""
    calls = _CALLS.get(ARCHITECTURES.get(architecture, architecture), {})
    return calls.get(int(number)) if number.isdigit() else None
