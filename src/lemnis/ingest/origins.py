"""Origins: what identifies a file by its content, and where reading one goes on.

The key of an origin is the digest of its first record, so that a renamed file is the same one; the digest
over what was read tells a file that was appended to from another that begins alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.events import Cursor
from lemnis.contracts.ids import digest
from lemnis.ingest import encodings, parsers
from lemnis.ingest.parsers import Start
from lemnis.ingest.streams import MAX_RECORD_BYTES, Stream

_HEAD = 1 << 20
_TAIL = 1 << 16


def keys(stream: Stream, source: LoadedSource) -> Iterator[str]:
    """Yield the names that an origin may have: that of its first record, then those of its namesakes."""
    first = digest(_first_record(stream, source))
    yield first
    number = 2
    while True:
        yield digest(f"{first}#{number}".encode())
        number += 1


def prefix(stream: Stream, offset: int) -> str:
    """Digest what was read: of a plain file, the first MiB and the last 64 KiB before ``offset``.

    Of a compressed file the beginning as it lies on the disk; of one in UTF-16 the first MiB before
    ``offset`` as UTF-8; of what can be read only once, nothing.
    """
    if stream.once:
        return ""
    state = hashlib.sha256()
    coding = stream.coding
    plain = coding in {"", encodings.CR}
    if coding and not plain:
        first = next(stream.blocks(size=_HEAD), b"")
        return f"sha256:{hashlib.sha256(first[:offset]).hexdigest()}"
    try:
        with stream.path.open("rb") as file:
            state.update(file.read(min(offset, _HEAD) if plain and offset else _HEAD))
            if plain and offset > _HEAD:
                file.seek(max(_HEAD, offset - _TAIL))
                state.update(file.read(min(_TAIL, offset - _HEAD)))
    except OSError:  # it is gone: of what is not there, nothing was read
        return ""
    return f"sha256:{state.hexdigest()}"


def continues(stream: Stream, cursor: Cursor) -> bool:
    """Say whether a stream begins with what the cursor says was read of it."""
    if stream.once or (not cursor.offset and stream.plain):
        return True
    return cursor.prefix == prefix(stream, cursor.offset)


def resume(stream: Stream, cursor: Cursor) -> Start | None:
    """Return where to read on; None if there is nothing new.

    A last line that had no end yet is read again if the file has grown since: then it has more to say. A file
    that is read whole (a document, an event log) is read from its start if its bytes are not those of the
    last time: it may be another that begins with the same record. What is known is known by its id.
    """
    if not stream.plain:
        return Start(cursor.position, cursor.offset)
    if not cursor.offset:
        return Start(cursor.position) if cursor.prefix == prefix(stream, 0) else Start()
    if stream.path.stat().st_size <= cursor.offset:
        return None
    with stream.path.open("rb") as file:
        begin = max(0, cursor.offset - MAX_RECORD_BYTES)
        file.seek(begin)
        before = file.read(cursor.offset - begin)
    if before.endswith(b"\n"):
        return Start(cursor.position, cursor.offset)
    return Start(cursor.position - 1, begin + before.rfind(b"\n") + 1)


def _first_record(stream: Stream, source: LoadedSource) -> bytes:
    """Return the first record's bytes: the first line, or what the parser takes for the first record."""
    head = stream.head()
    first = getattr(parsers.get(source.file.parser), "first", None)
    record = first(stream, source.file.options) if first is not None else None
    if record is not None:
        return str(record).encode()
    return next((line for line in head.splitlines() if line.strip()), b"")
