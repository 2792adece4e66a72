"""The same attack as raw logs: kernel audit, container runtime, web access; shoppers and an attacker."""

import json
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

from world import AT, CONTAINER, IMAGE

from lemnis import app
from lemnis.app import ingest
from lemnis.incidents.view import views

NODE = "node-1"
ATTACKER = "198.51.100.7"
SHOPPERS = (
    "Anna Smith",
    "Émile Garcia-Lopez",
    "12 Long Street",
    "St. Mary Road 3",
    "Bad Beispiel",
    "van Dijk",
)
INJECTED = ("x;id", "x;whoami", "x;uname -a")


def started(serial, at, pid, parent, exe, *arguments):
    words = " ".join(
        f'a{n}="{a}"'
        if a.isascii() and a.isprintable() and " " not in a and '"' not in a
        else f"a{n}={a.encode().hex().upper()}"
        for n, a in enumerate(arguments)
    )
    stamp = f"msg=audit({at // 1000}.{at % 1000:03}:{serial}):"
    return (
        f"node={NODE} type=SYSCALL {stamp} arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=4 items=1 "
        f"ppid={parent} pid={pid} auid=4294967295 uid=33 gid=33 euid=33 suid=33 fsuid=33 egid=33 sgid=33 fsgid=33 "
        f'tty=(none) ses=4294967295 comm="{exe.rpartition("/")[2]}" exe="{exe}" key="exec"\n'
        f"node={NODE} type=EXECVE {stamp} argc={len(arguments)} {words}\n"
    )


def happened(at, topic, pid):
    stamp = (
        datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "000000Z")
    )
    workload = {"namespace": "shop", "kind": "Deployment", "name": "shop-web", "pod": "shop-web-1"}
    container = {
        "id": CONTAINER, "pid": pid, "image": f"registry.example/shop@{IMAGE}", "image_digest": IMAGE,
        "labels": {"app": "shop-web", "io.kubernetes.container.name": "web"},
    }  # fmt: skip
    record = {
        "timestamp": stamp, "namespace": "k8s.io", "topic": topic, "event": {"container_id": CONTAINER, "pid": pid},
        "node": NODE, "container": container, "workload": workload,
    }  # fmt: skip
    return json.dumps(record) + "\n"


def asked(at, client, target, agent="Mozilla/5.0", method="GET"):
    stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%d/%b/%Y:%H:%M:%S %z")
    return f'{client} - - [{stamp}] "{method} {target} HTTP/1.1" 200 12 "-" "{agent}"\n'


class Logs:
    """Writes the logs of a story into a folder."""

    def __init__(self, folder, *, bodies=False):
        self.bodies = bodies  # the attack's texts come in bodies, which no access log has
        self.folder, self.serial, self.pid = folder, 100, 600
        folder.mkdir(exist_ok=True)
        self.audit, self.web = [], []
        self.audit.append(self.start(AT - 600_000, 500, 499, "/usr/bin/python3.11", "python3", "-m", "shop"))
        self.runtime = [
            happened(AT - 600_100, "/tasks/create", 500),
            happened(AT - 600_050, "/tasks/start", 500),
        ]

    def start(self, at, pid, parent, exe, *arguments):
        self.serial += 1
        return started(self.serial, at, pid, parent, exe, *arguments)

    def preview(self, at, client, text, *children, plus=False):
        """Someone asks for a preview: a shell runs, and in it fold, and what was injected."""
        target = "/labels/preview?text=" + (quote_plus(text) if plus else quote(text, safe=""))
        if self.bodies and client == ATTACKER:
            self.web.append(asked(at, client, "/labels/preview", method="POST"))
        else:
            self.web.append(asked(at, client, target))
        self.pid += 10
        shell = self.pid
        self.audit.append(
            self.start(at + 40, shell, 500, "/usr/bin/dash", "/bin/sh", "-c", f"echo {text} | fold -w 28")
        )
        for number, (exe, *arguments) in enumerate((*children, ("/usr/bin/fold", "fold", "-w", "28")), 1):
            self.audit.append(self.start(at + 40 + 10 * number, shell + number, shell, exe, *arguments))

    def story(self, *, attack=True):
        for number in range(40):
            at = AT - 500_000 + number * 11_000
            self.preview(
                at, f"203.0.113.{number % 20 + 1}", SHOPPERS[number % len(SHOPPERS)], plus=number % 2 == 0
            )
            self.web.append(asked(at + 500, f"203.0.113.{number % 20 + 1}", "/?page=2"))
        if attack:
            self.web.append(asked(AT - 100_000, ATTACKER, "/.env", "Mozilla/5.00 (Nikto/2.5.0)"))
            self.preview(AT - 20_000, ATTACKER, "Test|rev", ("/usr/bin/rev", "rev"))
            self.preview(AT - 10_000, ATTACKER, INJECTED[0], ("/usr/bin/id", "id"), plus=True)
            self.preview(AT - 5_000, ATTACKER, INJECTED[1], ("/usr/bin/whoami", "whoami"))
            self.preview(AT, ATTACKER, INJECTED[2], ("/usr/bin/uname", "uname", "-a"), plus=True)
            curl = ("curl", "-s", "http://169.254.169.254/latest/meta-data/iam/security-credentials/")
            self.preview(AT + 5_000, ATTACKER, f"x;{' '.join(curl)}", ("/usr/bin/curl", *curl))
        return self.write()

    def write(self):
        for name, lines in (
            ("audit.log", self.audit),
            ("runtime.jsonl", self.runtime),
            ("access.log", self.web),
        ):
            (self.folder / name).write_text("".join(lines), "utf-8")
        return self.folder


def read_in(workspace, folder):
    for name, source in (
        ("runtime.jsonl", "container_runtime"),
        ("audit.log", "linux_audit"),
        ("access.log", "web_combined"),
    ):
        ingest.Ingest(workspace, source, ingest.watcher(workspace)).run([folder / name])


def the_incident(world):
    [incident] = [one for one in views(app.journal(world.workspace)).values() if not one.merged_into]
    return incident.id
