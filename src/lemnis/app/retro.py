"""Retro-hunt: a new rule or indicator over history; its cost is told first, and a killed one goes on.

History is cut into units of whole data files. What a unit gave is kept before the next is begun, so a run
that is killed anywhere goes on behind the last one; a file that was rewritten since is another unit, and what
the one that it replaces gave no longer counts. Alerts follow from rule and event (ADR 0013), so what all
units gave is what one look at everything would give.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

import pyarrow as pa

from lemnis.app import retro_pieces as pieces
from lemnis.app.retro_question import Question
from lemnis.app.retro_state import Job
from lemnis.app.retro_units import SPOOL, Range, Unit, batches, by_table, day_span, holds, read, units
from lemnis.store.lakes import Readable, Snapshot
from lemnis.store.rows import table_class

_SAMPLE, _WARM = 20_000, 1_000
Progress = Callable[[int, int], None]
"""Told of how many of how many events were looked at."""


def quiet(done: int, of: int) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Files of a table that are not looked at, as nothing that is asked for can be in them."""

    table: str
    files: int
    rows: int
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a look at history would cost: the units to look at, and what is left out."""

    limits: Range
    units: tuple[Unit, ...]
    skipped: tuple[Skipped, ...]
    snapshots: Mapping[str, Snapshot]
    rates: Mapping[str, float] = field(default_factory=dict)
    """Events a second by table, measured on the first events of each."""

    @property
    def spooled(self) -> int:
        """How many events are not flushed yet."""
        return sum(snapshot.spooled.num_rows for snapshot in self.snapshots.values())

    @property
    def rows(self) -> int:
        """How many events there are to look at."""
        return sum(unit.rows for unit in self.units) + self.spooled

    @property
    def bytes(self) -> int:
        """How many bytes the files have."""
        return sum(unit.bytes for unit in self.units)

    @property
    def days(self) -> tuple[str, str] | None:
        """The first and the last day."""
        return day_span(self.units)

    @property
    def seconds(self) -> float | None:
        """How long it takes on one core of this machine; None where nothing could be measured."""
        if not self.rates:
            return None
        slowest = min(self.rates.values())
        spent = sum(unit.rows / self.rates.get(unit.table, slowest) for unit in self.units)
        return spent + self.spooled / slowest


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a run ends, though there is more: looked at after each unit."""

    events: int | None = None
    seconds: float | None = None
    found: int | None = None
    """So many alerts, for they are held in memory."""


NO_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did: the events that it looked at, those that earlier runs had, and all there are.

    ``ended`` says why it did not look at all of them; empty if it did.
    """

    looked: int
    known: int
    of: int
    seconds: float
    ended: str = ""


class Engine(Protocol):
    """Looks at units, in whatever order, one or many at once."""

    def run(self, planned: Plan, todo: Sequence[Unit]) -> Generator[tuple[Unit, pa.Table], None, None]:
        """Yield what each unit gave, as it is there; a unit comes once, whole."""
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """One process: this one."""

    question: Question

    def run(self, planned: Plan, todo: Sequence[Unit]) -> Generator[tuple[Unit, pa.Table], None, None]:
        """Look at one unit after the other."""
        for unit in todo:
            yield unit, _look(self.question, planned, unit)


def plan(lake: Readable, question: Question, limits: Range, *, measured: bool = True) -> Plan:
    """Find out what there is to look at, the newest first, and at what rate this machine does so."""
    snapshots = lake.snapshots()
    found: list[Unit] = []
    skipped: list[Skipped] = []
    for name, snapshot in sorted(snapshots.items()):
        wanted = question.wanted(name)
        for unit in units(name, snapshot, limits):
            some = [file for file in unit.files if (wanted is None or wanted) and holds(file, wanted)]
            left = len(unit.files) - len(some)
            if some:
                found.append(replace(unit, files=tuple(some), wanted=wanted))
            if left:
                why = "no source there is asked for" if wanted else "what is asked for is not in this class"
                skipped.append(Skipped(name, left, unit.rows - sum(file.rows for file in some), why))
    found.sort(key=lambda unit: (unit.day, unit.table, unit.key), reverse=True)
    made = Plan(limits, tuple(found), _summed(skipped), snapshots)
    return _measured(question, made) if measured else made


def run(
    question: Question,
    planned: Plan,
    take: Callable[[pa.Table], None],
    *,
    job: Job | None = None,
    engine: Engine | None = None,
    bounds: Bounds = NO_BOUNDS,
    progress: Progress = quiet,
) -> Run:
    """Look at what ``job`` does not know yet, keep it there, and hand what all units gave to ``take``.

    Events that are not flushed yet are looked at last, here, and not kept: the next run finds them in files.
    """
    began, done = time.monotonic(), job.done() if job is not None else frozenset()
    known = looked = alerts = 0
    todo: list[Unit] = []
    for unit in planned.units:
        kept = job.read(unit.key) if job is not None and unit.key in done else None
        if kept is None:
            todo.append(unit)
            continue
        take(kept)
        alerts += pieces.count(kept, pieces.ALERT)
        known += unit.rows
    progress(known, planned.rows)
    some = _within(todo, bounds)
    ended = f"it was to look at {bounds.events:,} events at most" if len(some) < len(todo) else ""
    with closing((engine or Here(question)).run(planned, some)) as found:
        for unit, table in found:
            if job is not None:
                job.save(unit.key, table)
            take(table)
            looked += unit.rows
            alerts += pieces.count(table, pieces.ALERT)
            progress(known + looked, planned.rows)
            if bounds.found is not None and alerts > bounds.found:
                ended = f"there are {alerts:,} alerts already"
                break
            if bounds.seconds is not None and time.monotonic() - began > bounds.seconds:
                ended = f"it was to take {bounds.seconds:g} s at most"
                break
    if known + looked == sum(unit.rows for unit in planned.units):
        for name, snapshot in planned.snapshots.items():
            take(_spooled(question, planned.limits, name, snapshot))
            looked += snapshot.spooled.num_rows
        progress(planned.rows, planned.rows)
        ended = ""
    return Run(looked, known, planned.rows, time.monotonic() - began, ended)


def _within(todo: Sequence[Unit], bounds: Bounds) -> Sequence[Unit]:
    """Return the first units that are within the bound on events; at least one, so that a run comes on."""
    if bounds.events is None:
        return todo
    seen = 0
    for number, unit in enumerate(todo):
        seen += unit.rows
        if seen > bounds.events:
            return todo[: max(1, number)]
    return todo


def _look(question: Question, planned: Plan, unit: Unit) -> pa.Table:
    """Look at one unit."""
    schema = question.columns(unit.table, planned.snapshots[unit.table].schema)
    work = question.work
    found = [
        pieces.table(
            file.name,
            (
                piece
                for some in read(file, schema, planned.limits, unit.wanted)
                for batch in batches(some, unit.class_uid, unit.wanted)
                for piece in work.of(batch)
            ),
        )
        for file in unit.files
    ]
    return pa.concat_tables(found)


def _spooled(question: Question, limits: Range, name: str, snapshot: Snapshot) -> pa.Table:
    """Look at the events of a table that are not flushed yet."""
    work, wanted = question.work, question.wanted(name)
    some = limits.of(snapshot.spooled.select(question.columns(name, snapshot.schema).names))
    found = (piece for batch in batches(some, table_class(name), wanted) for piece in work.of(batch))
    return pieces.table(SPOOL, found)


def _measured(question: Question, planned: Plan) -> Plan:
    """Measure the rate of each table on the first events of its first file."""
    rates = {}
    for name, some in by_table(planned.units).items():
        schema = question.columns(name, planned.snapshots[name].schema)
        rate = _rate(question, some[0], schema, planned.limits)
        if rate:
            rates[name] = rate
    return replace(planned, rates=rates)


def _rate(question: Question, unit: Unit, schema: pa.Schema, limits: Range) -> float:
    """Return how many events a second are read and looked at."""
    work, began = question.work, time.perf_counter()
    for some in read(unit.files[0], schema, limits, unit.wanted):
        opened = (time.perf_counter() - began) / max(1, some.num_rows)
        sample = some.slice(0, _SAMPLE)
        for batch in batches(some.slice(0, _WARM), unit.class_uid, unit.wanted):
            list(work.of(batch))  # compiles what is compiled once
        began = time.perf_counter()
        for batch in batches(sample, unit.class_uid, unit.wanted):
            list(work.of(batch))
        if sample.num_rows:
            return 1 / (opened + (time.perf_counter() - began) / sample.num_rows)
        began = time.perf_counter()
    return 0.0


def _summed(skipped: Sequence[Skipped]) -> tuple[Skipped, ...]:
    """Put together what is left out of a table for the same reason."""
    found: dict[tuple[str, str], Skipped] = {}
    for one in skipped:
        known = found.get((one.table, one.why), Skipped(one.table, 0, 0, one.why))
        found[one.table, one.why] = replace(known, files=known.files + one.files, rows=known.rows + one.rows)
    return tuple(found.values())
