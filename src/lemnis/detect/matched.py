"""Which fields a rule matched in: asked again, of the rows that alert only, by the matcher itself.

A rule's questions (its atoms) are asked as rules of their own over the rows that it matched, so what an alert
tells is never other than what the matcher found. A question is told if the rule holds by it: one of an
alternative that does not hold is not, and neither is what a ``not`` asks (it did not hold).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.contracts.alerts import MatchedField
from lemnis.contracts.detection import Frame, Match, Offers
from lemnis.detect.atoms import Atom, Expression, atoms_of
from lemnis.detect.explain import spell
from lemnis.detect.matcher import Matcher, evaluate
from lemnis.detect.suppress import spelled

MAX_FIELDS = 16
MAX_VALUE = 256
MAX_ASKS = 4
MAX_TEXT = 512
_RULES = 1024  # how many rules' questions are kept at hand
Told = dict[tuple[int, int], tuple[MatchedField, ...]]
"""What is told, by the row's place in the batch and the rule's in the matcher."""


class Asking(Protocol):
    """What is asked of a rule."""

    @property
    def expression(self) -> Expression:
        """The condition, over atoms."""
        ...


@dataclass(frozen=True, slots=True)
class _Question:
    """An atom as a rule for every log source."""

    expression: int
    logsource: tuple[None, None, None] = (None, None, None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A rule's questions, and what asks them."""

    atoms: tuple[int, ...]
    asks: tuple[str, ...]
    matcher: Matcher
    keywords: bool


class Matching:
    """Tells in which fields rules matched; ``rules`` and ``atoms`` are the matcher's."""

    def __init__(self, rules: Sequence[Asking], atoms: Sequence[Atom]) -> None:
        """Nothing is built before a rule matches."""
        self._rules = rules
        self._atoms = atoms
        self._asked: Callable[[int], _Asked] = lru_cache(maxsize=_RULES)(self._make)

    def of(self, frame: Frame, matches: Iterable[Match]) -> Told:
        """Return the fields of each row that a rule matched in this frame."""
        told: Told = {}
        for match in matches:
            asked = self._asked(match.rule)
            fields = self._told(match.rule, asked, frame, _places_of(frame, match))
            told.update(zip(((row, match.rule) for row in match.rows), fields, strict=True))
        return told

    def _make(self, rule: int) -> _Asked:
        numbers = tuple(dict.fromkeys(atoms_of(self._rules[rule].expression)))
        atoms = [self._atoms[number] for number in numbers]
        questions = [_Question(place) for place in range(len(atoms))]
        asks = tuple(spell(atom) for atom in atoms)
        return _Asked(numbers, asks, Matcher(questions, atoms), any(atom.field is None for atom in atoms))

    def _told(
        self, rule: int, asked: _Asked, frame: Frame, places: npt.NDArray[np.int64]
    ) -> Iterator[tuple[MatchedField, ...]]:
        """Yield what is told of each of the rows, which are places in the frame."""
        count = len(places)
        taken = pa.array(places, pa.int64())
        columns = _Taken(frame.columns, taken)
        records = frame.records.take(taken) if asked.keywords else pa.nulls(count, pa.string())
        rows = np.arange(count, dtype=np.int64)
        frame = Frame(frame.source, frame.origin, Offers(), columns, records, rows)
        held = {asked.atoms[match.rule]: _bits(match.rows) for match in asked.matcher.match(frame)}
        full = (1 << count) - 1
        why: dict[int, int] = {}
        _because(self._rules[rule].expression, held, full, full, why)
        signs = [0] * count  # for each row, the questions that are told of it
        for place, atom in enumerate(asked.atoms):
            if bits := why.get(atom, 0):
                for row in _places(bits, count):
                    signs[row] |= 1 << place
        plans = {sign: self._plan(asked, sign, columns) for sign in set(signs)}
        for row, sign in enumerate(signs):
            yield tuple(MatchedField(field, asks, shown[row]) for field, asks, shown in plans[sign])

    def _plan(self, asked: _Asked, sign: int, columns: _Taken) -> list[tuple[str, str, Sequence[str]]]:
        """Return what is told of rows of this sign: for each field the questions that held, and values."""
        by_field: dict[str, list[str]] = {}
        for place, atom in enumerate(asked.atoms):
            if sign >> place & 1:
                by_field.setdefault(self._atoms[atom].field or "", []).append(asked.asks[place])
        some = list(by_field.items())[:MAX_FIELDS]
        return [(field, _joined(asks), columns.shown(field)) for field, asks in some]


def _joined(asks: Sequence[str]) -> str:
    """Join what was asked of one field; what is beyond a few is counted."""
    more = f" and {len(asks) - MAX_ASKS} more" if len(asks) > MAX_ASKS else ""
    return _cut(" and ".join(asks[:MAX_ASKS]), MAX_TEXT) + more


def values(frame: Frame, match: Match, names: Sequence[str]) -> dict[tuple[int, int], tuple[str, ...]]:
    """Return the values of some fields at each row of a match, as they are compared."""
    columns = _Taken(frame.columns, pa.array(_places_of(frame, match), pa.int64()))
    none = [""] * len(match.rows)
    found = [none if (one := columns.get(name)) is None else map(spelled, one.to_pylist()) for name in names]
    return {(row, match.rule): told for row, told in zip(match.rows, zip(*found, strict=True), strict=True)}


class _Taken(Mapping[str, Any]):
    """Some rows of columns, each taken when it is asked for."""

    def __init__(self, columns: Mapping[str, Any], rows: pa.Array[Any]) -> None:
        self._columns = columns
        self._rows = rows
        self._made: dict[str, Any] = {}
        self._shown: dict[str, Sequence[str]] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a column's rows; raises KeyError for a field that no row has."""
        if name not in self._made:
            self._made[name] = self._columns[name].take(self._rows)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the columns."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Return how many columns there are."""
        return len(self._columns)

    def shown(self, name: str) -> Sequence[str]:
        """Return a column's values as they are told; empty ones if there is no such column."""
        if name not in self._shown:
            column = self.get(name)
            values = [None] * len(self._rows) if column is None else column.to_pylist()
            self._shown[name] = [_text(one) for one in values]
        return self._shown[name]


def _because(expression: Expression, held: dict[int, int], rows: int, full: int, why: dict[int, int]) -> None:
    """Note for each atom the rows, of those given, in which the expression holds by it."""
    if isinstance(expression, int):
        why[expression] = why.get(expression, 0) | rows
    elif expression[0] == "!":
        _against(expression[1], held, rows, full, why)
    else:
        for part in expression[1:]:
            if mine := rows & evaluate(part, held, full):
                _because(part, held, mine, full, why)


def _against(expression: Expression, held: dict[int, int], rows: int, full: int, why: dict[int, int]) -> None:
    """Note the same for an expression that does not hold: only what is denied twice is told."""
    if isinstance(expression, int):
        return
    if expression[0] == "!":
        _because(expression[1], held, rows, full, why)
        return
    for part in expression[1:]:
        if mine := rows & ~evaluate(part, held, full):
            _against(part, held, mine, full, why)


def _places_of(frame: Frame, match: Match) -> npt.NDArray[np.int64]:
    """Return where in the frame the rows of a match are."""
    order = np.argsort(frame.rows, kind="stable")
    rows = np.asarray(match.rows, dtype=np.int64)
    places: npt.NDArray[np.int64] = order[np.searchsorted(frame.rows, rows, sorter=order)]
    return places


def _bits(rows: Iterable[int]) -> int:
    places = np.fromiter(rows, dtype=np.int64)
    mask = np.zeros(int(places[-1]) + 1, dtype=bool)
    mask[places] = True
    return int.from_bytes(np.packbits(mask, bitorder="little").tobytes(), "little")


def _places(bits: int, count: int) -> list[int]:
    raw = np.frombuffer(bits.to_bytes((count + 7) // 8, "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(raw, bitorder="little", count=count)).tolist()


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return _cut(text, MAX_VALUE)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
