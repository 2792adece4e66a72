"""Syslog over UDP (RFC 5426), TCP (RFC 6587) and TLS (RFC 5425), of RFC 3164 and RFC 5424.

::

    transports:
      routers: {kind: syslog, protocol: udp, host: 0.0.0.0, port: 514}
      hosts:
        kind: syslog
        protocol: tls
        tls: {certificate: keys/syslog.pem, key: keys/syslog.key, client_ca: keys/hosts-ca.pem}
        routes:
          - {match: '%ASA-', source: cisco_asa}

A TCP sender's bytes are read on only when those before are durable. The kernel holds what comes meanwhile and
the sender is slowed down by TCP itself; over UDP the kernel drops what its buffer cannot hold, and that is
told, with its number.
"""

from __future__ import annotations

import codecs
from typing import Literal

import pydantic

from lemnis.content.schemas import Model
from lemnis.contracts.receiving import Transport
from lemnis.ingest.transports import Setup, _tls
from lemnis.ingest.transports._datagrams import Datagrams
from lemnis.ingest.transports._framing import Framing
from lemnis.ingest.transports._routes import Route, Sorter
from lemnis.ingest.transports._stream import Connections

_PORTS = {"udp": 514, "tcp": 514, "tls": 6514}


class Settings(Model):
    """One listener.

    ``source`` is that of all lines unless a route says otherwise; ``auto`` recognises it. Lines that are not
    UTF-8 are read as ``encoding`` (a name that Python knows, such as ``latin-1``). A message longer than
    ``max_message_bytes`` is refused and told. ``max_connections`` are open at once, each with up to 2 MiB in
    memory; ``receive_buffer_bytes`` is what is asked of the kernel for datagrams that wait. A line waits for
    ``flush_s`` at most for others to be written with.
    """

    protocol: Literal["udp", "tcp", "tls"] = "udp"
    host: str = "127.0.0.1"
    port: int | None = pydantic.Field(default=None, ge=0, le=65_535)
    source: str = "linux_syslog"
    routes: tuple[Route, ...] = ()
    framing: Framing = "auto"
    max_message_bytes: int = pydantic.Field(default=65_536, ge=480, le=8_000_000)
    max_connections: int = pydantic.Field(default=256, ge=1, le=65_536)
    receive_buffer_bytes: int = pydantic.Field(default=33_554_432, ge=65_536, le=1_073_741_824)
    encoding: str = "utf-8"
    bytes_per_s: int = pydantic.Field(default=0, ge=0)
    flush_s: float = pydantic.Field(default=0.2, gt=0, le=5)
    tls: _tls.Tls | None = None

    @pydantic.field_validator("encoding")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            b"\xe9".decode(value, "replace")
            return codecs.lookup(value).name
        except (LookupError, UnicodeError) as error:
            raise ValueError(f"no encoding {value!r}") from error

    @pydantic.model_validator(mode="after")
    def _tls_where_it_belongs(self) -> Settings:
        if (self.protocol == "tls") != (self.tls is not None):
            raise ValueError("`protocol: tls` needs `tls: {certificate, key}`, and nothing else has it")
        return self

    @pydantic.model_validator(mode="after")
    def _a_rate_where_it_can_be_kept(self) -> Settings:
        if self.bytes_per_s and self.protocol == "udp":
            raise ValueError(
                "`bytes_per_s` is for `tcp` and `tls`: the sender of a datagram cannot be slowed down"
            )
        return self

    @property
    def listens_at(self) -> tuple[str, int]:
        """Host and port: 514, or 6514 with TLS, unless another is given; 0 takes a free one."""
        return self.host, _PORTS[self.protocol] if self.port is None else self.port


def build(name: str, settings: Settings, setup: Setup) -> Transport:
    """Return the listener; raises UsageError for certificates that cannot be used."""
    sorter = Sorter(settings.source, settings.routes, settings.encoding)
    if settings.protocol == "udp":
        return Datagrams(
            name, settings.listens_at, setup.clock, sorter,
            max_bytes=settings.max_message_bytes, buffer_bytes=settings.receive_buffer_bytes,
            flush_s=settings.flush_s,
        )  # fmt: skip
    return Connections(
        name, settings.listens_at, setup.clock, sorter,
        max_bytes=settings.max_message_bytes, max_connections=settings.max_connections,
        framing=settings.framing, flush_s=settings.flush_s, tls=settings.tls,
        bytes_per_s=settings.bytes_per_s, context=_tls.context(settings.tls, setup) if settings.tls else None,
    )  # fmt: skip
