"""Compiled by Numba: columns of texts, as Arrow lays them, to others.

Of a column an inner function gets addresses: ``data`` of its bytes, ``places`` of where each text begins and ends
in them (32 bits each), and ``bits`` of which rows have a value, from bit ``shift`` on (0: all have).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import at, copy, quad

_BACKSLASH, _SLASH, _NEWLINE = 92, 47, 10


@numba.njit(cache=True, inline="always")
def _there(bits: int, place: int) -> bool:
    """Say whether a bit is set."""
    return bits == 0 or (at(bits, place >> 3) >> np.uint8(place & 7)) & np.uint8(1) != 0


@numba.njit(cache=True, nogil=True)
def take(data: int, places: int, bits: int, shift: int, rows: Any, ends: Any, valid: Any, out: Any) -> int:
    """Lay the texts of chosen rows end to end, and note where each ends; returns how many have a value.

    ``valid`` is all zeros, and becomes the new column's bits.
    """
    to, end, count = out.ctypes.data, np.int64(0), 0
    ends[0] = 0
    for i in range(len(rows)):
        row = rows[i]
        if _there(bits, shift + row):
            start = np.int64(quad(places, 4 * row))
            end += copy(to + end, data + start, np.int64(quad(places, 4 * row + 4)) - start)
            valid[i >> 3] |= np.uint8(1 << (i & 7))
            count += 1
        ends[i + 1] = end
    return count


@numba.njit(cache=True, nogil=True)
def either(
    data: int, places: int, bits: int, shift: int, other: int, other_places: int, other_bits: int,
    other_shift: int, count: int, ends: Any, valid: Any, out: Any,
) -> int:  # fmt: skip
    """Lay the texts of ``count`` rows end to end, those of an other column where there are none; see ``take``."""
    to, end, held = out.ctypes.data, np.int64(0), 0
    ends[0] = 0
    for row in range(count):
        source, where = np.int64(0), np.int64(0)
        if _there(bits, shift + row):
            source, where = data, places
        elif _there(other_bits, other_shift + row):
            source, where = other, other_places
        if where:
            start = np.int64(quad(where, 4 * row))
            end += copy(to + end, source + start, np.int64(quad(where, 4 * row + 4)) - start)
            valid[row >> 3] |= np.uint8(1 << (row & 7))
            held += 1
        ends[row + 1] = end
    return held


@numba.njit(cache=True, nogil=True)
def without(
    data: int, places: int, bits: int, shift: int, count: int, said: int, said_ends: Any, valid: Any
) -> int:
    """Note in ``valid`` which of ``count`` rows have a text that is none of those ``said``; return how many.

    ``said_ends`` has where each of those begins and ends, at the address ``said``.
    """
    longest = np.int64(0)
    for number in range(len(said_ends) - 1):
        longest = max(longest, np.int64(said_ends[number + 1] - said_ends[number]))
    kept = 0
    for row in range(count):
        if not _there(bits, shift + row):
            continue
        start = np.int64(quad(places, 4 * row))
        size = np.int64(quad(places, 4 * row + 4)) - start
        found = False
        if size <= longest:
            for number in range(len(said_ends) - 1):
                first = np.int64(said_ends[number])
                if said_ends[number + 1] - first != size:
                    continue
                same = 0
                while same < size and at(data, start + same) == at(said, first + same):
                    same += 1
                if same == size:
                    found = True
                    break
        if not found:
            valid[row >> 3] |= np.uint8(1 << (row & 7))
            kept += 1
    return kept


@numba.njit(cache=True, nogil=True)
def parted(
    data: int, places: int, bits: int, shift: int, count: int, last: bool, ends: Any, valid: Any, out: Any
) -> int:
    """Lay the ``last`` part of each path end to end, or what is before it; returns how many have one.

    Parts end with a slash or a backslash, the last with several or none. There is nothing before where there
    is none of these, or a line's end before the last of them.
    """
    to, end, kept = out.ctypes.data, np.int64(0), 0
    ends[0] = 0
    for row in range(count):
        if _there(bits, shift + row):
            start, stop = np.int64(quad(places, 4 * row)), np.int64(quad(places, 4 * row + 4))
            good = True
            if last:
                while stop > start and (at(data, stop - 1) == _BACKSLASH or at(data, stop - 1) == _SLASH):
                    stop -= 1
            place = stop
            while place > start and at(data, place - 1) != _BACKSLASH and at(data, place - 1) != _SLASH:
                place -= 1
            if last:
                start = place
            else:
                good, stop = place > start, place - 1
                for letter in range(start, stop):
                    good = good and at(data, letter) != _NEWLINE
            if good:
                end += copy(to + end, data + start, stop - start)
                valid[row >> 3] |= np.uint8(1 << (row & 7))
                kept += 1
        ends[row + 1] = end
    return kept
