"""Many values at once: laid end to end, so that native code goes over them without a call a value."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import ahocorasick_rs
import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute

pc: Any = _compute
Entry = tuple[int, bool, bool, Any]
"""An atom's number, whether its literal stands at the start, at the end, and what verifies the value."""


class Table:
    """The patterns that hold a literal, as arrays: literal -> which atoms, how anchored, what verifies."""

    def __init__(self, entries: list[list[Entry]], literals: list[str]) -> None:
        flat = [entry for several in entries for entry in several]
        self._first = np.cumsum([0, *(len(several) for several in entries)])
        self._numbers = [entry[0] for entry in flat]
        self._at_start = np.array([entry[1] for entry in flat], bool)
        self._at_end = np.array([entry[2] for entry in flat], bool)
        self._verify = [entry[3] for entry in flat]
        self._finder = ahocorasick_rs.BytesAhoCorasick([text.encode() for text in literals])

    def find(self, values: list[str]) -> Iterator[tuple[int, int, Any]]:
        """Yield the value's place, an atom's number, and what has to verify it, each pair once."""
        blob = "".join(values).encode()
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        if int(sizes.sum()) != len(blob):
            sizes = np.fromiter((len(value.encode()) for value in values), np.int64, len(values))
        ends = np.cumsum(sizes)
        matches = self._finder.find_matches_as_indexes(blob, overlapping=True)
        if not matches:
            return
        table = np.fromiter(chain.from_iterable(matches), np.int64, 3 * len(matches)).reshape(-1, 3)
        places = np.searchsorted(ends, table[:, 1], side="right")
        inside = table[:, 2] <= ends[places]
        table, places = table[inside], places[inside]
        counts = self._first[table[:, 0] + 1] - self._first[table[:, 0]]
        rows = np.repeat(np.arange(len(table)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        entries = self._first[table[rows, 0]] + within
        places = places[rows]
        fits = (~self._at_start[entries] | (table[rows, 1] == (ends - sizes)[places])) & (
            ~self._at_end[entries] | (table[rows, 2] == ends[places])
        )
        pairs = np.unique(places[fits] * len(self._numbers) + entries[fits])
        for place, entry in zip(*(part.tolist() for part in divmod(pairs, len(self._numbers))), strict=True):
            yield place, self._numbers[entry], self._verify[entry]


def searched(column: Any, values: list[str], search: Any) -> list[int]:
    """Return the places of the values that a search finds something in."""
    try:
        mask = pc.match_substring_regex(column, search.pattern)
    except pa.ArrowInvalid:  # Arrow's RE2 may use less memory than ours
        return [place for place, value in enumerate(values) if search.search(value)]
    places: list[int] = np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist()
    return places
