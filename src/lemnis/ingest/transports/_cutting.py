"""A large object in pieces of bounded size that a parser can read each for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile

from lemnis.ingest.streams import BrokenStreamError

PIECE = 16 << 20
"""Bytes of a piece, about: a document is never cut, a line never."""
MAX_DOCUMENT = 128 << 20
_HEAD_LINES = 64
_LOOK = 65_536
_NAMES = re.compile(rb"[A-Za-z_.-]+(,[A-Za-z_. -]+){2,}|(?=.*[a-z][_-])[a-z_-]+( [a-z_-]+){2,}")
"""Names of columns: of a table by commas, or of a flow log."""


class TooLargeError(Exception):
    """A document, or a line, that is larger than one may be."""


def pieces(
    blocks: Iterable[bytes], *, size: int = PIECE, largest: int = MAX_DOCUMENT
) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the bytes of each piece: cut at line ends, what stands above all lines repeated.

    A JSON document stays whole. Raises TooLargeError where ``largest`` bytes have no place to cut, and the
    blocks' BrokenStreamError after what could be had.
    """
    held, offset, head = bytearray(), 0, b""
    whole: bool | None = None
    broken: BrokenStreamError | None = None
    try:
        for block in blocks:
            held += block
            if whole is None and len(held) >= _LOOK:
                whole, head = is_document(held), header(held)
            if whole is False and len(held) >= size and (end := held.rfind(b"\n") + 1):
                yield offset, (head if offset else b"") + bytes(held[:end])
                offset += end
                del held[:end]
            if len(held) > largest:
                raise TooLargeError(f"a document or a line of more than {largest:,} bytes")
    except BrokenStreamError as error:
        broken = error
    if held:
        yield offset, (head if offset else b"") + bytes(held)
    if broken is not None:
        raise broken


def is_document(start: bytes | bytearray) -> bool:
    """Say whether it is JSON over lines: an array, or an object that its first line does not end."""
    text = bytes(start[:_LOOK]).lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"["):
        return True
    line, newline, _ = text.partition(b"\n")
    return text.startswith(b"{") and bool(newline) and not line.rstrip().endswith(b"}")


def header(start: bytes | bytearray) -> bytes:
    """Return what names the columns of the lines below: lines of ``#``, or a first line of names only."""
    lines = bytes(start[:_LOOK]).split(b"\n")[:-1][:_HEAD_LINES]
    head = list(takewhile(lambda line: line.startswith(b"#"), lines))
    if not head and lines and _NAMES.fullmatch(lines[0].strip()):
        head = lines[:1]
    return b"".join(line + b"\n" for line in head)
