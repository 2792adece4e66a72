"""Keywords: what rules ask of the whole record. Records are long and hardly ever the same twice.

So nothing is remembered, and a sieve goes first: one pass of native code over the texts as they lie in
memory, for any literal of any keyword. Only the few records that have one are looked at closely.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import ahocorasick_rs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.detection import Frame, Lines
from lemnis.detect.atoms import Atom
from lemnis.detect.field import Values
from lemnis.detect.literals import WIDE, Sieve

pc: Any = _compute
Rows = npt.NDArray[np.int64]


class Records:
    """The keyword atoms of one log source, ready to be matched."""

    def __init__(self, atoms: Sequence[tuple[int, Atom]]) -> None:
        """``atoms`` come with their numbers."""
        self._values = Values(atoms)
        self._literals, self._foreign = _literals([atom for _, atom in atoms])

    @cached_property
    def _sieve(self) -> Any:
        """An automaton that stops at some literal of each atom; None if one of them has none."""
        if not self._literals:
            return None
        kind = ahocorasick_rs.MatchKind.LeftmostFirst
        return ahocorasick_rs.BytesAhoCorasick(sorted(self._literals), matchkind=kind)

    @cached_property
    def _fine(self) -> Sieve | None:
        """A compiled pass that does the same over texts where they lie; None if a literal is too short."""
        if min(map(len, self._literals), default=0) < WIDE:
            return None
        return Sieve(sorted(self._literals), foreign=self._foreign)

    def hits(self, frame: Frame) -> dict[int, list[int]]:
        """Return for each atom that matches the rows that it matches."""
        lines = frame.lines()
        if lines is not None and self._fine is not None:
            rows = np.flatnonzero(self._fine.likely(lines))
            chosen = _cut(lines, rows)
        else:
            texts = _texts(frame.records)
            rows = self._likely(texts)
            chosen = texts.take(pa.array(rows)).to_pylist()
        found: dict[int, list[int]] = defaultdict(list)
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


def _literals(atoms: list[Atom]) -> tuple[frozenset[bytes], bool]:
    """Return texts of which a record of ASCII has one if an atom matches it; none if that is not so.

    And whether some atom asks for what is not ASCII: all records that are not may match it.
    """
    literals, foreign = set(), False
    for atom in atoms:
        texts = [part for part in atom.value if isinstance(part, str)] if atom.kind == "text" else []
        # ASCII only: what these match in a text of ASCII is what they match in its small letters
        plain = max(texts, key=len, default="").lower()
        if not plain:
            return frozenset(), True
        if plain.isascii():
            literals.add(plain.encode())
        else:
            foreign = True
    return frozenset(literals), foreign


def _cut(lines: Lines, rows: Rows) -> list[str]:
    """Make texts of some of the lines."""
    places = zip(lines.starts[rows].tolist(), lines.ends[rows].tolist(), strict=True)
    held = memoryview(lines.data)  # type: ignore[arg-type]
    return [str(held[start:end], "utf-8") for start, end in places]


def _texts(column: Any) -> Any:
    """Return the records as one array of strings."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_binary(whole.type) or pa.types.is_large_binary(whole.type):
        return pa.array(
            [v if v is None else v.decode("utf-8", "replace") for v in whole.to_pylist()], pa.string()
        )
    return whole if pa.types.is_string(whole.type) else whole.cast(pa.string())
