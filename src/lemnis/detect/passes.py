"""Values as they lie end to end, to what they match: compiled passes where a value is ASCII.

The rest, and questions that are no texts, are asked value by value as ``field`` does; both say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.contracts.detection import Joined
from lemnis.detect.atoms import MANY, ONE, Atom
from lemnis.detect.columnwise import Numbers, Pairs, glob, searched
from lemnis.detect.literals import AT_END, AT_START, Entry, Exact, Finder, Mask, Parts, having, letters, small
from lemnis.detect.required import letters as letters_of
from lemnis.detect.required import required

Search = tuple[int, Atom, Any]
"""A number, the atom, and the search it asks for."""


class Texts:
    """Patterns of one way to see case, and texts that make it worth to search."""

    def __init__(
        self, patterns: Sequence[tuple[int, Parts]], hints: Sequence[tuple[int, bytes]] = ()
    ) -> None:
        """``patterns`` come with their numbers; so do ``hints``, which are texts that a value may have."""
        self._exact: dict[bytes, list[int]] = defaultdict(list)
        self._literals: dict[bytes, list[Entry]] = defaultdict(list)
        for number, parts in patterns:
            self._add(number, parts)
        for number, text in hints:
            self._literals[text].append(Entry(number))

    def _add(self, number: int, parts: Parts) -> None:
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(parts):
            self._exact["".join(texts).encode()].append(number)
        elif len(texts) == 1 and ONE not in parts:
            anchors = (parts[0] != MANY) * AT_START | (parts[-1] != MANY) * AT_END
            self._literals[texts[0].encode()].append(Entry(number, anchors))
        else:
            longest = max(texts, key=len)
            self._literals[longest.encode()].append(Entry(number, 0, parts))

    @cached_property
    def _finders(self) -> list[Finder | Exact]:
        finders: list[Finder | Exact] = [Finder(self._literals)] if self._literals else []
        return [*finders, Exact(self._exact)] if self._exact else finders

    def find(self, values: Joined, plain: Mask) -> Iterator[Pairs]:
        """Yield places of ``plain`` values and numbers of what they match or have; a pair may come twice."""
        for finder in self._finders:
            yield finder.find(values, plain)


@dataclass(frozen=True, slots=True)
class Passes:
    """What is asked of the values of one field."""

    folded: Texts
    cased: Texts
    always: tuple[int, ...]
    searches: tuple[Search, ...]
    unhinted: Mapping[int, str]
    wild: tuple[tuple[int, Any], ...]
    other: Callable[[list[str]], Iterator[Pairs]] | None
    slow: Callable[[list[str]], Pairs]

    def pairs(self, values: Joined) -> Pairs:
        """Return places of values and numbers of the atoms that they match, without an order, each once."""
        folded, plain = small(values)
        found = list(self._found(values, folded, plain))
        odd = np.flatnonzero(~plain)
        if len(odd):
            places, numbers = self.slow(values.texts(odd))
            found.append((odd[places], numbers))
        return (
            np.concatenate([places for places, _ in found] or [np.empty(0, np.int64)]),
            np.concatenate([numbers for _, numbers in found] or [np.empty(0, np.int64)]),
        )

    def _found(self, values: Joined, folded: Joined, plain: Mask) -> Iterator[Pairs]:
        hinted: list[Pairs] = []
        for places, numbers in self.folded.find(folded, plain):
            hits = numbers >= 0
            yield places[hits], numbers[hits]
            hinted.append((places[~hits], -1 - numbers[~hits]))
        yield from self.cased.find(values, plain)
        every = np.flatnonzero(plain)
        for number in self.always:
            yield every, np.full(len(every), number, np.int64)
        yield from self._searched(values, folded, plain, hinted)
        if (self.other is None and not self.wild) or not len(every):
            return
        texts = values.texts(every)
        for number, pattern in self.wild:
            matching = [place for place, text in enumerate(texts) if pattern.fullmatch(text)]
            yield every[matching], np.full(len(matching), number, np.int64)
        for places, numbers in self.other(texts) if self.other is not None else ():
            yield every[places], numbers

    def _searched(self, values: Joined, folded: Joined, plain: Mask, hinted: list[Pairs]) -> Iterator[Pairs]:
        """Search where there is what a search requires: a text, or else some letters."""
        places = np.concatenate([some for some, _ in hinted] or [np.empty(0, np.int64)])
        which = np.concatenate([some for _, some in hinted] or [np.empty(0, np.int64)])
        there = letters(folded) if self.unhinted else None
        everything: tuple[list[str], Any] | None = None
        for place, (number, _, search) in enumerate(self.searches):
            if there is None or place not in self.unhinted:
                mine = np.unique(places[which == place])
            else:
                mine = having(there, self.unhinted[place])
                mine = mine[plain[mine]]
            if not len(mine):
                continue
            if 2 * len(mine) > len(plain):  # most of them: then all, which are made once
                everything = everything or _column(values, np.arange(len(plain)))
                hits = np.array(searched(everything[1], everything[0], search), np.int64)
                hits = hits[plain[hits]]
            else:
                texts, column = _column(values, mine)
                hits = mine[searched(column, texts, search)]
            yield hits, np.full(len(hits), number, np.int64)


def _column(values: Joined, places: Numbers) -> tuple[list[str], Any]:
    texts = values.texts(places)
    return texts, pa.array(texts, pa.string())


def passes(
    atoms: Sequence[tuple[int, Atom]],
    searches: Sequence[Search],
    other: Callable[[list[str]], Iterator[Pairs]] | None,
    slow: Callable[[list[str]], Pairs],
) -> Passes:
    """Make passes for the atoms of one field, with their numbers.

    ``other``, if there is any, looks at ASCII texts for what no pass is made for; ``slow`` looks at other
    texts for everything.
    """
    texts: dict[bool, list[tuple[int, Parts]]] = {False: [], True: []}
    always, wild = [], []
    for number, atom in atoms:
        if atom.kind == "text":
            parts = tuple(part for part in atom.value if part != "")
            written = [part for part in parts if isinstance(part, str)]
            if parts == (MANY,):
                always.append(number)
            elif parts and not written:
                wild.append((number, glob(parts)))
            elif all(part.isascii() for part in written):
                texts[atom.cased].append((number, parts))
    hints: list[tuple[int, bytes]] = []
    unhinted: dict[int, str] = {}
    for place, (_, atom, _) in enumerate(searches):
        found = required(*atom.value)
        hints += [(-1 - place, text) for text in sorted(found)]
        if not found:
            unhinted[place] = letters_of(*atom.value)
    return Passes(
        Texts(texts[False], hints), Texts(texts[True]), tuple(always), tuple(searches), unhinted,
        tuple(wild), other, slow,
    )  # fmt: skip
