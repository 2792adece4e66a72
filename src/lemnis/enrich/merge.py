"""What an import changes: timelines of records, cut and joined so that each says one thing at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lemnis.contracts.reference import ALWAYS, FOREVER, RECORDS

By = tuple[str | None, int | None, int | None]
Span = tuple[int, int, str, By]
"""From when, until when (exclusive), what is said, as JSON, and by what: origin, revision, when."""
_NEW: By = (None, None, None)
_NEVER: Span = (0, 0, "{}", _NEW)
"""What is written of an id that has no record any more."""
_COLUMNS = ("id", "from", "until", "record", "origin", "revision", "recorded")


@dataclass(frozen=True, slots=True)
class Told:
    """What an import says of an id; as of the import's time where both times are open."""

    id: str
    record: str
    since: int = ALWAYS
    until: int = FOREVER


@dataclass(frozen=True, slots=True)
class Merged:
    """All records of the ids that changed, and how many ids are new, changed, as they were, or ended."""

    records: pa.Table
    added: int
    changed: int
    unchanged: int
    ended: int


def merge(before: pa.Table, told: Iterable[Told], *, as_of: int, complete: bool = False) -> Merged:
    """Return what becomes of records when an import is laid over them.

    What has no time of its own is as of ``as_of``: it holds from then to the next change that is known. If
    the import is ``complete``, what it does not name ended then. Importing the same again changes nothing.
    """
    lines: dict[str, list[Span]] = defaultdict(list)
    columns = (before.column(name).to_pylist() for name in _COLUMNS)
    for name, since, until, record, *by in zip(*columns, strict=True):
        lines[name].append((since, until, record, (by[0], by[1], by[2])))
    known = {name: sorted(spans, key=_begin) for name, spans in lines.items()}
    after: dict[str, list[Span]] = {}
    named: set[str] = set()
    for one in told:
        named.add(one.id)
        line = after.get(one.id, known.get(one.id, []))
        after[one.id] = _laid(line, _span(line, one, as_of))
    ended = 0
    if complete:
        for name in known.keys() - named:
            after[name] = _ended(known[name], as_of)
            ended += _said(after[name]) != _said(known[name])
    changed = {name: spans for name, spans in after.items() if _said(spans) != _said(known.get(name, ()))}
    added = sum(name not in known for name in changed)
    return Merged(
        _records(changed), added, len(changed) - added - ended, len(named) + ended - len(changed), ended
    )


def _begin(span: Span) -> int:
    return span[0]


def _said(line: Iterable[Span]) -> list[tuple[int, int, str]]:
    """Return a timeline without who told it."""
    return [span[:3] for span in line]


def _span(line: Sequence[Span], one: Told, as_of: int) -> Span:
    """Return the span that something is said of."""
    if (one.since, one.until) != (ALWAYS, FOREVER):
        return one.since, one.until, one.record, _NEW
    until = FOREVER
    for since, end, record, by in line:
        if since <= as_of < end and record == one.record:
            return since, end, record, by
        if since <= as_of < end:
            return as_of, end, one.record, _NEW
        if since > as_of:
            until = min(until, since)
    return as_of, until, one.record, _NEW


def _laid(line: Sequence[Span], new: Span) -> list[Span]:
    """Lay a span over a timeline; what touches and says the same is one."""
    since, until, _, _ = new
    parts = [new]
    for start, end, record, by in line:
        parts += [
            (a, b, record, by) for a, b in ((start, min(end, since)), (max(start, until), end)) if a < b
        ]
    made: list[Span] = []
    for part in sorted(parts, key=_begin):
        if made and made[-1][1] == part[0] and made[-1][2] == part[2]:
            made[-1] = (made[-1][0], part[1], *part[2:])
        else:
            made.append(part)
    return made


def _ended(line: Sequence[Span], as_of: int) -> list[Span]:
    """End what held at a time."""
    cut = [(start, as_of if start <= as_of < end else end, record, by) for start, end, record, by in line]
    return [span for span in cut if span[0] < span[1]]


def _records(changed: dict[str, list[Span]]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for name, spans in changed.items():
        for since, until, record, by in spans or [_NEVER]:
            rows.append(dict(zip(_COLUMNS, (name, since, until, record, *by), strict=True)))
    return pa.Table.from_pylist(rows, schema=RECORDS)
