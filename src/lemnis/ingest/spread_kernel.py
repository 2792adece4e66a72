"""Compiled by Numba: what was noted of the values of many records, to a column a field."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import copy
from lemnis.ingest.json_kernel import ESCAPED, KIND, LIST, PATH, ROW, START, STOP
from lemnis.ingest.values_kernel import one

_SHORT = 32
"""Bytes of a value that are sooner copied here than by a call."""


@numba.njit(cache=True, nogil=True)
def measure(tape: Any, used: int, counts: Any, sizes: Any) -> None:
    """Count the values of each path, and the bytes that they take as they are written."""
    for i in range(used):
        path = tape[PATH, i]
        counts[path] += 1
        sizes[path] += np.int64(tape[STOP, i] - tape[START, i])


@numba.njit(cache=True, nogil=True)
def lay(data: int, tape: Any, used: int, number: Any, places: Any, out: Any, offsets: Any, bits: Any) -> None:
    """Lay what the values of each path say end to end; a list has no text yet.

    ``number`` gives a path its column, and ``places`` a column where its texts begin in ``out``, with room for
    eight bytes more than they take; row by row it is noted in ``offsets`` where a text begins, and in ``bits``
    whether there is one. Values come in order of their rows, so they are read where they lie, once.
    """
    to = out.ctypes.data
    begun = np.zeros(len(places), np.int32)
    for i in range(used):
        column, row = number[tape[PATH, i]], tape[ROW, i]
        start, size = np.int64(tape[START, i]), np.int64(tape[STOP, i] - tape[START, i])
        place = places[column]
        for blank in range(begun[column], row + 1):
            offsets[column, blank] = place
        begun[column] = row + 1
        bits[column, row >> 3] |= np.uint8(1 << (row & 7))
        kind = tape[KIND, i]
        if kind == ESCAPED:
            places[column] = one(data + start, size, out, place)
        elif kind != LIST:
            if size <= _SHORT:
                for eight in range(0, size, 8):
                    copy(to + place + eight, data + start + eight, 8)
            else:
                copy(to + place, data + start, size)
            places[column] = place + size
    for column in range(len(places)):
        for blank in range(begun[column], offsets.shape[1]):
            offsets[column, blank] = places[column]
