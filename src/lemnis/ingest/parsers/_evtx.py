"""Windows event log files: every record as JSON, and why the others are not there.

The library walks chunks and records; what it passes over in silence (a file that ends within a chunk, fewer
chunks than the header counts) is found here by looking at the file's own counts.
"""

from __future__ import annotations

import io
import os
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import evtx

from lemnis.ingest.parsers import _evtx_apart
from lemnis.ingest.streams import BrokenStreamError, Stream

MAGIC = b"ElfFile\x00"
_CHUNK_MAGIC = b"ElfChnk\x00"
_HEADER, _CHUNK = 4096, 65_536
_CHUNK_COUNT = struct.Struct("<H")
_COUNT_AT = 42
_MAX_UNPACKED = 8_000_000_000
_ENDLESS = 10_000
_BLOCK = 256
"""So many records are taken at once."""
_FAULTS = (RuntimeError, OSError)
_PANIC = "PanicException"
"""What the library raises where it did not foresee what it reads; no ``Exception``, and not importable."""


def records(stream: Stream) -> Iterator[str | ValueError]:
    """Yield each record as JSON text, or the reason why it cannot be had, in the file's order."""
    return chain.from_iterable(blocks(stream))


def blocks(stream: Stream) -> Iterator[list[str | ValueError]]:
    """Yield the records some at a time."""
    with _file(stream) as path:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            header = file.read(_HEADER)
            sound = _evtx_apart.sums_hold(file)
        if not header.startswith(MAGIC):
            yield [ValueError("not a Windows event log: it does not begin with ElfFile")]
            return
        if len(header) < _HEADER:
            yield [ValueError(f"cut off within the file's header, after {size:,} bytes")]
            return
        cut = (size - _HEADER) % _CHUNK
        source: str | io.BytesIO = str(path)
        if cut:  # the library leaves a chunk that is not whole unread: what is missing reads as zeros
            source = io.BytesIO(path.read_bytes() + bytes(_CHUNK - cut))
        if sound:
            yield from _read(source, path)
        else:
            yield from ([one] for one in _evtx_apart.read(path))
        chunks, counted = (size - _HEADER) // _CHUNK, _CHUNK_COUNT.unpack_from(header, _COUNT_AT)[0]
        if cut:
            yield [ValueError(f"cut off within chunk {chunks + 1}: {cut:,} of {_CHUNK:,} bytes are there")]
        elif chunks < counted:
            yield [ValueError(f"cut off: {chunks} of the {counted} chunks that the header counts are there")]


def _read(source: str | io.BytesIO, path: Path) -> Iterator[list[str | ValueError]]:
    try:
        found: Any = evtx.PyEvtxParser(source).records_json()
    except BaseException as error:  # noqa: BLE001 - as below
        yield [ValueError(f"not readable as a Windows event log: {_fault(error)}")]
        return
    failed, more = 0, True
    while more:
        held: list[Any] = []
        reason = ""
        try:
            held.extend(islice(found, _BLOCK))  # what comes before a fault is held
            more = len(held) == _BLOCK
        except BaseException as error:  # noqa: BLE001 - looked at, and raised again if it is no fault of the log
            reason = _fault(error)
        some: list[str | ValueError] = [record["data"] for record in held]
        if reason and not _is_unused(reason, path):
            failed += 1
            some.append(ValueError(reason))
            if failed >= _ENDLESS:
                some.append(ValueError(f"given up after {failed:,} damaged records"))
                more = False
        yield some


def _fault(error: BaseException) -> str:
    """Return what the library says of the log; raises any other error again."""
    if not isinstance(error, _FAULTS) and type(error).__name__ != _PANIC:
        raise error
    return str(error) or "damaged"


def _is_unused(reason: str, path: Path) -> bool:
    """Say whether an unreadable chunk is one that the log never filled, rather than a damaged one."""
    marker = "Failed to parse chunk number "
    if not reason.startswith(marker) or "magic" not in reason:
        return False
    number = int(reason.removeprefix(marker).partition(":")[0])
    with path.open("rb") as file:
        counted = _CHUNK_COUNT.unpack_from(file.read(_HEADER), _COUNT_AT)[0]
        file.seek(_HEADER + number * _CHUNK)
        chunk = file.read(_CHUNK)
    return not chunk.startswith(_CHUNK_MAGIC) and (number >= counted or not any(chunk))


@contextmanager
def _file(stream: Stream) -> Iterator[Path]:
    """Have the stream's bytes as a file: its own, or a temporary one that it is unpacked into."""
    if stream.begins(MAGIC):
        yield stream.path
        return
    with tempfile.NamedTemporaryFile(prefix="lemnis-", suffix=".evtx") as file:
        size = 0
        for block in stream.blocks():
            size += len(block)
            if size > _MAX_UNPACKED:
                raise BrokenStreamError(f"it unpacks to more than {_MAX_UNPACKED:,} bytes")
            file.write(block)
        file.flush()
        yield Path(file.name)
