"""`lemnis bench crash`, `python -m bench.crash`: a store that is killed again and again, what it then has.

A workspace takes lines of a file (`ingest`, dead letters, compaction) and deliveries (`serve`'s inbox and
worker) at once, in two processes. Either, or both, are killed by SIGKILL: at a random moment, or at a
random step within the store. Every tenth round the disk is full, or cannot be written, for its length: then
a process may only end with its reason (exit code 3). After every round all that was acknowledged must be
there, once, and the journal's chain whole; at the end everything is as in a workspace that nothing happened
to. The moments follow from a seed. Faults need a file system of their own, which takes the right to mount
one; else they are left out, and told so. What a power cut takes that was not synced is no part of it: the
system's memory outlives a kill.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bench import _crash
from bench._crash import Place, Site
from lemnis.app.bench import Figure
from lemnis.content import library as content

KILLS = 300
_DISK_BYTES = 1 << 28
_LINES, _DELIVERIES = 30, 8
_FAULT_EVERY = 10
_PATIENCE_S = 120.0
_HALF = 0.5
_LEFT = (0, 65_536, 500_000, 2_000_000)
_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT


@dataclass(slots=True)
class Report:
    """What happened, and what was found."""

    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    unforeseen: int = 0
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    last: dict[str, Any] = field(default_factory=dict)
    calm: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    without_faults: str = ""

    @property
    def differs(self) -> list[str]:
        """What is not as in a workspace that nothing happened to."""
        return [
            name
            for name in ("uids", "alerts", "groups", "letters", "waiting", "both")
            if self.last.get(name) != self.calm.get(name)
        ]


class Disk:
    """A file system in memory that can be full, or read-only; or a folder, where none can be mounted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"
        path.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except OSError as error:
            self.why_not = f"mount: {error.strerror}"
        else:
            self.why_not = done.stderr.decode().strip() if done.returncode else ""

    def fill(self, left: int) -> None:
        """Leave so many bytes, whatever others write meanwhile."""
        for _ in range(100):
            about = os.statvfs(self.path)
            size = max(1, about.f_bavail * about.f_frsize - left)
            with self._ballast.open("wb") as file, suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, size)
                return

    def writable(self, *, yes: bool) -> None:
        """Let it be written, or not."""
        subprocess.run(["mount", "-o", f"remount,{'rw' if yes else 'ro'}", str(self.path)], check=True)

    def free(self) -> None:
        """Let there be room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away."""
        if not self.why_not:
            subprocess.run(["umount", "-l", str(self.path)], check=False)


class Campaign:
    """One campaign."""

    def __init__(self, root: Path, *, kills: int, seed: int, progress: bool = False) -> None:
        self.report = Report()
        self._rng = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._wanted, self._progress = kills, progress
        self._places = (Place(), Place())
        self._disk = Disk(root / "disk")
        self.report.without_faults = self._disk.why_not
        self._site = Site.make(root, self._places[0])
        state = root / "workspace" / ".lemnis"
        (root / "workspace" / "lemnis.yaml").write_text("name: crash\n")
        (self._disk.path / "state").mkdir()
        state.symlink_to(self._disk.path / "state")
        self._calm = Site.make(root / "calm", self._places[0])
        (root / "calm" / "workspace" / "lemnis.yaml").write_text("name: crash\n")
        (root / "calm" / "workspace" / ".lemnis").mkdir()
        self._root = root
        self._usual = 1.0

    def run(self) -> Report:
        """Kill as often as wanted, look after every round, and compare at the end."""
        began = time.monotonic()
        content.builtin_root = lambda: self._root / "builtin"
        _crash.correlation._UNSAVED = 20  # noqa: SLF001 - so that checkpoints are written often
        self._site.prepare()
        self._calm.prepare()
        try:
            while sum(self.report.kills.values()) < self._wanted:
                self._round()
            self._finish()
        finally:
            self._disk.close()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _round(self) -> None:
        report, rng = self.report, self._rng
        report.rounds += 1
        self._site.grow(_LINES)
        self._site.choose(int(rng.random() < _HALF))
        fault = (
            rng.choice(["full", "read-only"])
            if report.rounds % _FAULT_EVERY == 0 and not self._disk.why_not
            else ""
        )
        calm = report.rounds <= 2 or bool(fault and rng.random() < _HALF)  # noqa: PLR2004 - to know how long a round takes
        began = time.monotonic()
        with self._fault(fault, later=calm):
            children = [
                (
                    place,
                    self._child(number, place, 0 if calm or rng.random() < _HALF else rng.randrange(1, 160)),
                )
                for number, place in enumerate(self._places)
            ]
            self._begun(children)
            working = time.monotonic()
            if fault == "full" and calm:  # it fills while they work
                time.sleep(rng.uniform(0, self._usual))
                self._disk.fill(rng.choice(_LEFT))
            if not calm:
                self._kill(children, working + rng.uniform(0, self._usual))
            self._wait(children, fault, began)
        if calm and not fault:
            self._usual = time.monotonic() - working
        self._look()

    def _child(self, number: int, place: Place, countdown: int) -> int:
        rng = random.Random(self._rng.random())  # noqa: S311 - moments, not secrets
        work = (
            (lambda: _crash.work_files(self._site, rng)) if number == 0
            else (lambda: _crash.work_network(self._site, rng, _DELIVERIES))
        )  # fmt: skip
        for owner, name, label in _crash.PLACES:
            setattr(owner, name, _ORIGINALS[owner, name])
            place.watch(owner, name, label)
        return _crash.fork(work, place, countdown)

    @staticmethod
    def _begun(children: list[tuple[Place, int]]) -> None:
        """Wait until all of them work, or have ended."""
        waiting = list(children)
        until = time.monotonic() + _PATIENCE_S
        while waiting and time.monotonic() < until:
            waiting = [one for one in waiting if one[0].name == _crash.BEGIN and _lives(one[1])]
            time.sleep(0.002)

    def _kill(self, children: list[tuple[Place, int]], at: float) -> None:
        chosen = self._rng.choice([children, children[:1], children[1:]])
        time.sleep(max(0.0, at - time.monotonic()))
        for _, child in chosen:
            os.kill(child, signal.SIGKILL)

    def _wait(self, children: list[tuple[Place, int]], fault: str, began: float) -> None:
        for place, child in children:
            while True:
                ended, status = os.waitpid(child, os.WNOHANG)
                if ended:
                    break
                if time.monotonic() > began + _PATIENCE_S:  # it hangs: that is a fault of its own
                    self.report.unforeseen += 1
                    print(f"a process hangs in {place.name!r}", file=sys.stderr)
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    status = 0
                    break
                time.sleep(0.005)
            if os.WIFSIGNALED(status):
                self.report.kills[place.name] += 1
            elif (code := os.WEXITSTATUS(status)) == _crash.TOLD and fault:
                self.report.told[fault] += 1
            elif code:
                self.report.unforeseen += 1
                print(
                    f"a process ended with {code} ({fault or 'no fault'}), last in {place.name!r}",
                    file=sys.stderr,
                )

    @contextmanager
    def _fault(self, fault: str, *, later: bool) -> Iterator[None]:
        if not fault:
            yield
            return
        self.report.faults[fault] += 1
        if fault == "full" and not later:
            self._disk.fill(self._rng.choice(_LEFT))
        elif fault == "read-only":
            self._disk.writable(yes=False)
        try:
            yield
        finally:
            self._disk.writable(yes=True)
            self._disk.free()

    def _look(self) -> None:
        found = _accounted(self._site)
        self.report.last = found
        self.report.lost |= set(found["lost"])
        self.report.doubled |= set(found["doubled"])
        if self._progress and self.report.rounds % 10 == 0:
            kills = sum(self.report.kills.values())
            print(f"{kills} kills, {found['events']} events, {len(self.report.lost)} lost, "
                  f"{len(self.report.doubled)} doubled", file=sys.stderr, flush=True)  # fmt: skip

    def _finish(self) -> None:
        """Let everything be done, here and in a calm workspace, and compare."""
        self._site.choose(1)
        self._calm.choose(1)
        answered = (self._root / "acknowledged").stat().st_size
        (self._calm.root / "crash.log").write_bytes((self._root / "crash.log").read_bytes())
        for site, more in ((self._site, 0), (self._calm, answered)):
            _ended(lambda site=site, more=more: _settled(site, more), self._places[0])
        self._look()
        self.report.calm = _accounted(self._calm)


def _lives(child: int) -> bool:
    return os.waitid(os.P_PID, child, _ENDED) is None


_ORIGINALS = {(owner, name): getattr(owner, name) for owner, name, _ in _crash.PLACES}


def _settled(site: Site, more: int) -> None:
    steady = random.Random(1)  # noqa: S311 - no secret
    _crash.work_network(site, steady, more)
    _crash.work_files(site, steady)
    watch = site.watch()
    _crash.deadletters.replay(site.workspace, watcher=watch)
    watch.finish()


def _ended(work: Any, place: Place) -> None:
    _, status = os.waitpid(_crash.fork(work, place), 0)
    if status:
        raise RuntimeError(f"what is left could not be done: status {status}")


def _accounted(site: Site) -> dict[str, Any]:
    """Look in a process of its own, so that this one never opens what it forks with."""
    path = site.root / "account.json"
    _ended(lambda: path.write_bytes(_crash.account(site).dump()), site.place)
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


def campaign(*, kills: int = KILLS, seed: int = 1, progress: bool = False) -> Report:
    """Run a campaign in a scratch folder."""
    with tempfile.TemporaryDirectory(prefix="lemnis-crash-") as folder:
        return Campaign(Path(folder), kills=kills, seed=seed, progress=progress).run()


def figures(report: Report) -> list[Figure]:
    """Return what a campaign found as figures."""
    last = report.last
    return [
        Figure("kills", sum(report.kills.values()), "SIGKILLs", None),
        Figure("places", len(report.kills), "parts of the store they hit"),
        Figure("disk full", report.faults["full"], "rounds"),
        Figure("disk read-only", report.faults["read-only"], "rounds"),
        Figure("told", sum(report.told.values()), "processes that ended for it with exit code 3"),
        Figure("unforeseen", report.unforeseen, "processes that ended otherwise, or hung", 0, at_least=False),
        Figure("records", last["events"] + last["letters"] + last["waiting"], "acknowledged records there"),
        Figure("lost", len(report.lost), "records", 0, at_least=False),
        Figure("doubled", len(report.doubled), "records", 0, at_least=False),
        Figure(
            "differs", len(report.differs), "of events, alerts, incidents, dead letters", 0, at_least=False
        ),
    ]


def run() -> list[Figure]:
    """Run the whole campaign."""
    return figures(campaign())


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.crash", description="Kill a store again and again."
    )
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="the whole report as JSON")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was mounted is taken away
    report = campaign(kills=given.kills, seed=given.seed, progress=True)
    found = figures(report)
    if given.json:
        print(orjson.dumps({
            "kills": dict(report.kills.most_common()), "faults": report.faults, "told": report.told,
            "rounds": report.rounds, "seconds": round(report.seconds),
            "without_faults": report.without_faults,
            "differs": report.differs,
            "other alerts": sorted(set(report.last["alerts"]) ^ set(report.calm["alerts"]))[:20],
            "groups": [report.last["groups"], report.calm["groups"]] if "groups" in report.differs else [],
            "alerts": len(report.last["alerts"]), "chain": report.last["chain"],
            "incidents": len(report.last["groups"]), "events": report.last["events"],
            "lost": sorted(report.lost), "doubled": sorted(report.doubled),
            "figures": {one.name: one.value for one in found},
        }, option=orjson.OPT_INDENT_2).decode())  # fmt: skip
    else:
        for one in found:
            print(f"{one.name:16} {one.value:>8g} {one.unit}{'' if one.met else '   MISSED'}")
        for name, count in report.kills.most_common():
            print(f"  killed in {name:26} {count}")
    return 0 if all(one.met for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
