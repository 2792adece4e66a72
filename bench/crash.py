"""`lemnis bench crash`, `python -m bench.crash`: a service that is killed again and again, what it then has.

`lemnis serve` runs as it is: a receiver, two workers, the settler and the keeper, each its own process.
Beside it another takes lines of a growing file, replays dead letters, flushes and compacts. All the while a
sender sends over HTTP. One of them, or all at once, are killed by SIGKILL: at a random moment, or by
themselves at a step within a part of the store that was chosen. In two of five rounds the disk is full,
or cannot be written, for a time. After every round all that was acknowledged must be there, once, and the
journal's chain whole; at the end everything is as in a workspace that nothing happened to, alerts and
incidents by their ids.

A campaign may be run in parts, each with a seed of its own: ``--ledger FILE --seconds 100 --seed N``, and at
the end ``--ledger FILE --sum``. Each part is compared at its end.

The moments follow from a seed. Faults need a file system of their own, which takes the right to mount one;
else they are left out, and told so. What a power cut takes that was not synced is no part of it: the system's
memory outlives a kill.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from bench import _crash, _crash_ledger
from bench._crash_site import Site
from bench._crash_troop import NAMES, Disk, Troop, free_port
from lemnis.app.bench import Figure

KILLS = 300
_LINES, _DELIVERIES = 40, 100
_FAULTY = 0.4
_AIMED = 0.7
_SEEKING = 0.8
_PATIENCE_S = 120.0
_BUSY_S = 1.0
_BEGIN_S = 20.0
_HALF = 0.5
_LEFT = (0, 65_536, 500_000, 2_000_000)
_OPENING, _USERS = 400, 5
_SPAN_S = (1.0, 5.0)
"""So long things happen in a round, from when the first delivery is answered on."""
TARGETS = ("receiver", "worker", "settler", "keeper", "files", "all")
NONE, FULL, READ_ONLY = _crash.FAULTS
COMPARED = ("uids", "alerts", "groups", "letters", "waiting", "both")


@dataclass(slots=True)
class Report:
    """What happened, and what was found."""

    kills: list[tuple[str, str, str, str]] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    begun_again: int = 0
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
        return [name for name in COMPARED if self.last.get(name) != self.calm.get(name)]

    def by(self, place: int) -> dict[str, int]:
        """Count kills by what was killed (0), where it was (1), under which fault (2), by whom (3)."""
        return dict(Counter(one[place] for one in self.kills).most_common())


class Campaign:
    """One campaign."""

    def __init__(
        self, root: Path, *, kills: int, seed: int, seconds: float = math.inf, progress: bool = False
    ) -> None:
        """Make two workspaces in ``root``: one to be killed, and a calm one."""
        self.report = Report()
        self._rng = random.Random(seed)  # noqa: S311 - moments, not secrets
        self._wanted, self._seconds, self._progress = kills, seconds, progress
        self._disk = Disk(root / "disk")
        self.report.without_faults = self._disk.why_not
        port = free_port()
        self._site, self._calm = Site.make(root / "killed", port), Site.make(root / "calm", port)
        (self._disk.path / "state").mkdir()
        (root / "killed" / "workspace" / ".lemnis").symlink_to(self._disk.path / "state")
        (root / "calm" / "workspace" / ".lemnis").mkdir()
        self._troop, self._calm_troop = Troop(root / "killed", port), Troop(root / "calm", port)
        self._fault = ""
        self._sought = ("", "")
        self._running: dict[str, Any] = {}
        self._began = 0.0
        self._due: dict[str, float] = {}

    def run(self) -> Report:
        """Kill as often as wanted, or for so long; look after every round, and compare at the end."""
        began = self._began = time.monotonic()
        try:
            for site, troop in ((self._site, self._troop), (self._calm, self._calm_troop)):
                self._open(site, troop)
            while len(self.report.kills) < self._wanted and time.monotonic() - began < self._seconds:
                self._round()
            self._finish()
        finally:
            self._troop.end(0)
            self._disk.close()
        self.report.seconds = time.monotonic() - began
        return self.report

    # -- a round -------------------------------------------------------------------------------------------

    def _open(self, site: Site, troop: Troop) -> None:
        """Let something come and be settled at once: incidents are named by the alerts that came first."""
        site.grow(_OPENING)
        troop.run(_crash.finishing, troop.root)
        if len(self._account(troop)["groups"]) != _USERS:
            raise RuntimeError("the opening does not give an incident to every user")

    def _serve_in_peace(self, troop: Troop, most: int) -> None:
        """Serve until so many new deliveries, and all others, were answered."""
        troop.board.over = False
        service = troop.serve()
        troop.run(_crash.sending, troop.root, troop.port, most, 1, 0.0)
        os.kill(service.pid, signal.SIGTERM)
        if not troop.end(_PATIENCE_S) or service.exitcode:
            raise RuntimeError(f"a calm service ended with {service.exitcode}; see {troop.root / 'said'}")
        troop.run(_crash.finishing, troop.root)

    def _round(self) -> None:
        report, rng = self.report, self._rng
        report.rounds += 1
        self._site.grow(_LINES)
        self._site.choose(int(rng.random() < _HALF))
        for name in NAMES:
            if rng.random() < _AIMED:
                label = rng.choice(["", *_crash.AIMS[name.partition("-")[0]]])
                self._troop.places[name].aim(label, rng.randrange(1, 4 if label else 40))
        self._sought = rng.choice(_crash.SOUGHT) if rng.random() < _SEEKING else ("", "")
        span = rng.uniform(*_SPAN_S)
        self._fault = "" if self._disk.why_not or rng.random() > _FAULTY else rng.choice(_crash.FAULTS[1:])
        acts = self._acts(span)
        if self._fault == READ_ONLY:
            self._set(READ_ONLY)
        self._play(acts, span)
        self._look()

    def _acts(self, span: float) -> list[tuple[float, Callable[[], object]]]:
        """Return what happens when: seconds after all have begun."""
        rng = self._rng
        acts: list[tuple[float, Callable[[], object]]] = [
            (rng.uniform(0, span), partial(self._kill, rng.choice(TARGETS)))
            for _ in range(rng.randrange(3, 9))
        ]
        if self._fault:
            self.report.faults[self._fault] += 1
            begins = rng.choice([0.0, rng.uniform(0, span / 2)])
            if self._fault == FULL:
                acts.append((begins, partial(self._set, FULL)))
            acts.append((rng.uniform(begins + span / 3, span), partial(self._set, NONE)))
        return sorted(acts, key=lambda act: act[0])

    def _play(self, acts: list[tuple[float, Callable[[], object]]], span: float) -> None:
        troop, rng = self._troop, self._rng
        troop.board.over = False
        given = (troop.root, troop.port, _DELIVERIES, rng.randrange(1 << 30), span / 40)
        sender = troop.start("sender", _crash.sending, *given)
        self._running = {"receiver": troop.serve(), "files": self._files()}
        until = time.monotonic() + (_BEGIN_S if self._fault != READ_ONLY else span / 3)
        before = self._answered()
        while self._answered() == before and time.monotonic() < until:
            self._keep()
        began = time.monotonic()
        while time.monotonic() < began + span:
            while acts and time.monotonic() >= began + acts[0][0]:
                acts.pop(0)[1]()
            self._keep()
        self._set(NONE)
        if rng.random() < _HALF:
            self._kill("all")
        troop.board.over = True
        if self._running["receiver"].exitcode is None:
            os.kill(self._running["receiver"].pid, signal.SIGTERM)
        if not troop.end(_PATIENCE_S):  # it hangs: that is a fault of its own
            self.report.unforeseen += 1
        for name, process in (*self._running.items(), ("sender", sender)):
            process.join()
            self._ended(name, process.exitcode)

    def _answered(self) -> int:
        return (self._site.root / "acknowledged").stat().st_size

    def _keep(self) -> None:
        """Begin again what was killed or ended, a moment later, as whoever runs a service does."""
        name, label = self._sought
        if name and not self._troop.places[name].aimed:
            self._troop.places[name].aim(label, self._rng.randrange(1, 4))
        for name, process in self._running.items():
            if process.exitcode is None:
                self._due.pop(name, None)
            elif name not in self._due:
                self._ended(name, process.exitcode)
                self._due[name] = time.monotonic() + self._rng.uniform(0, 0.3)
            elif time.monotonic() >= self._due[name]:
                self.report.begun_again += 1
                self._running[name] = self._troop.serve() if name == "receiver" else self._files()
        time.sleep(0.005)

    def _files(self) -> Any:
        return self._troop.start("files", _crash.filing, self._troop.root, self._rng.randrange(1 << 30))

    def _ended(self, name: str, code: int) -> None:
        if code in {0, -signal.SIGKILL, -signal.SIGTERM}:  # the last: it had not yet begun to listen to it
            return
        if code == _crash.TOLD and self._fault:
            self.report.told[self._fault] += 1
            return
        self.report.unforeseen += 1
        print(f"{name} ended with {code} ({self._fault or NONE})", file=sys.stderr)

    # -- what happens to it --------------------------------------------------------------------------------

    def _kill(self, target: str) -> None:
        """Kill at once, or as soon as it is within a part of the store, if that is soon."""
        name = f"worker-{self._rng.randrange(2)}" if target == "worker" else target
        names = NAMES if target == "all" else (name,)
        until = time.monotonic() + self._rng.choice([0.0, _BUSY_S, _BUSY_S])
        while time.monotonic() < until and not self._troop.busy(names):
            time.sleep(0.001)
        self._troop.kill(names, name)

    def _set(self, fault: str) -> None:
        board = self._troop.board
        if board.fault == fault:
            return
        if fault == FULL:
            self._disk.fill(self._rng.choice(_LEFT))
        elif fault == READ_ONLY:
            self._disk.writable(yes=False)
        elif board.fault == READ_ONLY:
            self._disk.writable(yes=True)
        else:
            self._disk.free()
        board.fault = fault

    # -- what is found -------------------------------------------------------------------------------------

    def _look(self) -> None:
        report = self.report
        report.last = self._account(self._troop)
        report.lost |= set(report.last["lost"])
        report.doubled |= set(report.last["doubled"])
        path = self._troop.root / "run" / "kills"
        report.kills = (
            [tuple(orjson.loads(line)) for line in path.read_bytes().splitlines()] if path.exists() else []
        )
        if self._progress:
            seconds, events = time.monotonic() - self._began, report.last["events"]
            said = f"{len(report.kills)} kills, {events} events, {len(report.lost)} lost"
            said += f", {len(report.doubled)} doubled"
            print(f"{seconds:.0f} s, round {report.rounds}: {said}", file=sys.stderr, flush=True)

    def _finish(self) -> None:
        """Let everything be done, here and in a calm workspace, and compare."""
        for site in (self._site, self._calm):
            site.choose(1)
        (self._calm.root / "crash.log").write_bytes((self._site.root / "crash.log").read_bytes())
        for troop, most in ((self._troop, 0), (self._calm_troop, self._site.sent() - self._calm.sent())):
            self._serve_in_peace(troop, most)
        self._look()
        self.report.calm = self._account(self._calm_troop)

    @staticmethod
    def _account(troop: Troop) -> dict[str, Any]:
        troop.run(_crash.accounting, troop.root)
        found: dict[str, Any] = orjson.loads((troop.root / "account.json").read_bytes())
        return found


def campaign(
    *,
    kills: int = KILLS,
    seed: int = 1,
    seconds: float = math.inf,
    progress: bool = False,
    keep: Path | None = None,
) -> Report:
    """Run a campaign in a scratch folder, or in one that is kept."""
    with tempfile.TemporaryDirectory(prefix="lemnis-crash-") as folder:
        root = keep or Path(folder)
        return Campaign(root, kills=kills, seed=seed, seconds=seconds, progress=progress).run()


def figures(report: Report) -> list[Figure]:
    """Return what a campaign found as figures."""
    last = report.last
    return [
        Figure("kills", len(report.kills), "SIGKILLs"),
        *(Figure(f"kills, {name}", count, "SIGKILLs") for name, count in report.by(0).items()),
        Figure("places", len(report.by(1)), "parts of the service they hit"),
        Figure("rounds", report.rounds, "rounds"),
        Figure(FULL, report.faults[FULL], "rounds"),
        Figure(READ_ONLY, report.faults[READ_ONLY], "rounds"),
        Figure("told", sum(report.told.values()), "processes that ended for it with exit code 3"),
        Figure("unforeseen", report.unforeseen, "processes that ended otherwise, or hung", 0, at_least=False),
        Figure("records", last["events"] + last["letters"] + last["waiting"], "acknowledged records there"),
        Figure("lost", len(report.lost), "records", 0, at_least=False),
        Figure("doubled", len(report.doubled), "records", 0, at_least=False),
        Figure(
            "differs", len(report.differs), "of events, alerts, incidents, dead letters", 0, at_least=False
        ),
    ]


def run(minutes: float | None = None) -> list[Figure]:
    """Run the whole campaign, or one of so many minutes."""
    return figures(campaign(seconds=60 * minutes if minutes else math.inf))


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.crash", description="Kill a service again and again."
    )
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no round after so long")
    parser.add_argument("--keep", type=Path, help="a new folder for all that it makes")
    parser.add_argument("--json", action="store_true", help="the whole report as JSON")
    parser.add_argument("--ledger", type=Path, help="a file that gets a line for this part of a campaign")
    parser.add_argument("--sum", action="store_true", help="run nothing, sum up the parts in the ledger")
    given = parser.parse_args()
    if given.sum:
        if given.ledger is None or not given.ledger.is_file():
            parser.error("--sum needs --ledger with the file of the parts")
        return _told(_crash_ledger.figures(given.ledger), as_json=given.json)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was mounted is taken away
    if given.ledger is not None:
        _crash_ledger.note(given.ledger, _crash_ledger.BEGUN, given.seed, {})
    report = campaign(
        kills=given.kills, seed=given.seed, seconds=given.seconds, progress=True, keep=given.keep
    )
    found = figures(report)
    differ = {name: _difference(report.last[name], report.calm[name]) for name in report.differs}
    about = {
        "faults": report.faults, "told": report.told, "rounds": report.rounds,
        "begun again": report.begun_again, "seconds": round(report.seconds),
        "without_faults": report.without_faults, "differs": differ,
        "alerts": len(report.last["alerts"]), "chain": report.last["chain"],
        "incidents": len(report.last["groups"]), "events": report.last["events"],
        "lost": sorted(report.lost), "doubled": sorted(report.doubled),
    }  # fmt: skip
    if given.ledger is not None:
        records = sum(report.last[name] for name in ("events", "letters", "waiting"))
        more = {"kills": report.kills, "unforeseen": report.unforeseen, "records": records}
        _crash_ledger.note(given.ledger, _crash_ledger.ENDED, given.seed, about | more)
    if given.json:
        kills = {name: report.by(n) for n, name in enumerate(("target", "place", "fault", "by"))}
        values = {one.name: one.value for one in found}
        told = {"kills": kills, **about, "figures": values}
        print(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
        return 0 if all(one.met for one in found) else 1
    code = _told(found, as_json=False)
    for name, count in report.by(1).items():
        print(f"  killed in {name:38} {count}")
    return code


def _told(found: list[Figure], *, as_json: bool) -> int:
    """Print figures; return the exit code."""
    if as_json:
        print(orjson.dumps({one.name: one.value for one in found}, option=orjson.OPT_INDENT_2).decode())
    else:
        for one in found:
            print(f"{one.name:42} {one.value:>8g} {one.unit}{'' if one.met else '   MISSED'}")
    return 0 if all(one.met for one in found) else 1


def _difference(one: Any, other: Any) -> Any:
    if not isinstance(one, list):
        return [one, other]
    left, right = ({orjson.dumps(x).decode() for x in some} for some in (one, other))
    return {"only here": sorted(left - right)[:5], "only in the calm one": sorted(right - left)[:5]}


if __name__ == "__main__":
    sys.exit(main())
