"""The journal's shape: an append-only, hash-chained account of every decision and transition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from lemnis.contracts.ids import Json


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``hash`` covers every other field and ``previous``, the hash of the entry before it."""

    seq: int
    at: int
    kind: str
    subject: str
    key: str
    actor: str
    reason: str
    payload: Mapping[str, Json]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be appended. An entry whose ``key`` is already in the journal is not written again."""

    kind: str
    subject: str
    key: str
    payload: Mapping[str, Json]
    actor: str = "lemnis"
    reason: str = ""


@dataclass(slots=True)
class Unchanged:
    """What a change is made on: the last entry about these ``subjects`` (0: none) when it was looked at.

    A journal that is given it writes about them only while that is so; what it writes is the last then.
    """

    subjects: frozenset[str]
    last: int


class Journal(Protocol):
    """Appends and reads entries; the same key is written once, whoever asks and however often."""

    def append(self, entry: NewEntry) -> tuple[Entry, bool]:
        """Write one entry durably; return it (or the earlier one of that key) and whether it is new."""
        ...

    def append_all(self, entries: Sequence[NewEntry]) -> list[tuple[Entry, bool]]:
        """Write several in one transaction: all of the new ones, or none."""
        ...

    def entries(
        self, *, kind: str | None = None, subject: str | None = None, after: int = 0
    ) -> Iterator[Entry]:
        """Yield entries in order, optionally of one kind, about one subject, after a sequence number."""
        ...

    def get(self, key: str) -> Entry | None:
        """Return the entry of this key."""
        ...

    def verify(self) -> int:
        """Check the whole chain; return its length. Raises IntegrityError naming the first bad entry."""
        ...


class Vault(Protocol):
    """Evidence by digest: immutable, verified when read."""

    def put(self, data: bytes) -> str:
        """Store durably and return the digest (``sha256:…``)."""
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes. Raises NotFoundError, or IntegrityError if they no longer match."""
        ...
