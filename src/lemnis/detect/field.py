"""Finds which atoms of one field a value matches: each distinct value is looked at once.

A handful of values is looked at one by one; more of them are laid end to end, and the automaton and RE2 go
over the whole without a call a value. Both ways say the same (a test holds them to it).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import ahocorasick_rs
import numpy as np
import pyarrow as pa

from lemnis.contracts.compiled import ready
from lemnis.contracts.detection import Joined
from lemnis.detect.atoms import MANY, ONE, Atom, fold
from lemnis.detect.columnwise import NOTHING, Pairs, Table, glob, searched
from lemnis.detect.compiler import regex
from lemnis.detect.literals import laid
from lemnis.detect.passes import Passes, passes
from lemnis.detect.questions import compared, in_network, number_of, timed

_REMEMBERED = 200_000
FEW = 8
"""Up to so many values are looked at one by one."""


class Values:
    """The atoms of one field that depend on a single value, ready to be matched."""

    def __init__(self, atoms: Sequence[tuple[int, Atom]]) -> None:
        """``atoms`` come with their numbers."""
        self.numbers = tuple(number for number, _ in atoms)
        self._atoms = tuple(atoms)
        self._searches: list[tuple[int, Atom, Any]] = []
        self._tests: list[tuple[int, Callable[[str], bool]]] = []
        self._numbers: dict[float, list[int]] = defaultdict(list)
        self._seen: dict[str, tuple[int, ...]] = {}
        for number, atom in atoms:
            self._add(number, atom)

    def _add(self, number: int, atom: Atom) -> None:
        if atom.kind == "re":
            self._searches.append((number, atom, regex(*atom.value)))
        elif atom.kind == "number":
            self._numbers[atom.value].append(number)
        elif atom.kind == "cidr":
            self._tests.append((number, in_network(atom.value)))
        elif atom.kind == "compare":
            self._tests.append((number, compared(*atom.value)))
        elif atom.kind == "part":
            self._tests.append((number, timed(*atom.value)))

    @cached_property
    def _folded(self) -> _Texts:
        return _Texts([one for one in self._atoms if one[1].kind == "text" and not one[1].cased])

    @cached_property
    def _cased(self) -> _Texts:
        return _Texts([one for one in self._atoms if one[1].kind == "text" and one[1].cased])

    def of_all(self, values: Sequence[str]) -> list[tuple[int, ...]]:
        """Return for each of several distinct values the numbers of the atoms that it matches."""
        seen = self._seen
        found = [seen.get(value) for value in values]
        places = [place for place, known in enumerate(found) if known is None]
        if not places:
            return found  # type: ignore[return-value]
        fresh = [values[place] for place in places] if len(places) < len(values) else list(values)
        made = self.once(fresh)
        if len(seen) + len(fresh) > _REMEMBERED:
            seen.clear()
        for place, value, known in zip(places, fresh, made, strict=True):
            found[place] = seen[value] = known
        return found  # type: ignore[return-value]

    def once(self, values: list[str]) -> list[tuple[int, ...]]:
        """Do the same without looking at what is remembered, or remembering."""
        if len(values) <= FEW:
            return [tuple(self._match(value)) for value in values]
        hits: list[list[int]] = [[] for _ in values]
        pairs = self.joined(laid(values)) if ready(len(values)) else self.pairs(values)
        for place, number in zip(*(some.tolist() for some in pairs), strict=True):
            hits[place].append(number)
        return [tuple(hit) for hit in hits]

    def pairs(self, values: list[str]) -> Pairs:
        """Return the same as places of values and numbers of atoms, without an order."""
        found = list(self._found(values))
        places, numbers = zip(*found, strict=True) if found else ((), ())
        return np.concatenate((NOTHING[0], *places)), np.concatenate((NOTHING[1], *numbers))

    def joined(self, values: Joined) -> Pairs:
        """Return the same for values that lie end to end; needs Numba."""
        return self._passes.pairs(values)

    @cached_property
    def _passes(self) -> Passes:
        asks = bool(self._tests or self._numbers)
        return passes(self._atoms, self._searches, self._tested if asks else None, self.pairs)

    def _found(self, values: list[str]) -> Iterator[Pairs]:
        if self._folded:
            yield from self._folded.scan([fold(value) for value in values])
        if self._cased:
            yield from self._cased.scan(values)
        if self._searches:
            column = pa.array(values, pa.string())
            for number, _, search in self._searches:
                yield _all(searched(column, values, search), number)
        yield from self._tested(values)

    def _tested(self, values: list[str]) -> Iterator[Pairs]:
        for number, test in self._tests:
            yield _all([place for place, value in enumerate(values) if test(value)], number)
        if self._numbers:
            read = [
                self._numbers.get(number) if number is not None else None for number in map(number_of, values)
            ]
            yield _each(read)

    def _match(self, value: str) -> set[int]:
        hit: set[int] = set()
        self._folded.match(fold(value), hit)
        self._cased.match(value, hit)
        hit.update(number for number, _, search in self._searches if search.search(value))
        self._test(value, hit)
        return hit

    def _test(self, value: str, hit: set[int]) -> None:
        hit.update(number for number, test in self._tests if test(value))
        if self._numbers:
            read = number_of(value)
            if read is not None:
                hit.update(self._numbers.get(read, ()))


class _Texts:
    """Patterns of one field and one way to see case."""

    def __init__(self, atoms: Sequence[tuple[int, Atom]]) -> None:
        """``atoms`` come with their numbers."""
        self._exact: dict[str, list[int]] = defaultdict(list)
        # literal -> (number, anchored at the start, anchored at the end, what verifies it)
        self._literals: dict[str, list[tuple[int, bool, bool, Any]]] = defaultdict(list)
        self._other: list[tuple[int, Any]] = []
        self._always: list[int] = []
        for number, atom in atoms:
            self._add(number, tuple(atom.value))

    def __bool__(self) -> bool:
        """Say whether there is any pattern."""
        return bool(self._exact or self._literals or self._other or self._always)

    def _add(self, number: int, parts: tuple[str | int, ...]) -> None:
        texts = [part for part in parts if isinstance(part, str)]
        if len(parts) == len(texts):
            self._exact["".join(texts)].append(number)
        elif parts == (MANY,):
            self._always.append(number)
        elif not texts:
            self._other.append((number, glob(parts)))
        elif len(texts) == 1 and ONE not in parts:
            self._literals[texts[0]].append((number, parts[0] != MANY, parts[-1] != MANY, None))
        else:
            self._literals[max(texts, key=len)].append((number, False, False, glob(parts)))

    @cached_property
    def _entries(self) -> list[list[tuple[int, bool, bool, Any]]]:
        return list(self._literals.values())

    @cached_property
    def _finder(self) -> Any:
        if not self._literals:
            return None
        return ahocorasick_rs.AhoCorasick(list(self._literals), matchkind=ahocorasick_rs.MatchKind.Standard)

    @cached_property
    def _table(self) -> Table | None:
        return Table(self._entries, list(self._literals)) if self._literals else None

    def match(self, value: str, hit: set[int]) -> None:
        """Add the numbers of the patterns that match a value, already folded where case does not count."""
        hit.update(self._exact.get(value, ()))
        hit.update(self._always)
        if self._finder is not None:
            length, entries = len(value), self._entries
            missed: set[int] = set()  # a literal may stand in a value thousands of times
            for which, start, end in self._finder.find_matches_as_indexes(value, overlapping=True):
                for number, at_start, at_end, verify in entries[which]:
                    if (
                        number in hit
                        or number in missed
                        or (at_start and start)
                        or (at_end and end != length)
                    ):
                        continue
                    if verify is None or verify.fullmatch(value):
                        hit.add(number)
                    else:
                        missed.add(number)
        hit.update(number for number, pattern in self._other if pattern.fullmatch(value))

    def scan(self, values: list[str]) -> Iterator[Pairs]:
        """Do the same for many values, already folded where case does not count."""
        if self._exact:
            yield _each(list(map(self._exact.get, values)))
        for number in self._always:
            yield _all(range(len(values)), number)
        for number, pattern in self._other:  # without a literal to look for
            yield _all([place for place, value in enumerate(values) if pattern.fullmatch(value)], number)
        if self._table is not None:
            yield self._table.find(values)


def _all(places: Sequence[int], number: int) -> Pairs:
    """Return that an atom matches at these places."""
    where = np.array(places, np.int64)
    return where, np.full(len(where), number, np.int64)


def _each(found: Sequence[list[int] | None]) -> Pairs:
    """Return what was found place by place."""
    pairs = [(place, number) for place, numbers in enumerate(found) if numbers for number in numbers]
    return np.array([place for place, _ in pairs], np.int64), np.array(
        [number for _, number in pairs], np.int64
    )
