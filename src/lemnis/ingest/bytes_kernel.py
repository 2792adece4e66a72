"""Compiled by Numba into the other passes: bytes and words at addresses.

Numba keeps a compiled pass as long as the pass's own file is unchanged: who changes this file touches those
that import it, too.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

ONES = np.uint64(0x0101010101010101)
HIGH = np.uint64(0x8080808080808080)


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


@numba.njit(cache=True, inline="always")
def blank(data: Any, place: int, end: int) -> int:
    """Go on to what is no white space."""
    while place < end and (at(data, place) == 32 or 9 <= at(data, place) <= 10 or at(data, place) == 13):
        place += 1
    return place
