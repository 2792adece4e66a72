"""Columns of codes: a value is looked at when its code first comes by, and never again.

What it matches is kept by its code in arrays; a compiled pass over the codes of a frame sets the bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lemnis.contracts.detection import Coded, Dictionary
from lemnis.detect.field import Values


class Codes:
    """What is known of the values of one field, for the atoms that one plan asks of it."""

    def __init__(self, values: Values) -> None:
        """Nothing is known before a frame comes by."""
        self._values = values
        self._dictionary: Dictionary | None = None
        self._order = np.empty(0, np.int64)

    def hits(self, coded: Coded) -> dict[int, int]:
        """Return for each atom that some row's value matches the bitmap of those rows."""
        from lemnis.detect import codes_kernel as kernel  # noqa: PLC0415 - Numba loads when needed

        if coded.dictionary is not self._dictionary:
            self._begin(coded.dictionary)
        self._grow(coded.dictionary.size)
        new = kernel.fresh(coded.codes, self._first)
        if len(new):
            self._look(coded.dictionary, new)
        count, words = len(coded.codes), (len(coded.codes) + 63) // 64
        room = max(16, len(self._order))
        while True:
            bits, order = np.zeros((room, words), np.uint64), np.zeros(room, np.int64)
            used = kernel.invert(coded.codes, self._first, self._sizes, self._flat, self._local, bits, order)
            if used >= 0:
                break
            room *= 4
        size = (count + 7) // 8
        self._order = order[:used]
        return {
            atom: int.from_bytes(row.tobytes()[:size], "little")
            for atom, row in zip(self._atoms[order[:used]].tolist(), bits, strict=False)
        }

    def _begin(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary
        self._first = np.empty(0, np.int64)
        self._sizes = np.empty(0, np.int32)
        self._flat = np.empty(0, np.int32)
        self._used = 0
        self._atoms = np.array(sorted(self._values.numbers), np.int64)
        self._local = np.full(len(self._atoms), -1, np.int32)

    def _grow(self, size: int) -> None:
        """Make room for codes that are new; what is not known of them is -1."""
        if size > len(self._first):
            room = max(1024, 2 * size)
            self._first = np.concatenate((self._first, np.full(room - len(self._first), -1, np.int64)))
            self._sizes = np.concatenate((self._sizes, np.zeros(room - len(self._sizes), np.int32)))

    def _look(self, dictionary: Dictionary, new: npt.NDArray[np.int64]) -> None:
        """Look at values that are new."""
        places, numbers = self._values.joined(dictionary.joined(new))
        order = np.argsort(places, kind="stable")
        flat = np.searchsorted(self._atoms, numbers[order])
        sizes = np.bincount(places, minlength=len(new))
        self._first[new] = np.cumsum(sizes) - sizes + self._used
        self._sizes[new] = sizes
        if self._used + len(flat) > len(self._flat):
            more = np.empty(max(1024, 2 * (self._used + len(flat))), np.int32)
            more[: self._used] = self._flat[: self._used]
            self._flat = more
        self._flat[self._used : self._used + len(flat)] = flat
        self._used += len(flat)
