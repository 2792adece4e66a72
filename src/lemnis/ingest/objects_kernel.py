"""Compiled by Numba: columns of texts to JSON objects, a row each, written where they will lie."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import at, copy, plain, quad

_QUOTE, _ESCAPE, _COMMA, _COLON, _OPEN, _CLOSE = 34, 92, 44, 58, 123, 125
_MOST, _AROUND = 6, 8
"""So many bytes a byte takes when it is escaped, and what stands around a value."""
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
def write(
    data: Any, places: Any, rows: Any, quoted: Any, keys: Any, sizes: Any, first: int, used: int,
    ends: Any, out: Any,
) -> tuple[int, int]:  # fmt: skip
    """Write objects row by row, from row ``first`` and byte ``used`` on, as far as there is room.

    Of member ``m`` there are addresses: of its bytes, of where each row's value begins and ends in them (32 bits
    each), of a byte a row that says whether to write it (no object has no member), and of its key in quotes,
    with its size. A value is JSON already unless it is to be ``quoted``. Returns up to which row there are
    objects and how many bytes they take; ``ends`` has where each ends.
    """
    start, room = out.ctypes.data, len(out)
    for row in range(first, len(ends)):
        begun = used
        for member in range(len(data)):
            if not at(rows[member], row):
                continue
            place = np.int64(quad(places[member], 4 * row))
            end = np.int64(quad(places[member], 4 * row + 4))
            if used + _MOST * (end - place) + sizes[member] + _AROUND > room:
                return row, begun
            out[used] = _COMMA if used > begun else _OPEN
            used += 1
            used += copy(start + used, keys[member], sizes[member])
            out[used] = _COLON
            used += 1
            if not quoted[member]:
                used += copy(start + used, data[member] + place, end - place)
                continue
            out[used] = _QUOTE
            used += 1
            while True:
                begin = place
                place = plain(data[member], place, end)
                used += copy(start + used, data[member] + begin, place - begin)
                if place >= end:
                    break
                byte = at(data[member], place)
                short = _short(byte)
                out[used] = _ESCAPE
                if short:
                    out[used + 1] = short
                    used += 2
                else:
                    out[used + 1] = 117
                    out[used + 2] = out[used + 3] = 48
                    out[used + 4], out[used + 5] = _HEX[byte >> 4], _HEX[byte & 15]
                    used += 6
                place += 1
            out[used] = _QUOTE
            used += 1
        if used > begun:
            out[used] = _CLOSE
            used += 1
        ends[row] = used
    return len(ends), used
