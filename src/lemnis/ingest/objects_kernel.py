"""Compiled by Numba: columns of texts to JSON objects, a row each, written where they will lie."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import at, copy, plain

_QUOTE, _ESCAPE = 34, 92
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


@numba.njit(cache=True, inline="always")
def _short(byte: int) -> int:
    """Return what stands behind the escape for a byte; 0 if it is written by its number."""
    if byte == _QUOTE or byte == _ESCAPE:
        return byte
    if byte == 10:
        return 110
    if byte == 13:
        return 114
    if byte == 9:
        return 116
    if byte == 8:
        return 98
    return 102 if byte == 12 else 0


@numba.njit(cache=True, nogil=True)
def measure(data: int, offsets: Any, rows: Any, quoted: bool, name: int, sizes: Any) -> None:
    """Add to ``sizes`` what a member takes in each of the ``rows``: its name of so many bytes and its value.

    The value of row ``r`` is ``data[offsets[r]:offsets[r + 1]]``, JSON already unless it is to be ``quoted``.
    """
    for row in rows:
        place, end = offsets[row], offsets[row + 1]
        size = np.int64(end - place) + name + 2
        if quoted:
            size += 2
            while True:
                place = plain(data, place, end)
                if place >= end:
                    break
                size += 1 if _short(at(data, place)) else 5
                place += 1
        sizes[row] += size


@numba.njit(cache=True, nogil=True)
def write(
    data: int, offsets: Any, rows: Any, quoted: bool, name: int, named: int, out: Any, places: Any
) -> None:
    """Write a member into the object of each of the ``rows``, and move its place on; see ``measure``.

    A comma goes before it; the object's brace is written over the first.
    """
    start = out.ctypes.data
    for row in rows:
        to = start + places[row]
        place, end = np.int64(offsets[row]), np.int64(offsets[row + 1])
        out[to - start] = 44
        to += 1
        to += copy(to, name, named)
        out[to - start] = 58
        to += 1
        if not quoted:
            places[row] = to + copy(to, data + place, end - place) - start
            continue
        out[to - start] = _QUOTE
        to += 1
        while True:
            begin = place
            place = plain(data, place, end)
            to += copy(to, data + begin, place - begin)
            if place >= end:
                break
            byte = at(data, place)
            short = _short(byte)
            out[to - start] = _ESCAPE
            if short:
                out[to - start + 1] = short
                to += 2
            else:
                out[to - start + 1] = 117
                out[to - start + 2] = out[to - start + 3] = 48
                out[to - start + 4], out[to - start + 5] = _HEX[byte >> 4], _HEX[byte & 15]
                to += 6
            place += 1
        out[to - start] = _QUOTE
        places[row] = to + 1 - start
