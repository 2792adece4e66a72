"""Which runs of 4 and of 6 bytes (grams) occur in texts: a hashed bitmap, and whether a needle's are in it.

A text can only be where all of its grams are. Texts are compared in small letters; beyond ASCII lower case is
a matter of opinion, so that grams with such a byte say nothing of a needle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

SHORT, LONG = 4, 6
BITS = 23
"""A gram's hash is a number below 2^23: the largest bitmap has so many bits."""
FEWEST = 10
_FULL = 1 / 8
"""A bitmap is halved while no more of it is set, and not below 2^10 bits."""
_BLOCK = 1 << 17
"""So many bytes are looked at together: what is made of them stays in the processor's cache."""
_FACTOR, _FACTOR_SHORT = np.uint64(0x9E37_79B9_7F4A_7C15), np.uint32(0x9E37_79B1)
_ASCII = 128
_FIRST, _LETTERS, _APART = np.uint8(ord("A")), np.uint8(26), np.uint8(5)
Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64] | npt.NDArray[np.uint32]


def lowered(array: Any) -> Bytes:
    """Return the lower-cased text of an array, one value after the other, as the database lowers it."""
    raw = text(array)
    if len(raw) and raw.max() >= _ASCII:
        return text(pc.utf8_lower(array))
    return _lower(raw)


def text(array: Any) -> Bytes:
    """Return the bytes of an array of texts, one value after the other."""
    _, offsets, data = array.buffers()
    if data is None or not len(array):
        return np.empty(0, dtype=np.uint8)
    bounds = np.frombuffer(offsets, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, dtype=np.uint8)[bounds[0] : bounds[-1]]


def bitmap(texts: Sequence[Bytes], length: int) -> tuple[int, bytes]:
    """Return the bitmap of the grams of a length in texts, and its size as a power of two."""
    bits = min(BITS, max(FEWEST, int(sum(map(len, texts)) / _FULL).bit_length()))
    seen: npt.NDArray[np.bool_] = np.zeros(1 << bits, dtype=bool)
    for some in texts:
        for first in range(0, len(some), _BLOCK):
            for hashes in _hashed(some[first : first + _BLOCK + length - 1], length):
                seen[(hashes >> hashes.dtype.type(BITS - bits)).astype(np.intp)] = True
    count = np.count_nonzero(seen)
    while bits > FEWEST and count <= _FULL * (1 << (bits - 1)):
        seen, bits = seen[0::2] | seen[1::2], bits - 1
    return bits, np.packbits(seen, bitorder="little").tobytes()


def of_needle(needle: str) -> list[tuple[int, Hashes]]:
    """Return the lengths and hashes of a needle's grams; there may be none."""
    raw = _lower(np.frombuffer(needle.encode(), dtype=np.uint8))
    runs = np.split(raw, np.flatnonzero(raw >= _ASCII))
    plain = [run[run < _ASCII] for run in runs]
    return [
        (length, np.concatenate([one for run in plain for one in _hashed(run, length)]))
        for length in (SHORT, LONG)
    ]


def there(data: Bytes, start: int, bits: int, hashes: Hashes) -> bool:
    """Say whether a bitmap of so many bits, which begins at a byte of ``data``, has all of these grams."""
    found = (hashes >> hashes.dtype.type(BITS - bits)).astype(np.int64)
    mine = data[start + (found >> 3)]
    return bool(((mine >> (found & 7).astype(np.uint8)) & 1).all())


def _lower(raw: Bytes) -> Bytes:
    capital = (raw - _FIRST) < _LETTERS  # what is below A is above all letters then
    return raw | (capital.view(np.uint8) << _APART)


def _hashed(some: Bytes, length: int) -> list[Hashes]:
    """Return a number below 2^23 for each gram of a text, in no particular order."""
    count = len(some) - length + 1
    if count <= 0:
        return [np.empty(0, dtype=np.uint32) if length == SHORT else np.empty(0, dtype=np.uint64)]
    if length == SHORT:  # four rows of numbers that lie side by side
        raw = np.ascontiguousarray(some)
        rows = (
            np.frombuffer(raw, dtype="<u4", count=(len(raw) - at) // SHORT, offset=at)
            for at in range(min(SHORT, count))
        )
        return [(row * _FACTOR_SHORT) >> np.uint32(32 - BITS) for row in rows]
    padded = np.concatenate([some, np.zeros(8, dtype=np.uint8)])
    words = np.ndarray((count,), dtype="<u8", buffer=padded, strides=(1,))
    return [((words << np.uint64(64 - 8 * length)) * _FACTOR) >> np.uint64(64 - BITS)]
