"""Bodies of requests: read and unpacked within bounds, so that no sender can fill the memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import zstandard
from starlette.requests import ClientDisconnect, Request

from lemnis.contracts.errors import BusyError

_PIECE = 1 << 18
_ZSTD_PIECE = 512
_WINDOW = 1 << 27
_IN_A_THREAD = 1 << 16


class BadBodyError(Exception):
    """A body that is not taken; ``status`` is HTTP's for it."""

    def __init__(self, status: int, reason: str) -> None:
        """Say why."""
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Bodies:
    """Reads bodies of at most ``max_body``, and ``max_unpacked`` bytes; ``max_held`` are in memory at once.

    ``seconds`` is how long a sender may take for one.
    """

    max_body: int
    max_unpacked: int
    max_held: int
    seconds: float
    held: int = 0

    @contextmanager
    def counted(self, size: int) -> Iterator[Callable[[int], None]]:
        """Count bytes that are held while the block runs; gives what adds to them. Raises BusyError."""
        own = 0

        def add(more: int) -> None:
            nonlocal own
            if self.held and self.held + more > self.max_held:
                raise BusyError("too many requests are under way", retry_after_s=1.0)
            own += more
            self.held += more

        try:
            add(size)
            yield add
        finally:
            self.held -= own

    async def read(self, request: Request, add: Callable[[int], None]) -> bytes:
        """Return a body as it was before it was packed; raises BadBodyError."""
        declared = request.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > self.max_body:
            raise self._too_large(self.max_body)
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self.seconds):
                async for piece in request.stream():
                    size += len(piece)
                    if size > self.max_body:
                        raise self._too_large(self.max_body)
                    add(len(piece))
                    pieces.append(piece)
        except TimeoutError as error:
            raise BadBodyError(408, f"the body took longer than {self.seconds:.0f} s") from error
        except ClientDisconnect as error:
            raise BadBodyError(400, "the sender went away") from error
        body = b"".join(pieces)
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding in {"", "identity"}:
            return body
        unpack = _UNPACK.get(encoding)
        if unpack is None:
            raise BadBodyError(415, f"content-encoding {encoding[:40]} is not known: {', '.join(_UNPACK)}")
        if len(body) < _IN_A_THREAD:
            found = self._unpacked(unpack, body)
        else:
            found = await asyncio.to_thread(self._unpacked, unpack, body)
        add(len(found))
        return found

    def _unpacked(self, unpack: Callable[[bytes], Iterator[bytes]], body: bytes) -> bytes:
        pieces, size = [], 0
        try:
            for piece in unpack(body):
                size += len(piece)
                if size > self.max_unpacked:
                    raise self._too_large(self.max_unpacked)
                pieces.append(piece)
        except (zlib.error, zstandard.ZstdError, EOFError) as error:
            raise BadBodyError(400, f"the body cannot be unpacked: {error}") from error
        return b"".join(pieces)

    @staticmethod
    def _too_large(limit: int) -> BadBodyError:
        return BadBodyError(413, f"a body may have {limit:,} bytes; send it in parts")


def _inflated(body: bytes, wbits: int) -> Iterator[bytes]:
    """Unpack members one after another, in pieces of bounded size."""
    data = body
    while data:
        unpacker = zlib.decompressobj(wbits)
        while True:
            yield unpacker.decompress(data, _PIECE)
            data = unpacker.unconsumed_tail
            if unpacker.eof:
                data = unpacker.unused_data.lstrip(b"\0")
                break
            if not data:
                rest = unpacker.flush(_PIECE)
                if not rest:
                    raise EOFError("it ends too early")
                yield rest


def _gzip(body: bytes) -> Iterator[bytes]:
    return _inflated(body, 31)


def _deflate(body: bytes) -> Iterator[bytes]:
    """Unpack what HTTP calls deflate: with zlib's frame, as it should be, or without."""
    framed = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0  # noqa: PLR2004 - RFC 1950
    return _inflated(body, 15 if framed else -15)


def _zstd(body: bytes) -> Iterator[bytes]:
    """Unpack frames one after another, from so little input at a time that no piece is large."""
    view, at, unpacker = memoryview(body), 0, None
    while at < len(body):
        if unpacker is None:
            unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        yield unpacker.decompress(view[at : at + _ZSTD_PIECE])
        at = min(at + _ZSTD_PIECE, len(body))
        if unpacker.eof:
            at -= len(unpacker.unused_data)
            unpacker = None
    if unpacker is not None:
        raise EOFError("it ends too early")


_UNPACK: dict[str, Callable[[bytes], Any]] = {
    "gzip": _gzip, "x-gzip": _gzip, "deflate": _deflate, "zstd": _zstd,
}  # fmt: skip
