"""Writers of raw records that several scenarios need, as the products write them: audit, runtime, access log, CloudTrail."""

import json
import socket
import uuid
from collections import defaultdict
from datetime import UTC, datetime

NODE = "node-1"


class Raw:
    """Gathers records by file and writes them in the order in which they were told; ``logs`` are for the harness.

    What refers to a container must come after it: ``runtime`` records are read first.
    """

    _ORDER = ("container_runtime", "linux_audit", "web_combined")

    def __init__(self, folder, *, node=NODE, serial=100):
        self.folder, self.node, self.serial = folder, node, serial
        self.lines = defaultdict(list)

    @property
    def logs(self):
        """Write the files; return what the harness reads in."""
        order = {name: number for number, name in enumerate(self._ORDER)}
        found = []
        for source in sorted(self.lines, key=lambda one: order.get(one, len(order))):
            path = self.folder / f"{source}.log"
            path.write_text("".join(f"{line}\n" for line in self.lines[source]), encoding="utf-8")
            found.append((source, path))
        return found

    def add(self, source, *lines):
        """Add lines of any source, as they are."""
        self.lines[source] += [one if isinstance(one, str) else json.dumps(one) for one in lines]

    def container(self, at, container, pid, digest, workload="prod/web", image="registry.example/web"):  # noqa: PLR0917 - as a line of the log
        """A container's first process is started by the runtime (containerd's events, as a node agent ships them)."""
        space, name = workload.split("/")
        for topic, moment in (("/tasks/create", at), ("/tasks/start", at + 50)):
            self.add(
                "container_runtime",
                {
                    "timestamp": _iso(moment, "000000Z"), "namespace": "k8s.io", "topic": topic, "node": self.node,
                    "event": {"container_id": container, "pid": pid},
                    "container": {
                        "id": container, "pid": pid, "image": f"{image}@{digest}", "image_digest": digest,
                        "labels": {"app": name, "io.kubernetes.container.name": name},
                    },
                    "workload": {"namespace": space, "kind": "Deployment", "name": name, "pod": f"{name}-1"},
                },
            )  # fmt: skip

    def starts(self, at, pid, parent, exe, *arguments):
        """A process is started (execve)."""
        stamp = self._stamp(at)
        words = " ".join(f"a{number}={_word(one)}" for number, one in enumerate(arguments))
        self.add(
            "linux_audit",
            f"node={self.node} type=SYSCALL {stamp} arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 "
            f'items=1 {_who(pid, parent, exe)} key="exec"',
            f"node={self.node} type=EXECVE {stamp} argc={len(arguments)} {words}",
        )

    def connects(self, at, pid, parent, exe, address, port):  # noqa: PLR0917 - as a line of the log
        """A process connects to an address (connect)."""
        stamp = self._stamp(at)
        if ":" in address:
            raw = f"0A00{port:04X}00000000{socket.inet_pton(socket.AF_INET6, address).hex().upper()}00000000"
        else:
            raw = f"0200{port:04X}{socket.inet_aton(address).hex().upper()}{'0' * 16}"
        self.add(
            "linux_audit",
            f"node={self.node} type=SYSCALL {stamp} arch=c000003e syscall=42 success=yes exit=0 a0=9 a1=1 a2=10 a3=0 "
            f'items=0 {_who(pid, parent, exe)} key="connect"',
            f"node={self.node} type=SOCKADDR {stamp} saddr={raw}",
        )

    def asks(self, at, client, target, *, agent="Mozilla/5.0", method="GET", status=200):
        """Somebody asks a web service."""
        stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S %z")
        self.add(
            "web_combined", f'{client} - - [{stamp}] "{method} {target} HTTP/1.1" {status} 12 "-" "{agent}"'
        )

    def calls(self, at, client, call, identity, *, request=None, response=None, error="", **more):
        """Somebody calls AWS (CloudTrail): ``call`` is ``service:Name``, ``identity`` is ``userIdentity``."""
        service, name = call.split(":")
        seed = f"{at}/{client}/{service}/{name}/{len(self.lines['aws_cloudtrail'])}"
        record = {
            "eventVersion": "1.11", "userIdentity": identity, "eventTime": _iso(at, "Z", "seconds"),
            "eventSource": f"{service}.amazonaws.com", "eventName": name, "awsRegion": "eu-central-1",
            "sourceIPAddress": client, "userAgent": "aws-cli/2.15.0", "requestParameters": request,
            "responseElements": response, "eventID": str(uuid.uuid5(uuid.NAMESPACE_URL, seed)), "readOnly": True,
            "eventType": "AwsApiCall", "managementEvent": True, "recipientAccountId": "111122223333",
            "eventCategory": "Management", **({"errorCode": error} if error else {}), **more,
        }  # fmt: skip
        self.add("aws_cloudtrail", record)

    def _stamp(self, at):
        self.serial += 1
        return f"msg=audit({at // 1000}.{at % 1000:03}:{self.serial}):"


def _iso(at, end, precision="milliseconds"):
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec=precision).replace("+00:00", end)


def _who(pid, parent, exe):
    return (
        f"ppid={parent} pid={pid} auid=4294967295 uid=33 gid=33 euid=33 suid=33 fsuid=33 egid=33 sgid=33 fsgid=33 "
        f'tty=(none) ses=4294967295 comm="{exe.rpartition("/")[2][:15]}" exe="{exe}"'
    )


def _word(text):
    plain = text.isascii() and text.isprintable() and not set(text) & {" ", '"'}
    return f'"{text}"' if plain else text.encode().hex().upper()
