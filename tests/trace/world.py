"""A small world: a service with a hole, its builds, the host it ran on, and an attack on it."""

from dataclasses import dataclass, field

import orjson
import pyarrow as pa
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lemnis import app
from lemnis.app.trace import trace_alerts
from lemnis.contracts.alerts import Alert, Entity, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.events import EventBatch
from lemnis.contracts.journal import NewEntry
from lemnis.graph import attestation
from lemnis.interfaces.cli import run
from lemnis.store.git import Repository

AT = 1_764_000_000_000
IMAGE = "sha256:" + "ab" * 32
BUILDER = "https://builder.example/shop"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
CONTAINER = "c0ffee" * 10

WEB = """\
from shop import labels

def preview(query):
    return labels.preview(query["text"])

def front(query):
    return "hello"

ROUTES = {"/labels/preview": preview, "/": front}
"""
HOLE = """\
import subprocess

def preview(text):
    return subprocess.run(["/bin/sh", "-c", f"echo {text} | fold -w 28"], capture_output=True).stdout
"""
TOOL = """\
import subprocess

def notes():
    return subprocess.run(["/usr/bin/git", "log"], capture_output=True).stdout
"""
MENDED = """\
import textwrap

def preview(text):
    return textwrap.wrap(text, 28)
"""
OWNERS = "* @shop/all\n/shop/labels.py @shop/shipping\n"


def make_shop(folder):
    """Five commits: begin, a harmless neighbour, the hole, something else (deployed), the fix."""
    repository = Repository.create(folder)
    commits = {}
    for number, (name, files) in enumerate(
        {
            "begin": {"shop/web.py": WEB, "CODEOWNERS": OWNERS, "shop/__init__.py": ""},
            "tool": {"tools/notes.py": TOOL},
            "hole": {"shop/labels.py": HOLE},
            "other": {"README.md": "shop\n"},
            "fix": {"shop/labels.py": MENDED},
        }.items()
    ):
        for path, text in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text)
        commits[name] = repository.commit_all(
            name, author=f"{name.title()} Dev <{name}@example.org>", at=AT - 10_000_000 + number * 60_000
        )
    return repository, commits


def process(uid, at, pid, parent, path, command, host="node-1", status=1):  # noqa: PLR0917 - as they stand in a line of the log
    return {
        "metadata": {"uid": uid, "log_name": "linux_audit"}, "time": at, "class_uid": 1007, "activity_id": 1,
        "status_id": status, "device": {"hostname": host},
        "process": {"pid": pid, "cmd_line": command, "file": {"path": path}, "parent_process": {"pid": parent}},
    }  # fmt: skip


def runtime(uid, at, activity, *, pid=500, container=CONTAINER, digest=IMAGE, host="node-1"):
    return {
        "metadata": {"uid": uid, "log_name": "container_runtime"}, "time": at, "class_uid": 1007,
        "activity_id": activity, "device": {"hostname": host},
        "process": {
            "pid": pid,
            "container": {"uid": container, "name": "web", "image": {"name": "shop/web", "uid": digest}},
        },
        "unmapped": '{"workload.namespace":"shop","workload.name":"shop-web"}',
    }  # fmt: skip


def request(uid, at, path, query, client="198.51.100.7"):
    return {
        "metadata": {"uid": uid, "log_name": "web_combined"}, "time": at, "class_uid": 4002, "activity_id": 3,
        "src_endpoint": {"ip": client}, "http_request": {"url": {"path": path, "query_string": query}},
    }  # fmt: skip


def alert(uid="ev-id", at=AT, process_entity="process:node-1/601"):
    return Alert(
        "al-1" if uid == "ev-id" else f"al-{uid}", "rule-1", "Discovery command", Severity.MEDIUM, at, "linux_audit", (uid,),
        (Entity.parse(process_entity),), "sha256:" + "0" * 64, ("attack.t1059.004",),
    )  # fmt: skip


def batches(rows):
    groups = {}
    for row in rows:
        groups.setdefault((row["class_uid"], row["metadata"]["log_name"]), []).append(row)
    for (number, source), some in groups.items():
        names = sorted({name for row in some for name in row})
        table = pa.Table.from_pylist([{name: row.get(name) for name in names} for row in some])
        yield EventBatch(number, source, "test", table)


def make_workspace(folder, shop):
    workspace = app.init(folder, clock=ManualClock(AT + 60_000))
    (workspace.root / "builder.pub").write_bytes(attestation.write_public(KEY.public_key()))
    settings = {
        "name": "soc",
        "builders": [{"id": BUILDER, "key": "builder.pub"}],
        "repositories": [{"name": "shop", "url": "https://git.example/shop.git", "path": str(shop[0].path)}],
    }
    (workspace.root / app.SETTINGS).write_text(yaml.safe_dump(settings))
    Repository(workspace.root).commit_all("Settings", author=app.AUTHOR, at=AT)
    return workspace


@dataclass
class World:
    workspace: app.Workspace
    shop: Repository
    commits: dict
    rows: list = field(default_factory=list)

    def see(self, *rows):
        app.lake(self.workspace).append(list(batches(rows)))

    def attest(
        self, *, key=KEY, flip=False, repository="https://git.example/shop.git", image=IMAGE, commit="other"
    ):
        statement = attestation.build_statement(
            subject="shop/web", subject_digest=image, builder=BUILDER, invocation="run-7",
            repository=repository, commit=self.commits.get(commit, commit), started=AT - 9_000, finished=AT - 8_000,
        )  # fmt: skip
        envelope = attestation.sign(statement, key)
        if flip:
            place = envelope.index(b'"payload": "') + 40
            envelope = envelope[:place] + bytes([envelope[place] ^ 1]) + envelope[place + 1 :]
        digest = app.vault(self.workspace).put(envelope)
        app.journal(self.workspace).append(
            NewEntry("attestation", f"image:{IMAGE}", f"attestation:{digest}", {"digest": digest})
        )
        return digest

    def edit(self, written, changes):
        """Commit changes on a lesson's branch, as a reviewer (or someone else) would."""
        git = Repository(self.workspace.root)
        tree = dict(git.tree(written.commit))
        files = {}
        for pattern, change in changes.items():
            [path] = [path for path in tree if path.endswith(pattern) and "/lesson" in path]
            files[path] = change(tree[path].decode()).encode()
            assert files[path] != tree[path]
        commit = git.write_branch("edited", written.commit, files, "edit", author=app.AUTHOR, at=1_000)
        git.run("update-ref", f"refs/heads/{written.branch}", commit)
        return commit

    def attack(self):
        self.see(
            runtime("ev-r0", AT - 60_000, 99),
            runtime("ev-r1", AT - 59_990, 1),
            process("ev-py", AT - 59_980, 500, 499, "/usr/bin/python3", "python3 -m shop"),
            process(
                "ev-b", AT - 20_000, 590, 500, "/usr/bin/dash", "/bin/sh -c echo Anna Smith | fold -w 28"
            ),
            process("ev-sh", AT - 50, 600, 500, "/usr/bin/dash", "/bin/sh -c echo x;id | fold -w 28"),
            process("ev-id", AT, 601, 600, "/usr/bin/id", "id"),
            request("ev-w1", AT - 20_500, "/labels/preview", "text=Anna+Smith", "203.0.113.9"),
            request("ev-w2", AT - 500, "/labels/preview", "text=x%3Bid"),
            request("ev-w3", AT - 400, "/", "", "203.0.113.9"),
        )


def follow(world, *alerts):
    return trace_alerts(world.workspace, "in-1", alerts or [alert()])


def commands(world, written, capsys):
    """Return what runs a command in a world and gives what it says: rows of JSON if asked for, else text."""

    def call(*arguments, expect=0):
        capsys.readouterr()
        code = run([*arguments, "--workspace", str(world.workspace.root)])
        out, err = capsys.readouterr()
        assert code == expect, err or out
        return [orjson.loads(line) for line in out.splitlines()] if "--json" in arguments else out + err

    call.world, call.written = world, written
    return call
