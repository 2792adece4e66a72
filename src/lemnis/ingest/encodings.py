"""Bytes that are text in another form than UTF-8 lines: told apart by how they begin, and turned into those.

UTF-16 is known by its mark (BOM) or, without one, by every other byte being zero; lines that end with a
carriage return alone, by there being no line feed. What else it is, a source says (``encoding``). What
cannot be decoded becomes bytes that are no UTF-8, so that it costs its line. Archives of several files are
only named: they are to be unpacked.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

LOOK = 65_536
CR = "cr"
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_PAIRS = 64
_LEAST = 8
_NOT_TEXT = frozenset(range(32)) - frozenset(b"\t\r\f\x1b")
_NO_TEXT = b"\xff"
"""A byte that UTF-8 never has: its line is rejected."""
_ARCHIVES = (
    (0, b"PK\x03\x04", "a zip archive", "unzip"),
    (0, b"PK\x05\x06", "an empty zip archive", "unzip"),
    (257, b"ustar", "a tar archive", "tar -xf"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"),
    (0, b"Rar!\x1a\x07", "a rar archive", "unrar x"),
    (0, b"\xfd7zXZ\x00", "compressed by xz", "xz -d"),
    (0, b"BZh91AY&SY", "compressed by bzip2", "bzip2 -d"),
)


def coding(head: bytes) -> str:
    """Return what bytes that begin so are written in: empty if they are to be taken as they are."""
    for mark, name in _MARKS.items():
        if head.startswith(mark) and not head.startswith(codecs.BOM_UTF32_LE):
            return name
    pairs = head[: min(len(head) & ~1, _PAIRS)]
    if len(pairs) >= _LEAST:
        for name, text, zeros in (
            ("utf-16-le", pairs[::2], pairs[1::2]),
            ("utf-16-be", pairs[1::2], pairs[::2]),
        ):
            if not any(zeros) and all(text) and text.isascii():
                return name
    if b"\0" in head:
        return ""
    alone = head.count(b"\r") > 1 and b"\n" not in head and not _NOT_TEXT & frozenset(head)
    return CR if alone else ""


def archive(head: bytes) -> str:
    """Return what a file that begins so holds instead of records, and what to do; empty if it does not."""
    for place, mark, what, how in _ARCHIVES:
        if head.startswith(mark, place):
            return f"it is {what}: unpack it (`{how}`), and give what is in it"
    return ""


def recoded(pieces: Iterator[bytes], name: str, size: int) -> Iterator[bytes]:
    """Yield the text of pieces in a coding as lines of UTF-8, in pieces of at most ``size`` bytes."""
    for piece in _recoded(pieces, name):
        yield from (piece[first : first + size] for first in range(0, len(piece), size))


def _recoded(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    if name == CR:
        yield from (piece.replace(b"\r", b"\n") for piece in pieces)
        return
    errors = _errors(name)
    decoder = codecs.getincrementaldecoder(name)(errors)
    for piece in pieces:
        yield decoder.decode(piece).encode("utf-8", errors)
    if decoder.getstate()[0]:
        yield _NO_TEXT


def _errors(name: str) -> str:
    """Return what to do where there is no text: half a pair stays one, a byte that is no letter itself."""
    return "surrogatepass" if name.startswith("utf-16") else "surrogateescape"


def as_utf8(data: bytes, name: str) -> bytes:
    """Return bytes in a coding as UTF-8; what is UTF-8 already, as it is.

    Of what was received, and of dead letters, one cannot say otherwise whether they were decoded before.
    """
    if not name or not _is(data, name):
        return data
    return b"".join(_recoded(iter((data,)), name))


def _is(data: bytes, name: str) -> bool:
    if name.startswith("utf-16"):
        return b"\0" in data
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False
