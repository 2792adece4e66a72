"""Damaged Windows event logs, read by a process of their own: the library may not come to an end in one.

It holds the interpreter meanwhile, so nothing in the same process could stop it. The child reads chunk by
chunk from its standard input and says what it found in frames of a kind, a length and a text; one that is
silent for too long is ended, and another goes on behind the chunk that it was in.
"""

from __future__ import annotations

import io
import os
import select
import struct
import subprocess
import sys
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

HEADER, CHUNK = 4096, 65_536
MAGIC = b"ElfChnk\x00"
PATIENCE_S = 20.0
_TO_BEGIN = 3
_FRAME = struct.Struct("<cI")
_RECORD, _FAULT, _PLACE = b"r", b"f", b"p"
_FREE, _CHECKSUM = struct.Struct("<I"), struct.Struct("<I")
_FREE_AT, _RECORDS_SUM_AT, _HEADER_SUM_AT = 48, 52, 124
_FIRST_RECORD, _SUMMED, _REST = 512, 120, 128
_READ = 1 << 16
_MAX_HANGS = 8
_ENDLESS = 10_000


def sound(path: Path) -> bool:
    """Say whether the checksums of every chunk hold; what is no chunk is not looked at."""
    with path.open("rb", buffering=0) as file:
        file.seek(HEADER)
        return sums_hold(file)


def sums_hold(file: io.RawIOBase) -> bool:
    """Say the same of a file that is read from where its chunks begin."""
    room = memoryview(bytearray(CHUNK))
    while size := file.readinto(room):
        if room[: len(MAGIC)] == MAGIC and not _sound(room[:size]):
            return False
    return True


def _sound(chunk: memoryview) -> bool:
    """Check a chunk's sums: of its header (bytes 0 to 119, 128 to 511), of its records to its free space."""
    if len(chunk) < CHUNK:
        return False
    free = _FREE.unpack_from(chunk, _FREE_AT)[0]
    if not _FIRST_RECORD <= free <= CHUNK:
        return False
    header = zlib.crc32(chunk[_REST:_FIRST_RECORD], zlib.crc32(chunk[:_SUMMED]))
    records = zlib.crc32(chunk[_FIRST_RECORD:free])
    return (header, records) == (
        _CHECKSUM.unpack_from(chunk, _HEADER_SUM_AT)[0], _CHECKSUM.unpack_from(chunk, _RECORDS_SUM_AT)[0],
    )  # fmt: skip


def read(path: Path) -> Iterator[str | ValueError]:
    """Yield each record as JSON text, or why it cannot be had, in the file's order."""
    first = 0
    for _ in range(_MAX_HANGS):
        hung = yield from _child(path, first)
        if hung is None:
            return
        yield ValueError(f"chunk {hung + 1} is given up: the library came to no end in it")
        first = hung + 1
    yield ValueError(f"given up after {_MAX_HANGS} chunks in which the library came to no end")


def _child(path: Path, first: int) -> Generator[str | ValueError, None, int | None]:
    """Yield what a child reads from a chunk on; return the chunk in which it hung, or None."""
    command = [sys.executable, "-m", __name__, str(first)]
    with path.open("rb") as file:
        child = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    place, pipe = first, child.stdout
    if pipe is None:  # pragma: no cover - it was asked for
        raise AssertionError
    try:
        for kind, text in _frames(pipe):
            if kind == _PLACE:
                place = int(text)
            else:
                yield text if kind == _RECORD else ValueError(text)
    except TimeoutError:
        return place
    finally:
        child.kill()
        child.wait()
        pipe.close()
    return None if child.returncode == 0 else place


def _frames(pipe: IO[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield frames; raises TimeoutError where none comes for too long."""
    held, patience = bytearray(), _TO_BEGIN * PATIENCE_S
    while True:
        if not select.select([pipe], [], [], patience)[0]:
            raise TimeoutError
        patience = PATIENCE_S
        data = os.read(pipe.fileno(), _READ)
        if not data:
            return
        held += data
        start = 0
        while len(held) - start >= _FRAME.size:
            kind, size = _FRAME.unpack_from(held, start)
            end = start + _FRAME.size + size
            if len(held) < end:
                break
            yield kind, held[start + _FRAME.size : end].decode("utf-8", "replace")
            start = end
        del held[:start]


def main() -> None:
    """Read the event log on the standard input, from a chunk on."""
    file, out = sys.stdin.buffer, sys.stdout.buffer

    def say(kind: bytes, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        out.write(_FRAME.pack(kind, len(data)) + data)

    header = file.read(HEADER)
    number = int(sys.argv[1])
    file.seek(HEADER + number * CHUNK)
    while chunk := file.read(CHUNK):
        say(_PLACE, str(number))
        out.flush()
        if chunk.startswith(MAGIC):
            for one in _records(header + chunk.ljust(CHUNK, b"\0")):
                say(*((_RECORD, one) if isinstance(one, str) else (_FAULT, f"chunk {number + 1}: {one}")))
        elif any(chunk):
            say(_FAULT, f"chunk {number + 1}: it does not begin as a chunk does")
        number += 1
    out.flush()


def _records(data: bytes) -> Iterator[str | ValueError]:
    """Yield the records of a log of one chunk."""
    import evtx  # noqa: PLC0415 - only the child needs it

    try:
        found: Any = evtx.PyEvtxParser(io.BytesIO(data)).records_json()
    except (RuntimeError, OSError) as error:
        yield ValueError(str(error))
        return
    for _ in range(_ENDLESS):
        try:
            yield next(found)["data"]
        except StopIteration:
            return
        except BaseException as error:  # noqa: BLE001 - a panic of the library is no Exception
            yield ValueError(str(error))


if __name__ == "__main__":
    main()
