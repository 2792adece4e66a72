"""A loopback HTTP server for simulators: real sockets, a log of what was asked, state behind a lock."""

from __future__ import annotations

import socket
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_JSON = "application/json"
_WITH_BODY, _NO_BODY = 200, 204


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a request: ``429``, ``500``, ``503``, ``rubbish``, ``half``, ``slow``, ``closed``.

    ``done``: what was asked is done all the same, and only the answer suffers.
    """

    kind: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False

    def spoiled(self, fault: Fault) -> Reply:
        """Return what arrives of it when something goes wrong; ``cut`` ends in the middle of the body."""
        match fault.kind:
            case "429":
                return Reply(429, b"slow down", "text/plain", {"Retry-After": "1"})
            case "500" | "503":
                return Reply(int(fault.kind), b"<html>something went wrong</html>", "text/html")
            case "rubbish":
                return replace(
                    self, status=max(self.status, 200), body=b'{"half": <html>', content_type=_JSON
                )
            case "half":
                return replace(self, status=max(self.status, 200), body=self.body or b"{}", cut=True)
            case _:
                return self


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of the log: what was asked, what was answered, and what it changed, if anything."""

    request: Asked
    status: int
    changed: str = ""

    @property
    def line(self) -> str:
        """Method, path and status."""
        return f"{self.request.method} {self.request.path} {self.status}"


class Simulator(ABC):
    """Base of simulators: give ``answer``. A context manager; ``url`` is where it listens.

    ``delay`` seconds pass between doing what was asked and answering, so that a caller can be killed there.
    """

    def __init__(self, *, port: int = 0, delay: float = 0) -> None:
        """``port`` 0 takes a free one."""
        self.log: list[Logged] = []
        self.delay = delay
        self.hostile: Callable[[Asked], Fault | None] = lambda _: None
        self.slow_s = 1.0
        self._lock = threading.Lock()
        self._changed = ""
        simulator = self

        class Handler(_Handler):
            owner = simulator

        self._server = _Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def changes(self) -> list[str]:
        """What was changed, in order."""
        return [one.changed for one in self.log if one.changed]

    def __enter__(self) -> Self:
        """Start to listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @abstractmethod
    def answer(self, asked: Asked) -> Reply:
        """Do what is asked and say what is answered; called with the lock held."""

    def changed(self, what: str) -> None:
        """Say that this request changed something."""
        self._changed = what

    def take(self, asked: Asked) -> Reply:
        """Answer one request and log it."""
        with self._lock:
            self._changed = ""
            fault = self.hostile(asked)
            reply = Reply(0) if fault and not fault.done else self.answer(asked)
            if fault:
                reply = reply.spoiled(fault)
            self.log.append(Logged(asked, reply.status, self._changed))
        if self.delay:
            time.sleep(self.delay)
        if fault and fault.kind == "slow":
            time.sleep(self.slow_s)
        return replace(reply, status=0) if fault and fault.kind in {"closed", "slow"} else reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def get_request(self) -> tuple[socket.socket, Any]:
        """Answer at once: small packets are not gathered."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that are gone; they may be killed on purpose."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    owner: Simulator
    protocol_version = "HTTP/1.1"
    timeout = 5

    def _any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, parts.path, parts.query, headers, self.rfile.read(length))
        reply = self.owner.take(asked)
        if not reply.status:
            self.close_connection = True  # nothing is answered
            return
        body = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
        self.close_connection = self.close_connection or reply.cut
        try:
            self.send_response(_WITH_BODY if reply.cut else reply.status)
            if reply.body:
                self.send_header("Content-Type", reply.content_type)
            if reply.status != _NO_BODY or reply.cut:
                self.send_header("Content-Length", str(len(reply.body)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller is gone, as callers that are killed are

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - names that the server looks up

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
        """Print nothing; the simulator keeps its own log."""
