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
_RAISED = (
    httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)  # fmt: skip


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


class _Transport(httpx.BaseTransport):
    """Sends by way of connections that keep the deadlines: httpx's own transport takes no backend."""

    def __init__(self, deadlines: Deadlines, verify: ssl.SSLContext | bool) -> None:  # noqa: FBT001 - as httpx names it
        context = httpx.create_ssl_context(verify=verify, trust_env=False)
        self._pool = httpcore.ConnectionPool(context, network_backend=deadlines)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        with _as_httpx():
            answer = self._pool.handle_request(
                httpcore.Request(
                    request.method, target, headers=request.headers.raw, content=request.stream,
                    extensions=request.extensions,
                )
            )  # fmt: skip
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions
        )

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise what httpcore raises as httpx's error of that name."""
    try:
        yield
    except _RAISED as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


def bounded(deadlines: Deadlines, *, verify: ssl.SSLContext | bool = True, timeout: float) -> httpx.Client:
    """Return a client that keeps these deadlines, follows no redirect and uses no proxy.

    ``timeout`` is in seconds, of each read and write.
    """
    transport = _Transport(deadlines, verify)
    return httpx.Client(transport=transport, follow_redirects=False, trust_env=False, timeout=timeout)


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
