"""Compiled by Numba: one pass over JSON objects, which notes where the wanted fields have their values.

The pass takes what is plain: objects of strings, whole numbers, booleans and null, nested as deep as may be.
A row that is anything else where it matters (no JSON, a wanted field that is a list or a fraction, a field
that is there twice, an escape in a key) is *odd* and left to the slow, complete reader. So what is said here
of a row is what that reader says, only sooner.

Paths (field names, nested by their parents) and values are kept in open-addressed tables over arrays, from
batch to batch: a path has its number, a value of a field its code. A slot is believed only after its bytes
were compared, and looked for in a bounded number of places, so that chosen collisions cost nothing but speed.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import MIX2, at, blank, copy, hashed, plain, quad, same

MAX_DEPTH = 64
LONG = 1024
"""Values of more bytes are given a new code each time."""
MANY = 2048
"""A record of more members is left to the other reader."""
_PROBES = 32
_OBJECT, _ARRAY = 0, 1
_QUOTE, _ESCAPE, _COMMA, _COLON = 34, 92, 44, 58
_OPEN, _CLOSE, _LEFT, _RIGHT, _MINUS, _DOT, _ZERO, _NINE = 123, 125, 91, 93, 45, 46, 48, 57
# the words of JSON as they lie in memory
_TRUE, _ALSE, _NULL = np.uint32(0x65757274), np.uint32(0x65736C61), np.uint32(0x6C6C756E)

# what the tables keep count of
PATHS, KEY_BYTES, VALUES, VALUE_BYTES, STAMP = 0, 1, 2, 3, 4
# what is noted of a value: its row, its path, where it lies, and as what it is written
ROW, PATH, START, STOP, KIND = 0, 1, 2, 3, 4
PLAIN, ESCAPED, LIST = 0, 1, 2
# an entry of the values
HASH, PLACE, SIZE, CODE, FIELD, ENTRY = 0, 1, 2, 3, 4, 8


@numba.njit(cache=True, inline="always")
def _hex(data: Any, place: int, end: int) -> int:
    """Read four hexadecimal digits; -1 if they are not there."""
    if place + 4 > end:
        return -1
    number = 0
    for i in range(place, place + 4):
        byte = at(data, i)
        if 48 <= byte <= 57:
            number = number * 16 + byte - 48
        elif 97 <= byte <= 102:
            number = number * 16 + byte - 87
        elif 65 <= byte <= 70:
            number = number * 16 + byte - 55
        else:
            return -1
    return number


@numba.njit(cache=True)
def _string(data: Any, place: int, end: int) -> tuple[int, bool]:
    """Go on behind a string's end quote, from behind its first; (-1 if it is no string, whether it escapes)."""
    escaped = False
    while True:
        place = plain(data, place, end)
        if place >= end or at(data, place) < 32:
            return -1, escaped
        if at(data, place) == _QUOTE:
            return place + 1, escaped
        escaped = True
        if place + 1 >= end:
            return -1, escaped
        kind = at(data, place + 1)
        place += 2
        if kind == 117:  # u
            number = _hex(data, place, end)
            if number < 0 or 0xDC00 <= number < 0xE000:
                return -1, escaped
            place += 4
            if 0xD800 <= number < 0xDC00:
                if place + 2 > end or at(data, place) != _ESCAPE or at(data, place + 1) != 117:
                    return -1, escaped
                other = _hex(data, place + 2, end)
                if other < 0xDC00 or other >= 0xE000:
                    return -1, escaped
                place += 6
        elif not (
            kind == _QUOTE or kind == _ESCAPE or kind == 47 or kind == 98 or kind == 102
            or kind == 110 or kind == 114 or kind == 116
        ):  # fmt: skip
            return -1, escaped


_MOST_OF_19 = np.uint64(9_999_999_999_999_999_999)
"""What is written with twenty digits, of which the first is 1, is more than this unless 64 bits ran over."""


@numba.njit(cache=True)
def _number(data: Any, place: int, end: int) -> tuple[int, bool]:
    """Go on behind a number; (-1 where it is none or written oddly, whether it is a whole number)."""
    start = place
    if at(data, place) == _MINUS:
        place += 1
    first = place
    size = np.uint64(0)
    while place < end and _ZERO <= at(data, place) <= _NINE:
        size = size * np.uint64(10) + np.uint64(at(data, place) - _ZERO)
        place += 1
    digits = place - first
    if not digits or (digits > 1 and at(data, first) == _ZERO) or digits > 20:
        return -1, False
    if digits == 20 and (at(data, first) != _ZERO + 1 or size <= _MOST_OF_19 or first != start):
        return -1, False  # more than 64 bits hold
    if place < end and at(data, place) == _DOT:
        place += 1
        first = place
        while place < end and _ZERO <= at(data, place) <= _NINE:
            place += 1
        if place == first or place - start > 17:
            return -1, False
        whole = False
    else:  # not -0, which is 0, and not what is too small for 64 bits
        whole = first == start or np.uint64(0) < size <= np.uint64(9223372036854775808)
    if place < end and (at(data, place) == 69 or at(data, place) == 101):
        return -1, False
    return place, whole


@numba.njit(cache=True)
def _usual(data: Any, place: int, end: int) -> bool:
    """Say whether a fraction is written as everybody writes it: few digits, the last of them not for nothing."""
    if at(data, place) == _MINUS:
        place += 1
    if end - place > 16:
        return False
    zero = at(data, place) == _ZERO
    while place < end and at(data, place) != _DOT:
        place += 1
    if place == end:  # nothing is written as -0, and large numbers are written otherwise
        return False
    if at(data, end - 1) == _ZERO and end - place > 2:
        return False
    if not zero:
        return True
    first = at(data, place + 1)  # what is very small is written with an exponent, and nothing has two signs
    return first != _ZERO


@numba.njit(cache=True, inline="always")
def _path(
    data: Any, start: int, end: int, parent: int, seed: Any, counts: Any, slots: Any,
    hashes: Any, parents: Any, places: Any, sizes: Any, keys: Any, keys_at: int,
) -> int:  # fmt: skip
    """Return the number of a key below its parent, new or known; -1 if there is no room."""
    size = end - start
    found = hashed(data, start, end, seed ^ (np.uint64(parent) * MIX2))
    mask = len(slots) - 1
    slot = np.int64(found & np.uint64(mask))
    for _ in range(_PROBES):
        number = slots[slot]
        if number < 0:
            count = counts[PATHS]
            if count >= len(hashes) or counts[KEY_BYTES] + size + 8 > len(keys):
                return -1
            slots[slot] = count
            hashes[count], parents[count] = found, parent
            places[count], sizes[count] = counts[KEY_BYTES], size
            for i in range(size):
                keys[counts[KEY_BYTES] + i] = at(data, start + i)
            counts[KEY_BYTES] += size
            counts[PATHS] += 1
            return count
        if (
            hashes[number] == found
            and parents[number] == parent
            and sizes[number] == size
            and same(data, start, keys_at, places[number], size)
        ):
            return number
        slot = (slot + 1) & mask
    return -1


@numba.njit(cache=True, inline="always")
def _value(
    data: int, start: int, end: int, field: int, seed: Any, counts: Any, slots: Any,
    entries: Any, values: Any, values_at: int, next_code: Any, latest: Any,
) -> int:  # fmt: skip
    """Return the code of a field's value, new or known; -1 if there is no room. It is noted as the latest."""
    size = end - start
    count = counts[VALUES]
    if size > LONG:
        if count >= len(entries):
            return -1
        entries[count, PLACE], entries[count, FIELD] = -1 - start, field
        entries[count, SIZE], entries[count, CODE] = size, next_code[field]
        counts[VALUES] += 1
        next_code[field] += 1
        return next_code[field] - 1
    found = np.int64(hashed(data, start, end, seed ^ (np.uint64(field + 1) * MIX2)))
    mask = len(slots) - 1
    slot = found & mask
    for _ in range(_PROBES):
        number = slots[slot]
        if number < 0:
            if count >= len(entries) or counts[VALUE_BYTES] + size + 8 > len(values):
                return -1
            slots[slot] = count
            latest[field] = count
            entries[count, HASH], entries[count, PLACE] = found, counts[VALUE_BYTES]
            entries[count, FIELD], entries[count, SIZE] = field, size
            entries[count, CODE] = next_code[field]
            copy(values_at + counts[VALUE_BYTES], data + start, size)
            counts[VALUE_BYTES] += size
            counts[VALUES] += 1
            next_code[field] += 1
            return next_code[field] - 1
        if (
            entries[number, HASH] == found
            and entries[number, FIELD] == field
            and entries[number, SIZE] == size
            and same(data, start, values_at, entries[number, PLACE], size)
        ):
            latest[field] = number
            return entries[number, CODE]
        slot = (slot + 1) & mask
    return -1


@numba.njit(cache=True, nogil=True)
def scan(
    data: Any, starts: Any, ends: Any, seed: Any, counts: Any, field_of: Any, seen: Any,
    p_slots: Any, p_hashes: Any, p_parents: Any, p_places: Any, p_sizes: Any, keys: Any,
    v_slots: Any, entries: Any, values: Any, next_code: Any, after: Any, latest: Any, there: Any,
    tape: Any, keeping: int, out: Any, odd: Any, first: int, last: int,
) -> int:  # fmt: skip
    """Read the rows ``data[starts[r]:ends[r]]`` from ``first`` to before ``last``: ``out[field, r]`` is a code, or -1; ``odd[r]`` says why not.

    ``data`` has eight bytes more than the last row ends at. ``field_of`` gives each path its wanted field,
    or -1; new paths have none yet. Only fields that are ``there`` have their row in ``out``. Records of a
    kind are alike: ``after`` is the path that followed another, ``latest`` the value a field had, and both
    are tried first.

    If ``tape`` has room, every value that is not null is noted there instead, row by row: see its parts
    above; of the paths 1 to ``keeping`` objects are, too. Returns how many are.
    """
    taping, used = tape.shape[1] > 0, 0
    keys_at, values_at = keys.ctypes.data, values.ctypes.data
    kinds = np.empty(MAX_DEPTH + 1, np.int8)
    nodes = np.empty(MAX_DEPTH + 1, np.int64)
    lists = np.full(MAX_DEPTH + 1, -1, np.int64)
    for row in range(first, last):
        end = ends[row]
        place = blank(data, starts[row], end)
        counts[STAMP] += 1
        stamp = counts[STAMP]
        if place >= end or at(data, place) != _OPEN:
            odd[row] = True
            continue
        place += 1
        noted, members = used, 0
        depth, before = 0, 0
        kinds[0], nodes[0] = _OBJECT, 0
        fresh, good = True, True
        while True:
            place = blank(data, place, end)
            if place >= end:
                good = False
                break
            byte = at(data, place)
            if fresh and (
                (byte == _CLOSE and kinds[depth] == _OBJECT) or (byte == _RIGHT and kinds[depth] == _ARRAY)
            ):
                pass  # an empty one; it is closed below
            else:
                path, field = np.int64(-1), np.int64(-1)
                if kinds[depth] == _OBJECT:
                    if byte != _QUOTE:
                        good = False
                        break
                    start = place + 1
                    node = nodes[depth]
                    path = after[before] if node >= 0 else np.int64(-1)
                    if (
                        path >= 0
                        and p_parents[path] == node
                        and start + p_sizes[path] < end
                        and at(data, start + p_sizes[path]) == _QUOTE
                        and same(data, start, keys_at, p_places[path], p_sizes[path])
                    ):
                        place = start + p_sizes[path] + 1
                    else:
                        place, escaped = _string(data, start, end)
                        if place < 0 or (escaped and node >= 0):
                            good = False
                            break
                        if node >= 0:
                            path = _path(
                                data, start, place - 1, node, seed, counts, p_slots,
                                p_hashes, p_parents, p_places, p_sizes, keys, keys_at,
                            )  # fmt: skip
                            if path < 0:
                                good = False
                                break
                            after[before] = path
                    if node >= 0:
                        if seen[path] == stamp:
                            good = False
                            break
                        seen[path] = stamp
                        members += 1
                        if members > MANY:
                            good = False
                            break
                        before = path
                        field = field_of[path]
                    place = blank(data, place, end)
                    if place >= end or at(data, place) != _COLON:
                        good = False
                        break
                    place = blank(data, place + 1, end)
                    if place >= end:
                        good = False
                        break
                    byte = at(data, place)
                start, stop, code = place, place, -1
                kind = PLAIN
                if byte == _QUOTE:
                    start = place + 1
                    number = latest[field] if field >= 0 else np.int64(-1)
                    if (
                        number >= 0
                        and start + entries[number, SIZE] < end
                        and at(data, start + entries[number, SIZE]) == _QUOTE
                        and same(data, start, values_at, entries[number, PLACE], entries[number, SIZE])
                    ):
                        code = entries[number, CODE]
                        place = start + entries[number, SIZE] + 1
                    else:
                        place, escaped = _string(data, start, end)
                        kind = ESCAPED if escaped else PLAIN
                    if place < 0:
                        good = False
                        break
                    stop = place - 1
                elif byte == _OPEN or byte == _LEFT:
                    if depth + 1 >= MAX_DEPTH or (byte == _LEFT and field >= 0):
                        good = False
                        break
                    depth += 1
                    kinds[depth] = _OBJECT if byte == _OPEN else _ARRAY
                    nodes[depth] = path if byte == _OPEN else -1
                    lists[depth] = -1
                    if taping and path >= 0 and (byte == _LEFT or path <= keeping):
                        if used == tape.shape[1]:
                            good = False
                            break
                        lists[depth] = used
                        tape[ROW, used], tape[PATH, used], tape[KIND, used] = row, path, LIST
                        tape[START, used] = place
                        used += 1
                    place += 1
                    fresh = True
                    continue
                elif place + 4 <= end and quad(data, place) == _TRUE:
                    place += 4
                    stop = place
                elif byte == 102 and place + 5 <= end and quad(data, place + 1) == _ALSE:
                    place += 5
                    stop = place
                elif place + 4 <= end and quad(data, place) == _NULL:
                    place += 4
                    path, field = np.int64(-1), np.int64(-1)
                elif byte == _MINUS or _ZERO <= byte <= _NINE:
                    place, whole = _number(data, place, end)
                    if place < 0 or (
                        not whole
                        and (field >= 0 or (taping and path >= 0 and not _usual(data, start, place)))
                    ):
                        good = False
                        break
                    stop = place
                else:
                    good = False
                    break
                if taping and path >= 0:
                    if used == tape.shape[1]:
                        good = False
                        break
                    tape[ROW, used], tape[PATH, used], tape[KIND, used] = row, path, kind
                    tape[START, used], tape[STOP, used] = start, stop
                    used += 1
                if field >= 0:
                    if not there[field]:
                        there[field] = True
                        out[field, :] = -1
                    if out[field, row] >= 0:
                        good = False
                        break
                    if code < 0:
                        code = _value(
                            data, start, stop, field, seed, counts, v_slots, entries, values, values_at,
                            next_code, latest,
                        )  # fmt: skip
                    if code < 0:
                        good = False
                        break
                    out[field, row] = code
            fresh = False
            # behind a value: the next one, or the end of what it is in
            ended = False
            while True:
                place = blank(data, place, end)
                if place >= end:
                    good = False
                    break
                byte = at(data, place)
                place += 1
                if byte == _COMMA:
                    break
                if (byte == _CLOSE and kinds[depth] == _OBJECT) or (
                    byte == _RIGHT and kinds[depth] == _ARRAY
                ):
                    if depth == 0:
                        ended = True
                        break
                    if taping and lists[depth] >= 0:
                        tape[STOP, lists[depth]] = place
                    depth -= 1
                    continue
                good = False
                break
            if not good:
                break
            if ended:
                good = blank(data, place, end) >= end
                break
        odd[row] = not good
        if not good:
            used = noted
            for field in range(len(out)):
                if there[field]:
                    out[field, row] = -1
    return used
