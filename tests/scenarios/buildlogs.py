"""Raw logs of machines that build: the kernel's audit of a runner, and what GitHub's webhooks tell of its jobs."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness import MINUTE, SECOND

from lemnis.store.git import Repository

FORGE = "https://git.example"
CI = ".github/workflows/ci.yml"
_EXEC, _CONNECT = 59, 42


def deployed(folder: Path, repository: str = "shop") -> str:
    """Return the commit that jobs run on: the last on main before a fix. ``folder`` is where the logs go."""
    commits = Repository(folder.parent / repository).commits("main")
    return next(one.id for one in reversed(commits) if not one.subject.startswith("Fix"))


def iso(at: int) -> str:
    """Return an instant (ms) as GitHub writes it."""
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(at: int) -> str:
    """Return an instant (ms) as logs of jobs have it."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


@dataclass(slots=True)
class Runner:
    """A self-hosted runner of GitHub under audit: each job has a worker, and lays the repository out for itself."""

    host: str
    serial: int = 1000
    pid: int = 2000
    home: str = "/opt/actions-runner"
    lines: list[tuple[int, str]] = field(default_factory=list)
    told: list[tuple[int, dict[str, object]]] = field(default_factory=list)

    def begin(self, at: int, repository: str, *, run: int, commit: str, workflow: str = CI) -> Running:
        """Begin the job `test` of a run: the forge tells of it, the worker starts and checks out."""
        home = f"{self.home}/bin"
        worker = self.run(
            at, 900, f"{home}/Runner.Worker", ["Runner.Worker", "spawnclient", "110", "113"], home
        )
        one = Running(self, repository, run, commit, workflow, at, worker)
        self.tell(at - 4 * SECOND, one, "workflow_run", None)
        self.tell(at - 2 * SECOND, one, "workflow_job", None)
        node = one.action(at + SECOND, "actions/checkout", "v4")
        one.ran(at + 1400, node, "/usr/bin/git", "git", "version")
        git = one.ran(at + 2400, node, "/usr/bin/git", "git", "fetch", "--depth=1", "origin", commit)
        self.connect(at + 3 * SECOND, node, git, "/usr/lib/git-core/git-remote-https", "203.0.113.5")
        return one

    def end(self, one: Running, at: int) -> None:
        """End a job: the forge tells of it."""
        self.tell(at, one, "workflow_job", at)
        self.tell(at + SECOND, one, "workflow_run", at + SECOND)

    def run(self, at: int, parent: int, exe: str, arguments: Sequence[str], folder: str) -> int:
        """Start a program; return its number."""
        self.pid += 1
        words = " ".join(f"a{number}={_word(one)}" for number, one in enumerate(arguments))
        self._write(
            at, _head(parent, self.pid, exe, _EXEC), f"type=EXECVE {{}} argc={len(arguments)} {words}",
            f"type=CWD {{}} cwd={_word(folder)}", f"type=PROCTITLE {{}} proctitle={_word(arguments[0])}",
        )  # fmt: skip
        return self.pid

    def connect(self, at: int, parent: int, pid: int, exe: str, address: str) -> None:
        """Call an address by HTTPS; the call does not wait (EINPROGRESS)."""
        packed = b"\x02\x00\x01\xbb" + ipaddress.ip_address(address).packed + bytes(8)
        self._write(
            at, _head(parent, pid, exe, _CONNECT), f"type=SOCKADDR {{}} saddr={packed.hex().upper()}",
            f"type=PROCTITLE {{}} proctitle={_word(exe.rpartition('/')[2])}",
        )  # fmt: skip

    def tell(self, at: int, one: Running, event: str, ended: int | None) -> None:
        """Deliver a webhook about a run or its job."""
        name = f"{self.host}-{at}-{len(self.told)}"
        payload = {
            "action": "completed" if ended else "in_progress",
            event: one.told_job(ended) if event == "workflow_job" else one.told_run(ended),
            "repository": {
                "id": 42, "full_name": f"shop-inc/{one.repository}", "name": one.repository, "private": True,
                "html_url": f"{FORGE}/{one.repository}", "owner": {"login": "shop-inc", "id": 4},
            },
            "organization": {"login": "shop-inc", "id": 4}, "sender": {"login": "priya", "id": 17, "type": "User"},
        }  # fmt: skip
        digest = hashlib.sha256(name.encode()).hexdigest()
        record = {
            "event": event, "delivery": name, "body_sha256": digest, "received_at": iso(at + SECOND), "payload": payload,
        }  # fmt: skip
        self.told.append((at, record))

    def logs(self, folder: Path) -> list[tuple[str, Path]]:
        """Write both into a folder, in order of time; return what the harness reads in."""
        told = [json.dumps(record) + "\n" for _, record in sorted(self.told, key=lambda one: one[0])]
        lines = [text for _, text in sorted(self.lines, key=lambda one: one[0])]
        found = []
        for source, name, texts in (
            ("github_webhook", "hooks.jsonl", told),
            ("linux_audit", "audit.log", lines),
        ):
            (folder / name).write_text("".join(texts), encoding="utf-8")
            found.append((source, folder / name))
        return found

    def _write(self, at: int, *records: str) -> None:
        self.serial += 1
        stamp = f"msg=audit({at // 1000}.{at % 1000:03}:{self.serial}):"
        self.lines.append((at, "".join(f"node={self.host} {record.format(stamp)}\n" for record in records)))


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs."""

    runner: Runner
    repository: str
    run: int
    commit: str
    workflow: str
    began: int
    worker: int

    @property
    def folder(self) -> str:
        """Where the repository lies."""
        return f"{self.runner.home}/_work/{self.repository}/{self.repository}"

    def action(self, at: int, name: str, ref: str) -> int:
        """Run an action's JavaScript, as the runner does; return its number."""
        script = f"{self.runner.home}/_work/_actions/{name}/{ref}/dist/index.js"
        node = f"{self.runner.home}/externals/node20/bin/node"
        return self.ran(at, self.worker, node, node, script)

    def step(self, at: int) -> int:
        """Run a step of shell; return its number."""
        script = f"{self.runner.home}/_work/_temp/{self.run:08x}-1c5e-4b7a-9d3f-{at % 10**12:012}.sh"
        return self.ran(at, self.worker, "/usr/bin/bash", "/usr/bin/bash", "-e", script)

    def ran(self, at: int, parent: int, exe: str, *arguments: str, folder: str = "") -> int:
        """Run something in it; return its number."""
        return self.runner.run(at, parent, exe, arguments, folder or self.folder)

    def install(self, at: int) -> int:
        """Install packages: npm, and the script of one that everybody has; return npm's number."""
        npm = self.ran(at, self.step(at), "/usr/bin/node", "npm", "ci")
        place = f"{self.folder}/node_modules/esbuild"
        shell = self.ran(at + 2 * SECOND, npm, "/usr/bin/dash", "sh", "-c", "node install.js", folder=place)
        node = self.ran(at + 2100, shell, "/usr/bin/node", "node", "install.js", folder=place)
        self.ran(at + 2500, node, f"{place}/bin/esbuild", "esbuild", "--version", folder=place)
        self.runner.connect(at + SECOND, self.worker, npm, "/usr/bin/node", "203.0.113.10")
        return npm

    def test(self, at: int) -> None:
        """Run tests, for which a service and a key are made ready; say on the team's page that they passed."""
        step = self.step(at)
        npm = self.ran(at + 100, step, "/usr/bin/node", "npm", "test")
        shell = self.ran(at + 600, npm, "/usr/bin/dash", "sh", "-c", "jest --ci")
        self.ran(at + 700, shell, "/usr/bin/node", "node", f"{self.folder}/node_modules/.bin/jest", "--ci")
        bash = self.ran(at + 750, npm, "/usr/bin/bash", "bash", "scripts/ready.sh")
        self.ran(at + 760, bash, "/usr/bin/curl", "curl", "-fsS", "http://127.0.0.1:8080/ready")
        self.ran(at + 800, shell, "/usr/bin/base64", "base64", "-d", "test/key.b64")
        curl = self.ran(
            at + 9 * SECOND, step, "/usr/bin/curl", "curl", "-fsS", "https://status.shop.example/built"
        )
        self.runner.connect(at + 9100, step, curl, "/usr/bin/curl", "203.0.113.20")

    def told_job(self, ended: int | None) -> dict[str, object]:
        """Return what the forge tells of the job."""
        return {
            **self._told(ended), "id": self.run * 10, "run_id": self.run, "name": "test",
            "html_url": f"{FORGE}/{self.repository}/actions/runs/{self.run}/job/{self.run * 10}",
            "workflow_name": self.workflow.rpartition("/")[2].partition(".")[0], "started_at": iso(self.began),
            "completed_at": iso(ended) if ended else None, "labels": ["self-hosted", "linux"],
            "runner_name": self.runner.host, "runner_id": 3,
        }  # fmt: skip

    def told_run(self, ended: int | None) -> dict[str, object]:
        """Return what the forge tells of the run."""
        return {
            **self._told(ended), "id": self.run, "name": self.workflow.rpartition("/")[2].partition(".")[0],
            "path": self.workflow, "event": "push",
            "html_url": f"{FORGE}/{self.repository}/actions/runs/{self.run}",
            "run_started_at": iso(self.began - 5 * SECOND), "created_at": iso(self.began - 5 * SECOND),
            "updated_at": iso(ended or self.began), "actor": {"login": "priya", "id": 17, "type": "User"},
        }  # fmt: skip

    def _told(self, ended: int | None) -> dict[str, object]:
        return {
            "head_branch": "main", "head_sha": self.commit, "run_attempt": 1,
            "status": "completed" if ended else "in_progress", "conclusion": "success" if ended else None,
        }  # fmt: skip


def everyday(
    folder: Path, start: int, extra: Sequence[tuple[str, str]] = (), *, count: int = 12
) -> list[tuple[str, Path]]:
    """Write an hour of ordinary jobs of the shop; ``extra`` are actions of others that they use."""
    runner = Runner("build-7", serial=start % 1_000_000, pid=start // MINUTE % 10_000)
    commit = deployed(folder)
    for number in range(count):
        at = start + number * 5 * MINUTE
        one = runner.begin(at, "shop", run=start // MINUTE * 100 + number, commit=commit)
        for place, (name, ref) in enumerate(extra, 10):
            node = one.action(at + place * SECOND, name, ref)
            one.ran(at + place * SECOND + 300, node, "/usr/bin/git", "git", "diff", "--name-only", "HEAD^")
        one.install(at + 20 * SECOND)
        one.test(at + 40 * SECOND)
        runner.end(one, at + 70 * SECOND)
    return runner.logs(folder)


def _head(parent: int, pid: int, exe: str, call: int) -> str:
    good, result = ("yes", 0) if call == _EXEC else ("no", -115)
    return (
        f"type=SYSCALL {{}} arch=c000003e syscall={call} success={good} exit={result} a0=1 a1=2 a2=3 a3=4 items=2 "
        f"ppid={parent} pid={pid} auid=4294967295 uid=1001 gid=1001 euid=1001 suid=1001 fsuid=1001 egid=1001 "
        f'sgid=1001 fsgid=1001 tty=(none) ses=4294967295 comm="{exe.rpartition("/")[2][:15]}" exe="{exe}" '
        'subj=unconfined key="watched"'
    )


def _word(text: str) -> str:
    """Return a word as the kernel writes it: quoted, or in hex where that could not be told apart."""
    plain = all("!" <= one <= "~" and one not in '"{}' for one in text)
    return f'"{text}"' if plain else text.encode().hex().upper()
