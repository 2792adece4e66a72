"""Drift: the fields of a source's records against those learnt: new, missing, and of another kind. Pure.

What is learnt is older than a day. A field is missing when, by the share of records that always had it, it
cannot be chance that none has it now. A field is retyped when most of its values are of a kind that it never
had. A field is new when no record had it before, unless the source brings new fields all the time: then its
records have open vocabulary, and new names say nothing.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.watching import DAY, HOUR, STEP, FieldSeen, Sample

pc: Any = _compute
ROWS = 256
"""How many records a look takes in."""
NEW, MISSING, RETYPED = "new", "missing", "retyped"
_NUMBER, _BOOLEAN = r"^-?[0-9]{1,38}(\.[0-9]+)?([eE][-+]?[0-9]+)?$", r"^(true|false|True|False)$"
_LEARNT_ROWS, _LEARNT_WINDOWS, _WINDOW_ROWS = 200, 2, 20
_CHANCE = 1e-6
_FEW_NEW, _FEW_TYPED = 3, 10
_LOW = 0.1
_MOST, _NEVER = 0.5, 0.01
_OPEN = 0.25


def look(source: str, fields: pa.Table) -> Sample:
    """Look at the fields of the first records of a batch, as its parser gives them."""
    some = fields.slice(0, ROWS)
    found = {}
    for name in some.column_names:
        column: Any = some.column(name)
        present = len(column) - column.null_count
        if present:
            found[name] = _kinds(column.drop_null(), present)
    return Sample(source, some.num_rows, found)


def _kinds(column: Any, present: int) -> dict[str, int]:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return {"list": present}
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return {"boolean" if pa.types.is_boolean(column.type) else "number": present}
    numbers = pc.sum(pc.match_substring_regex(column, _NUMBER)).as_py() or 0
    truths = pc.sum(pc.match_substring_regex(column, _BOOLEAN)).as_py() or 0
    counts = {"number": numbers, "boolean": truths, "text": present - numbers - truths}
    return {kind: count for kind, count in counts.items() if count}


@dataclass(slots=True)
class Sampler:
    """Looks at the fields of each source once in five minutes, which costs next to nothing."""

    _last: dict[str, int] = field(default_factory=dict)

    def of(self, source: str, fields: pa.Table, now: int) -> tuple[Sample, ...]:
        """Return a sample if one is due and there is something to see."""
        if not fields.num_rows or self._last.get(source) == now // STEP:
            return ()
        self._last[source] = now // STEP
        return (look(source, fields),)


@dataclass(frozen=True, slots=True)
class Drift:
    """One field that is not as it was: since when (ms, by the hour), and in numbers why that is no chance."""

    field: str
    change: str
    since: int
    why: str
    before: str = ""
    now: str = ""


@dataclass(slots=True)
class _Seen:
    """A field by windows: learnt and recent rows, by kind, and when it was seen first and last."""

    learnt: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    recent: int = 0
    lately: int = 0
    kinds: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    kinds_now: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    first: int = 1 << 62
    first_recent: int = 1 << 62
    last: int = 0


@dataclass(frozen=True, slots=True)
class Drifting:
    """The drift of a source; ``learnt`` says whether enough is known, ``open`` that new names say nothing."""

    found: tuple[Drift, ...]
    learnt: bool
    open: bool = False


def drift(seen: Iterable[FieldSeen], sampled: Mapping[int, int], now: int) -> Drifting:
    """Compare what came in the last hours with what was learnt before the last day."""
    recent, lately = now - DAY, now - now % HOUR - HOUR
    learnt = {at: rows for at, rows in sampled.items() if at < recent - recent % HOUR}
    rows_now = sum(rows for at, rows in sampled.items() if at >= lately)
    if sum(learnt.values()) < _LEARNT_ROWS or len(learnt) < _LEARNT_WINDOWS:
        return Drifting((), learnt=False)
    fields = _by_name(seen, recent - recent % HOUR, lately)
    open_ = _is_open(fields.values(), learnt)
    found: list[Drift] = []
    for name, one in sorted(fields.items()):
        if not one.learnt:
            if not open_ and one.recent >= _FEW_NEW:
                kind = max(one.kinds_now, key=lambda kind: one.kinds_now[kind])
                why = f"{one.recent} records have it; none of {sum(learnt.values()):,} before had"
                found.append(Drift(name, NEW, one.first_recent, why, now=kind))
        elif not one.lately:
            found += _missing(name, one, learnt, rows_now)
        else:
            found += _retyped(name, one)
    return Drifting(tuple(found), learnt=True, open=open_)


def _by_name(seen: Iterable[FieldSeen], recent: int, lately: int) -> dict[str, _Seen]:
    fields: dict[str, _Seen] = defaultdict(_Seen)
    for one in seen:
        known = fields[one.name]
        known.first, known.last = min(known.first, one.at), max(known.last, one.at)
        if one.at < recent:
            known.learnt[one.at] += one.rows
            known.kinds[one.kind] += one.rows
            continue
        known.recent += one.rows
        known.first_recent = min(known.first_recent, one.at)
        if one.at >= lately:
            known.lately += one.rows
            known.kinds_now[one.kind] += one.rows
        elif not known.learnt:
            known.kinds_now[one.kind] += one.rows
    return fields


def _is_open(fields: Iterable[_Seen], learnt: Mapping[int, int]) -> bool:
    """Say whether new names came on many days, after the first half of what was learnt."""
    days = sorted({at // DAY for at in learnt})
    later = frozenset(days[(len(days) + 1) // 2 :])
    if not later:
        return False
    with_new = {one.first // DAY for one in fields if one.learnt} & later
    return len(with_new) > _OPEN * len(later)


def _missing(name: str, one: _Seen, learnt: Mapping[int, int], rows: int) -> list[Drift]:
    shares = sorted(one.learnt.get(at, 0) / count for at, count in learnt.items() if count >= _WINDOW_ROWS)
    if not shares:
        return []
    usual = shares[math.floor(_LOW * len(shares))]
    if usual <= 0 or rows * math.log1p(-min(usual, 1 - 1e-9)) >= math.log(_CHANCE):
        return []
    kind = max(one.kinds, key=lambda kind: one.kinds[kind])
    why = f"none of the last {rows:,} records looked at has it; at least {usual:.0%} always had"
    return [Drift(name, MISSING, one.last + HOUR, why, before=kind)]


def _retyped(name: str, one: _Seen) -> list[Drift]:
    total, before = sum(one.kinds_now.values()), sum(one.kinds.values())
    for kind, count in one.kinds_now.items():
        if total >= _FEW_TYPED and count >= _MOST * total and one.kinds.get(kind, 0) < _NEVER * before:
            usual = max(one.kinds, key=lambda kind: one.kinds[kind])
            had = one.kinds.get(kind, 0)
            why = f"{count:,} of {total:,} values are of kind {kind}; before, {had:,} of {before:,} were"
            return [Drift(name, RETYPED, one.first_recent, why, before=usual, now=kind)]
    return []


def names(found: Sequence[Drift], change: str) -> list[str]:
    """Return the fields that changed in one way."""
    return [one.field for one in found if one.change == change]
