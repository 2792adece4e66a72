"""Compiled by Numba: what was noted of the values of many records, to a column a field."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import copy
from lemnis.ingest.json_kernel import ESCAPED, KIND, LIST, PATH, ROW, START, STOP
from lemnis.ingest.values_kernel import one


@numba.njit(cache=True)
def sort(tape: Any, used: int, first: Any, order: Any) -> None:
    """Put values in order of their paths: those of path ``p`` are ``order[first[p]:first[p + 1]]``."""
    for i in range(used):
        first[tape[PATH, i] + 1] += 1
    for path in range(len(first) - 1):
        first[path + 1] += first[path]
    place = first[:-1].copy()
    for i in range(used):
        path = tape[PATH, i]
        order[place[path]] = i
        place[path] += 1


@numba.njit(cache=True, nogil=True)
def lay(data: int, tape: Any, order: Any, out: Any, ends: Any) -> None:
    """Lay what values say end to end, in this order; a list has no text yet."""
    used = np.int64(0)
    to = out.ctypes.data
    for i in range(len(order)):
        which = order[i]
        start, size = np.int64(tape[START, which]), np.int64(tape[STOP, which] - tape[START, which])
        if tape[KIND, which] == ESCAPED:
            used = one(data + start, size, out, used)
        elif tape[KIND, which] != LIST:
            used += copy(to + used, data + start, size)
        ends[i] = used


@numba.njit(cache=True, nogil=True)
def column(tape: Any, order: Any, ends: Any, first: int, last: int, offsets: Any, bits: Any) -> None:
    """Make the offsets and validity of the column whose values are ``order[first:last]``."""
    end = ends[first - 1] if first else 0
    row = 0
    for i in range(first, last):
        mine = tape[ROW, order[i]]
        while row <= mine:
            offsets[row] = end
            row += 1
        end = ends[i]
        bits[mine >> 3] |= np.uint8(1 << (mine & 7))
    while row < len(offsets):
        offsets[row] = end
        row += 1
