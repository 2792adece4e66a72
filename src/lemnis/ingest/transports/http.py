"""HTTP in the dialects that shippers speak: plain, Splunk's, Elasticsearch's, OTLP, and webhooks.

::

    transports:
      shippers:
        kind: http
        port: 8080
        tokens:
          - {name: web servers, token_env: WEB_TOKEN, sources: [web_combined]}
        hec: {sourcetypes: [{match: 'linux*', source: linux_syslog}]}
        elastic: {indices: [{match: 'filebeat-*', source: linux_syslog, field: message}]}
        webhooks: [{name: github, kind: github, secret_env: GITHUB_SECRET}]

An answer of success means that what was sent is durable. Without tokens it listens on the loopback only.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass

import pydantic
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lemnis.content.schemas import Model
from lemnis.contracts.receiving import Receiver, Transport
from lemnis.ingest.transports import (
    Setup,
    _dialect_elastic,
    _dialect_hec,
    _dialect_ndjson,
    _dialect_otlp,
    _dialect_webhooks,
    _senders,
    _tls,
)
from lemnis.ingest.transports._asgi import Server
from lemnis.ingest.transports._bodies import Bodies
from lemnis.ingest.transports._desk import Desk

_MIB = 1 << 20


class Settings(Model):
    """One listener.

    A body may have ``max_body_bytes`` as it is sent and ``max_unpacked_bytes`` once unpacked; all bodies that
    are under way at once ``max_held_bytes``. ``address_bytes_per_s`` is what one address may send that shows
    no token, on the average over a few seconds; each request counts as 64 KiB at least, and 0 is any.
    ``proxies`` are the networks whose X-Forwarded-For is believed.
    ``open`` lets it listen to the network without a token.
    """

    host: str = "127.0.0.1"
    port: int = pydantic.Field(default=8080, ge=0, le=65_535)
    tls: _tls.Tls | None = None
    tokens: tuple[_senders.Token, ...] = ()
    open: bool = False
    proxies: tuple[str, ...] = ()
    max_body_bytes: int = pydantic.Field(default=16 * _MIB, ge=1024, le=512 * _MIB)
    max_unpacked_bytes: int = pydantic.Field(default=64 * _MIB, ge=1024, le=1024 * _MIB)
    max_held_bytes: int = pydantic.Field(default=256 * _MIB, ge=1024)
    address_bytes_per_s: int = pydantic.Field(default=64 * _MIB, ge=0)
    max_connections: int = pydantic.Field(default=512, ge=1, le=65_536)
    body_timeout_s: float = pydantic.Field(default=60, gt=0, le=3600)
    hec: _dialect_hec.Hec = _dialect_hec.Hec()
    elastic: _dialect_elastic.Elastic = _dialect_elastic.Elastic()
    webhooks: tuple[_dialect_webhooks.Webhook, ...] = ()

    @pydantic.field_validator("proxies")
    @classmethod
    def _networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        _senders.origins(proxies)
        return proxies

    @pydantic.model_validator(mode="after")
    def _closed(self) -> Settings:
        if not (self.tokens or self.open or loopback(self.host)):
            raise ValueError(f"anybody could send to {self.host}: give `tokens`, or `open: true`")
        names = [one.name for one in self.webhooks]
        if len(names) != len(set(names)):
            raise ValueError("two webhooks have the same name")
        return self


def build(name: str, settings: Settings, setup: Setup) -> Transport:
    """Return the listener; raises UsageError for secrets and certificates that cannot be used."""
    bodies = Bodies(
        settings.max_body_bytes, settings.max_unpacked_bytes, settings.max_held_bytes, settings.body_timeout_s
    )
    senders = _senders.Senders.of(settings.tokens, setup)
    strangers = _senders.Strangers(settings.address_bytes_per_s)
    desk = Desk(name, senders, bodies, _senders.origins(settings.proxies), setup.clock, strangers)
    hooks = [_dialect_webhooks.Hook.of(one, setup) for one in settings.webhooks]
    app = Starlette(
        routes=[
            Route("/healthz", _alive),
            *_dialect_ndjson.routes(desk),
            *_dialect_hec.routes(desk, settings.hec),
            *_dialect_otlp.routes(desk),
            *_dialect_webhooks.routes(desk, hooks),
            *_dialect_elastic.routes(desk, settings.elastic),
        ]
    )
    context = _tls.context(settings.tls, setup) if settings.tls else None
    server = Server(name, app, settings.host, settings.port, settings.max_connections, context)
    return Listener(name, desk, server)


@dataclass(slots=True)
class Listener:
    """A listener over HTTP: a Transport."""

    name: str
    desk: Desk
    server: Server

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens, once it does."""
        return self.server.address

    @property
    def connected(self) -> int:
        """Return how many connections are open."""
        return self.server.connected

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Answer requests until ``stop``, then finish those that are under way; see ``Transport``."""
        self.desk.receiver = receiver
        try:
            await self.server.run(stop)
        finally:
            self.desk.receiver = None


async def _alive(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def loopback(host: str) -> bool:
    """Say whether only this machine can connect to a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
