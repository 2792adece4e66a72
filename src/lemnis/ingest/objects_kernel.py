"""Compiled by Numba: columns of texts to JSON objects, a row each, written where they will lie."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import at, copy, plain, quad, word

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


@numba.njit(cache=True, inline="always")
def _member(
    data: int, place: int, end: int, quoted: bool, key: int, size: int, fresh: bool, used: int, out: Any
) -> int:
    """Write a member from byte ``used`` on, the first of its object or not; return up to where it goes."""
    start = out.ctypes.data
    out[used] = _OPEN if fresh else _COMMA
    used += 1
    used += copy(start + used, key, size)
    out[used] = _COLON
    used += 1
    if not quoted:
        return used + copy(start + used, data + place, end - place)
    out[used] = _QUOTE
    used += 1
    while True:
        begin = place
        place = plain(data, place, end)
        used += copy(start + used, data + begin, place - begin)
        if place >= end:
            break
        byte = at(data, place)
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
    return used + 1


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
    room = len(out)
    for row in range(first, len(ends)):
        begun = used
        for member in range(len(data)):
            if not at(rows[member], row):
                continue
            place = np.int64(quad(places[member], 4 * row))
            end = np.int64(quad(places[member], 4 * row + 4))
            if used + _MOST * (end - place) + sizes[member] + _AROUND > room:
                return row, begun
            used = _member(
                data[member],
                place,
                end,
                quoted[member],
                keys[member],
                sizes[member],
                used == begun,
                used,
                out,
            )
        if used > begun:
            out[used] = _CLOSE
            used += 1
        ends[row] = used
    return len(ends), used


@numba.njit(cache=True, nogil=True)
def write_rest(
    data: Any, places: Any, order: Any, ordered: Any, rest: Any, quoted: Any, keys: Any, sizes: Any,
    first: int, used: int, ends: Any, out: Any,
) -> tuple[int, int]:  # fmt: skip
    """Do the same of rows that lie in another order.

    Object ``i`` is of row ``order[i]``, but of members that are ``ordered`` already; ``rest[i, m]`` says whether
    to write member ``m``, and has eight of them to a word.
    """
    room, words, at_rest = len(out), rest.shape[1] >> 3, rest.ctypes.data
    for i in range(first, len(ends)):
        begun = used
        for eight in range(words):
            if word(at_rest, (i * words + eight) << 3) == 0:
                continue
            for member in range(eight << 3, (eight << 3) + 8):
                if not rest[i, member]:
                    continue
                row = i if ordered[member] else order[i]
                place = np.int64(quad(places[member], 4 * row))
                end = np.int64(quad(places[member], 4 * row + 4))
                if used + _MOST * (end - place) + sizes[member] + _AROUND > room:
                    return i, begun
                used = _member(
                    data[member], place, end, quoted[member], keys[member], sizes[member], used == begun,
                    used, out,
                )  # fmt: skip
        if used > begun:
            out[used] = _CLOSE
            used += 1
        ends[i] = used
    return len(ends), used
