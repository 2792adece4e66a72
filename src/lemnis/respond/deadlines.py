"""HTTP within a time that is kept whatever the other side does: every read and write ends by then.

A client's own time-outs hold for each read: a server that sends a byte now and then is never late. Here the
time that is left of the whole exchange bounds each of them, headers and hand-shake too.
"""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

_SLICE = 16_384
_GZIP = 47  # the window of zlib that tells gzip and zlib by their beginning
IDENTITY = {"Accept-Encoding": "identity"}
"""Asks for an answer as it is; a swollen one is still unpacked no further than it may be."""


class Deadlines(httpcore.NetworkBackend):
    """Opens connections whose reads and writes end when ``within`` says, for each thread its own."""

    def __init__(self, tick: Callable[[], float] = time.monotonic) -> None:
        """``tick`` gives seconds that only go forward."""
        self._inner, self._tick, self._own = httpcore.SyncBackend(), tick, threading.local()

    @contextmanager
    def within(self, end: float) -> Iterator[None]:
        """Let what this thread does end by ``end`` (seconds of ``tick``)."""
        self._own.end = end
        try:
            yield
        finally:
            self._own.end = None

    def left(self, timeout: float | None) -> float | None:
        """Return the seconds that are left, ``timeout`` at most; raises httpcore.ReadTimeout for none."""
        end = getattr(self._own, "end", None)
        if end is None:
            return timeout
        left = float(end) - self._tick()
        if left <= 0:
            raise httpcore.ReadTimeout("the time is over")
        return left if timeout is None else min(timeout, left)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect."""
        limit = self.left(timeout)
        stream = self._inner.connect_tcp(host, port, limit, local_address, socket_options)
        return _Stream(stream, self.left)


class _Stream(httpcore.NetworkStream):
    """A connection; ``left`` says how long it may take."""

    def __init__(self, inner: httpcore.NetworkStream, left: Callable[[float | None], float | None]) -> None:
        self._inner, self._left = inner, left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _SLICE):
            self._inner.write(buffer[start : start + _SLICE], self._left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._left(timeout)), self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def bounded(deadlines: Deadlines, **settings: Any) -> httpx.Client:
    """Return a client that keeps these deadlines, follows no redirect and uses no proxy."""
    transport = httpx.HTTPTransport(verify=settings.pop("verify", True), trust_env=False)
    transport._pool._network_backend = deadlines  # noqa: SLF001 - httpx has no setting for it
    return httpx.Client(transport=transport, follow_redirects=False, trust_env=False, **settings)


def unpacked(response: httpx.Response, most: int) -> Iterator[bytes]:
    """Yield an answer's body in pieces no larger than ``most`` bytes and one.

    Raises httpx.DecodingError for an encoding that was not asked for, for rubbish, or for a half.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        yield from response.iter_raw()
        return
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise httpx.DecodingError(f"the answer is packed ({encoding[:40]}), which was not asked for")
    opener = zlib.decompressobj(_GZIP)
    try:
        for chunk in response.iter_raw():
            rest = chunk
            while rest:
                yield opener.decompress(rest, most + 1)
                rest = opener.unconsumed_tail
    except zlib.error as error:
        raise httpx.DecodingError(f"the answer cannot be unpacked: {error}") from error
    if not opener.eof:
        raise httpx.DecodingError("only a part of the packed answer came")
