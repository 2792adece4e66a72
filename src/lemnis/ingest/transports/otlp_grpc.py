"""OTLP logs over gRPC: ``opentelemetry.proto.collector.logs.v1.LogsService/Export``.

::

    transports:
      collectors: {kind: otlp_grpc, port: 4317, tokens: [{name: collectors, token_env: OTLP_TOKEN}]}

A client gives its token in the metadata ``authorization`` (``Bearer …``). Its answer means that all of the
export is durable; UNAVAILABLE that it is to be sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pydantic

from lemnis.content.schemas import Model
from lemnis.contracts.errors import BusyError, ServiceError, UsageError
from lemnis.contracts.receiving import Delivery, Receiver, Transport
from lemnis.ingest.transports import Setup, _otlp, _senders, _tls
from lemnis.ingest.transports.http import loopback

_log = logging.getLogger(__name__)
_SERVICE = "opentelemetry.proto.collector.logs.v1.LogsService"
_MIB = 1 << 20
_GRACE_S = 10


class Settings(Model):
    """One listener. ``open`` lets it listen to the network without a token; a message has bounded bytes."""

    host: str = "127.0.0.1"
    port: int = pydantic.Field(default=4317, ge=0, le=65_535)
    tls: _tls.Tls | None = None
    tokens: tuple[_senders.Token, ...] = ()
    open: bool = False
    max_message_bytes: int = pydantic.Field(default=16 * _MIB, ge=1024, le=512 * _MIB)
    max_requests: int = pydantic.Field(default=256, ge=1, le=65_536)

    @pydantic.model_validator(mode="after")
    def _closed(self) -> Settings:
        if not (self.tokens or self.open or loopback(self.host)):
            raise ValueError(f"anybody could send to {self.host}: give `tokens`, or `open: true`")
        if self.tls is not None and self.tls.peers:
            raise ValueError("`peers` is not looked at over gRPC: give `tokens`")
        return self


def build(name: str, settings: Settings, setup: Setup) -> Transport:
    """Return the listener; raises UsageError for secrets and certificates that cannot be used."""
    credentials = _credentials(settings.tls, setup) if settings.tls is not None else None
    return Exports(name, settings, _senders.Senders.of(settings.tokens, setup), credentials)


@dataclass(slots=True)
class Exports:
    """A listener over gRPC: a Transport. ``answers`` counts answers by their code."""

    name: str
    settings: Settings
    senders: _senders.Senders
    credentials: Any = None
    address: tuple[str, int] | None = None
    answers: Counter[str] = field(default_factory=Counter)

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Answer exports until ``stop``, then finish those that are under way; see ``Transport``."""

        async def export(body: bytes, context: Any) -> bytes:
            code, message = await self._take(receiver, body, context)
            self.answers[code.name] += 1
            if code is not grpc.StatusCode.OK:
                await context.abort(code, message)
            return _otlp.response()

        handler = grpc.method_handlers_generic_handler(
            _SERVICE, {"Export": grpc.unary_unary_rpc_method_handler(export)}
        )
        server = grpc.aio.server(
            maximum_concurrent_rpcs=self.settings.max_requests,
            options=[
                ("grpc.max_receive_message_length", self.settings.max_message_bytes),
                ("grpc.so_reuseport", 0),
            ],
        )
        server.add_generic_rpc_handlers((handler,))
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        port = self._listen(server, f"{host}:{self.settings.port}")
        await server.start()
        self.address = (self.settings.host, port)
        try:
            await stop.wait()
        finally:
            self.address = None
            await server.stop(_GRACE_S)

    def _listen(self, server: Any, place: str) -> int:
        try:
            if self.credentials is not None:
                return int(server.add_secure_port(place, self.credentials))
            return int(server.add_insecure_port(place))
        except RuntimeError as error:
            raise ServiceError(
                f"cannot listen at {place}: {error}",
                fix="choose another address or port, or stop what listens there",
            ) from error

    async def _take(self, receiver: Receiver, body: bytes, context: Any) -> tuple[grpc.StatusCode, str]:
        """Take an export; return how it is answered."""
        metadata = {
            key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)
        }
        code = grpc.StatusCode
        try:
            sender = self.senders.find(metadata.get("authorization", ""))
            if not sender.may(_otlp.SOURCE):
                return code.PERMISSION_DENIED, f"the token {sender.name} is not for {_otlp.SOURCE}"
            sender.spend(len(body), asyncio.get_running_loop().time())
            lines = await asyncio.to_thread(_lines, body)
            if lines:
                await receiver.receive([Delivery(_otlp.SOURCE, _origin(context.peer()), lines)])
        except _senders.UnknownError as error:
            return code.UNAUTHENTICATED, str(error)
        except _otlp.ExportError as error:
            return code.INVALID_ARGUMENT, str(error)
        except BusyError as error:
            return code.UNAVAILABLE, f"come again in {error.retry_after_s:.0f} s: {error.what}"
        except ServiceError as error:
            _log.error("what was sent cannot be taken: %s", error)
            return code.UNAVAILABLE, "it cannot be stored for now"
        return code.OK, ""


def _lines(body: bytes) -> bytes:
    return b"".join(_otlp.lines(_otlp.from_protobuf(body)))


def _origin(peer: str) -> str:
    """Return the address of ``ipv4:ADDRESS:PORT`` or ``ipv6:[ADDRESS]:PORT``."""
    return peer.partition(":")[2].rpartition(":")[0].strip("[]").replace("%5B", "").replace("%5D", "") or peer


def _credentials(tls: _tls.Tls, setup: Setup) -> Any:
    """Read certificates; that they fit is looked at as for every listener."""
    _tls.context(tls, setup)
    key, certificate = _read(setup.path(tls.key)), _read(setup.path(tls.certificate))
    roots = _read(setup.path(tls.client_ca)) if tls.client_ca else None
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=roots, require_client_auth=roots is not None
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}", fix="check the path") from error
