"""Literals looked for by compiled passes: in many values at once, and in lines as they lie.

Only ASCII is looked at this way, in which small letters are as many as large ones; who asks does the rest.
Needs Numba, which the ``fast`` extra brings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lemnis.contracts.detection import Joined, Lines
from lemnis.detect.atoms import MANY

Numbers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Letters = npt.NDArray[np.uint64]
Parts = Sequence[str | int]
AT_START, AT_END = 1, 2
ANY, RUN = 256, 257
"""What stands for ``?`` and ``*`` in a pattern of bytes."""
WIDE = 4
"""Bytes of a window of literals that are long enough."""
_SPARE = bytes(8)


def laid(texts: Sequence[str]) -> Joined:
    """Lay texts end to end."""
    blob = "".join(texts).encode()
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    if int(sizes.sum()) != len(blob):
        sizes = np.fromiter((len(text.encode()) for text in texts), np.int64, len(texts))
    return Joined(np.frombuffer(blob + _SPARE, np.uint8), np.cumsum(sizes))


def _kernel() -> Any:
    from lemnis.detect import literals_kernel  # noqa: PLC0415 - Numba loads when needed

    return literals_kernel


@dataclass(frozen=True, slots=True)
class Entry:
    """What a literal stands for: a number, how it is anchored, and what must match the whole value, too."""

    number: int
    anchors: int = 0
    parts: Parts = ()


class _Windows:
    """Windows of literals in a table by their hash, of which a few bits say whether there is one."""

    def __init__(self, keys: Numbers) -> None:
        kernel = _kernel()
        self.keys = keys.astype(np.uint32)
        self.bits = min(18, max(6, (32 * len(self.keys)).bit_length()))
        self.first = np.zeros((1 << self.bits) + 1, np.int32)
        self.order = np.zeros(len(self.keys), np.int32)
        self.marks = np.zeros(1 << (self.bits - 6), np.uint64)
        kernel.index(self.keys, self.bits, self.first, self.order, self.marks)

    @property
    def table(self) -> tuple[Any, ...]:
        """Return it as the compiled passes take it."""
        return self.bits, self.marks, self.first, self.order, self.keys


@dataclass(frozen=True, slots=True)
class _Group:
    """Literals that are known by windows of the same width."""

    width: int
    windows: _Windows
    within: Numbers
    starts: Numbers
    sizes: Numbers
    text: Bytes
    entry_first: Numbers
    numbers: Numbers
    anchors: Bytes
    glob_first: Numbers
    globs: npt.NDArray[np.int16]
    stamps: Numbers


class Finder:
    """Finds literals in values, and says what they stand for; of one process and one thread."""

    def __init__(self, literals: Mapping[bytes, Sequence[Entry]]) -> None:
        """``literals`` are ASCII and not empty."""
        by_width: dict[int, dict[bytes, Sequence[Entry]]] = defaultdict(dict)
        for literal, entries in literals.items():
            by_width[WIDE if len(literal) >= WIDE else min(2, len(literal))][literal] = entries
        self._groups = [_group(width, some) for width, some in sorted(by_width.items())]
        self._stamp = 1

    def find(self, values: Joined, plain: Mask) -> tuple[Numbers, Numbers]:
        """Return places of ``plain`` values and numbers of what they have; a pair may come twice."""
        places, numbers = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for group in self._groups:
            found = self._find(group, values, plain)
            places.append(found[:, 0])
            numbers.append(group.numbers[found[:, 1]])
        return np.concatenate(places), np.concatenate(numbers)

    def _find(self, group: _Group, values: Joined, plain: Mask) -> Numbers:
        kernel = _kernel()
        room = max(256, 2 * len(values.ends))
        while True:
            found = np.empty((room, 2), np.int64)
            used = kernel.find(
                values.data.ctypes.data, values.ends, plain, group.width, *group.windows.table, group.within,
                group.starts, group.sizes, group.text.ctypes.data, group.entry_first, group.anchors,
                group.glob_first, group.globs, group.stamps, self._stamp, found,
            )  # fmt: skip
            self._stamp += len(values.ends)
            if used >= 0:
                return found[:used]
            room *= 4


def _group(width: int, literals: Mapping[bytes, Sequence[Entry]]) -> _Group:
    texts = list(literals)
    flat = [entry for text in texts for entry in literals[text]]
    starts, sizes, text = _laid(texts)
    within, keys = _rarest(starts, sizes, text, width)
    globs = [_glob(entry.parts) for entry in flat]
    return _Group(
        width, _Windows(keys), within, starts, sizes, text,
        np.cumsum([0, *(len(literals[text]) for text in texts)], dtype=np.int64),
        np.array([entry.number for entry in flat], np.int64),
        np.array([entry.anchors for entry in flat], np.uint8),
        np.cumsum([0, *map(len, globs)], dtype=np.int64),
        np.array([code for glob in globs for code in glob], np.int16), np.zeros(len(flat), np.int64),
    )  # fmt: skip


def _rarest(starts: Numbers, sizes: Numbers, text: Bytes, width: int) -> tuple[Numbers, Numbers]:
    """Return for each text where its window is that is seldom elsewhere, and the window as a number."""
    last = len(text) - len(_SPARE)
    every = np.zeros(last, np.int64)
    for at in range(width):
        every |= text[at : last + at].astype(np.int64) << (8 * at)
    counts = sizes - width + 1
    first = np.cumsum(counts) - counts
    places = np.repeat(starts - first, counts) + np.arange(counts.sum())
    _, same, often = np.unique(every[places], return_inverse=True, return_counts=True)
    order = np.lexsort((places, often[same], np.repeat(np.arange(len(sizes)), counts)))
    chosen = places[order[first]]
    return chosen - starts, every[chosen]


def _laid(texts: Sequence[bytes]) -> tuple[Numbers, Numbers, Bytes]:
    """Lay texts end to end: where each begins, its size, and all of it."""
    sizes = np.array([len(text) for text in texts], np.int64)
    return np.cumsum(sizes) - sizes, sizes, np.frombuffer(b"".join(texts) + _SPARE, np.uint8)


def _glob(parts: Parts) -> list[int]:
    codes: list[int] = []
    for part in parts:
        if isinstance(part, str):
            codes += part.encode()
        else:
            codes.append(RUN if part == MANY else ANY)
    return codes


class Exact:
    """Finds values that are one of some texts."""

    def __init__(self, texts: Mapping[bytes, Sequence[int]]) -> None:
        """``texts`` are ASCII, with the numbers they stand for."""
        kernel = _kernel()
        self._places, self._sizes, self._text = _laid(list(texts))
        self._seed = np.uint64(0)
        self._hashes = np.zeros(len(texts), np.uint64)
        self._slots = np.full(1 << (4 * len(texts)).bit_length(), -1, np.int32)
        kernel.settle(
            self._text.ctypes.data, self._places, self._sizes, self._seed, self._hashes, self._slots
        )
        counts = np.array([len(numbers) for numbers in texts.values()], np.int64)
        self._first = np.cumsum(counts) - counts
        self._counts = counts
        self._numbers = np.array([number for numbers in texts.values() for number in numbers], np.int64)

    def find(self, values: Joined, plain: Mask) -> tuple[Numbers, Numbers]:
        """Return places of ``plain`` values and the numbers of the texts that they are."""
        kernel = _kernel()
        which = np.empty(len(values.ends), np.int64)
        kernel.wholes(
            values.data.ctypes.data, values.ends, plain, self._hashes, self._slots, self._places,
            self._sizes, self._text.ctypes.data, self._seed, which,
        )  # fmt: skip
        places = np.flatnonzero(which >= 0)
        which = which[places]
        counts = self._counts[which]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.repeat(places, counts), self._numbers[np.repeat(self._first[which], counts) + within]


class Sieve:
    """Says which lines are worth to be looked at for some literals, whatever their case."""

    def __init__(self, literals: Sequence[bytes], *, foreign: bool) -> None:
        """``literals`` are ASCII in small letters, of four bytes or more; with ``foreign``, not all."""
        texts = sorted(set(literals))
        self._foreign = foreign
        self._step = min(map(len, texts)) - WIDE + 1
        windows = [
            (number, at, int.from_bytes(text[at : at + WIDE], "little") | 0x20202020)
            for number, text in enumerate(texts)
            for at in range(self._step)
        ]
        self._windows = _Windows(np.array([key for _, _, key in windows], np.int64))
        starts, sizes, self._text = _laid(texts)
        which = np.array([number for number, _, _ in windows])
        self._within = np.array([at for _, at, _ in windows], np.int64)
        self._starts, self._sizes = starts[which], sizes[which]

    def likely(self, lines: Lines) -> Mask:
        """Say of each line whether it has one of the literals; where it is not all ASCII, it may."""
        kernel = _kernel()
        out = np.zeros(len(lines.starts), np.bool_)
        kernel.sift(
            lines.data.ctypes.data, lines.starts, lines.ends, self._step, *self._windows.table, self._within,
            self._starts, self._sizes, self._text.ctypes.data, self._foreign, out,
        )  # fmt: skip
        return out


def small(values: Joined) -> tuple[Joined, Mask]:
    """Return values in small letters, and which of them are ASCII: of the others it is not all."""
    kernel = _kernel()
    used = int(values.ends[-1]) if len(values.ends) else 0
    out, plain = np.empty(used + len(_SPARE), np.uint8), np.empty(len(values.ends), np.bool_)
    kernel.small(values.data[:used], values.ends, out[:used], plain)
    return Joined(out, values.ends), plain


def letters(values: Joined) -> Letters:
    """Return which letters of ASCII each value has, as two words of bits."""
    out = np.empty((len(values.ends), 2), np.uint64)
    _kernel().letters(values.data, values.ends, out)
    return out


def having(found: Letters, wanted: str) -> Numbers:
    """Return the places of the values that have all of some letters of ASCII."""
    words = np.zeros(2, np.uint64)
    for letter in wanted:
        words[ord(letter) >> 6] |= np.uint64(1) << np.uint64(ord(letter) & 63)
    return np.flatnonzero(((found & words) == words).all(axis=1))
