"""Pods on the node: images unpacked and started by crun, with the events a container runtime publishes.

One JSON line an event, after containerd's (topic, container id, first process's number on the host, exit
status), with what a node agent adds from its own records: image, digest, labels, workload.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import hashlib
import json
import os
import secrets
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import plan

BUNDLES = Path("/run/containers")
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
CRUN = ("crun", "--cgroup-manager=disabled", "--root=/run/crun")
PR_SET_CHILD_SUBREAPER = 36
USERS = "root:x:0:0:root:/root:/usr/sbin/nologin\nshop:x:{0}:{0}:shop:/app:/usr/sbin/nologin\n"


@dataclass(frozen=True, slots=True)
class Image:
    """An image layout that was pulled: its digest, its layer and its configuration."""

    digest: str
    layer: Path
    config: Mapping[str, Any]

    @classmethod
    def read(cls, layout: Path) -> Image:
        """Read a layout and verify every digest on the way."""
        index = json.loads((layout / "index.json").read_bytes())
        digest = index["manifests"][0]["digest"]
        manifest = json.loads(_blob(layout, digest).read_bytes())
        layer = _blob(layout, manifest["layers"][0]["digest"])
        config = json.loads(_blob(layout, manifest["config"]["digest"]).read_bytes())
        return cls(digest, layer, config["config"])


@dataclass(slots=True)
class Container:
    """A container: what it runs, where, and its first process."""

    id: str
    pod: str
    deployment: str
    kind: str
    image: Image
    labels: dict[str, str]
    pid: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


class Runtime:
    """Starts and stops containers and writes down what happened to them."""

    def __init__(self, log: Path, output: Path) -> None:
        """Open the event log; containers' output goes to a file a deployment in ``output``."""
        self._log = log.open("a", encoding="utf-8")
        self._output = output
        self._lock = threading.Lock()
        self.running: dict[str, Container] = {}
        # The runtime's shim: containers' first processes become our children when crun has gone.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    def start(
        self,
        image: Image,
        deployment: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        kind: str = "Deployment",
        team: str,
        entrypoint: Sequence[str] | None = None,
    ) -> Container:
        """Create a container and start it."""
        replica = hashlib.sha256(f"{deployment}{image.digest}".encode()).hexdigest()[:10]
        pod = f"{deployment}-{replica}-{secrets.token_hex(3)[:5]}"
        labels = {
            "app": deployment,
            "team": team,
            "io.kubernetes.pod.namespace": plan.PODS,
            "io.kubernetes.pod.name": pod,
            "io.kubernetes.container.name": deployment.partition("-")[2] or deployment,
        }
        one = Container(secrets.token_hex(32), pod, deployment, kind, image, labels)
        bundle = _bundle(one, [*(entrypoint or image.config["Entrypoint"]), *arguments], environment)
        pid_file = bundle / "pid"
        with (
            (self._output / f"{deployment}.log").open("ab") as output,
            (self._output / f"{deployment}.err").open("ab") as errors,
        ):
            made = subprocess.run(
                [*CRUN, "create", f"--bundle={bundle}", f"--pid-file={pid_file}", one.id],
                check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
            )  # fmt: skip
        if made.returncode != 0:
            raise RuntimeError((self._output / f"{deployment}.err").read_text(errors="replace"))
        one.pid = int(pid_file.read_text())
        self.running[one.id] = one
        self._event("/containers/create", one)
        self._event("/tasks/create", one, pid=one.pid)
        subprocess.run([*CRUN, "start", one.id], check=True)
        self._event("/tasks/start", one, pid=one.pid)
        threading.Thread(target=self._wait, args=(one,), daemon=True).start()
        return one

    def probe(self, one: Container, command: Sequence[str]) -> int:
        """Run a command in a container, as exec probes do, and return its status."""
        number = secrets.token_hex(32)
        pid_file = BUNDLES / one.id / number
        self._event("/tasks/exec-added", one, exec_id=number)
        running = subprocess.Popen(
            [*CRUN, "exec", f"--pid-file={pid_file}", one.id, *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        status = running.wait()
        pid = int(pid_file.read_text() or 0) if pid_file.exists() else 0
        pid_file.unlink(missing_ok=True)
        self._event("/tasks/exec-started", one, exec_id=number, pid=pid)
        self._event("/tasks/exit", one, exec_id=number, pid=pid, exit_status=status)
        return status

    def stop(self, one: Container) -> None:
        """End a container: politely, then at once."""
        for name, wait in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
            subprocess.run([*CRUN, "kill", one.id, str(int(name))], check=False, capture_output=True)
            if one.ended.wait(wait):
                return

    def _wait(self, one: Container) -> None:
        _, status = os.waitpid(one.pid, 0)
        self._event(
            "/tasks/exit", one, id=one.id, pid=one.pid, exit_status=os.waitstatus_to_exitcode(status) % 256
        )
        subprocess.run([*CRUN, "delete", "--force", one.id], check=False, capture_output=True)
        self._event("/containers/delete", one)
        self.running.pop(one.id, None)
        one.ended.set()

    def _event(self, topic: str, one: Container, **event: Any) -> None:
        now = time.time_ns()
        stamp = dt.datetime.fromtimestamp(now // 10**9, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
        record = {
            "timestamp": f"{stamp}.{now % 10**9:09d}Z",
            "namespace": "k8s.io",
            "topic": topic,
            "event": {"container_id": one.id, **event},
            "node": plan.NODE,
            "container": {
                "id": one.id,
                "pid": one.pid,
                "image": f"{plan.REGISTRY}@{one.image.digest}",
                "image_digest": one.image.digest,
                "labels": one.labels,
            },
            "workload": {"namespace": plan.PODS, "kind": one.kind, "name": one.deployment, "pod": one.pod},
        }
        with self._lock:
            self._log.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._log.flush()


def _blob(layout: Path, digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    path = layout / "blobs" / algorithm / value
    if hashlib.new(algorithm, path.read_bytes()).hexdigest() != value:
        raise ValueError(f"{path} is not what its name says")
    return path


def _unpack(layer: Path, root: Path) -> None:
    """Unpack a layer: folders and plain files only, none of them outside the root."""
    with tarfile.open(layer) as archive:
        for member in archive:
            target = root / member.name
            if not target.resolve().is_relative_to(root.resolve()):
                raise ValueError(f"{member.name} leads out of the image")
            content = archive.extractfile(member)
            if member.isdir():
                target.mkdir(exist_ok=True)
            elif content is not None:
                target.write_bytes(content.read())
            else:
                raise ValueError(f"{member.name} is neither folder nor file")
            target.chmod(member.mode)


def _bundle(one: Container, arguments: Sequence[str], environment: Mapping[str, str]) -> Path:
    """Write a bundle: the image's layer over the node's base system, and the runtime's configuration."""
    bundle = BUNDLES / one.id
    root = bundle / "rootfs"
    root.mkdir(parents=True)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    for name in ("usr", "proc", "dev", "tmp", "etc", "sys"):
        (root / name).mkdir()
    (root / "etc" / "passwd").write_text(USERS.format(plan.SERVICE_USER))
    (root / "etc" / "group").write_text(f"root:x:0:\nshop:x:{plan.SERVICE_USER}:\n")
    (root / "etc" / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {one.pod}\n")
    (root / "etc" / "hostname").write_text(one.pod + "\n")
    (root / "etc" / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    (root / "etc" / "ld.so.cache").write_bytes(Path("/etc/ld.so.cache").read_bytes())
    _unpack(one.image.layer, root)
    config = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": plan.SERVICE_USER, "gid": plan.SERVICE_USER},
            "args": list(arguments),
            "env": [*one.image.config["Env"], *(f"{name}={value}" for name, value in environment.items())],
            "cwd": one.image.config["WorkingDir"],
            "noNewPrivileges": True,
            "capabilities": {},
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": one.pod,
        "mounts": [
            {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro", "nosuid"]},
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},  # noqa: S108
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "mount", "uts", "ipc")]},
    }
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle
