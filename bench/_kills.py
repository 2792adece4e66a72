"""Kills runs of playbooks at every boundary and inside steps; every effect must have happened once.

The moments are before and after each write of the journal, each call of the vendor, and each part of a run.
A process is forked that kills itself at the n-th of them, another one brings the run to its end (every third
time after being killed itself), and then the vendor's own count and the journal are compared.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import _respond
from lemnis import app
from lemnis.app import respond
from lemnis.app.respond_services import room
from lemnis.contracts import kinds
from lemnis.respond import engine
from lemnis.respond.client import Client
from lemnis.respond.records import Planned
from lemnis.store.journal import SqlJournal
from lemnis.testing.switches import TOKEN, Switches

_PRELOAD = ["lemnis.app.respond", "lemnis.respond.engine", "lemnis.app.incidents", "lemnis.store.journal"]
_LONGEST_S = 60.0


@dataclass(slots=True)
class Killed:
    """What a campaign gave: kills that took place, and what was wrong."""

    kills: int = 0
    runs: int = 0
    reconciled: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def campaign(
    root: Path,
    *,
    playbooks: Sequence[str] = ("plain", "branches", "loop", "together", "calls"),
    every: int = 1,
) -> Killed:
    """Kill runs of these playbooks at each ``every``-th moment; see ``Killed``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    found, seed = Killed(), random.Random(7)  # noqa: S311 - moments, not secrets
    with Switches() as vendor:
        workspace = _respond.make(root, vendor.url)
        for playbook in playbooks:
            planned, host = _approved(workspace, playbook, 0)
            moments = root / "moments"
            _child(context, root, planned, 0, moments)
            _check(vendor, playbook, host, found)
            for number in range(1, int(moments.read_text(encoding="ascii")) + 1, every):
                planned, host = _approved(workspace, playbook, number)
                found.kills += _child(context, root, planned, number) == -signal.SIGKILL
                if number % 3 == 0:
                    found.kills += _child(context, root, planned, seed.randint(1, number)) == -signal.SIGKILL
                code = _child(context, root, planned, 0)
                if code:
                    found.wrong.append(f"{host}: could not be brought to its end ({code})")
                _check(vendor, playbook, host, found)
        _settled(workspace, found)
    return found


def _approved(workspace: app.Workspace, playbook: str, number: int) -> tuple[Planned, str]:
    with room(workspace) as made:
        planned, host = _respond.planned(made, playbook, number)
        _respond.approve(made, planned)
    return planned, host


def _child(context: Any, root: Path, planned: Planned, kill_at: int, count: Path | None = None) -> int | None:
    """Run a plan in a process of its own; return its exit code."""
    child = context.Process(target=_run, args=(str(root), planned.plan.digest, kill_at, str(count or "")))
    child.start()
    child.join(_LONGEST_S)
    if child.is_alive():
        child.kill()
        child.join()
        return None
    return int(child.exitcode)


def _run(root: str, digest: str, kill_at: int, count: str) -> None:
    """Run a plan in this process, which ends at the ``kill_at``-th moment (0: never)."""
    os.environ["VENDOR_TOKEN"] = TOKEN
    moments, lock = itertools.count(1), threading.Lock()
    last = [0]

    def moment() -> None:
        with lock:
            last[0] = next(moments)
            if last[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any, **more: Any) -> Any:
            moment()
            made = function(*given, **more)
            moment()
            return made

        return called

    SqlJournal.append_all = around(SqlJournal.append_all)  # type: ignore[method-assign]
    Client.send = around(Client.send)  # type: ignore[method-assign]
    work = engine.Work

    def killing(parts: int, part: Callable[[int], str], finish: Callable[[str], str]) -> engine.Work:
        return work(parts, around(part), around(finish))

    engine.Work = killing  # type: ignore[misc,assignment]
    respond.run(app.Workspace(Path(root)), digest)
    if count:
        Path(count).write_text(str(last[0]), encoding="ascii")


def _check(vendor: Switches, playbook: str, host: str, found: Killed) -> None:
    """Compare what the vendor counted with what the playbook does for a host."""
    found.runs += 1
    for text in _respond.CHANGES[playbook]:
        wanted = "on " + text.format(host)
        times = vendor.changes.count(wanted)
        if not times:
            found.lost.append(wanted)
        elif times > 1:
            found.doubled.append(wanted)


def _settled(workspace: app.Workspace, found: Killed) -> None:
    """Check the journal: every intent has its one result, and every run its end."""
    journal = app.journal(workspace)
    journal.verify()
    intents = [str(one.payload["key"]) for one in journal.entries(kind=kinds.INTENT)]
    results: dict[str, Any] = {
        str(one.payload["key"]): one.payload for one in journal.entries(kind=kinds.RESULT)
    }
    found.reconciled = sum(bool(one["reconciled"]) for one in results.values())
    for key in intents:
        if key not in results:
            found.wrong.append(f"intent {key} has no result")
        elif not results[key]["ours"] or results[key]["outcome"] not in {"done", "already"}:
            found.wrong.append(f"{results[key]['step']} {results[key]['target']}: {results[key]['outcome']}")
    ends = [one.payload["outcome"] for one in journal.entries(kind=kinds.FINISHED)]
    if ends.count("done") != found.runs:
        found.wrong.append(f"{ends.count('done')} of {found.runs} runs ended as done")
