"""Keywords: what rules ask of the whole record. Records are long and hardly ever the same twice.

So nothing is remembered, and a sieve goes first: one pass of native code over the texts as they lie in
memory, for any literal of any keyword. Only the few records that have one are looked at closely.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import ahocorasick_rs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.detect.atoms import Atom
from lemnis.detect.field import Values

pc: Any = _compute
Rows = npt.NDArray[np.int64]


class Records:
    """The keyword atoms of one log source, ready to be matched."""

    def __init__(self, atoms: Sequence[tuple[int, Atom]]) -> None:
        """``atoms`` come with their numbers."""
        self._values = Values(atoms)
        self._sieve = _sieve([atom for _, atom in atoms])

    def hits(self, column: Any) -> dict[int, list[int]]:
        """Return for each atom that matches the rows that it matches."""
        texts = _texts(column)
        rows = self._likely(texts)
        found: dict[int, list[int]] = defaultdict(list)
        chosen = texts.take(pa.array(rows)).to_pylist()
        for row, numbers in zip(rows.tolist(), self._values.once(chosen), strict=True):
            for number in numbers:
                found[number].append(row)
        return found

    def _likely(self, texts: Any) -> Rows:
        """Return the rows that may match: where the sieve stops, and where case is not only ASCII's."""
        valid = texts.is_valid().to_numpy(zero_copy_only=False)
        if self._sieve is None or not len(texts):
            return np.flatnonzero(valid)
        other = pc.invert(pc.fill_null(pc.string_is_ascii(texts), True)).to_numpy(zero_copy_only=False)
        lower = pc.ascii_lower(texts)
        offsets = np.frombuffer(lower.buffers()[1], np.int32)[lower.offset : lower.offset + len(lower) + 1]
        data = lower.buffers()[2]
        if data is None:
            return np.flatnonzero(valid & other)
        blob = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]]
        marks = self._sieve.find_matches_as_indexes(blob)
        if marks:
            places = np.array(marks, np.int64)[:, 1:] + offsets[0]
            # a stop that lies across records may hide one in either of them
            first = np.searchsorted(offsets, places[:, 0], side="right") - 1
            last = np.searchsorted(offsets, places[:, 1], side="left") - 1
            for start, end in set(zip(first.tolist(), last.tolist(), strict=True)):
                other[start : end + 1] = True
        return np.flatnonzero(valid & other)


def _sieve(atoms: list[Atom]) -> Any:
    """Return an automaton that stops at some literal of each atom; None if one of them has none."""
    literals = set()
    for atom in atoms:
        texts = [part for part in atom.value if isinstance(part, str)] if atom.kind == "text" else []
        # ASCII only: what these match in a text of ASCII is what they match in its small letters
        plain = max(texts, key=len, default="").lower()
        if not plain:
            return None
        if plain.isascii():
            literals.add(plain.encode())
    if not literals:
        return None
    return ahocorasick_rs.BytesAhoCorasick(sorted(literals), matchkind=ahocorasick_rs.MatchKind.LeftmostFirst)


def _texts(column: Any) -> Any:
    """Return the records as one array of strings."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_binary(whole.type) or pa.types.is_large_binary(whole.type):
        return pa.array(
            [v if v is None else v.decode("utf-8", "replace") for v in whole.to_pylist()], pa.string()
        )
    return whole if pa.types.is_string(whole.type) else whole.cast(pa.string())
