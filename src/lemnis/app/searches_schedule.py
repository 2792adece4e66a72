"""Scheduled searches: each window of time is asked once, and what fires is an alert like that of a rule.

An alert's id follows from the search, the window and the group, and the journal keeps one entry of an id. So
a run that was killed anywhere is done again and gives the same alerts, as does a replay over the past. How
far each search has come is a note beside the journal, which may be lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from lemnis import app
from lemnis.app import searches, watch
from lemnis.app.searches import Saved
from lemnis.content.library import Library
from lemnis.content.schemas.search import Schedule
from lemnis.contracts.alerts import Alert, Severity
from lemnis.contracts.errors import LemnisError, UsageError
from lemnis.contracts.ids import Json, canonical, digest, stable_id
from lemnis.detect.alerts import LEVELS, bounded
from lemnis.incidents import entries as writing
from lemnis.ocsf.entities import entities
from lemnis.store import durable
from lemnis.store import search as searching
from lemnis.store.lakes import Readable
from lemnis.store.query import CancelledError, Handle
from lemnis.store.search import Found, Limits, Search
from lemnis.store.searching import pipes
from lemnis.store.searching.tree import (
    Aggregate,
    Dedup,
    Eval,
    Group,
    Name,
    Node,
    Not,
    Query,
    Stats,
    Term,
    Timechart,
    Top,
    Where,
)  # fmt: skip

LOG = logging.getLogger("lemnis.searches")
EVERY_S = 15.0
GROUPS = 100
"""So many groups of a window give alerts; that there are more is told."""
EVIDENCE = 100
"""So many events of a group are named by its alert, the newest."""
_SHOWN = 3
_TIMEOUT = 120.0
_CATCH_UP = 200
_FILE, _LOCK = "searches.json", "searches.lock"
_FIRST, _LAST = "_first", "_last"


@dataclass(frozen=True, slots=True)
class Fired:
    """What a window of a search gave: an alert, and whether it is new in the journal."""

    search: str
    start: int
    end: int
    group: Mapping[str, Json]
    alert: Alert
    new: bool


def scheduled(library: Library) -> list[tuple[Saved, Schedule]]:
    """Return the searches that run by themselves; what cannot be read is told in the log."""
    found, wrong = searches.every(library)
    for error in wrong:
        LOG.warning("%s", error)
    return [(one, one.search.schedule) for one in found if one.search.schedule is not None]


def windows(schedule: Schedule, *, after: int, until: int) -> Iterator[tuple[int, int]]:
    """Yield the windows [start, end) (ms) that end in (after, until], the earliest first."""
    end = (after // schedule.every + 1) * schedule.every
    while end <= until:
        yield end - schedule.window, end
        end += schedule.every


def run_due(
    workspace: app.Workspace, names: Sequence[str] = (), *, handle: Handle | None = None
) -> list[Fired]:
    """Ask every window that is due and was not asked yet; write down what fires, and settle incidents.

    A search that fails is told in the log, and asked again the next time; so is one that ``handle`` ends.
    """
    library = app.library(workspace)
    due = [(one, how) for one, how in scheduled(library) if not names or one.name in names]
    if not due:
        return []
    now = workspace.clock.now()
    fired: list[Fired] = []
    with durable.exclusive(workspace.state / _LOCK):
        marks = _marks(workspace)
        for saved, schedule in due:
            until = now - schedule.delay
            after = marks.get(saved.name, until - schedule.every)
            if (until - after) // schedule.every > _CATCH_UP:
                skipped = until - _CATCH_UP * schedule.every
                LOG.warning(
                    "search %s: windows of %d s are too long ago", saved.name, (skipped - after) // 1000
                )
                after = skipped
            for start, end in windows(schedule, after=after, until=until):
                try:
                    fired += ask(workspace, library, saved, start, end, handle=handle)
                except CancelledError:
                    return fired
                except LemnisError as error:
                    LOG.warning("search %s: %s", saved.name, error)
                    break
                marks[saved.name] = end
                _mark(workspace, marks)
    watch.settle(workspace, library=library)  # also what a run that was killed has written down
    return fired


def replay(workspace: app.Workspace, names: Sequence[str], start: int, end: int) -> list[Fired]:
    """Ask the windows that end in (start, end] again; what fired before is in the journal already.

    Raises UsageError for a search that has no schedule, and what asking raises.
    """
    library = app.library(workspace)
    chosen = [searches.load(library, name) for name in names] or [one for one, _ in scheduled(library)]
    fired: list[Fired] = []
    for saved in chosen:
        if saved.search.schedule is None:
            raise UsageError(f"search {saved.name} has no schedule", fix=f"add one in {saved.path}")
        for low, high in windows(saved.search.schedule, after=start, until=end):
            fired += ask(workspace, library, saved, low, high)
    if fired:
        watch.settle(workspace, library=library)
    return fired


async def keep(workspace: app.Workspace, stop: asyncio.Event) -> None:
    """Run what is due every so often, until ``stop``; what fails is told and tried again."""
    while not stop.is_set():
        handle = Handle()
        ending = asyncio.create_task(_cancel(handle, stop))
        try:
            await asyncio.to_thread(run_due, workspace, handle=handle)
        except (LemnisError, OSError) as error:
            LOG.warning("scheduled searches: %s", error)
        finally:
            ending.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY_S)


async def _cancel(handle: Handle, stop: asyncio.Event) -> None:
    await stop.wait()
    handle.cancel()


def ask(
    workspace: app.Workspace,
    library: Library,
    saved: Saved,
    start: int,
    end: int,
    *,
    handle: Handle | None = None,
) -> list[Fired]:
    """Ask one window of a search, and write down the alerts of the groups for which it fires.

    Raises CancelledError, with nothing written, if ``handle`` ends it.
    """
    lake = app.events(workspace)
    made = list(alerts(lake, library, saved, (start, end), handle or Handle()))
    wrote = app.journal(workspace).append_all([writing.alert_entry(alert) for _, alert in made])
    return [
        Fired(saved.name, start, end, group, alert, new)
        for (group, alert), (_, new) in zip(made, wrote, strict=True)
    ]


def alerts(
    lake: Readable, library: Library, saved: Saved, window: tuple[int, int], handle: Handle
) -> Iterator[tuple[Mapping[str, Json], Alert]]:
    """Yield the alerts of one window with their groups; the same window of the same lake gives the same."""
    schedule = saved.search.schedule
    if schedule is None:
        raise UsageError(f"search {saved.name} has no schedule", fix=f"add one in {saved.path}")
    start, end = window
    query, by = _counting(searching.check(saved.search.query), schedule)
    search = Search(
        lake, query, now=end, start=start, end=end, limits=Limits(GROUPS, _TIMEOUT), handle=handle
    )
    rows = [row for table in search.tables() for row in table.to_pylist()]
    if search.cancelled:
        raise CancelledError
    if search.more:
        LOG.warning("search %s fires for more than %d groups; the first have alerts", saved.name, GROUPS)
    for row in rows:
        if gone := [name for name in by if name not in row]:
            raise UsageError(
                f"the rows no longer have {gone[0]}, by which they are told apart", fix="keep it"
            )
        group = {name: row[name] for name in by}
        evidence = _evidence(lake, query, group, window, handle)
        yield group, _alert(library, saved, schedule, window, group, row, evidence)


def _counting(query: Query, schedule: Schedule) -> tuple[Query, tuple[str, ...]]:
    """Return the query that counts and tests, and the columns whose values make a group."""
    stages = list(query.stages)
    last = next((s for s in reversed(stages) if isinstance(s, Stats | Top | Timechart)), None)
    if last is None:
        time = Name("time", 1)
        first, newest = Aggregate("min", time, _FIRST, 1), Aggregate("max", time, _LAST, 1)
        counted = (Aggregate("count", None, "count", 1), first, newest)
        last = Stats(counted, tuple(Name(one, 1) for one in schedule.by))
        stages.append(last)
    elif schedule.by:
        raise UsageError(
            "a search with stats has its groups by its own `by`", fix="take `by` out of the schedule"
        )
    stages.append(pipes.test_of(schedule.when))
    if isinstance(last, Timechart):
        return Query(query.filter, tuple(stages)), ("time",)
    names = last.by if isinstance(last, Stats) else (*last.by, *last.fields)
    return Query(query.filter, tuple(stages)), tuple(name.text for name in names)


def _evidence(
    lake: Readable, query: Query, group: Mapping[str, Json], window: tuple[int, int], handle: Handle
) -> list[Found]:
    """Return the newest events of a group."""
    kept = []
    for stage in query.stages:
        if not isinstance(stage, Where | Eval | Dedup):
            break
        kept.append(stage)
    tests = [_is(name, value) for name, value in group.items() if name != "time"]
    whole = [Where(Group("AND", tuple(tests)) if len(tests) > 1 else tests[0])] if tests else []
    asked, (start, end) = Query(query.filter, (*kept, *whole)), window
    limits = Limits(EVIDENCE, _TIMEOUT)
    found = Search(lake, asked, now=end, start=start, end=end, limits=limits, handle=handle)
    events = [one for some in found.found() for one in some]
    if found.cancelled:
        raise CancelledError
    return events


def _is(name: str, value: Json) -> Node:
    """Return the test that a field has a group's value."""
    if value is None:
        return Not(Term(name, ":", "*", "%", 1))
    return Term(
        name, ":", str(value).lower() if isinstance(value, bool) else str(value), None, 1, quoted=True
    )


def _alert(  # noqa: PLR0917 - what an alert is made of
    library: Library, saved: Saved, schedule: Schedule, window: tuple[int, int], group: Mapping[str, Json],
    row: Mapping[str, Any], evidence: Sequence[Found],
) -> Alert:  # fmt: skip
    start, end = window
    key = f"search:{saved.name}"
    known = stable_id("al", key, f"{start} {end}", canonical(dict(group)).decode())
    about = {one for hit in evidence for one in entities(int(hit.event["class_uid"]), hit.event)}
    times = [hit.time for hit in evidence]
    first, last = row.get(_FIRST) or min(times, default=start), row.get(_LAST) or max(times, default=end - 1)
    uids = tuple(sorted(hit.uid for hit in evidence))
    values = {name: value for name, value in row.items() if name not in {_FIRST, _LAST}}
    count = row.get("count")
    told: dict[str, Json] = {
        "search": saved.name, "query": saved.search.query, "window": [start, end], "group": dict(group),
        "row": orjson.loads(canonical(values)), "records": list(uids),
        "events": [bounded(hit.event) for hit in evidence[:_SHOWN]],
    }  # fmt: skip
    return Alert(
        id=known, rule_id=key, title=schedule.title or saved.search.title,
        severity=LEVELS.get(schedule.level, Severity.UNKNOWN), time=int(last),
        source=str(evidence[0].event.get("metadata", {}).get("log_name", "")) if evidence else "",
        event_uids=uids, entities=tuple(sorted(about)), content_digest=library.digest, tags=schedule.tags,
        event=told, count=count if isinstance(count, int) and count > 0 else max(1, len(uids)),
        first=int(first), last=int(last), rule_digest=digest(canonical(saved.search.model_dump())),
        fingerprint=stable_id("fp", key, canonical(dict(group)).decode()),
    )  # fmt: skip


def _marks(workspace: app.Workspace) -> dict[str, int]:
    """Return up to when each search was asked; nothing where that is not known."""
    try:
        found: dict[str, int] = orjson.loads((workspace.state / _FILE).read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found


def _mark(workspace: app.Workspace, marks: Mapping[str, int]) -> None:
    durable.write(workspace.state / _FILE, canonical(dict(marks)))
