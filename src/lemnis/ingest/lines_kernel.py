"""Compiled by Numba: bytes to lines, and lines laid end to end."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import HIGH, ONES, at, blank, copy, word, zeros

_NEWLINES = np.uint64(0x0A0A0A0A0A0A0A0A)


@numba.njit(cache=True, nogil=True)
def split(
    data: int, first: int, size: int, whole: bool, starts: Any, ends: Any, lines: Any
) -> tuple[int, int, int]:
    """Cut ``size`` bytes into lines: where each begins and ends, and how many went before it.

    Blank lines are counted and left out; the last line is left unless it has an end or this is the ``whole``.
    Returns how many lines are noted, how many there were, and up to where they go.
    """
    used, count, place = 0, 0, first
    while place < size and used < len(starts):
        begin = place
        while place + 8 <= size:
            eight = word(data, place) ^ _NEWLINES
            found = (eight - ONES) & ~eight & HIGH
            if found:
                place += zeros(found) >> 3
                break
            place += 8
        while place < size and at(data, place) != 10:
            place += 1
        if place >= size and not whole:
            return used, count, begin
        last = place - 1 if place > begin and at(data, place - 1) == 13 else place
        if blank(data, begin, last) < last:
            starts[used], ends[used], lines[used] = begin, last, count
            used += 1
        count += 1
        place += 1
    return used, count, min(place, size)


@numba.njit(cache=True, nogil=True)
def breaks(data: int, size: int, places: Any) -> int:
    """Note where newlines are, as far as there is room; return how many there are."""
    count, place = 0, 0
    while place + 8 <= size:
        eight = word(data, place) ^ _NEWLINES
        found = (eight - ONES) & ~eight & HIGH
        if not found:
            place += 8
            continue
        place += zeros(found) >> 3  # the lowest is always right
        if count < len(places):
            places[count] = place
        count += 1
        place += 1
    while place < size:
        if at(data, place) == 10:
            if count < len(places):
                places[count] = place
            count += 1
        place += 1
    return count


@numba.njit(cache=True, nogil=True)
def gather(data: int, starts: Any, ends: Any, out: Any) -> None:
    """Lay rows end to end."""
    to = out.ctypes.data
    for row in range(len(starts)):
        to += copy(to, data + starts[row], ends[row] - starts[row])
