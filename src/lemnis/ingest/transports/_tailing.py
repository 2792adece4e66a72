"""Files on their way: which of them was read how far, and the pieces that are new.

A file is known by its first line and by what it began with, so that one that was renamed, copied or packed
is the same one, and one that was emptied and begun anew is another. Marks are kept in the receiver, with what
was read.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from lemnis.ingest.held import Held
from lemnis.ingest.streams import KEPT_RAW, BrokenStreamError
from lemnis.ingest.transports._cutting import MAX_DOCUMENT, header, is_document, pieces

PIECE = 4 << 20
MAX_LINE = 16 << 20
_HEAD = 65_536
_COPY = 2048
LONE_S = 5.0
"""So long a file of one line without an end has to rest before it is taken for a document."""
_BLOCK = 1 << 20
_MAGIC = (b"ElfFile\0", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x0a\x0d\x0d\x0a")
Marks = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file that end where a line does; ``end`` is how far it is read with them.

    ``refused`` says why they are no records.
    """

    data: bytes
    end: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read: ``offset`` bytes, unpacked; ``head`` is the digest of what it began with."""

    offset: int
    head: str

    @classmethod
    def read(cls, text: str) -> Place:
        """Read a mark's value."""
        said = orjson.loads(text)
        return cls(int(said["offset"]), str(said["head"]))

    def written(self, path: str) -> str:
        """Write a mark's value; the path is for people."""
        return orjson.dumps({"path": path, "offset": self.offset, "head": self.head}).decode()


class Tail:
    """A file that is followed. ``key`` names it once its first line is there; ``offset`` bytes are done.

    What is no text of lines (an event log, a capture, a JSON document) is ``whole``: it is read when it has
    come to rest, and known by all of its bytes.
    """

    def __init__(self, held: Held) -> None:
        """``held`` is open; nothing is read yet."""
        self.held = held
        self.key = ""
        self.whole = False
        self.done = False
        self._place = Place(0, "")
        self._skipping = False
        self._stat: tuple[int, int] = (-1, -1)

    @property
    def name(self) -> str:
        """The path, as people shall see it."""
        return self.held.name

    @property
    def inode(self) -> tuple[int, int]:
        """What the file is called by the system, whatever its name."""
        found = self.held.path.stat()
        return found.st_dev, found.st_ino

    @property
    def offset(self) -> int:
        """How many bytes are done, unpacked."""
        return self._place.offset

    def ready(self, marks: Marks, taken: set[str], *, last: bool) -> bool:
        """Say whether there is something to read; find out first which file it is, and how far it was read.

        ``taken`` are the keys of the other files that are open. With ``last`` a line needs no end any more,
        and what changes is not waited for.
        """
        found = self.held.path.stat()
        before, self._stat = self._stat, (found.st_size, found.st_mtime_ns)
        rested = before == self._stat
        if not rested:
            self.done = False
        if self.done and not last:
            return False
        head = self.held.head(_HEAD)
        self.whole = head.startswith(_MAGIC) or b"\0" in head or is_document(head)
        self.whole |= rested and found.st_mtime < time.time() - LONE_S and self._is_lone(head)
        if (self.whole or not self.held.plain) and not (rested or last):
            return False
        if self.whole:
            return self._is_new(marks)
        if self.key and self._continues(self._place, head):
            return True
        self.key = ""
        return self._find(marks, taken, head, last=last)

    def succeed(self, other: Tail) -> None:
        """Go on where another left the same file."""
        self.key, self._place, self._skipping = other.key, other._place, other._skipping

    def _is_lone(self, head: bytes) -> bool:
        """Say whether it is one JSON document on one line that has no end, as some export it."""
        if not self.held.plain or not head.lstrip().startswith((b"{", b"[")) or b"\n" in head:
            return False
        with self.held.path.open("rb") as file:
            return file.seek(0, 2) <= MAX_DOCUMENT and _ends_as_json(file)

    def _is_new(self, marks: Marks) -> bool:
        state = hashlib.sha256()
        for block in self.held.blocks():
            state.update(block)
        self.key, self._place = f"whole:{state.hexdigest()[:32]}", Place(0, "")
        if marks(self.key):
            self.done = True
        return not self.done

    def _find(self, marks: Marks, taken: set[str], head: bytes, *, last: bool) -> bool:
        line, newline, _ = head.partition(b"\n")
        if not head or not (newline or last or len(head) == _HEAD or not self.held.plain):
            return False
        first, number = _digest(line), 1
        while True:
            key = first if number == 1 else f"{first}#{number}"
            text = marks(key)
            place = Place.read(text) if text else Place(0, "")
            if not text or self._continues(place, head):
                if key not in taken:
                    break
                if place.offset >= _COPY:  # what is more than a heading in common is a copy: of no interest
                    return False
            number += 1
        self.key, self._place, self._skipping = key, place, False
        return True

    def _continues(self, place: Place, head: bytes) -> bool:
        """Say whether it begins with what the place is of; a plain file also has to be as long."""
        if self.held.plain and self.held.path.stat().st_size < place.offset:
            return False
        return not place.offset or _digest(head[: place.offset]) == place.head

    def after(self, piece: Piece) -> Place:
        """Return the place behind a piece."""
        return Place(piece.end, _digest(self.held.head(_HEAD)[: piece.end]))

    def move(self, place: Place) -> None:
        """Remember how far it is read."""
        self._place = place

    def document(self) -> Iterator[Piece]:
        """Yield all of it; raises TooLargeError, or, after what there is, BrokenStreamError."""
        for end, data in pieces(self.held.blocks(), size=MAX_DOCUMENT):
            yield Piece(data, end + len(data))

    def pieces(self, *, last: bool) -> Iterator[Piece]:
        """Yield the lines that are new, without one that has no end yet unless it is the ``last``.

        Raises BrokenStreamError where the file breaks, after what could be had.
        """
        above = header(self.held.head(_HEAD))
        held, place, broken = bytearray(), self.offset, None
        blocks = self._after(place)
        while True:
            try:
                block = next(blocks, b"")
            except BrokenStreamError as error:
                block, broken = b"", error
            held += block
            if self._skipping and (end := held.find(b"\n") + 1):
                self._skipping, place = False, place + end
                del held[:end]
            at_end = not block and (last or not self.held.plain)
            end = len(held) if at_end else held.rfind(b"\n") + 1
            if self._skipping or (not end and len(held) > MAX_LINE):
                if not self._skipping:
                    reason = f"a line of more than {MAX_LINE:,} bytes"
                    yield Piece(bytes(held[:KEPT_RAW]), place + len(held), reason)
                self._skipping, place = True, place + len(held)
                held.clear()
            elif end and (not block or len(held) >= PIECE):
                yield Piece((above if place else b"") + bytes(held[:end]), place + end)
                place += end
                del held[:end]
            if not block:
                break
        if broken is not None:
            raise broken

    def _after(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes after an offset: of a plain file from there, of a packed one by unpacking."""
        if self.held.plain:
            with self.held.path.open("rb") as file:
                file.seek(offset)
                yield from iter(lambda: file.read(_BLOCK), b"")
            return
        for block in self.held.blocks():
            if offset < len(block):
                yield block[offset:]
            offset = max(0, offset - len(block))


def _ends_as_json(file: BinaryIO) -> bool:
    file.seek(-1, 2)
    if file.read(1) not in {b"}", b"]"}:
        return False
    file.seek(0)
    return not any(b"\n" in block for block in iter(lambda: file.read(_BLOCK), b""))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
