"""`lemnis bench respond`: what a step costs, runs that wait through a kill, effects that happen once.

Lanes: `steps` (what a step of a run costs beside what it does, on SQLite), `waiting` (1,000 runs of a
five-step playbook wait for approval; their process is killed; how long until another one has them all),
`kills` (runs killed at every boundary and inside steps, over five playbooks), `grouping` (alerts into
incidents), `timelines` (paging). LEMNIS_BENCH_SCALE makes `waiting` and `kills` smaller, for a look.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from bench import _grouping, _kills, _respond, _timelines
from lemnis import app
from lemnis.app import respond
from lemnis.app.bench import Figure
from lemnis.app.respond_services import room
from lemnis.content.schemas.playbook import Playbook
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.errors import UsageError
from lemnis.respond import approval, planning, records, runs
from lemnis.respond.engine import Engine
from lemnis.respond.facts import Facts
from lemnis.respond.guards import Guards, Recent
from lemnis.store.database import open_engine
from lemnis.store.journal import SqlJournal
from lemnis.testing.switches import Switches

STEP_MS, RESUME_S, KILLS = 10.0, 10.0, 200
_STEPS, _RUNS, _APPROVED = 200, 1_000, 20
_LONGEST_S = 120.0


def run(*, lanes: tuple[str, ...] | None = None) -> list[Figure]:
    """Run the lanes that are asked for, all by default; raises UsageError for one that there is not."""
    unknown = sorted(set(lanes or ()) - set(LANES))
    if unknown:
        raise UsageError(f"no lane {', '.join(unknown)}", fix=f"there are: {', '.join(LANES)}")
    return [figure for name in lanes or tuple(LANES) for figure in LANES[name]()]


def steps() -> list[Figure]:
    """Measure what a step costs that does nothing: the engine's part, the ledger's entry, the checks."""
    with tempfile.TemporaryDirectory(prefix="lemnis-steps-") as name:
        folder = Path(name)
        clock = SystemClock()
        database = open_engine(folder / "journal.db")
        journal = SqlJournal(database, clock)
        given = [{"id": f"s{n}", "python": "nothing", "at": "run"} for n in range(_STEPS)]
        playbook = Playbook.model_validate({"title": "Steps", "steps": given})
        functions = {"nothing": lambda _arguments: {}}
        planned = planning.plan(
            "steps", playbook, Facts("hook-steps"), {}, _nowhere, content_digest="", sleep=time.sleep,
            guards=Guards(Recent(journal, clock)), functions=functions,
        )  # fmt: skip
        journal.append(records.planned_entry(planned, actor="bench"))
        at: list[float] = []
        url = f"sqlite:///{folder / 'playbooks.db'}"
        services = runs.Services(
            journal, _nowhere, clock, lambda _one: [], url, functions=functions,
            told=lambda _step, _outcome: at.append(time.perf_counter()),
        )  # fmt: skip
        with Engine(url) as engine:
            cpu = time.process_time()
            runs.execute(services, planned, actor="bench", again=lambda: planned, engine=engine)
            cpu = time.process_time() - cpu
        database.dispose()
    each = statistics.median(after - before for before, after in pairwise(at))
    return [
        Figure("step overhead, median", each * 1000, "ms", STEP_MS, at_least=False),
        Figure("step overhead, CPU", cpu / _STEPS * 1000, "ms"),
    ]


def waiting() -> list[Figure]:
    """Measure how long it takes after a kill until another process has every run that waits."""
    count = max(_APPROVED, round(_RUNS * _scale()))
    with tempfile.TemporaryDirectory(prefix="lemnis-waiting-") as name, Switches() as vendor:
        root = Path(name) / "ws"
        workspace = _respond.make(root, vendor.url)
        plans = _ask(workspace, count)
        first = _serve(root, count)
        first.send_signal(signal.SIGKILL)
        first.wait()
        began = time.perf_counter()
        second = _serve(root, count)
        resumed = time.perf_counter() - began
        for digest in plans[:_APPROVED]:
            respond.approve(workspace, digest, actor="bench", reason="measured")
        began = time.perf_counter()
        done = _until(lambda: len(vendor.changes) >= _APPROVED)
        ran = time.perf_counter() - began
        second.send_signal(signal.SIGTERM)
        second.wait()
        once = len(vendor.changes) == len(set(vendor.changes)) == _APPROVED
        left = sum(one.outcome == "waiting for approval" for one in respond.runs(workspace))
    return [
        Figure(f"{count:,} waiting runs taken up after a kill", resumed, "s", RESUME_S, at_least=False),
        Figure(f"{_APPROVED} of them approved: run to their effect", ran if done else _LONGEST_S, "s"),
        Figure("effects once, the others still wait", float(once and left == count - _APPROVED), "", 1.0),
    ]


def kills() -> list[Figure]:
    """Kill runs at their boundaries and inside their steps; nothing is lost or done twice."""
    every = max(1, round(1 / _scale()))
    with tempfile.TemporaryDirectory(prefix="lemnis-kills-") as name:
        found = _kills.campaign(Path(name) / "ws", every=every)
    for text in found.wrong:
        sys.stderr.write(f"{text}\n")
    return [
        Figure("kill points", found.kills, "", KILLS * min(1.0, _scale())),
        Figure("runs", found.runs, ""),
        Figure("effects settled by a probe", found.reconciled, ""),
        Figure("effects lost", len(found.lost), "", 0, at_least=False),
        Figure("effects doubled", len(found.doubled), "", 0, at_least=False),
        Figure("other faults", len(found.wrong), "", 0, at_least=False),
    ]


def grouping() -> list[Figure]:
    """Measure grouping of alerts into incidents."""
    return list(_grouping.figures())


def timelines() -> list[Figure]:
    """Measure paging of a long timeline."""
    return _timelines.measure()


LANES: dict[str, Callable[[], list[Figure]]] = {
    "steps": steps, "waiting": waiting, "kills": kills, "grouping": grouping, "timelines": timelines,
}  # fmt: skip


def _ask(workspace: app.Workspace, count: int) -> list[str]:
    """Plan a run for each of so many hosts, and let it wait; return the plans' digests."""
    with room(workspace) as made:
        plans = [_respond.planned(made, "five", number)[0] for number in range(count)]
        made.journal.append_all([approval.requested_entry(one, number=1, actor="bench") for one in plans])
    return [one.plan.digest for one in plans]


def _serve(root: Path, count: int) -> subprocess.Popen[bytes]:
    """Begin a process that serves; return when it has every run."""
    code = "import sys; from bench import _responder; _responder.main(sys.argv[1:])"
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(root), str(count)],
        cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE,
    )  # fmt: skip
    if child.stdout is None or child.stdout.readline() != b"ready\n":
        child.kill()
        child.wait()
        raise RuntimeError("the process that serves ended before it was ready")
    return child


def _until(done: Callable[[], bool]) -> bool:
    until = time.monotonic() + _LONGEST_S
    while not done() and time.monotonic() < until:
        time.sleep(0.02)
    return done()


def _nowhere(name: str) -> object:
    raise LookupError(name)


def _scale() -> float:
    return float(os.environ.get("LEMNIS_BENCH_SCALE", "1"))
