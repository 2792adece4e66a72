"""The keeping of a workspace's lake: what there is of it, compaction, retention, holds, history.

Every run of retention is in the journal twice: what it is about to do, by which policy and against which
holds, before anything goes; and what went. The first without the second is a run that was killed; what it
began is gone on with by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from lemnis import app
from lemnis.app import settings
from lemnis.content.schemas import keeping as schema
from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.contracts.ids import stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.store import compaction, deltalog, history, integrity, sweeping
from lemnis.store import search as searching
from lemnis.store.columns import Keys, uid_keys
from lemnis.store.compaction import Compacted, Progress
from lemnis.store.holds import Hold, Holds
from lemnis.store.lakes import Readable
from lemnis.store.retention import Loss, Plan, Policy, Purpose, Retained, Retention, Rule
from lemnis.store.search import Limits, Search
from lemnis.store.sizes import TableSize, sizes
from lemnis.store.sweeping import Swept

BEGUN, DONE = "lake.retention.begun", "lake.retention.done"
_DAY_MS = 86_400_000
_NEVER: Callable[[], bool] = lambda: False  # noqa: E731 - a constant
_LISTED = 1000
_VERSION_DIGITS = 10
_UIDS = " | fields metadata.uid"
_FOUND = 20_000_000
_SEARCH_S = 600


@dataclass(frozen=True, slots=True)
class Status:
    """A lake: its tables, what waits in the spool (rows, bytes), holds, and whether it is to be compacted."""

    tables: tuple[TableSize, ...]
    spooled_rows: int
    spooled_bytes: int
    holds: tuple[str, ...]
    due: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planned:
    """What retention would do: by which policy (digest and purposes), against which holds."""

    plan: Plan
    policy: Policy
    holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What one run of retention did, and its name in the journal."""

    run: str
    done: Retained
    policy: str


@dataclass(frozen=True, slots=True)
class Tidied:
    """What compaction and sweeping did, and how many files were indexed after it."""

    days: tuple[Compacted, ...]
    swept: Swept
    indexed: int = 0


def policy(retention: schema.Retention) -> Policy:
    """Return the policy that settings describe; raises UsageError if they describe none."""
    purposes = {
        name: Purpose(name, one.days, retention.raw_days if one.raw_days is None else one.raw_days, one.basis)
        for name, one in retention.purposes.items()
    }
    rules = tuple(Rule(purposes[one.purpose], one.classes, one.sources) for one in retention.rules)
    if not rules and not retention.default:
        raise UsageError(
            "there is no retention: nothing says how long events are kept, so they are kept for ever",
            fix="write `retention:` into lemnis.yaml; see docs/lake.md",
        )
    return Policy(rules, purposes[retention.default] if retention.default else None)


def status(workspace: app.Workspace) -> Status:
    """Return what there is in the lake; reads the tables' logs and the files' own accounts of them."""
    lake, kept = app.events(workspace), settings.load(workspace).lake
    backlog = lake.backlog()
    days = compaction.due(lake.tables, min_files=kept.compact_files)
    due = {name: len(list(some)) for name, some in groupby(sorted(day.name for day in days))}
    holds = tuple(one.hold.name for one in Holds(app.journal(workspace)).active())
    return Status(tuple(sizes(lake.tables)), backlog.rows, backlog.bytes, holds, due)


def compact(
    workspace: app.Workspace,
    *,
    min_files: int | None = None,
    names: tuple[str, ...] = (),
    most: int | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = _NEVER,
) -> Tidied:
    """Rewrite days of many small files, and sweep what history no longer needs.

    ``min_files`` is as the settings have it unless given; at most ``most`` days are done.
    """
    kept = settings.load(workspace).lake
    lake = app.events(workspace)
    done = compaction.compact(
        lake.tables, min_files=min_files or kept.compact_files, names=names, most=most, progress=progress,
        stop=stop,
    )  # fmt: skip
    before = deltalog.now() - int(kept.history_days * _DAY_MS)
    swept = sweeping.sweep(lake.tables, before=before)
    return Tidied(tuple(done), swept, 0 if stop() else index(workspace, lake))


def index(workspace: app.Workspace, lake: Readable | None = None) -> int:
    """Bring the index of texts to the files that there are now; return how many were indexed.

    Nothing is done where the settings do not want it and there is none. It tells of texts that may have gone.
    """
    lake = lake or app.events(workspace)
    wanted = lake.index.exists or settings.load(workspace).search.index
    return lake.refresh_index() if wanted else 0


def plan(workspace: app.Workspace) -> Planned:
    """Say what retention would let go now; raises UsageError where the settings have none."""
    wanted = policy(settings.load(workspace).retention)
    retention, holds = _retention(workspace, app.events(workspace), wanted)
    return Planned(retention.plan(), wanted, holds)


def retain(workspace: app.Workspace, *, actor: str, reason: str = "") -> Kept:
    """Let go what is past its time, as the settings say, and write down what went.

    Raises UsageError where the settings have no retention.
    """
    wanted = policy(settings.load(workspace).retention)
    lake, journal = app.events(workspace), app.journal(workspace)
    lake.flush()
    retention, holds = _retention(workspace, lake, wanted)
    now = workspace.clock.now()
    run = stable_id("lr", str(now), wanted.digest, str(journal.head()[0]))
    told: dict[str, Any] = {"policy": wanted.digest, "purposes": _purposes(wanted), "holds": list(holds)}
    why = reason or "the period of its purpose is over"
    begun = {**told, **_counts(retention.plan().losses)}
    journal.append(NewEntry(BEGUN, "lake", f"{BEGUN}:{run}", begun, actor, why))
    done = retention.run(run)
    lake.scrub()  # rows that were flushed may still be read in pages that are free
    index(workspace, lake)
    result = {
        **told, **_counts(done.losses), "files_dropped": done.dropped, "files_rewritten": done.rewritten,
        "files_swept": done.swept.files, "bytes_swept": done.swept.bytes, "left": list(done.left),
    }  # fmt: skip
    journal.append(NewEntry(DONE, "lake", f"{DONE}:{run}", result, actor, why))
    return Kept(run, done, wanted.digest)


def holds(workspace: app.Workspace) -> Holds:
    """Return the holds of a workspace."""
    return Holds(app.journal(workspace))


def versions(workspace: app.Workspace, name: str | None = None) -> list[history.Version]:
    """Return the versions of the lake's tables; raises NotFoundError for a table that there is not."""
    return history.versions(app.events(workspace).tables, name)


def sql_as_of(
    workspace: app.Workspace, text: str, as_of: str, *, limit: int, timeout: float, partly: bool
) -> history.Answer:
    """Run one SELECT over the tables as they were at a time, or as one of them was at a version (a number).

    Raises UsageError and InputError as ``store.history.ask`` does.
    """
    if as_of.isdecimal() and len(as_of) < _VERSION_DIGITS:
        then = history.AsOf(version=int(as_of))
    else:
        then = history.AsOf(at=searching.instant(as_of, deltalog.now()))
    tables = app.events(workspace).tables
    return history.ask(tables, text, then, limit=limit, timeout=timeout, partly=partly)


def hold(
    workspace: app.Workspace,
    name: str,
    *,
    classes: tuple[str, ...],
    sources: tuple[str, ...],
    since: str = "",
    until: str = "",
    search: str = "",
) -> Hold:
    """Return a hold as it was written down; times and search as ``store.search`` reads them.

    Raises InputError for a time that is none, or a search that cannot be run.
    """
    now = workspace.clock.now()
    begin, end = (searching.instant(text, now) if text else None for text in (since, until))
    if search:
        Search(app.events(workspace), search + _UIDS, now=now)
    return Hold(name, classes, sources, begin, end, search)


def check(
    workspace: app.Workspace, *, deep: bool, progress: integrity.Progress | None = None
) -> integrity.Report:
    """Look whether the lake is whole; see ``store.integrity``. A spool that cannot be opened is a finding."""
    try:
        lake = app.events(workspace)
    except ServiceError as error:
        report = integrity.Report(deep)
        report.findings.append(integrity.Finding("spool-damaged", error.what, at="spool.db", fix=error.fix))
        return report
    return integrity.check(lake.tables, deep=deep, progress=progress)


def _retention(workspace: app.Workspace, lake: Readable, wanted: Policy) -> tuple[Retention, tuple[str, ...]]:
    active: list[Hold] = [one.hold for one in Holds(app.journal(workspace)).active()]
    now = workspace.clock.now()
    retention = Retention(lake.tables, wanted, active, now=now, found=_Searches(lake, now).keys)
    return retention, tuple(one.name for one in active)


class _Searches:
    """What the searches of holds find; each is run once."""

    def __init__(self, lake: Readable, now: int) -> None:
        self._lake, self._now = lake, now
        self._found: dict[str, Keys] = {}

    def keys(self, hold: Hold) -> Keys:
        """Return the keys of the uids that a hold's search finds, ascending.

        Raises InputError if it cannot be run: then nothing may go, because nobody knows what is held.
        """
        if hold.name not in self._found:
            limits = Limits(rows=_FOUND, timeout=_SEARCH_S)
            search = Search(
                self._lake,
                hold.search + _UIDS,
                now=self._now,
                start=hold.since,
                end=hold.until,
                limits=limits,
            )
            parts = [uid_keys(table.column(0).drop_null()) for table in search.tables()]
            if search.more:
                raise UsageError(
                    f"the search of hold {hold.name!r} finds more than {_FOUND:,} events",
                    fix="release it, and add one by class, source and time without a search",
                )
            self._found[hold.name] = np.sort(np.concatenate([*parts, np.empty(0, dtype=np.int64)]))
        return self._found[hold.name]


def _purposes(wanted: Policy) -> list[dict[str, Any]]:
    there = {rule.purpose.name: rule.purpose for rule in wanted.rules}
    if wanted.default:
        there[wanted.default.name] = wanted.default
    return [
        {"name": one.name, "days": one.days, "raw_days": one.raw_days, "basis": one.basis}
        for one in there.values()
    ]


def _counts(losses: tuple[Loss, ...]) -> dict[str, Any]:
    """Return how much goes, in all and by class and day; the list is bounded, the sums are not."""
    by_day: dict[tuple[str, str], list[int]] = {}
    for loss in losses:
        counts = by_day.setdefault((loss.name, loss.day), [0, 0, 0])
        for place, count in enumerate((loss.rows, loss.raw, loss.held)):
            counts[place] += count
    days = [
        {"table": name, "day": day, "rows": rows, "raw": raw, "held": held}
        for (name, day), (rows, raw, held) in sorted(by_day.items())
    ]
    return {
        "rows": sum(loss.rows for loss in losses), "raw": sum(loss.raw for loss in losses),
        "held": sum(loss.held for loss in losses), "bytes": sum(loss.bytes for loss in losses),
        "days": days[:_LISTED], "days_in_all": len(days),
    }  # fmt: skip
