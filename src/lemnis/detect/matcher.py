"""The batch matcher: every rule over every row of a frame, without a loop over rows.

For each log source the rules that see it are gathered into a plan: their atoms by field, and for each rule
the atoms of which one must match. A frame's columns are dictionary-encoded, each distinct value is matched
once (and remembered), the hits become one bitmap a matched atom, and only rules whose needed atoms were hit
are evaluated over the bitmaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.detection import Frame, Match, Offers
from lemnis.detect.atoms import Atom, Expression, atoms_of, fold, needed
from lemnis.detect.codes import Codes
from lemnis.detect.field import Values
from lemnis.detect.records import Records

Rows = npt.NDArray[np.int64]
_PRESENCE = frozenset({"null", "exists"})


@dataclass(frozen=True, slots=True)
class _Column:
    """A column by its distinct values: the rows of value ``v`` are ``rows[start[v]:start[v + 1]]``."""

    values: list[str]
    start: Rows
    rows: Rows
    present: int


@dataclass(frozen=True, slots=True)
class _Asks:
    """What a rule asks of an event: fields whose values it looks at, and atoms of the other kinds."""

    valued: frozenset[str]
    presence: tuple[int, ...]
    keywords: tuple[int, ...]
    references: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The rules of one log source."""

    rules: frozenset[int]
    valued: frozenset[str]
    records: Records | None
    presence: dict[str, tuple[tuple[int, bool], ...]]
    references: tuple[tuple[int, Atom], ...]
    always: tuple[int, ...]
    fields: frozenset[str]


class Matcher:
    """Matches compiled rules; ``rules`` have ``logsource`` and ``expression`` over ``atoms``."""

    def __init__(self, rules: Sequence[Any], atoms: Sequence[Atom]) -> None:
        """Nothing is built before a log source is asked for."""
        self.rules = tuple(rules)
        self._atoms = atoms
        self._plans: dict[Offers, _Plan] = {}
        self._came: dict[Offers, _Plan] = {}
        self._values: dict[str, Values] = {}
        self._codes: dict[str, Codes] = {}

    @cached_property
    def _asked(self) -> dict[str, list[tuple[int, Atom]]]:
        """The atoms that look at values, by field, over all rules: most rules of a field share values."""
        found: dict[str, list[tuple[int, Atom]]] = defaultdict(list)
        for number, atom in enumerate(self._atoms):
            if atom.field is not None and atom.kind not in _PRESENCE and atom.kind != "field":
                found[atom.field].append((number, atom))
        return found

    @cached_property
    def _needed(self) -> list[frozenset[int] | None]:
        """For each rule the atoms of which one must match."""
        return [needed(rule.expression) for rule in self.rules]

    def _valued(self, name: str) -> Values:
        if name not in self._values:
            self._values[name] = Values(self._asked[name])
        return self._values[name]

    def _coded(self, name: str) -> Codes:
        if name not in self._codes:
            self._codes[name] = Codes(self._valued(name))
        return self._codes[name]

    @property
    def asked(self) -> frozenset[int]:
        """Which of the rules are for a log source that has come by."""
        return frozenset(rule for plan in self._came.values() for rule in plan.rules)

    def fields(self, offers: Offers) -> frozenset[str]:
        """Return the fields that the rules of log sources ask for."""
        return self._plan(offers).fields

    def match(self, frame: Frame) -> list[Match]:
        """Return what matched, by rule; a row is named by its place in the frame's batch."""
        plan, count = self._plan(frame.offers), len(frame)
        self._came[frame.offers] = plan
        if not plan.rules or not count:
            return []
        bitmaps = self._bitmaps(plan, frame, count)
        full = (1 << count) - 1
        candidates = set(plan.always)
        for atom in bitmaps:
            candidates.update(self._by_atom.get(atom, ()))
        found = []
        for rule in sorted(candidates & plan.rules):
            bits = evaluate(self.rules[rule].expression, bitmaps, full)
            if bits:
                found.append(Match(rule, frame.rows[_places(bits, count)].tolist()))
        return found

    def _bitmaps(self, plan: _Plan, frame: Frame, count: int) -> dict[int, int]:
        bitmaps: dict[int, int] = {}
        present: dict[str, int] = {}
        for name in plan.fields:
            coded = frame.coded(name)
            if coded is not None:
                present[name] = _mask(coded.codes >= 0)
                if name in plan.valued:
                    bitmaps.update(self._coded(name).hits(coded))
            elif (array := frame.columns.get(name)) is not None:
                column = _column(array, count)
                present[name] = column.present
                if name in plan.valued:
                    _match_values(self._valued(name), column, count, bitmaps)
        if plan.records is not None:
            for atom, rows in plan.records.hits(frame).items():
                bitmaps[atom] = _bits(np.array(rows, dtype=np.int64), count)
        others = chain(_present(plan, present, count), _references(plan, present, frame, count))
        return bitmaps | {atom: bits for atom, bits in others if bits}

    def _plan(self, offers: Offers) -> _Plan:
        plan = self._plans.get(offers)
        if plan is None:
            plan = self._plans[offers] = self._make(offers)
        return plan

    @cached_property
    def _asks(self) -> list[_Asks]:
        """What each rule asks of an event, whatever its log source."""
        return [self._asks_of(rule.expression) for rule in self.rules]

    def _asks_of(self, expression: Expression) -> _Asks:
        valued: set[str] = set()
        presence, keywords, references = [], [], []
        for number in set(atoms_of(expression)):
            atom = self._atoms[number]
            if atom.field is None:
                keywords.append(number)
            elif atom.kind in _PRESENCE:
                presence.append(number)
            elif atom.kind == "field":
                references.append(number)
            else:
                valued.add(atom.field)
        return _Asks(frozenset(valued), tuple(presence), tuple(keywords), tuple(references))

    @cached_property
    def _by_atom(self) -> dict[int, list[int]]:
        """The rules that an atom is needed for, of which one must match."""
        found: dict[int, list[int]] = defaultdict(list)
        for rule, need in enumerate(self._needed):
            for number in need or ():
                found[number].append(rule)
        return dict(found)

    def _make(self, offers: Offers) -> _Plan:
        sees = {logsource: offers.serves(*logsource) for logsource in {rule.logsource for rule in self.rules}}
        mine = [i for i, rule in enumerate(self.rules) if sees[rule.logsource]]
        asks = [self._asks[i] for i in mine]
        valued = frozenset().union(*(one.valued for one in asks))
        presence: dict[str, list[tuple[int, bool]]] = defaultdict(list)
        for number in sorted({number for one in asks for number in one.presence}):
            atom = self._atoms[number]
            presence[str(atom.field)].append((number, atom.kind == "exists" and bool(atom.value)))
        keywords, references = (
            [(number, self._atoms[number]) for number in sorted({n for some in several for n in some})]
            for several in ((one.keywords for one in asks), (one.references for one in asks))
        )
        compared = {str(name) for _, atom in references for name in (atom.field, atom.value[0])}
        return _Plan(
            rules=frozenset(mine),
            valued=valued,
            records=Records(keywords) if keywords else None,
            presence={name: tuple(asked) for name, asked in presence.items()},
            references=tuple(references),
            always=tuple(i for i in mine if self._needed[i] is None),
            fields=frozenset({*valued, *presence, *compared}),
        )


def evaluate(expression: Expression, bitmaps: dict[int, int], full: int) -> int:
    """Evaluate an expression over bitmaps; an atom without one matched nothing."""
    if isinstance(expression, int):
        return bitmaps.get(expression, 0)
    sign = expression[0]
    if sign == "&":
        bits = full
        for part in expression[1:]:
            bits &= evaluate(part, bitmaps, full)
            if not bits:
                break
        return bits
    if sign == "|":
        bits = 0
        for part in expression[1:]:
            bits |= evaluate(part, bitmaps, full)
            if bits == full:
                break
        return bits
    return full & ~evaluate(expression[1], bitmaps, full)


def _column(array: Any, count: int) -> _Column:
    """Encode a column: distinct values, and for each the rows that have it (one of it, in a list)."""
    whole: Any = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    owner: Rows | None = None
    if pa.types.is_list(whole.type) or pa.types.is_large_list(whole.type):
        owner = pc.list_parent_indices(whole).to_numpy().astype(np.int64)
        whole = pc.list_flatten(whole)
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.combine_chunks()
    if not pa.types.is_dictionary(whole.type):
        whole = pc.dictionary_encode(whole.cast(pa.string()))
    codes = pc.fill_null(whole.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.argsort(codes, kind="stable")
    start = np.searchsorted(codes[order], np.arange(len(whole.dictionary) + 1))
    rows = order if owner is None else owner[order]
    return _Column(whole.dictionary.to_pylist(), start, rows, _bits(rows[start[0] :], count))


def _present(plan: _Plan, present: dict[str, int], count: int) -> Iterator[tuple[int, int]]:
    """Yield the atoms that ask whether a field is there, with their rows."""
    full = (1 << count) - 1
    for name, asked in plan.presence.items():
        there = present.get(name, 0)
        for atom, wanted in asked:
            yield atom, there if wanted else full & ~there


def _references(plan: _Plan, present: dict[str, int], frame: Frame, count: int) -> Iterator[tuple[int, int]]:
    """Yield the atoms that compare two fields, with their rows."""
    for number, reference in plan.references:
        yield number, _referenced(reference, present, frame, count)


def _match_values(values: Values, column: _Column, count: int, bitmaps: dict[int, int]) -> None:
    hits: dict[int, list[int]] = defaultdict(list)
    for place, found in enumerate(values.of_all(column.values)):
        for atom in found:
            hits[atom].append(place)
    start, rows = column.start, column.rows
    for atom, places in hits.items():
        if len(places) == 1:
            mine = rows[start[places[0]] : start[places[0] + 1]]
        else:
            mine = np.concatenate([rows[start[p] : start[p + 1]] for p in places])
        bitmaps[atom] = _bits(mine, count)


def _bits(rows: Rows, count: int) -> int:
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    return _mask(mask)


def _mask(mask: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")


def _places(bits: int, count: int) -> Rows:
    raw = np.frombuffer(bits.to_bytes((count + 7) // 8, "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(raw, bitorder="little", count=count))


def _referenced(atom: Atom, present: dict[str, int], frame: Frame, count: int) -> int:
    """Compare two fields row by row: rules that do so are few."""
    other, starts, ends = atom.value
    if atom.field is None or atom.field not in present or other not in present:
        return 0
    mine, theirs = (_lists(frame.columns[name]) for name in (atom.field, other))
    rows = [row for row in range(count) if _refers(mine[row], theirs[row], starts=starts, ends=ends)]
    return _bits(np.array(rows, dtype=np.int64), count)


def _lists(array: Any) -> list[list[str]]:
    return [
        [fold(str(one)) for one in (value if isinstance(value, list) else [value]) if one is not None]
        for value in array.to_pylist()
    ]


def _refers(mine: list[str], theirs: list[str], *, starts: bool, ends: bool) -> bool:
    for value in mine:
        for other in theirs:
            if starts and ends:
                held = other in value
            elif starts:
                held = value.startswith(other)
            else:
                held = value.endswith(other) if ends else value == other
            if held:
                return True
    return False
