"""Compiled by Numba: what lines give each row at each path, as cells, and cells to the columns of a batch.

A cell is a value and a size. Of a text the value is the address of its bytes; a number has the size 0; where
there is nothing the size is -1. Of an object only the size counts. A path has a cell for each row, side by side.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import at, copy, quad

_BACKSLASH, _SLASH, _NEWLINE, _ZERO, _NINE, _MINUS = 92, 47, 10, 48, 57, 45
# a step: the field and what is done to it; what that needs; its line; which texts count as absent; whether
# what cannot be read is left out
FIELD, OP, ARGUMENT, LINE, ABSENT, LENIENT, STEP = 0, 1, 2, 3, 4, 5, 6
COPY, LAST, BEFORE, UNTIL, BEHIND, ADDRESS, INTEGER, MAP_TEXT, MAP_NUMBER, TEXT, NUMBER = range(11)
# a job: rows, the cell of row 0, its steps, whether the field is kept where it is given word for word
START, END, BASE, FIRST, AFTER, KEEPS, JOB = 0, 1, 2, 3, 4, 5, 6
# what follows from cells: what is done, whose cells, of which others, what that needs, for how many rows
DO, WHOSE, OTHER, NEEDS, ROWS, FOLLOWS = 0, 1, 2, 3, 4, 5
HOLD, FILL, NAME, ENDING, ADD, KNOWN = 0, 1, 2, 3, 4, 5
# a column: the cell of row 0, how many rows, its kind, where its bits (0: no row is without a value), ends and
# data are written
CELL, COUNT, KIND, BITS, ENDS, DATA, COLUMN = 0, 1, 2, 3, 4, 5, 6
TEXTS, NUMBERS, OBJECTS, SINGLES = 0, 1, 2, 3
_FEW = 64


@numba.njit(cache=True, inline="always")
def _there(bits: int, place: int) -> bool:
    return bits == 0 or (at(bits, place >> 3) >> np.uint8(place & 7)) & np.uint8(1) != 0


@numba.njit(cache=True, inline="always")
def _equal(one: int, other: int, size: int) -> bool:
    place = 0
    while place < size and at(one, place) == at(other, place):
        place += 1
    return place == size


@numba.njit(cache=True, nogil=True)
def left(bits: Any, shifts: Any, order: Any, rest: Any) -> None:
    """Note which rows have which fields: ``rest[i, c]`` of the row ``order[i]``.

    Of a column whose bits are at -1 nothing is noted.
    """
    for i in range(len(order)):
        for c in range(len(bits)):
            if bits[c] >= 0:
                rest[i, c] = _there(bits[c], shifts[c] + order[i])


@numba.njit(cache=True)
def _number(data: int, size: int) -> tuple[int, bool, bool]:
    """Read a whole number, decimal or hexadecimal with 0x: it, whether it is one, whether it is written so."""
    place, negative = 0, False
    if size > 2 and at(data, 0) == _ZERO and (at(data, 1) | 32) == 120:
        if size > 17:
            return 0, False, False
        value = np.int64(0)
        for i in range(2, size):
            byte = at(data, i)
            if _ZERO <= byte <= _NINE:
                value = value * 16 + byte - _ZERO
            elif 97 <= (byte | 32) <= 102:
                value = value * 16 + (byte | 32) - 87
            else:
                return 0, False, False
        return value, True, False
    if size and at(data, 0) == _MINUS:
        negative, place = True, 1
    digits = size - place
    if digits < 1 or digits > 19:
        return 0, False, False
    first = at(data, place)
    if digits == 19 and not 49 <= first <= 56:
        return 0, False, False
    value = np.int64(0)
    for i in range(place, size):
        byte = at(data, i)
        if not _ZERO <= byte <= _NINE:
            return 0, False, False
        value = value * 10 + byte - _ZERO
    usual = first != _ZERO or (digits == 1 and not negative)
    return (-value if negative else value), True, usual


@numba.njit(cache=True)
def _last(data: int, size: int) -> tuple[int, int]:
    """Return where the last part of a path begins and ends; see ``columns_kernel.parted``."""
    stop = size
    while stop > 0 and (at(data, stop - 1) == _BACKSLASH or at(data, stop - 1) == _SLASH):
        stop -= 1
    place = stop
    while place > 0 and at(data, place - 1) != _BACKSLASH and at(data, place - 1) != _SLASH:
        place -= 1
    return place, stop


@numba.njit(cache=True)
def _before(data: int, size: int) -> int:
    """Return how much of a path is before its last part; -1 where nothing is, or a line ends in it."""
    place = size
    while place > 0 and at(data, place - 1) != _BACKSLASH and at(data, place - 1) != _SLASH:
        place -= 1
    if place == 0:
        return -1
    for letter in range(place - 1):
        if at(data, letter) == _NEWLINE:
            return -1
    return place - 1


@numba.njit(cache=True)
def _until(data: int, size: int, letter: int) -> int:
    """Return how much is before a letter; -1 where nothing is, or there is no such letter."""
    for place in range(size):
        if at(data, place) == letter:
            return place or -1
    return -1


@numba.njit(cache=True)
def _behind(data: int, size: int, letter: int) -> int:
    """Return where what is behind the first such letter begins, else all of it; -1 where a line ends in that."""
    begin = 0
    for place in range(size - 1):
        if at(data, place) == letter:
            begin = place + 1
            break
    for place in range(begin, size):
        if at(data, place) == _NEWLINE:
            return -1
    return begin if size else -1


@numba.njit(cache=True)
def _plain_address(data: int, size: int) -> bool:
    """Say whether a text is an IPv4 address as it is written as a rule."""
    part, digits, parts = 0, 0, 1
    for place in range(size):
        byte = at(data, place)
        if byte == 46:
            if not digits:
                return False
            parts += 1
            part, digits = 0, 0
        elif _ZERO <= byte <= _NINE:
            if digits and not part:  # begins with a zero
                return False
            part = part * 10 + byte - _ZERO
            digits += 1
            if part > 255:
                return False
        else:
            return False
    return parts == 4 and digits > 0


@numba.njit(cache=True)
def _absent(where: int, size: int, first: int, after: int, keys: Any, texts: Any, text_sizes: Any) -> bool:
    """Say whether a text is one of those that stand for nothing."""
    for a in range(first, after):
        key = keys[a]
        if text_sizes[key] == size and _equal(texts[key], where, size):
            return True
    return False


@numba.njit(cache=True, nogil=True)
def resolve(
    jobs: Any, steps: Any, lookup: Any, data: Any, places: Any, bits: Any, shifts: Any, order: Any,
    texts: Any, text_sizes: Any, absent: Any, keys: Any, items: Any, tables: Any,
    values: Any, sizes: Any, rest: Any, failed: Any,
) -> None:  # fmt: skip
    """Fill the cells of jobs: of each row the first value that its steps give.

    A step's field is column ``lookup[field]``, of which there are the addresses as in ``columns_kernel``; -1
    is none. ``absent`` has ranges of ``keys`` by set, ``tables`` ranges of ``keys`` and ``items`` by table;
    keys, and items of texts, are numbers of ``texts``. A value that is given as it is takes its field out of
    the row's ``rest``. A job with a value that a step cannot read, and may not leave out, has ``failed``.
    """
    live = np.empty(_FEW, np.int64)
    for j in range(len(jobs)):
        some = 0
        for k in range(jobs[j, FIRST], jobs[j, AFTER]):
            if steps[k, OP] >= TEXT or lookup[steps[k, FIELD]] >= 0:
                live[some] = k
                some += 1
        if not some:
            continue
        base, keeps = jobs[j, BASE], jobs[j, KEEPS]
        for i in range(jobs[j, START], jobs[j, END]):
            row, cell, done = order[i], base + i, np.int64(-1)
            for n in range(some):
                k = live[n]
                op = steps[k, OP]
                if op == TEXT:
                    values[cell], sizes[cell] = texts[steps[k, ARGUMENT]], text_sizes[steps[k, ARGUMENT]]
                    break
                if op == NUMBER:
                    values[cell], sizes[cell] = steps[k, ARGUMENT], 0
                    break
                if steps[k, LINE] == done:
                    continue
                c = lookup[steps[k, FIELD]]
                if not _there(bits[c], shifts[c] + row):
                    continue
                start = np.int64(quad(places[c], 4 * row))
                size = np.int64(quad(places[c], 4 * row + 4)) - start
                where = data[c] + start
                no, more = absent[steps[k, ABSENT], 0], absent[steps[k, ABSENT], 1]
                if _absent(where, size, no, more, keys, texts, text_sizes):
                    continue
                done = steps[k, LINE]
                if op == COPY:
                    values[cell], sizes[cell] = where, size
                    if keeps:
                        rest[i, c] = 0
                    break
                if op == UNTIL or op == BEHIND:
                    begin, end = np.int64(0), size
                    if op == UNTIL:
                        end = _until(where, size, steps[k, ARGUMENT])
                    else:
                        begin = _behind(where, size, steps[k, ARGUMENT])
                    if begin < 0 or end < 0:
                        continue
                    where, size = where + begin, end - begin
                    if _absent(where, size, no, more, keys, texts, text_sizes):
                        continue
                    values[cell], sizes[cell] = where, size
                    break
                if op == ADDRESS:
                    if _plain_address(where, size):
                        values[cell], sizes[cell] = where, size
                        if keeps:
                            rest[i, c] = 0
                        break
                    failed[j] = 1
                elif op == INTEGER:
                    number, good, usual = _number(where, size)
                    if good:
                        values[cell], sizes[cell] = number, 0
                        if keeps and usual:
                            rest[i, c] = 0
                        break
                    if not steps[k, LENIENT]:
                        failed[j] = 1
                elif op == LAST:
                    begin, end = _last(where, size)
                    values[cell], sizes[cell] = where + begin, end - begin
                    break
                elif op == BEFORE:
                    end = _before(where, size)
                    if end >= 0:
                        values[cell], sizes[cell] = where, end
                        break
                    if not steps[k, LENIENT]:
                        failed[j] = 1
                else:
                    table = steps[k, ARGUMENT]
                    found = np.int64(-1)
                    for m in range(tables[table, 0], tables[table, 1]):
                        key = keys[m]
                        if text_sizes[key] == size and _equal(texts[key], where, size):
                            found = m
                            break
                    if found >= 0:
                        if op == MAP_NUMBER:
                            values[cell], sizes[cell] = items[found], 0
                        else:
                            values[cell] = texts[items[found]]
                            sizes[cell] = text_sizes[items[found]]
                        break


@numba.njit(cache=True, nogil=True)
def follow(
    follows: Any, texts: Any, text_sizes: Any, keys: Any, items: Any, tables: Any, values: Any, sizes: Any,
    odd: Any,
) -> None:  # fmt: skip
    """Fill cells that follow from others, one after another.

    HOLD: an object is there where a part of it is. FILL: a number where the other is there and nothing is here.
    NAME: the text that a table has for the number (a key is the number itself). ENDING: the last part of the
    other's path where nothing is here, and the object ``NEEDS`` is there. ADD: the other's number and one more.
    KNOWN: ``odd`` says whether a number is not in a table.
    """
    for f in range(len(follows)):
        do, whose, other, needs = follows[f, DO], follows[f, WHOSE], follows[f, OTHER], follows[f, NEEDS]
        latest, found = np.int64(0), np.int64(-2)
        for r in range(follows[f, ROWS]):
            if do == HOLD:
                if sizes[other + r] >= 0:
                    sizes[whose + r] = 0
            elif do == FILL:
                if sizes[other + r] >= 0 and sizes[whose + r] < 0:
                    values[whose + r], sizes[whose + r] = needs, 0
            elif do == ADD:
                values[whose + r], sizes[whose + r] = values[other + r] + needs, sizes[other + r]
            elif do == ENDING:
                if sizes[whose + r] < 0 and sizes[needs + r] >= 0 and sizes[other + r] >= 0:
                    begin, end = _last(values[other + r], np.int64(sizes[other + r]))
                    values[whose + r], sizes[whose + r] = values[other + r] + begin, end - begin
            elif sizes[other + r] >= 0:
                number = values[other + r]
                if found == -2 or number != latest:
                    latest, found = number, np.int64(-1)
                    for m in range(tables[needs, 0], tables[needs, 1]):
                        if keys[m] == number:
                            found = m
                            break
                if do == KNOWN:
                    if found < 0:
                        odd[f] = 1
                elif found >= 0:
                    values[whose + r], sizes[whose + r] = texts[items[found]], text_sizes[items[found]]


@numba.njit(cache=True, nogil=True)
def measure(bases: Any, counts: Any, sizes: Any, held: Any, taken: Any) -> None:
    """Count for the cells from each base on how many have a value, and the bytes that these take."""
    for n in range(len(bases)):
        some, size = np.int64(0), np.int64(0)
        for cell in range(bases[n], bases[n] + counts[n]):
            if sizes[cell] >= 0:
                some += 1
                size += sizes[cell]
        held[n], taken[n] = some, size


@numba.njit(cache=True, nogil=True)
def lay(columns: Any, values: Any, sizes: Any, out: Any, numbers: Any, ends: Any) -> None:
    """Write columns as Arrow lays them.

    ``numbers`` and ``ends`` are the bytes of ``out`` as 64 and 32 bits; places are in bytes, and fit these.
    """
    to = out.ctypes.data
    for n in range(len(columns)):
        cell, count, kind = columns[n, CELL], columns[n, COUNT], columns[n, KIND]
        if columns[n, BITS]:
            place, byte = columns[n, BITS], np.uint8(0)
            for r in range(count):
                if sizes[cell + r] >= 0:
                    byte |= np.uint8(1 << (r & 7))
                if r & 7 == 7:
                    out[place] = byte
                    place += 1
                    byte = np.uint8(0)
            if count & 7:
                out[place] = byte
        if kind == TEXTS:
            place, first, end = columns[n, ENDS] >> 2, columns[n, DATA], np.int64(0)
            ends[place] = 0
            for r in range(count):
                if sizes[cell + r] > 0:
                    end += copy(to + first + end, values[cell + r], np.int64(sizes[cell + r]))
                ends[place + r + 1] = end
        elif kind == NUMBERS:
            place = columns[n, DATA] >> 3
            for r in range(count):
                numbers[place + r] = values[cell + r] if sizes[cell + r] >= 0 else 0
        elif kind == SINGLES:
            place = columns[n, ENDS] >> 2
            for r in range(count + 1):
                ends[place + r] = r
