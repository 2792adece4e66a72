"""The node: its own root, system log, sshd, cron, kernel audit, and the pods on it.

Run by record.py in the node's network, mount and UTS namespaces:

    python3 node.py WORK

``WORK/images`` holds the releases, ``WORK/keys`` the operators' public keys; logs go to ``WORK/log``.
Commands come line by line on standard input: ``deploy NAME`` and ``stop``; each is answered by ``done``.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import plan
from runtime import CRUN, LINKS, Container, Image, Runtime

ROOT = Path("/run/shop-node")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
COPIED = ("ld.so.cache", "pam.d", "security", "login.defs", "alternatives", "environment")
PROBE = ("/bin/sh", "-c", "test -f /app/shop/stock.py && test -d /tmp")
COUNT = ("/usr/bin/python3", "-c", "from shop import catalogue; print(len(catalogue.ARTICLES), 'articles')")
AUDITD = """log_file = /var/log/audit/audit.log
log_group = root
log_format = RAW
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 200
num_logs = 2
max_log_file_action = IGNORE
name_format = HOSTNAME
space_left = 20
space_left_action = IGNORE
admin_space_left = 10
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
plugin_dir = /etc/audit/plugins.d
"""
SSHD = """Port 22
ListenAddress {address}
HostKey /etc/ssh/host_key
UsePAM yes
PasswordAuthentication yes
PermitRootLogin prohibit-password
UseDNS no
PrintMotd no
MaxStartups 100:30:200
PidFile none
"""
RSYSLOG = """module(load="imuxsock")
*.* action(type="omfile" file="/var/log/syslog" template="RSYSLOG_FileFormat")
"""
# What the kernel reports of the whole machine without being asked: others' processes are not ours to record.
ELSEWHERE = ("ANOM_ABEND", "ANOM_PROMISCUOUS", "SECCOMP", "NETFILTER_CFG", "BPF", "KERN_MODULE")
USER_RULES = ("-F", "auid>=1000", "-F", "auid!=unset")


def main() -> None:
    """Build the node, start it, obey, stop."""
    work = Path(sys.argv[1])
    _build(work)
    _enter()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    daemons: list[subprocess.Popen[bytes]] = []
    node = Node()
    try:
        _start_daemons(daemons)
        print("ready", flush=True)
        for line in sys.stdin:
            command, _, argument = line.strip().partition(" ")
            if command == "deploy":
                node.deploy(argument)
            if command == "stop":
                break
            print("done", flush=True)
    finally:
        node.stop()
        subprocess.run(["auditctl", "-D"], check=False, capture_output=True)
        subprocess.run(["auditctl", "-e", "0"], check=False, capture_output=True)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(10)
    print("done", flush=True)


class Node:
    """The node agent: keeps the deployments running, probes them, and runs the small job of every minute."""

    def __init__(self) -> None:
        """Start probing."""
        self.runtime = Runtime(Path("/var/log/containers.jsonl"), Path("/var/log/pods"))
        self.pods: dict[str, Container] = {}
        self.image: Image | None = None
        self.stopping = threading.Event()
        self.loops = [
            threading.Thread(target=loop, daemon=True) for loop in (self._ready, self._alive, self._job)
        ]
        for loop in self.loops:
            loop.start()

    def deploy(self, release: str) -> None:
        """Replace the pods by those of another release."""
        self.image = image = Image.read(Path("/var/lib/images") / release)
        web, stock = plan.WEB, plan.STOCK
        there = {
            "SHOP_ADDRESS": stock[0], "SHOP_PORT": str(stock[1]), "SHOP_BUCKET_ENDPOINT": plan.API
        }  # fmt: skip
        here = {"SHOP_ADDRESS": web[0], "SHOP_PORT": str(web[1]), "SHOP_STOCK": f"{stock[0]}:{stock[1]}"}
        for name, part, environment, address, team in (
            ("shop-stock", "stock", there, stock, "fulfilment"),
            ("shop-web", "web", here, web, "storefront"),
        ):
            if name in self.pods:
                self.runtime.stop(self.pods[name])
            self.pods[name] = self.runtime.start(image, name, [part], environment, team=team)
            _watch_passwd(self.pods[name])
            _reachable(address)

    def stop(self) -> None:
        """End the loops and the pods."""
        self.stopping.set()
        for loop in self.loops:
            loop.join(10)
        for container in list(self.runtime.running.values()):
            self.runtime.stop(container)

    def _ready(self) -> None:
        while not self.stopping.wait(5):
            connection = http.client.HTTPConnection(*plan.WEB, timeout=2)
            try:
                connection.request("GET", "/healthz", headers={"User-Agent": "kube-probe/1.31"})
                connection.getresponse().read()
            except OSError:
                print("not ready", file=sys.stderr)  # a pod is being replaced
            finally:
                connection.close()

    def _alive(self) -> None:
        while not self.stopping.wait(10):
            stock = self.pods.get("shop-stock")
            if stock is not None and not stock.ended.is_set():
                self.runtime.probe(stock, PROBE)

    def _job(self) -> None:
        while not self.stopping.wait(60):
            if self.image is not None:
                self.runtime.start(
                    self.image, "shop-count", [], {}, kind="CronJob", team="storefront", entrypoint=COUNT
                )


def _build(work: Path) -> None:
    """Lay out the node's root: the machine's programs, read-only, and an /etc of its own."""
    socket.sethostname(plan.NODE)
    _run("mount", "--make-rprivate", "/")
    ROOT.mkdir(exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "node", str(ROOT))
    for name, target in LINKS.items():
        (ROOT / name).symlink_to(target)
    for name in ("usr", "etc", "dev/pts", "dev/shm", "proc", "sys", "run/sshd", "root", "home", "old",
                 "var/log", "var/run", "var/lib/images", "var/spool/cron/crontabs"):  # fmt: skip
        (ROOT / name).mkdir(parents=True)
    (ROOT / "tmp").mkdir()
    (ROOT / "tmp").chmod(0o1777)
    _run("mount", "--rbind", "/usr", str(ROOT / "usr"))
    _run("mount", "-t", "tmpfs", "-o", "ro", "empty", str(ROOT / "usr/local"))
    _run("mount", "-t", "proc", "proc", str(ROOT / "proc"))
    _run("mount", "-t", "sysfs", "sysfs", str(ROOT / "sys"))
    _run("mount", "-t", "cgroup2", "cgroup2", str(ROOT / "sys/fs/cgroup"))
    _run(
        "mount",
        "-t",
        "devpts",
        "-o",
        "newinstance,ptmxmode=0666,mode=620,gid=5",
        "devpts",
        str(ROOT / "dev/pts"),
    )
    (ROOT / "dev/ptmx").symlink_to("pts/ptmx")
    (ROOT / "dev/fd").symlink_to("/proc/self/fd")
    for name in DEVICES:
        (ROOT / "dev" / name).touch()
        _run("mount", "--bind", f"/dev/{name}", str(ROOT / "dev" / name))
    for name in ("pods", "audit"):
        (work / "log" / name).mkdir(parents=True, exist_ok=True)
    _run("mount", "--bind", str(work / "log"), str(ROOT / "var/log"))
    _run("mount", "--bind", str(work / "images"), str(ROOT / "var/lib/images"))
    _etc(ROOT / "etc", work)


def _etc(etc: Path, work: Path) -> None:
    """Write the node's own configuration."""
    for name in COPIED:
        source = Path("/etc") / name
        if source.is_dir():
            shutil.copytree(source, etc / name, symlinks=True)
        elif source.exists():
            shutil.copy(source, etc / name)
    people = {**plan.OPERATORS, plan.HEALTH_USER[0]: plan.HEALTH_USER[1]}
    passwd = ["root:x:0:0:root:/root:/bin/bash", "sshd:x:104:65534::/run/sshd:/usr/sbin/nologin"]
    passwd += [f"{name}:x:{uid}:{uid}::/home/{name}:/bin/bash" for name, uid in people.items()]
    _write(etc / "passwd", "\n".join(passwd) + "\n")
    _write(etc / "group", "root:x:0:\nadm:x:4:\ntty:x:5:\ncrontab:x:101:\nnogroup:x:65534:\n"
           + "".join(f"{name}:x:{uid}:\n" for name, uid in people.items()))  # fmt: skip
    _write(
        etc / "shadow", "".join(f"{name}:*:20000:0:99999:7:::\n" for name in ("root", "sshd", *people)), 0o640
    )
    _write(etc / "nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\n")
    _write(etc / "hosts", f"127.0.0.1 localhost\n{plan.NODE_ADDRESS} {plan.NODE}\n")
    _write(etc / "hostname", plan.NODE + "\n")
    _write(etc / "rsyslog.conf", RSYSLOG)
    _write(etc / "crontab", f"PATH=/usr/bin:/bin\n* * * * * {plan.HEALTH_USER[0]} "
           f"curl -fsS -o /dev/null http://{plan.WEB[0]}:{plan.WEB[1]}/healthz\n")  # fmt: skip
    for name in ("audit/plugins.d", "ssh", "cron.d"):
        (etc / name).mkdir(parents=True)
    _write(etc / "audit/auditd.conf", AUDITD, 0o640)
    _write(etc / "ssh/sshd_config", SSHD.format(address=plan.NODE_ADDRESS))
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", plan.NODE, "-f", str(etc / "ssh/host_key"))
    for name, uid in people.items():
        home = etc.parent / "home" / name
        (home / ".ssh").mkdir(parents=True)
        key = work / "keys" / f"{name}.pub"
        if key.exists():
            shutil.copy(key, home / ".ssh/authorized_keys")
        for path in (home, *home.rglob("*")):
            os.chown(path, uid, uid)
            path.chmod(0o700 if path.is_dir() else 0o600)


def _enter() -> None:
    """Make the node's root the root and let go of the machine's."""
    os.chdir(ROOT)
    _run("pivot_root", ".", "old")
    os.chdir("/")
    _run("umount", "-l", "/old")
    os.environ.clear()
    os.environ.update({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"})


def _start_daemons(started: list[subprocess.Popen[bytes]]) -> None:
    """Start the system log, sshd, cron and the audit daemon, each in the foreground, and load the rules."""
    for command in ("rsyslogd -n -i NONE", "auditd -n -s enable", "/usr/sbin/sshd -D", "cron -f"):
        one = subprocess.Popen(command.split(), stdin=subprocess.DEVNULL)
        started.append(one)
    _reachable((plan.NODE_ADDRESS, 22))
    time.sleep(1)
    calls = ("-a", "always,exit", "-F", "arch=b64")
    user = ("-F", f"uid={plan.SERVICE_USER}")
    for rule in (
        ("-D",),
        ("-b", "16384"),
        *(("-a", "always,exclude", "-F", f"msgtype={kind}") for kind in ELSEWHERE),
        (*calls, "-S", "execve,execveat", *user, "-k", "exec"),
        (*calls, "-S", "execve,execveat", *USER_RULES, "-k", "exec"),
        (*calls, "-S", "connect", *user, "-k", "connect"),
        (*calls, "-S", "connect", *USER_RULES, "-F", "saddr_fam=2", "-k", "connect"),
        (*calls, "-S", "openat", "-F", "path=/etc/passwd", *USER_RULES, "-k", "identity"),
        (*calls, "-S", "openat", "-F", "path=/etc/ssh/sshd_config", *USER_RULES, "-k", "configuration"),
    ):
        _run("auditctl", *rule)


def _watch_passwd(one: Container) -> None:
    """Have the kernel note who opens the list of users in a container."""
    _run("auditctl", "-a", "always,exit", "-F", "arch=b64", "-S", "openat",
         "-F", f"path=/run/containers/{one.id}/rootfs/etc/passwd", "-F", f"uid={plan.SERVICE_USER}",
         "-k", "identity")  # fmt: skip


def _reachable(address: tuple[str, int]) -> None:
    """Wait until something listens there."""
    for _ in range(100):
        try:
            socket.create_connection(address, 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"nothing listens at {address}")


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.write_text(text)
    path.chmod(mode)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    if CRUN and os.geteuid() != 0:
        sys.exit("needs root")
    main()
