"""Compiled by Numba: what was noted of the values of many records, to a column a field."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import at, blank, copy, plain
from lemnis.ingest.json_kernel import ESCAPED, KIND, LIST, PATH, ROW, START, STOP
from lemnis.ingest.values_kernel import one

_SHORT = 32
"""Bytes of a value that are sooner copied here than by a call."""
_SURE = 18
"""So many digits any whole number of 64 bits may have."""
_QUOTE, _COMMA, _MINUS, _LEFT = 34, 44, 45, 91


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
        for gap in range(begun[column], row + 1):
            offsets[column, gap] = place
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
        for gap in range(begun[column], offsets.shape[1]):
            offsets[column, gap] = places[column]


@numba.njit(cache=True, nogil=True)
def items(data: int, starts: Any, stops: Any, ends: Any, places: Any, out: Any) -> bool:
    """Lay what the items of lists say end to end; say whether these are all texts, whole numbers and the like.

    Lists were found to be sound. ``ends`` gets up to which item each list has gone, ``places`` where each item
    ends in ``out``; both begin with 0. A null is no item.
    """
    to, used, count = out.ctypes.data, np.int64(0), 0
    ends[0] = places[0] = 0
    for number in range(len(starts)):
        place, stop = np.int64(starts[number]) + 1, np.int64(stops[number]) - 1
        if at(data, place - 1) != _LEFT:  # an object
            return False
        while True:
            place = blank(data, place, stop)
            if place >= stop:
                break
            begun, byte = place, at(data, place)
            if byte == _QUOTE:
                escaped = False
                place = plain(data, begun + 1, stop)
                while at(data, place) != _QUOTE:
                    escaped = True
                    place = plain(data, place + 2, stop)
                if escaped:
                    used = one(data + begun + 1, place - begun - 1, out, used)
                else:
                    used += copy(to + used, data + begun + 1, place - begun - 1)
                place += 1
            else:
                number_begins = begun + 1 if byte == _MINUS else begun
                while place < stop and at(data, place) != _COMMA and at(data, place) > 32:
                    place += 1
                if byte == _MINUS or 48 <= byte <= 57:
                    if place - begun > _SURE or (at(data, number_begins) == 48 and place - begun > 1):
                        return False
                    for digit in range(number_begins, place):
                        if not 48 <= at(data, digit) <= 57:
                            return False
                elif byte != 116 and byte != 102 and byte != 110:  # true, false, null
                    return False
                if byte == 110:
                    count -= 1
                else:
                    used += copy(to + used, data + begun, place - begun)
            count += 1
            places[count] = used
            place = blank(data, place, stop)
            if place < stop:
                place += 1  # the comma
        ends[number + 1] = count
    return True
