"""Grouping: alerts of the journal into incidents; how long it takes, and whether that or memory grows.

What is measured is all that a look does: alerts read from the journal, grouped, incidents written down with
their reasons, and both published in the lake.
"""

from __future__ import annotations

import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from bench._measure import module
from lemnis import app
from lemnis.app import grouping
from lemnis.app.bench import Figure
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert, Entity, EntityKind, Severity
from lemnis.contracts.ids import stable_id
from lemnis.incidents import entries
from lemnis.incidents.view import views

INCIDENTS, ALERTS, SECONDS = 200, 50, 2.0
MANY, STEP = 60_000, 6_000
GROWTH = 110.0
_START = 1_790_000_000_000
_MINUTE = 60_000
_KB = 1024


def figures() -> Iterator[Figure]:
    """Measure 200 incidents of 50 alerts each, and whether memory and time stay with many alerts."""
    said = module("_grouping", {"lane": "incidents"}).said
    yield Figure("grouping: alerts", said["alerts"], "alerts", INCIDENTS * ALERTS)
    yield Figure("grouping: incidents", said["incidents"], "incidents", INCIDENTS)
    yield Figure("grouping: all of them, CPU", round(said["cpu"], 2), "s", SECONDS, at_least=False)
    yield Figure("grouping: all of them, by the clock", round(said["wall"], 2), "s")
    yield Figure(
        "grouping: the first alert, with what a process pays once", round(said["once"], 2), "s of CPU"
    )
    yield Figure("grouping: one more alert", round(1000 * said["more"], 1), "ms of CPU")
    yield Figure("grouping: nothing new", round(1000 * said["nothing"], 1), "ms of CPU")
    said = module("_grouping", {"lane": "many"}).said
    memory, cpu = said["memory"], said["cpu"]
    third = len(memory) // 3
    grown = sum(memory[-third:]) / sum(memory[third : 2 * third])
    slower = sum(cpu[-third:]) / sum(cpu[third : 2 * third])
    yield Figure(f"grouping: {MANY:,} alerts in one incident, CPU", round(1e6 * sum(cpu) / MANY), "µs/alert")
    yield Figure(
        "grouping: memory, last third of the middle third", round(100 * grown), "%", GROWTH, at_least=False
    )
    yield Figure("grouping: CPU, last third of the middle third", round(100 * slower), "%")


def incident_alerts(number: int) -> Iterator[Alert]:
    """Make the alerts of one incident: a host, a user and an address of its own, some rules, half an hour."""
    source = random.Random(number)  # noqa: S311 - made-up alerts, no secret
    host, user = (
        Entity(EntityKind.HOST, f"ws{number:03}.example.com"),
        Entity(EntityKind.USER, f"user{number}"),
    )
    address = Entity(EntityKind.ADDRESS, f"198.51.{number // 250}.{number % 250}")
    for n in range(ALERTS):
        about = (host, user, address, Entity(EntityKind.PROCESS, f"{number}-{n // 2}"))
        yield _alert(f"{number}/{n}", source.randrange(40), _START + source.randrange(30) * _MINUTE, about)


def many_alerts() -> Iterator[Alert]:
    """Make a flood: 400 hosts, 600 users, a process for each three alerts, 250 events a second."""
    source = random.Random(1)  # noqa: S311 - made-up alerts, no secret
    for n in range(MANY):
        if n % 3 == 0:
            host, user = source.randrange(400), source.randrange(600)
            about = (
                Entity(EntityKind.HOST, f"ws{host:03}.example.com"), Entity(EntityKind.USER, f"user{user}"),
                Entity(EntityKind.PROCESS, str(n)), Entity(EntityKind.FILE, f"p{source.randrange(30)}.exe"),
            )  # fmt: skip
        yield _alert(str(n), source.randrange(150), _START + n // 3 * 4, about)


def _alert(name: str, rule: int, at: int, about: tuple[Entity, ...]) -> Alert:
    severities = (Severity.LOW, Severity.LOW, Severity.MEDIUM, Severity.MEDIUM, Severity.HIGH)
    return Alert(
        id=stable_id("al", name), rule_id=stable_id("rule", str(rule)), title=f"Suspicious thing {rule}",
        severity=severities[rule % 5], time=at, source="windows", event_uids=(stable_id("ev", name),),
        entities=tuple(sorted(about)), content_digest="sha256:0", tags=("attack.execution", "attack.t1059"),
        event={"message": "x" * 1000, "name": name},
    )  # fmt: skip


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Run a lane in a workspace of its own."""
    with tempfile.TemporaryDirectory(prefix="lemnis-bench-") as place:
        workspace = app.init(Path(place) / "workspace")
        journal = app.journal(workspace)
        app.lake(workspace).flush()
        grouped = grouping.Grouped(workspace, Library.open(workspace.content), journal)
        try:
            return LANES[spec["lane"]](workspace, grouped)
        finally:
            grouped.close()


def _incidents(workspace: app.Workspace, grouped: grouping.Grouped) -> dict[str, Any]:
    journal = app.journal(workspace)
    alerts = [alert for number in range(INCIDENTS) for alert in incident_alerts(number)]
    random.Random(0).shuffle(alerts)  # noqa: S311 - an order, no secret
    first, *most, last = alerts
    journal.write_all([entries.alert_entry(first)])
    once, _ = _timed(grouped)
    journal.write_all([entries.alert_entry(alert) for alert in most])
    cpu, wall = _timed(grouped)
    journal.write_all([entries.alert_entry(last)])
    more, _ = _timed(grouped)
    nothing, _ = _timed(grouped)
    found = [one for one in views(journal).values() if not one.merged_into]
    return {
        "alerts": sum(len(one.alert_ids) for one in found), "incidents": len(found), "cpu": cpu,
        "wall": wall, "once": once, "more": more, "nothing": nothing,
    }  # fmt: skip


def _many(workspace: app.Workspace, grouped: grouping.Grouped) -> dict[str, Any]:
    journal, memory, cpu, some = app.journal(workspace), [], [], []
    for alert in many_alerts():
        some.append(entries.alert_entry(alert))
        if len(some) == STEP:
            journal.write_all(some)
            some = []
            cpu.append(_timed(grouped)[0])
            memory.append(_resident())
    return {"memory": memory, "cpu": cpu}


def _timed(grouped: grouping.Grouped) -> tuple[float, float]:
    """Return CPU seconds and seconds of one look."""
    cpu, wall = _cpu(), time.perf_counter()
    grouped.settle()
    return _cpu() - cpu, time.perf_counter() - wall


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _resident() -> int:
    """Return the memory that this process has, in kB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // _KB


LANES = {"incidents": _incidents, "many": _many}

if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(main(orjson.loads(sys.argv[1]))))
