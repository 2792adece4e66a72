"""A long Windows event log, made of the chunks of short ones: a chunk stands for itself."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain, cycle, islice
from pathlib import Path

_HEADER, _CHUNK = 4096, 65_536
_MAGIC = b"ElfChnk\x00"
_COUNT_AT, _SUMMED, _SUM_AT = 42, 120, 124


def long(files: Sequence[Path], into: Path, size: int) -> Path:
    """Write a log of about so many bytes of the whole chunks of others, in turns; return it.

    The header counts its chunks (16 bits at byte 42) and has the sum of its first 120 bytes at 124; records
    keep their numbers, so they come again as they do in logs that were put together.
    """
    chunks = list(chain.from_iterable(map(_chunks, files)))
    count = max(1, min(size // _CHUNK, 0xFFFF))
    header = bytearray(files[0].read_bytes()[:_HEADER])
    struct.pack_into("<H", header, _COUNT_AT, count)
    struct.pack_into("<I", header, _SUM_AT, zlib.crc32(header[:_SUMMED]))
    with into.open("wb") as out:
        out.write(header)
        out.writelines(islice(cycle(chunks), count))
    return into


def _chunks(file: Path) -> Iterator[bytes]:
    """Yield the chunks of a log that hold anything."""
    data = file.read_bytes()[_HEADER:]
    for at in range(0, len(data) - _CHUNK + 1, _CHUNK):
        if data.startswith(_MAGIC, at):
            yield data[at : at + _CHUNK]
