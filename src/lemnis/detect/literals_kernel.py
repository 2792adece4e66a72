"""Compiled by Numba: many literals looked for in many values, and in long lines, in one pass each.

Every literal is known by a window of a few of its bytes. A bit for each window's hash says whether it is worth
to look closer, so that a byte that begins nothing costs a shift and a bit.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from lemnis.contracts.bytes_kernel import HIGH, at, hashed, quad, same, word
from lemnis.detect.literals import ANY, RUN, WIDE

_MIX = np.uint32(0x9E3779B1)
_CASE = np.uint32(0x20202020)


@numba.njit(cache=True, nogil=True)
def small(data: Any, ends: Any, out: Any, plain: Any) -> None:
    """Write a blob in small letters, and say which of its values are ASCII (of others it is not all)."""
    for i in range(len(out)):
        byte = data[i]
        out[i] = byte | np.uint8(32) if np.uint8(65) <= byte <= np.uint8(90) else byte
    start = 0
    for value in range(len(ends)):
        end = ends[value]
        high = np.uint8(0)
        for i in range(start, end):
            high |= data[i]
        plain[value] = high < np.uint8(128)
        start = end


@numba.njit(cache=True, nogil=True)
def letters(data: Any, ends: Any, out: Any) -> None:
    """Note which letters of ASCII each value has: letter ``c`` is bit ``c & 63`` of ``out[value, c >> 6]``."""
    start = 0
    for value in range(len(ends)):
        low, high = np.uint64(0), np.uint64(0)
        for i in range(start, ends[value]):
            byte = data[i]
            bit = np.uint64(1) << np.uint64(byte & np.uint8(63))
            if byte & np.uint8(64):
                high |= bit
            else:
                low |= bit
        out[value, 0], out[value, 1] = low, high
        start = ends[value]


@numba.njit(cache=True, inline="always")
def _slot(key: Any, bits: int) -> Any:
    return np.uint64(np.uint32(np.uint32(key) * _MIX) >> np.uint32(32 - bits))


@numba.njit(cache=True, inline="always")
def _marked(marks: Any, slot: Any) -> Any:
    return (marks[slot >> np.uint64(6)] >> (slot & np.uint64(63))) & np.uint64(1)


@numba.njit(cache=True)
def index(keys: Any, bits: int, first: Any, order: Any, marks: Any) -> None:
    """Lay windows into their slots: those of slot ``s`` are ``order[first[s]:first[s + 1]]``."""
    for key in keys:
        first[_slot(key, bits) + np.uint64(1)] += 1
    for slot in range(1 << bits):
        first[slot + 1] += first[slot]
    used = np.zeros(1 << bits, np.int32)
    for number in range(len(keys)):
        slot = np.int64(_slot(keys[number], bits))
        order[first[slot] + used[slot]] = number
        used[slot] += 1
        marks[slot >> 6] |= np.uint64(1) << np.uint64(slot & 63)


@numba.njit(cache=True)
def _globbed(data: Any, place: int, end: int, pattern: Any, first: int, last: int) -> bool:
    """Say whether a pattern with ``*`` and ``?`` matches all of a value."""
    at_, star, mark = first, -1, place
    while place < end:
        if at_ < last and pattern[at_] == RUN:
            star, mark = at_, place
            at_ += 1
        elif at_ < last and (pattern[at_] == ANY or pattern[at_] == at(data, place)):
            at_ += 1
            place += 1
        elif star >= 0:
            mark += 1
            at_, place = star + 1, mark
        else:
            return False
    while at_ < last and pattern[at_] == RUN:
        at_ += 1
    return at_ == last


@numba.njit(cache=True)
def _note(
    data: int, begin: int, end: int, left: int, right: int, value: int, seen: int, first: int, last: int,
    anchors: Any, glob_first: Any, globs: Any, stamps: Any, found: Any, used: int,
) -> int:  # fmt: skip
    """Note the entries of a literal that stands in a value; return how many are noted, -1 without room."""
    for entry in range(first, last):
        if (
            stamps[entry] == seen
            or (anchors[entry] & 1 and left != begin)
            or (anchors[entry] & 2 and right != end)
        ):
            continue
        stamps[entry] = seen  # a pattern that fails here fails wherever its literal stands
        if glob_first[entry + 1] > glob_first[entry] and not _globbed(
            data, begin, end, globs, glob_first[entry], glob_first[entry + 1]
        ):
            continue
        if used == len(found):
            return -1
        found[used, 0], found[used, 1] = value, entry
        used += 1
    return used


@numba.njit(cache=True, nogil=True)
def find(
    data: int, ends: Any, plain: Any, width: int, bits: int, marks: Any, first: Any, order: Any, keys: Any,
    within: Any, starts: Any, sizes: Any, literals: int, entry_first: Any, anchors: Any, glob_first: Any,
    globs: Any, stamps: Any, stamp: int, found: Any,
) -> int:  # fmt: skip
    """Find the entries of the literals in each value that is ``plain``, each once: rows of (value, entry).

    Value ``v`` is ``data[ends[v - 1]:ends[v]]``. Literal ``l`` is ``literals[starts[l]:][:sizes[l]]``, known
    by the ``width`` bytes from its byte ``within[l]`` on. Its entries are ``entry_first[l]`` to before
    ``entry_first[l + 1]``: entry ``e`` stands at a value's start if ``anchors[e] & 1``, at its end if
    ``anchors[e] & 2``, and its pattern ``globs[glob_first[e]:glob_first[e + 1]]``, if it has one, matches all
    of the value. ``stamps`` keep from ``stamp`` on what was seen in a value. Returns how many rows of
    ``found`` are used, or -1 if there is no room.
    """
    used = 0
    begin = 0
    mask = np.uint32(0xFFFFFFFF >> (32 - 8 * width))
    for value in range(len(ends)):
        end = ends[value]
        last = end - width + 1 if plain[value] else begin
        for place in range(begin, last):
            key = np.uint32(quad(data, place) & mask)
            slot = _slot(key, bits)
            if not _marked(marks, slot):
                continue
            for which in range(first[slot], first[slot + np.uint64(1)]):
                literal = order[which]
                left = place - within[literal]
                right = left + sizes[literal]
                if (
                    keys[literal] != key
                    or left < begin
                    or right > end
                    or not same(data, left, literals, starts[literal], sizes[literal])
                ):
                    continue
                used = _note(
                    data, begin, end, left, right, value, stamp + value, entry_first[literal],
                    entry_first[literal + 1], anchors, glob_first, globs, stamps, found, used,
                )  # fmt: skip
                if used < 0:
                    return -1
        begin = end
    return used


@numba.njit(cache=True)
def _folds(data: Any, place: int, end: int) -> bool:
    """Say whether there is the Kelvin sign, a small k, or the capital I with a dot, a small i and a dot."""
    while place < end:
        if at(data, place) == 0xE2 and at(data, place + 1) == 0x84 and at(data, place + 2) == 0xAA:
            return True
        if at(data, place) == 0xC4 and at(data, place + 1) == 0xB0:
            return True
        place += 1
    return False


@numba.njit(cache=True, nogil=True)
def sift(
    data: int, starts: Any, ends: Any, step: int, bits: int, marks: Any, first: Any, order: Any, keys: Any,
    within: Any, begins: Any, sizes: Any, literals: int, foreign: bool, out: Any,
) -> None:  # fmt: skip
    """Say which lines have one of some literals in small letters, whatever the line's case.

    Lines with a letter whose small one is ASCII though it is not are likely; with ``foreign``, all that are
    not ASCII. Only every ``step``-th place is looked at: all windows of a literal that can lie there are in the table.
    """
    for row in range(len(starts)):
        start, end = starts[row], ends[row]
        high = np.uint64(0)
        place = start
        while place + 8 <= end:
            high |= word(data, place)
            place += 8
        while place < end:
            high |= np.uint64(at(data, place))
            place += 1
        likely = False
        if high & HIGH:
            likely = foreign or _folds(data, start, end)
        place = start
        while not likely and place + WIDE <= end:
            key = np.uint32(quad(data, place) | _CASE)
            slot = _slot(key, bits)
            if _marked(marks, slot):
                for which in range(first[slot], first[slot + np.uint64(1)]):
                    window = order[which]
                    left = place - within[window]
                    size = sizes[window]
                    if keys[window] != key or left < start or left + size > end:
                        continue
                    likely = True
                    for i in range(size):
                        byte = at(data, left + i)
                        if np.uint8(65) <= byte <= np.uint8(90):
                            byte |= np.uint8(32)
                        if byte != at(literals, begins[window] + i):
                            likely = False
                            break
                    if likely:
                        break
            place += step
        out[row] = likely


@numba.njit(cache=True, nogil=True)
def wholes(data: int, ends: Any, plain: Any, hashes: Any, slots: Any, places: Any, sizes: Any, texts: int,
           seed: Any, out: Any) -> None:  # fmt: skip
    """Say which text each value that is ``plain`` is, by its number; -1 for none of them."""
    begin = 0
    mask = len(slots) - 1
    for value in range(len(ends)):
        end = ends[value]
        out[value] = -1
        if plain[value]:
            found = hashed(data, begin, end, seed)
            slot = np.int64(found & np.uint64(mask))
            while slots[slot] >= 0:
                number = slots[slot]
                if (
                    hashes[number] == found
                    and sizes[number] == end - begin
                    and same(data, begin, texts, places[number], end - begin)
                ):
                    out[value] = number
                    break
                slot = (slot + 1) & mask
        begin = end


@numba.njit(cache=True)
def settle(data: int, places: Any, sizes: Any, seed: Any, hashes: Any, slots: Any) -> None:
    """Lay texts into an open-addressed table that has room for them."""
    mask = len(slots) - 1
    for number in range(len(places)):
        found = hashed(data, places[number], places[number] + sizes[number], seed)
        hashes[number] = found
        slot = np.int64(found & np.uint64(mask))
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number
