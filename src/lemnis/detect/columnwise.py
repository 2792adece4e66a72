"""Many values at once: laid end to end, so that native code goes over them without a call a value."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import ahocorasick_rs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as _compute
import re2

from lemnis.detect.atoms import MANY, ONE

pc: Any = _compute
Entry = tuple[int, bool, bool, Any]
"""An atom's number, whether its literal stands at the start, at the end, and what verifies the value."""


Numbers = npt.NDArray[np.int64]
Pairs = tuple[Numbers, Numbers]
"""Places of values, and what was found there."""
NOTHING: Pairs = (np.empty(0, np.int64), np.empty(0, np.int64))


class Table:
    """The patterns that hold a literal, as arrays: literal -> which atoms, how anchored, what verifies."""

    def __init__(self, entries: list[list[Entry]], literals: list[str]) -> None:
        flat = [entry for several in entries for entry in several]
        self._first = np.cumsum([0, *(len(several) for several in entries)])
        self._numbers = np.array([entry[0] for entry in flat], np.int64)
        self._at_start = np.array([entry[1] for entry in flat], bool)
        self._at_end = np.array([entry[2] for entry in flat], bool)
        self._verify = [entry[3] for entry in flat]
        self._whole = np.array([entry[3] is None for entry in flat], bool)
        self._finder = ahocorasick_rs.BytesAhoCorasick([text.encode() for text in literals])

    def find(self, values: list[str]) -> Pairs:
        """Return the places of values and the numbers of the atoms that each matches, each pair once."""
        blob = "".join(values).encode()
        sizes = np.fromiter(map(len, values), np.int64, len(values))
        if int(sizes.sum()) != len(blob):
            sizes = np.fromiter((len(value.encode()) for value in values), np.int64, len(values))
        ends = np.cumsum(sizes)
        matches = self._finder.find_matches_as_indexes(blob, overlapping=True)
        if not matches:
            return NOTHING
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
        pairs = np.sort(places[fits] * len(self._numbers) + entries[fits])
        pairs = pairs[np.concatenate((pairs[:1] >= 0, pairs[1:] != pairs[:-1]))]
        places, entries = np.divmod(pairs, len(self._numbers))
        return self._verified(values, places, entries)

    def _verified(self, values: list[str], places: Numbers, entries: Numbers) -> Pairs:
        """Keep the pairs that hold: a pattern of several literals was found by one of them only."""
        holds = self._whole[entries]
        for pair in np.flatnonzero(~holds).tolist():
            verify = self._verify[entries[pair]]
            holds[pair] = verify.fullmatch(values[places[pair]]) is not None
        return places[holds], self._numbers[entries[holds]]


def searched(column: Any, values: list[str], search: Any) -> list[int]:
    """Return the places of the values that a search finds something in."""
    try:
        mask = pc.match_substring_regex(column, search.pattern)
    except pa.ArrowInvalid:  # Arrow's RE2 may use less memory than ours
        return [place for place, value in enumerate(values) if search.search(value)]
    places: list[int] = np.flatnonzero(mask.to_numpy(zero_copy_only=False)).tolist()
    return places


def glob(parts: Sequence[str | int]) -> Any:
    """Compile a pattern of texts, MANY and ONE, which must match all of a value."""
    forms = {MANY: ".*", ONE: "."}
    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    return re2.compile(
        "".join(re2.escape(part) if isinstance(part, str) else forms[part] for part in parts), options
    )
