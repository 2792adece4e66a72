"""The streams of a cluster on NATS JetStream: one a partition for what was received, one for signals.

A message is stored on the device of a majority before its publisher is answered. Readers do not acknowledge:
how far a stream is done is in PostgreSQL (``store.remote_lanes``), readers begin after it, in the stream's
order, and what is done is purged. Redeliveries, which come out of order, so do not exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pydantic
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from lemnis import app
from lemnis.app.cluster.messages import message_id
from lemnis.contracts.errors import BusyError, ContentError, Location, ServiceError
from lemnis.ingest import transports
from lemnis.ingest.transports import nats as transport

if TYPE_CHECKING:
    from lemnis.app.cluster import Setup

LOG = logging.getLogger("lemnis.cluster")
_ANSWER_S = 5.0
_TRIES_S = 30.0
_PAUSE_S = (0.05, 1.0)
_KNOWN_S = 120.0
_IDLE_S = 60.0
_MOST = 1_000_000
_FULL = frozenset({10077, 10122, 10123})
"""What the server says of a stream that may hold no more."""
_AGAIN_S = 5.0
_FAILURES = 20


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its number in its stream, and its bytes."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True)
class State:
    """How much a stream holds, from which number on, and up to which."""

    messages: int
    bytes: int
    first: int
    last: int


class Bus:
    """A connection to the cluster's streams."""

    def __init__(self, setup: Setup, client: Client) -> None:
        """Use ``connect``."""
        self._setup, self._client = setup, client
        self._js: JetStreamContext = client.jetstream(timeout=_ANSWER_S)
        self._made: dict[str, str] = {}
        one = setup.cluster
        self.raw = tuple(f"{one.name}-raw-{number:03}" for number in range(one.partitions))
        self.signals = f"{one.name}-signals"

    @classmethod
    async def connect(cls, setup: Setup) -> Bus:
        """Connect, and make the streams that are not there."""
        one = setup.cluster
        given = {
            "servers": one.nats, "stream": one.name, "credentials": one.credentials, "user": one.user,
            "token_env": one.token_env, "password_env": one.password_env, "ca": one.ca,
            "certificate": one.certificate, "key": one.key,
        }  # fmt: skip
        try:
            checked = transport.Settings.model_validate(given)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise ContentError(f"cluster.nats: {first['msg']}", at=Location(app.SETTINGS)) from error
        root, clock = setup.workspace.root, setup.workspace.clock
        login = transport.login(checked, transports.Setup(root, setup.environment, clock))
        bus = cls(setup, await transport.connect("cluster", one.nats, login))
        try:
            for name in (*bus.raw, bus.signals):
                bus._made[name] = await bus._make(name)
        except BaseException:
            await bus.close()
            raise
        return bus

    @property
    def connected(self) -> bool:
        """Whether a server is there at the moment."""
        return bool(self._client.is_connected)

    def lane(self, stream: str) -> str:
        """Return the name of a stream as it was made: one that is made anew counts from 1 again."""
        return f"{stream}@{self._made[stream]}"

    async def close(self) -> None:
        """Let go of the connection."""
        with contextlib.suppress(NatsError, TimeoutError):
            await self._client.close()

    # -- writing -------------------------------------------------------------------------------------------

    async def publish(self, stream: str, data: bytes) -> int:
        """Return a message's number when a majority has it on the device; the same message has the same one.

        Raises BusyError where the stream is full, and ServiceError where it cannot be reached for a while.
        """
        headers = {"Nats-Msg-Id": message_id(data)}
        pause, why = _PAUSE_S[0], ""
        until = asyncio.get_running_loop().time() + _TRIES_S
        while asyncio.get_running_loop().time() < until:
            try:
                answer = await self._js.publish(stream, data, headers=headers, timeout=_ANSWER_S)
            except APIError as error:
                if error.err_code in _FULL:
                    raise BusyError(
                        f"{stream} holds as much as it may", retry_after_s=_AGAIN_S,
                        fix="add workers, or let streams hold more: cluster.megabytes",
                    ) from error  # fmt: skip
                why = f"{error}"
            except (NatsError, TimeoutError) as error:  # a leader that is gone: another one is found
                why = str(error) or type(error).__name__
            else:
                return int(answer.seq)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSE_S[1])
        raise ServiceError(
            f"{stream} cannot be written: {why}", at=Location(", ".join(self._setup.cluster.nats)),
            fix="a majority of the servers has to be there; see their logs",
        )  # fmt: skip

    async def forget(self, stream: str, up_to: int) -> None:
        """Remove messages up to a number; what cannot be removed now is removed with later ones."""
        with contextlib.suppress(NatsError, TimeoutError):
            await self._js.purge_stream(stream, seq=up_to + 1)

    # -- reading -------------------------------------------------------------------------------------------

    async def state(self, stream: str) -> State:
        """Return what a stream holds; raises ServiceError where it cannot be asked."""
        try:
            told = (await self._js.stream_info(stream)).state
        except (NatsError, TimeoutError) as error:
            raise ServiceError(f"{stream} cannot be asked: {str(error) or type(error).__name__}") from error
        return State(told.messages, told.bytes, told.first_seq, told.last_seq)

    async def age(self, stream: str, number: int) -> float:
        """Return how long ago (s) a message came; 0 if it is not there any more."""
        try:
            found = await self._js.get_msg(stream, seq=number)
        except (NatsError, TimeoutError):
            return 0.0
        came = found.time
        return 0.0 if came is None else max(0.0, self._setup.workspace.clock.now() / 1000 - came.timestamp())

    def reader(self, stream: str, after: int) -> Reader:
        """Read a stream after a number."""
        return Reader(self, self._js, stream, after)

    # -- inside --------------------------------------------------------------------------------------------

    async def _make(self, name: str) -> str:
        """Make a stream if there is none; return when it was made."""
        one = self._setup.cluster
        wanted = StreamConfig(
            name=name, subjects=[name], retention=RetentionPolicy.LIMITS, storage=StorageType.FILE,
            discard=DiscardPolicy.NEW, num_replicas=one.replicas, max_bytes=int(one.megabytes * 1_000_000),
            duplicate_window=_KNOWN_S, max_msg_size=_MOST, allow_direct=True,
        )  # fmt: skip
        why = ""
        for _ in range(20):
            try:
                try:
                    info = await self._js.stream_info(name)
                except NotFoundError:
                    info = await self._js.add_stream(wanted)
            except (NatsError, TimeoutError) as error:
                why = str(error) or type(error).__name__
                await asyncio.sleep(_PAUSE_S[1])
            else:
                return "" if info.created is None else f"{info.created:%Y%m%dT%H%M%S.%f}"
        raise ServiceError(
            f"the stream {name} cannot be made: {why}", at=Location(", ".join(one.nats)),
            fix=f"JetStream needs {one.replicas} servers for {one.replicas} replicas, and rights to make it",
        )  # fmt: skip


class Reader:
    """Reads a stream in its order; what a lost connection or consumer leaves out is read again."""

    def __init__(self, bus: Bus, js: JetStreamContext, stream: str, after: int) -> None:
        """Use ``Bus.reader``."""
        self._bus, self._js, self._stream = bus, js, stream
        self._last = after
        self._consumer: Any = None
        self.lost = self._failures = 0

    async def close(self) -> None:
        """Read no more."""
        await self._let_go()

    async def next(self, count: int, *, wait: float) -> list[Message]:
        """Return the next messages, at most ``count``; none if none came within ``wait`` seconds.

        Raises ServiceError where the stream cannot be read for a while: to be tried again.
        """
        try:
            if self._consumer is None:
                self._consumer = await self._consume()
            found = await self._consumer.fetch(count, timeout=wait)
        except TimeoutError:
            await self._look()
            return []
        except (NatsError, OSError) as error:
            await self._let_go()
            self._failures += 1
            if self._failures <= _FAILURES:  # a leader that is chosen just now, a consumer that is gone
                await asyncio.sleep(wait)
                return []
            raise ServiceError(
                f"{self._stream} cannot be read: {str(error) or type(error).__name__}"
            ) from error
        self._failures = 0
        return [message async for message in self._following(found)]

    async def _following(self, found: Any) -> AsyncIterator[Message]:
        """Yield those that follow on each other; after a gap that the stream does not have, begin anew."""
        for one in found:
            number = int(one.metadata.sequence.stream)
            if number <= self._last:
                continue
            if number > self._last + 1 and not await self._gone(number):
                await self._let_go()
                return
            self._last = number
            yield Message(number, one.data)

    async def _gone(self, number: int) -> bool:
        """Say whether nothing is before a number any more but what was read; what is missing is told."""
        first = (await self._bus.state(self._stream)).first
        if first < number:
            return False
        self.lost += number - self._last - 1
        LOG.error("%s: %d messages were removed before they were read", self._stream, number - self._last - 1)
        return True

    async def _look(self) -> None:
        """Begin anew where the stream has more than it gives: its consumer may be gone without a word."""
        with contextlib.suppress(ServiceError):
            if (await self._bus.state(self._stream)).last > self._last:
                await self._let_go()

    async def _let_go(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(NatsError, TimeoutError):
                await consumer.unsubscribe()

    async def _consume(self) -> Any:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=self._last + 1,
            ack_policy=AckPolicy.NONE, inactive_threshold=_IDLE_S, mem_storage=True, num_replicas=1,
        )  # fmt: skip
        return await self._js.pull_subscribe(self._stream, stream=self._stream, config=config)
