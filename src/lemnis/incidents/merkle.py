"""The Merkle tree over a journal's hashes (RFC 9162, section 2.1): one root stands for all entries. Pure.

With it an entry is shown to be in the journal without showing any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable


class Tree:
    """The tree over the hashes of entries, in their order."""

    def __init__(self, hashes: Iterable[str]) -> None:
        """``hashes`` are those of the entries (``sha256:…``), the first entry's first."""
        self._levels = [[_leaf(one) for one in hashes]]
        while len(self._levels[-1]) > 1:
            self._levels.append(_above(self._levels[-1]))

    @property
    def size(self) -> int:
        """Return how many entries there are."""
        return len(self._levels[0])

    @property
    def root(self) -> str:
        """Return the root, in hexadecimal digits."""
        return self._levels[-1][0].hex() if self.size else hashlib.sha256(b"").hexdigest()

    def proof(self, index: int) -> list[str]:
        """Return the hashes that lead from the entry at an index (from 0) to the root, from below."""
        found = []
        for level in self._levels[:-1]:
            beside = index ^ 1
            if beside < len(level):
                found.append(level[beside].hex())
            index >>= 1
        return found


def roots(hashes: Iterable[str], sizes: Collection[int]) -> dict[int, str]:
    """Return the root over the first entries, for each of some sizes: all in one pass over the hashes."""
    found = {0: hashlib.sha256(b"").hexdigest()} if 0 in sizes else {}
    whole: list[tuple[int, bytes]] = []  # complete trees, by their height, the highest first
    for size, one in enumerate(hashes, 1):
        height, node = 0, _leaf(one)
        while whole and whole[-1][0] == height:
            height, node = height + 1, _node(whole.pop()[1], node)
        whole.append((height, node))
        if size in sizes:
            *others, (_, top) = whole
            for _, left in reversed(others):
                top = _node(left, top)
            found[size] = top.hex()
    return found


def _leaf(value: str) -> bytes:
    return hashlib.sha256(b"\0" + bytes.fromhex(value.partition(":")[2])).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _above(level: list[bytes]) -> list[bytes]:
    """Return the next level: pairs hashed together; what is left over goes up as it is."""
    pairs = [_node(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs
