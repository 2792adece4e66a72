"""Where each attribute of an event comes from: which raw field, and which line of the mapping put it there.

Said of a mapping once and for all (``origins``), or of one record with what it holds (``trace``). Events need
not carry any of it: they name their entry, and the rest follows from the mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lemnis.content import yaml
from lemnis.content.schemas.source import Entry, Line, LoadedSource, TimeLine
from lemnis.contracts.errors import Location
from lemnis.contracts.events import RawBatch
from lemnis.ingest.mapping_columns import TEXT, Columns, RawColumns
from lemnis.ingest.mapping_conditions import spell
from lemnis.ingest.mapping_lines import Context, as_text, evaluate, present
from lemnis.ingest.mapping_plan import ORIGINAL_TIME, EntryPlan, plans
from lemnis.ingest.mapping_times import instants

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an attribute's value comes from: the entry, its path, the raw fields, and the mapping's line.

    ``value`` is what one record has there, as text, where one is looked at.
    """

    entry: str
    path: str
    raw: tuple[str, ...]
    at: Location
    value: str = ""


def origins(source: LoadedSource) -> Iterator[Origin]:
    """Yield for every entry and path of a mapping where the value is taken from, in the mapping's order."""
    where = yaml.locator(source.mapping_file)
    for number, (plan, entry) in enumerate(zip(plans(source), source.mapping.events, strict=True)):
        for path, lines, place in _placed(plan, entry, number):
            raw = tuple(dict.fromkeys(name for line in lines for name in line.source))
            yield Origin(plan.name, path, raw, where(place))


def _placed(
    plan: EntryPlan, entry: Entry, number: int
) -> Iterator[tuple[str, Sequence[Line | TimeLine], Place]]:
    """Yield each path of an entry with its lines, and where in the file these stand."""
    own: Place = ("events", number)
    time: Place = ("common", "time") if entry.time is None else (*own, "time")
    yield "time", plan.time, time
    if ORIGINAL_TIME not in plan.lines:
        yield ORIGINAL_TIME, plan.time, time
    yield "activity_id", plan.activity, (*own, "activity")
    if plan.severity:
        scope = own if entry.severity else ("common",)
        yield "severity_id", plan.severity, (*scope, "severity")
    yield "class_uid", (), (*own, "class")
    for path, lines in plan.lines.items():
        scope = own if path in entry.set else ("common",)
        yield path, lines, (*scope, "set", path)


def trace(source: LoadedSource, batch: RawBatch, entry_name: str, *, now: int = 0) -> Iterator[Origin]:
    """Yield for the one record of a batch, mapped by an entry, what its lines put where, and which line did.

    Of several lines and fields, only those are named that gave the value.
    """
    where = yaml.locator(source.mapping_file)
    number, plan = next((n, one) for n, one in enumerate(plans(source)) if one.name == entry_name)
    context = Context(frozenset(spell(value) for value in source.mapping.common.absent), now)
    look = _Look(RawColumns(batch.fields), context)
    for path, lines, place in _placed(plan, source.mapping.events[number], number):
        if path == "class_uid":
            yield Origin(plan.name, path, (), where(place), str(plan.kind.uid))
            continue
        kind = _KINDS.get(path) or plan.types[path]
        for nth, line in enumerate(lines):
            found = look.time(path, line) if isinstance(line, TimeLine) else look.line(line, kind)
            if found is not None:
                value, raw = found
                yield Origin(plan.name, path, raw, where((*place, nth)), value)
                break


_KINDS: Mapping[str, pa.DataType] = {
    "time": pa.int64(), ORIGINAL_TIME: TEXT, "activity_id": pa.int64(), "severity_id": TEXT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Look:
    """A look at the one row of some columns."""

    columns: Columns
    context: Context

    def line(self, line: Line, kind: pa.DataType) -> tuple[str, tuple[str, ...]] | None:
        """Return the value that a line gives, and the field that it was made of; None if it gives none."""
        values = evaluate([line], self.columns, kind, self.context)
        if values is None or values.array[0].as_py() is None:
            return None
        given = next((name for name in line.source if self._has(name, line)), None)
        first = values.array[0].as_py()
        shown = spell(first) if isinstance(first, bool | int | float | str) else str(first)
        return shown, () if given is None else (given,)

    def time(self, path: str, line: TimeLine) -> tuple[str, tuple[str, ...]] | None:
        """Return the time in milliseconds (of the original time the text), and its field."""
        for name in line.source:
            column = self.columns.get(name)
            if column is None or not self._has(name, line):
                continue
            given = as_text(column)
            read = instants(given, line.format, self.context.now)[0].as_py()
            if read is not None:
                return str(read if path == "time" else given[0]), (name,)
        return None

    def _has(self, name: str, line: Line | TimeLine) -> bool:
        absent = self.context.absent | {spell(value) for value in line.absent}
        column = present(self.columns.get(name), absent)
        return column is not None and column[0].as_py() is not None
