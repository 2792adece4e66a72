"""Compiled by Numba into the other passes: bytes and words at addresses.

Numba keeps a compiled pass as long as the pass's own file is unchanged: who changes this file touches those
that import it, too.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

ONES = np.uint64(0x0101010101010101)
HIGH = np.uint64(0x8080808080808080)
QUOTES = np.uint64(0x2222222222222222)
ESCAPES = np.uint64(0x5C5C5C5C5C5C5C5C)
SPACES = np.uint64(0x2020202020202020)
MIX = np.uint64(0x9E3779B97F4A7C15)
MIX2 = np.uint64(0xC2B2AE3D27D4EB4F)


def _loads(bits: int) -> Any:
    """Make what reads an unsigned number of so many bits at an address.

    Addresses, not arrays: to hand an array on is to count a reference, and that costs more than to read.
    """

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.add(arguments[0], arguments[1])
        loaded = builder.load(builder.inttoptr(place, ir.IntType(bits).as_pointer()))
        loaded.align = 1
        return loaded

    return generate


@intrinsic
def word(context: Any, data: Any, place: Any) -> Any:
    """Read eight bytes at any place."""
    return types.uint64(types.int64, types.int64), _loads(64)


@intrinsic
def quad(context: Any, data: Any, place: Any) -> Any:
    """Read four bytes at any place."""
    return types.uint32(types.int64, types.int64), _loads(32)


@intrinsic
def at(context: Any, data: Any, place: Any) -> Any:
    """Read a byte."""
    return types.uint8(types.int64, types.int64), _loads(8)


@intrinsic
def zeros(context: Any, word: Any) -> Any:
    """Count the zeros at the low end of a word that is not zero."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def copy(context: Any, target: Any, source: Any, size: Any) -> Any:
    """Copy bytes from one address to another; returns how many."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, of, count = arguments
        pointer = ir.IntType(8).as_pointer()
        cgutils.raw_memcpy(
            builder,
            builder.inttoptr(to, pointer),
            builder.inttoptr(of, pointer),
            count,
            ir.Constant(count.type, 1),
        )
        return count

    return types.int64(types.int64, types.int64, types.int64), generate


@numba.njit(cache=True, inline="always")
def blank(data: Any, place: int, end: int) -> int:
    """Go on to what is no white space."""
    while place < end and (at(data, place) == 32 or 9 <= at(data, place) <= 10 or at(data, place) == 13):
        place += 1
    return place


@numba.njit(cache=True, inline="always")
def hashed(data: Any, start: int, end: int, seed: Any) -> Any:
    """Hash bytes; ``data`` has eight more after its last."""
    state = seed ^ (np.uint64(end - start) * MIX)
    place = start
    while place + 8 <= end:
        eight = word(data, place) * MIX2
        eight ^= eight >> np.uint64(29)
        state = (state ^ eight) * MIX
        state ^= state >> np.uint64(32)
        place += 8
    if place < end:
        rest = word(data, place) & ((np.uint64(1) << np.uint64(8 * (end - place))) - np.uint64(1))
        eight = rest * MIX2
        eight ^= eight >> np.uint64(29)
        state = (state ^ eight) * MIX
    state ^= state >> np.uint64(29)
    state *= MIX2
    return state ^ (state >> np.uint64(32))


@numba.njit(cache=True, inline="always")
def same(one: Any, first: int, other: Any, second: int, size: int) -> bool:
    """Compare bytes; both sides have eight more after their last."""
    place = 0
    while place + 8 <= size:
        if word(one, first + place) != word(other, second + place):
            return False
        place += 8
    if place == size:
        return True
    differ = word(one, first + place) ^ word(other, second + place)
    return (differ << np.uint64(64 - 8 * (size - place))) == np.uint64(0)


@numba.njit(cache=True, inline="always")
def plain(data: Any, place: int, end: int) -> int:
    """Go on to the first quote, escape or control character."""
    while place + 8 <= end:
        eight = word(data, place)
        quotes = eight ^ QUOTES
        escapes = eight ^ ESCAPES
        found = (
            ((quotes - ONES) & ~quotes) | ((escapes - ONES) & ~escapes) | ((eight - SPACES) & ~eight)
        ) & HIGH
        if found:
            return place + (zeros(found) >> 3)  # the lowest is always right
        place += 8
    while place < end:
        byte = at(data, place)
        if byte == 34 or byte == 92 or byte < 32:
            break
        place += 1
    return place
