"""Compiled by Numba: values as they are written in JSON, to what they say, laid end to end."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import HIGH, ONES, at, copy, word, zeros

_ESCAPE = 92
_ESCAPES = np.uint64(0x5C5C5C5C5C5C5C5C)


@numba.njit(cache=True)
def _four(data: Any, place: int) -> int:
    """Read four hexadecimal digits, which are there."""
    number = 0
    for i in range(place, place + 4):
        byte = np.int64(at(data, i))
        number = number * 16 + (byte - 48 if byte < 58 else (byte | 32) - 87)
    return number


@numba.njit(cache=True)
def _letter(number: int, out: Any, used: int) -> int:
    """Write a letter in UTF-8; return up to where there is something now."""
    if number < 0x80:
        out[used] = number
        return used + 1
    if number < 0x800:
        out[used] = 0xC0 | (number >> 6)
        out[used + 1] = 0x80 | (number & 0x3F)
        return used + 2
    if number < 0x10000:
        out[used] = 0xE0 | (number >> 12)
        out[used + 1] = 0x80 | ((number >> 6) & 0x3F)
        out[used + 2] = 0x80 | (number & 0x3F)
        return used + 3
    out[used] = 0xF0 | (number >> 18)
    out[used + 1] = 0x80 | ((number >> 12) & 0x3F)
    out[used + 2] = 0x80 | ((number >> 6) & 0x3F)
    out[used + 3] = 0x80 | (number & 0x3F)
    return used + 4


@numba.njit(cache=True)
def one(data: int, size: int, out: Any, used: int) -> int:
    """Write from ``used`` on what a value says, which lies at an address and was found to be sound.

    Returns up to where there is something now; it never takes more than ``size``.
    """
    out_at = out.ctypes.data
    place = 0
    while place < size:
        begin = place
        while place < size:
            eight = word(data, place) ^ _ESCAPES
            found = (eight - ONES) & ~eight & HIGH
            if found:
                place += zeros(found) >> 3
                break
            place += 8
        place = min(place, size)
        used += copy(out_at + used, data + begin, place - begin)
        if place >= size:
            break
        kind = at(data, place + 1)
        place += 2
        if kind == 117:  # u
            number = _four(data, place)
            place += 4
            if 0xD800 <= number < 0xDC00:
                number = 0x10000 + ((number - 0xD800) << 10) + (_four(data, place + 2) - 0xDC00)
                place += 6
            used = _letter(number, out, used)
            continue
        if kind == 110:  # n
            kind = 10
        elif kind == 116:  # t
            kind = 9
        elif kind == 114:  # r
            kind = 13
        elif kind == 98:  # b
            kind = 8
        elif kind == 102:  # f
            kind = 12
        out[used] = kind
        used += 1
    return used


@numba.njit(cache=True)
def said(places: Any, sizes: Any, out: Any, ends: Any) -> int:
    """Write what values say, which lie at addresses and were found to be sound; note where each ends.

    ``out`` has room for the sizes together; returns how much of it is used.
    """
    used = 0
    for value in range(len(places)):
        used = one(places[value], sizes[value], out, used)
        ends[value] = used
    return used
