"""Compiled by Numba: SHA-256 (FIPS 180-4) of many short messages, sixteen at a time, and the uids made of it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lemnis.contracts.bytes_kernel import copy

LANES = 16
_WORDS, _ROUNDS, _BLOCK, _PADDING = 16, 64, 64, 9
_UID = 19
_PRIMES = [n for n in range(2, 312) if all(n % m for m in range(2, int(n**0.5) + 1))]
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_VECTOR = ir.VectorType(ir.IntType(32), LANES)


def _fraction(number: int, root: int) -> int:
    """Return the first 32 bits of the fraction of a number's square or cube root, in whole numbers only."""
    scaled, low, high = number << (32 * root), 0, 1 << 40
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**root <= scaled else (low, middle - 1)
    return low & 0xFFFFFFFF


_FIRST = np.array([_fraction(prime, 2) for prime in _PRIMES[:8]], np.uint32)
_CONSTANTS = [_fraction(prime, 3) for prime in _PRIMES[:_ROUNDS]]


def _all(number: int) -> Any:
    return ir.Constant(_VECTOR, [number] * LANES)


class _Vectors:
    """Writes what is done to vectors of numbers."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def turned(self, value: Any, count: int) -> Any:
        """Rotate to the right."""
        down = self.builder.lshr(value, _all(count))
        return self.builder.or_(down, self.builder.shl(value, _all(32 - count)))

    def mixed(self, value: Any, turns: tuple[int, int, int], *, shifted: bool = False) -> Any:
        """Return the sum of three rotations, of which the last may be a shift."""
        last = self.builder.lshr(value, _all(turns[2])) if shifted else self.turned(value, turns[2])
        return self.builder.xor(
            self.builder.xor(self.turned(value, turns[0]), self.turned(value, turns[1])), last
        )

    def sum(self, *values: Any) -> Any:
        """Add up."""
        total = values[0]
        for value in values[1:]:
            total = self.builder.add(total, value)
        return total


@intrinsic
def _compress(context: Any, state: Any, block: Any) -> Any:
    """Take a block of each message into its state: at an address lie eight (sixteen) words of all messages."""

    def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, do = _VECTOR.as_pointer(), _Vectors(builder)

        def places(address: Any, count: int) -> list[Any]:
            base = builder.inttoptr(address, pointer)
            return [builder.gep(base, [ir.Constant(ir.IntType(64), n)]) for n in range(count)]

        def load(place: Any) -> Any:
            loaded = builder.load(place)
            loaded.align = 4
            return loaded

        held = places(arguments[0], 8)
        words = [load(place) for place in places(arguments[1], _WORDS)]
        before = [load(place) for place in held]
        a, b, c, d, e, f, g, h = before
        for number in range(_ROUNDS):
            if number >= _WORDS:
                words.append(
                    do.sum(
                        do.mixed(words[-2], (17, 19, 10), shifted=True), words[-7],
                        do.mixed(words[-15], (7, 18, 3), shifted=True), words[-16],
                    )
                )  # fmt: skip
            chosen = builder.xor(g, builder.and_(e, builder.xor(f, g)))
            most = builder.xor(builder.and_(a, builder.xor(b, c)), builder.and_(b, c))
            one = do.sum(h, do.mixed(e, (6, 11, 25)), chosen, _all(_CONSTANTS[number]), words[number])
            two = builder.add(do.mixed(a, (2, 13, 22)), most)
            a, b, c, d, e, f, g, h = builder.add(one, two), a, b, c, builder.add(d, one), e, f, g
        for place, old, new in zip(held, before, (a, b, c, d, e, f, g, h), strict=True):
            stored = builder.store(builder.add(old, new), place)
            stored.align = 4
        return target.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def _big(context: Any, place: Any) -> Any:
    """Read four bytes, the highest first."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(builder.inttoptr(arguments[0], ir.IntType(32).as_pointer()))
        loaded.align = 1
        return builder.bswap(loaded)

    return types.uint32(types.int64), generate


@numba.njit(cache=True, inline="always")
def _length(size: int, out: Any, place: int) -> None:
    """Write a length in eight bytes, the highest first."""
    for i in range(8):
        out[place + 7 - i] = (size >> (8 * i)) & 255


@numba.njit(cache=True, nogil=True)
def uids(prefix: Any, places: Any, sizes: Any, order: Any, longest: int, out: Any) -> None:
    """Write ``ev-`` and sixteen hexadecimal digits of each message's digest from ``out[19 * r]`` on.

    Message ``r`` is the prefix and, for each column ``c``, its length in eight bytes and its bytes: as many as
    ``sizes[c, r]`` says, at the address ``places[c, r]``. ``order`` has the rows so that messages of as many
    blocks follow each other; none is longer than ``longest`` bytes.
    """
    room = longest + _PADDING + _BLOCK
    held = np.zeros(LANES * room, np.uint8)
    ends = np.zeros(LANES, np.int64)
    state = np.empty(8 * LANES, np.uint32)
    block = np.empty(_WORDS * LANES, np.uint32)
    held_at, prefix_at = held.ctypes.data, prefix.ctypes.data
    state_at, block_at = state.ctypes.data, block.ctypes.data
    for first in range(0, len(order), LANES):
        count = min(LANES, len(order) - first)
        most = np.int64(0)
        for lane in range(count):
            row, start = order[first + lane], lane * room
            place = start + copy(held_at + start, prefix_at, len(prefix))
            for column in range(len(places)):
                size = np.int64(sizes[column, row])
                _length(size, held, place)
                place += 8
                place += copy(held_at + place, places[column, row], size)
            size = place - start
            blocks = (size + _PADDING + _BLOCK - 1) // _BLOCK
            held[place] = 128
            held[place + 1 : start + blocks * _BLOCK - 8] = 0
            _length(size * 8, held, start + blocks * _BLOCK - 8)
            ends[lane] = blocks
            most = max(most, blocks)
        for lane in range(LANES):
            for word in range(8):
                state[word * LANES + lane] = _FIRST[word]
        for number in range(most):
            for lane in range(count):
                start = held_at + lane * room + number * _BLOCK
                if number < ends[lane]:
                    for word in range(_WORDS):
                        block[word * LANES + lane] = _big(start + 4 * word)
            _compress(state_at, block_at)
            for lane in range(count):
                if ends[lane] == number + 1:
                    to = np.int64(order[first + lane]) * _UID
                    out[to], out[to + 1], out[to + 2] = 101, 118, 45
                    to += 3
                    for word in range(2):
                        value = state[word * LANES + lane]
                        for digit in range(8):
                            out[to] = _HEX[(value >> np.uint32(28 - 4 * digit)) & np.uint32(15)]
                            to += 1
