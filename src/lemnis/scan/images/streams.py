"""Bytes of images as streams that end: decompressed as they come, never laid out, bounded in every way.

A layer of an image is a tar that somebody else wrote. Nothing of it is extracted, no link is followed, and
what it says of its own size is not believed.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final, cast

import zstandard

from lemnis.contracts.errors import RecordError

MAX_BYTES: Final = 32 << 30
"""Bytes of one layer, decompressed."""
MAX_RATIO: Final = 250
"""How much larger than compressed a layer may be, once it is large: real ones are below 30."""
_LARGE: Final = 1 << 30
MAX_ENTRIES: Final = 1_000_000
MAX_NAME: Final = 4096
_MAX_HEADER: Final = 1 << 20
"""Bytes of one extended header: it is held in memory."""
_DAMAGED: Final = (tarfile.TarError, EOFError, ValueError, OverflowError, OSError, RecursionError)
_CHUNK: Final = 1 << 18
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_EXTENDED: Final = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, b"L", b"K"})


class Bounded(io.RawIOBase):
    """Reads a stream, decompressed if it is; raises RecordError where it goes beyond its bounds."""

    def __init__(self, source: IO[bytes], *, most: int = MAX_BYTES) -> None:
        """``most`` bounds the bytes that come out."""
        self._source = source
        self._most = most
        self._in = self._out = 0
        self._pending = b""
        self._whole = False
        head = source.read(4)
        self._in += len(head)
        self._first = head
        self._zlib: Any = zlib.decompressobj(31) if head.startswith(_GZIP) else None
        self._zstd: Any = zstandard.ZstdDecompressor().decompressobj() if head.startswith(_ZSTD) else None

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, fewer only at the end."""
        wanted = self._most if size < 0 else size
        parts: list[bytes] = []
        while wanted > 0 and (self._pending or self._fill()):
            parts.append(self._pending[:wanted])
            self._pending = self._pending[wanted:]
            wanted -= len(parts[-1])
        return b"".join(parts)

    def _fill(self) -> bool:
        while not self._pending and not self._whole:
            self._pending = self._more()
            self._out += len(self._pending)
            if self._out > self._most:
                raise RecordError(f"larger than {self._most:,} bytes")
            if self._out > _LARGE and self._out > self._in * MAX_RATIO:
                raise RecordError(f"more than {MAX_RATIO} times larger than it is compressed: a bomb")
        return bool(self._pending)

    def _more(self) -> bytes:
        if self._zlib is not None and (held := self._zlib.unconsumed_tail):
            return cast("bytes", self._zlib.decompress(held, _CHUNK))
        data, self._first = self._first, b""
        if not data:
            try:
                data = self._source.read(_CHUNK if self._zstd is None else 1 << 14)
            except _DAMAGED as error:
                raise RecordError(f"cannot be read: {error}") from error
            self._in += len(data)
        if not data:
            self._whole = True
            return b""
        try:
            return self._decompressed(data)
        except (zlib.error, zstandard.ZstdError) as error:
            raise RecordError(f"cannot be decompressed: {error}") from error

    def _decompressed(self, data: bytes) -> bytes:
        if self._zlib is not None:
            if self._zlib.eof:  # gzip files may follow each other
                if not data.startswith(_GZIP):
                    return b""
                self._zlib = zlib.decompressobj(31)
            found = self._zlib.decompress(data, _CHUNK)
            rest = self._zlib.unused_data
            if self._zlib.eof and rest:
                self._first = bytes(rest)
            return cast("bytes", found)
        if self._zstd is not None:
            if self._zstd.eof:
                self._zstd = zstandard.ZstdDecompressor().decompressobj()
            return cast("bytes", self._zstd.decompress(data))
        return data


class _Member(tarfile.TarInfo):
    """A tar's header: extended ones, which are held in memory, are bounded; maps of sparse files refused."""

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        if self.type in _EXTENDED and self.size > _MAX_HEADER:
            raise RecordError(f"an extended header of {self.size:,} bytes")
        if self.size < 0:
            raise RecordError("an entry of negative size")
        return super()._proc_member(tar)  # type: ignore[misc]

    def _proc_gnusparse_10(self, *_: Any) -> None:
        raise RecordError("a sparse file")

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_sparse = _proc_gnusparse_10


def entries(stream: IO[bytes]) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Yield the entries of a tar stream with the tar to read each from, before the next is asked for.

    Raises RecordError for what is no tar, ends too early, or has too many entries.
    """
    try:
        bounded = cast("IO[bytes]", Bounded(stream))
        with tarfile.open(
            fileobj=bounded, mode="r|", tarinfo=_Member, encoding="utf-8", errors="replace"
        ) as tar:
            for number, one in enumerate(tar):
                if number >= MAX_ENTRIES:
                    raise RecordError(f"more than {MAX_ENTRIES:,} entries")
                yield one, tar
                tar.members = []  # type: ignore[attr-defined]  # it would keep them all
    except _DAMAGED as error:
        raise RecordError(f"no tar, or a damaged one: {error}") from error


def content(one: tarfile.TarInfo, tar: tarfile.TarFile, most: int) -> bytes:
    """Return up to ``most`` bytes of an entry; none for what is no regular file."""
    try:
        found = tar.extractfile(one) if one.isreg() else None
        return found.read(min(most, one.size)) if found is not None else b""
    except _DAMAGED as error:
        raise RecordError(f"{one.name[:200]}: cannot be read: {error}") from error
