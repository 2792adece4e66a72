"""What `lemnis bench respond` asks of timelines: a page of 100,000 entries, and the list of 10,000 incidents.

The incident is written to the journal of a fresh workspace as ingest and people would: alerts with an event
each, and what people and playbooks did. Pages are asked through `app.incidents_timeline` as the command line
asks them; what the first look takes, which makes the timeline ready, is told beside.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from lemnis import app
from lemnis.app import incidents, incidents_handling
from lemnis.app.bench import Figure
from lemnis.app.incidents_timeline import Timeline, opened
from lemnis.contracts.alerts import Alert, Entity, IncidentChange, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.incidents import Incident
from lemnis.contracts.journal import NewEntry
from lemnis.incidents import entries as writing
from lemnis.incidents.view import views

ENTRIES, INCIDENTS, ASKED, PAGE = 100_000, 10_000, 60, 100
PAGED_MS, LISTED_S = 100.0, 10.0
"""What has to be reached."""
BEGIN, SEED = 1_767_225_600_000, 7
_AT_ONCE = 5000


def measure(entries: int = ENTRIES, listed: int = INCIDENTS) -> list[Figure]:
    """Return the figures: pages of one large incident, and a list of many small ones."""
    return [*paged(entries), *many(listed)]


def paged(entries: int = ENTRIES) -> list[Figure]:
    """Page through an incident of so many entries: 45 % alerts, as many events, else notes and actions."""
    with tempfile.TemporaryDirectory(prefix="lemnis-bench-") as folder:
        workspace = app.init(Path(folder) / "w", clock=ManualClock(BEGIN))
        alerts = entries * 45 // 100
        one = _one(workspace, alerts, entries - 2 * alerts)
        with opened(workspace, one) as timeline:
            first = _timed(lambda: timeline.page(limit=PAGE, whole=True))
            total = timeline.page(limit=1, whole=True).total
            took = [_timed(ask) * 1000 for ask in _asks(timeline, random.Random(SEED))]  # noqa: S311 - places
            incidents.note(workspace, one.id, "one more", actor="ana")
            after = _timed(lambda: timeline.page(limit=PAGE, whole=True, newest=True)) * 1000
    return [
        Figure("timeline: entries", total, "entries", float(entries), at_least=True),
        Figure("timeline: made ready, once", round(first, 2), "s"),
        Figure("timeline: a page, median", round(median(took), 2), "ms", PAGED_MS, at_least=False),
        Figure("timeline: a page, slowest", round(max(took), 2), "ms", PAGED_MS, at_least=False),
        Figure("timeline: the page after a new note", round(after, 2), "ms", PAGED_MS, at_least=False),
    ]


def many(count: int = INCIDENTS) -> list[Figure]:
    """List so many incidents of three alerts each with priority and timers; find one by how its id begins."""
    with tempfile.TemporaryDirectory(prefix="lemnis-bench-") as folder:
        workspace = app.init(Path(folder) / "w", clock=ManualClock(BEGIN))
        journal = app.journal(workspace)
        written: list[NewEntry] = []
        for number in range(count):
            found = tuple(_alert(3 * number + n, f"host:h{number}") for n in range(3))
            written += writing.change_entries(_change(f"in-{number:016x}", found), None, "sha256:bench")
        _write(workspace, written)
        known = list(views(journal).values())
        took = _timed(lambda: incidents_handling.chosen(incidents_handling.standings(workspace, known)))
        whole = _timed(lambda: list(views(journal).values())) + took
        prefix = f"in-{count // 2:016x}"[:-1]
        one = _timed(lambda: journal.subjects([writing.OPENED], beginning=prefix)) * 1000
    return [
        Figure("list: incidents", len(known), "incidents"),
        Figure("list: read, weighed and sorted", round(whole, 2), "s", LISTED_S, at_least=False),
        Figure("list: of that, weighed and sorted", round(took, 2), "s"),
        Figure("list: one found by the beginning of its id", round(one, 2), "ms", PAGED_MS, at_least=False),
    ]


def _asks(timeline: Timeline, rng: random.Random) -> Iterator[Callable[[], object]]:
    """Yield ways to ask for a page: from anywhere, of some kinds, forwards and back."""
    for _ in range(ASKED):
        since = BEGIN + rng.randrange(ENTRIES) * 10
        kinds = rng.choice([(), (), ("note",), ("alert", "event"), ("action", "note")])
        newest = rng.random() < 1 / 2
        yield lambda s=since, k=kinds, n=newest: timeline.page(
            limit=PAGE, whole=True, since=s, kinds=k, newest=n
        )


def _one(workspace: app.Workspace, alerts: int, others: int) -> Incident:
    """Write one incident, and return it."""
    found = tuple(_alert(number, "host:shop") for number in range(alerts))
    _write(workspace, [writing.alert_entry(one) for one in found])
    name = "in-0123456789abcdef"
    _write(workspace, writing.change_entries(_change(name, found), None, "sha256:bench"))
    notes = [
        writing.note(name, f"looked at number {number}", actor="ana", at=number)
        for number in range(others // 2)
    ]
    actions = [
        NewEntry("action.result", name, f"action.result:{number}", {"action": "host.block"}, "ana", "done")
        for number in range(others - others // 2)
    ]
    _write(workspace, [*notes, *actions])
    return incidents.by_id(app.journal(workspace), name)


def _write(workspace: app.Workspace, entries: list[NewEntry]) -> None:
    journal = app.journal(workspace)
    for start in range(0, len(entries), _AT_ONCE):
        journal.write_all(entries[start : start + _AT_ONCE])


def _alert(number: int, entity: str) -> Alert:
    at = BEGIN + number * 10
    event = {
        "time": at, "class_uid": 1007, "severity_id": 1, "process": {"cmd_line": f"/bin/sh -c 'id {number}'"},
        "metadata": {"uid": f"ev-{number:016x}", "log_name": "linux_audit"},
    }  # fmt: skip
    return Alert(
        f"al-{number:016x}", f"rule-{number % 7}", f"Rule {number % 7}", Severity(2 + number % 3), at,
        "linux_audit", (f"ev-{number:016x}",), (Entity.parse(entity), Entity.parse("address:192.0.2.7")),
        "sha256:bench", ("attack.execution",), event,
    )  # fmt: skip


def _change(name: str, alerts: tuple[Alert, ...]) -> IncidentChange:
    reasons = {one.id: ("shares a host",) for one in alerts}
    return IncidentChange(name, alerts, reasons, (), 60, "risk 60 >= 60", alerts[0].time)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
