"""Messages of a NATS JetStream stream; needs ``lemnis[nats]``.

::

    transports:
      bus:
        kind: nats
        servers: ["tls://nats.example:4222"]
        stream: LOGS
        credentials: keys/lemnis.creds
        subjects:
          - {match: "logs.linux.>", source: linux_syslog}

A message is acknowledged when it is durable here. What was not acknowledged comes again, and is known by its
number in the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pydantic
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from lemnis.content.schemas import Model
from lemnis.content.schemas.settings import Variable
from lemnis.contracts.errors import Location, ServiceError, UsageError
from lemnis.contracts.receiving import Delivery, Receiver, Transport
from lemnis.ingest.transports import Setup, _tls
from lemnis.ingest.transports._handing import hand_over, rest
from lemnis.ingest.transports._web import loopback

_FETCH_S = 1.0
_AGAIN_S = 1
_FIRST_ATTEMPTS = 2
_log = logging.getLogger(__name__)


class Rule(Model):
    """Subjects that ``match``, with the wildcards of NATS (``*`` a token, ``>`` all that follow)."""

    match: str = pydantic.Field(min_length=1)
    source: str = pydantic.Field(min_length=1)

    def fits(self, subject: str) -> bool:
        """Say whether a subject matches."""
        wanted, tokens = self.match.split("."), subject.split(".")
        if wanted[-1] == ">":
            wanted, tokens = wanted[:-1], tokens[: len(wanted) - 1] if len(tokens) >= len(wanted) else []
        return len(wanted) == len(tokens) and all(
            one in {"*", token} for one, token in zip(wanted, tokens, strict=True)
        )


class Settings(Model):
    """A stream, and what is read of it.

    ``durable`` names the consumer, which knows what was acknowledged (``lemnis`` and the transport's name
    unless given). Credentials are a ``credentials`` file as ``nsc`` makes them, a token, or a user with a
    password, or a client's certificate. At most ``batch`` messages are under way at once.
    """

    servers: tuple[str, ...] = pydantic.Field(min_length=1)
    stream: str = pydantic.Field(pattern=r"^[A-Za-z0-9_-]{1,256}$")
    subject: str = ">"
    durable: str = pydantic.Field(default="", pattern=r"^[A-Za-z0-9_-]{0,128}$")
    credentials: str = ""
    token_env: Variable = ""
    user: str = ""
    password_env: Variable = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    source: str = "auto"
    subjects: tuple[Rule, ...] = ()
    batch: int = pydantic.Field(default=1000, ge=1, le=10_000)
    ack_wait_s: float = pydantic.Field(default=60, ge=1, le=3600)

    @pydantic.field_validator("servers")
    @classmethod
    def _addresses(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for one in servers:
            parts = urlsplit(one)
            if parts.scheme not in {"nats", "tls", "ws", "wss"} or not parts.hostname:
                raise ValueError(f"{one!r} is no address of a NATS server, such as tls://nats.example:4222")
            if parts.username or parts.password:
                raise ValueError("no credentials in addresses")
        return servers

    @property
    def encrypted(self) -> bool:
        """Whether every server is asked to be talked to in TLS, or is this machine."""
        return all(urlsplit(one).scheme in {"tls", "wss"} or loopback(one) for one in self.servers)

    def source_of(self, subject: str) -> str:
        """Return the source of a subject."""
        return next((rule.source for rule in self.subjects if rule.fits(subject)), self.source)


def build(name: str, settings: Settings, setup: Setup) -> Transport:
    """Return the transport; raises UsageError for a credential that is missing or would go in clear text."""
    return Stream(name, settings, login(settings, setup))


def login(settings: Settings, setup: Setup) -> dict[str, Any]:
    """Return what a client is told to log in with; raises UsageError as ``build`` does."""
    given: dict[str, Any] = {}
    if settings.credentials:
        given["user_credentials"] = str(setup.path(settings.credentials))
    if settings.token_env:
        given["token"] = setup.secret(env=settings.token_env)
    if settings.user:
        given |= {"user": settings.user, "password": setup.secret(env=settings.password_env)}
    if ("token" in given or "password" in given) and not settings.encrypted:
        raise UsageError("a token or a password would go in clear text", fix="use tls:// addresses")
    if settings.ca or settings.certificate:
        given["tls"] = _tls.client(setup, ca=settings.ca, certificate=settings.certificate, key=settings.key)
    return given


async def connect(name: str, servers: Sequence[str], login: Mapping[str, Any]) -> Client:
    """Connect to one of the servers soon or not at all; what is lost after that is made anew for ever.

    Raises ServiceError where none answers. ``name`` is for the log.
    """
    said = ""
    for _ in range(_FIRST_ATTEMPTS):
        for first in range(len(servers)):
            try:
                return await _connect(name, [*servers[first:], *servers[:first]], login)
            except (NatsError, OSError, TimeoutError) as error:
                said = str(error) or type(error).__name__
        await asyncio.sleep(_AGAIN_S)
    raise ServiceError(
        f"no server answers: {said}",
        at=Location(", ".join(servers)), fix="check the addresses and the credentials",
    )  # fmt: skip


async def _connect(name: str, servers: Sequence[str], login: Mapping[str, Any]) -> Client:
    """Connect to the first of the servers, and once that is done to any.

    The client's own first attempts hang for ever where a handshake fails, so it makes only one.
    """

    async def told(what: object = "") -> None:
        if what or not client.is_closed:  # it says so of one that we closed, too
            _log.warning("%s: %s", name, what or "the connection is lost")

    client = Client()
    try:
        await client.connect(
            list(servers), name="lemnis", dont_randomize=True, allow_reconnect=False,
            reconnect_time_wait=_AGAIN_S, connect_timeout=10, error_cb=told, disconnected_cb=told,
            **login,
        )  # fmt: skip
    except BaseException:
        if (opened := client._transport) is not None:  # noqa: SLF001 - the library leaves it open
            opened.close()  # type: ignore[no-untyped-call]
        raise
    client.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1}
    return client


@dataclass(slots=True)
class Stream:
    """Reads a stream by a durable pull consumer."""

    name: str
    settings: Settings
    login: dict[str, Any] = field(repr=False)
    messages: int = 0

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Take messages until ``stop``; see ``Transport``."""
        client = await connect(self.name, self.settings.servers, self.login)
        try:
            subscription = await self._subscribe(client)
            while not stop.is_set():
                try:
                    some = await subscription.fetch(self.settings.batch, timeout=_FETCH_S)
                except TimeoutError:  # there is nothing
                    continue
                except NatsError as error:  # a server that begins anew
                    _log.warning("%s: %s", self.name, error)
                    await rest(stop, _AGAIN_S)
                    continue
                async with self._under_way(some):
                    durable = await hand_over(receiver, self._deliveries(some), stop=stop)
                if durable:
                    await self._acknowledge(client, some)
        finally:
            with contextlib.suppress(NatsError, TimeoutError):
                await client.close()

    async def _subscribe(self, client: Client) -> JetStreamContext.PullSubscription:
        """Bind to the durable consumer, and make it if there is none."""
        wanted = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT, ack_wait=self.settings.ack_wait_s,
            max_ack_pending=max(1000, self.settings.batch),
        )  # fmt: skip
        try:
            return await client.jetstream().pull_subscribe(
                self.settings.subject, durable=self.settings.durable or f"lemnis-{self.name}",
                stream=self.settings.stream, config=wanted,
            )  # fmt: skip
        except (NatsError, TimeoutError) as error:
            raise ServiceError(
                f"the stream {self.settings.stream} cannot be read: {str(error) or type(error).__name__}",
                at=Location(", ".join(self.settings.servers)),
                fix="check the stream's name and the permissions",
            ) from error  # fmt: skip

    def _deliveries(self, some: Sequence[Msg]) -> list[Delivery]:
        """Return one delivery a message, so that it is the same one when it comes again."""
        return [
            Delivery(
                self.settings.source_of(one.subject), f"{one.metadata.stream}/{one.subject}", one.data,
                key=str(one.metadata.sequence.stream),
            )
            for one in some
            if one.data
        ]  # fmt: skip

    async def _acknowledge(self, client: Client, some: Sequence[Msg]) -> None:
        try:
            for one in some:
                await one.ack()
            await client.flush()
            self.messages += len(some)
        except (NatsError, TimeoutError) as error:  # they come again
            _log.warning("%s: %d messages are not acknowledged: %s", self.name, len(some), error)

    @contextlib.asynccontextmanager
    async def _under_way(self, some: Sequence[Msg]) -> AsyncIterator[None]:
        """Tell the server now and then that these messages are worked on, for as long as the block takes."""

        async def tell() -> None:
            while True:
                await asyncio.sleep(self.settings.ack_wait_s / 3)
                with contextlib.suppress(NatsError):
                    for one in some:
                        await one.in_progress()

        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling
