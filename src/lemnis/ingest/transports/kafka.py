"""Messages of Kafka topics; needs ``lemnis[kafka]``.

::

    transports:
      bus:
        kind: kafka
        servers: ["kafka.example:9093"]
        topics: {logs.linux: linux_syslog, logs.web: web_combined}
        tls: true
        user: lemnis
        password_env: KAFKA_PASSWORD

Offsets are committed when what is before them is durable here. What was not committed comes again, and is
known by its partition and offset.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Literal

import pydantic
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError

from lemnis.content.schemas import Model
from lemnis.content.schemas.settings import Variable
from lemnis.contracts.errors import Location, ServiceError
from lemnis.contracts.receiving import Delivery, Receiver, Transport
from lemnis.ingest.transports import Setup, _tls
from lemnis.ingest.transports._handing import hand_over, rest

_FETCH_MS = 500
_AGAIN_S = 1.0
_BEGIN_S = 30.0
_WHY_S = _END_S = 5.0
_log = logging.getLogger(__name__)


class Settings(Model):
    """Topics, each with the source of its messages, and how the brokers are talked to.

    ``group`` is the consumer group, which knows what was committed. With ``user`` a login by SASL
    (``mechanism``); with ``tls`` encrypted, ``ca`` the PEM file that the brokers' certificates lead to, and
    ``certificate`` and ``key`` a client's own. A group that has committed nothing yet begins at ``start``.
    """

    servers: tuple[str, ...] = pydantic.Field(min_length=1)
    topics: dict[str, str] = pydantic.Field(min_length=1)
    group: str = "lemnis"
    start: Literal["earliest", "latest"] = "earliest"
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""
    user: str = ""
    password_env: Variable = ""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    batch: int = pydantic.Field(default=2000, ge=1, le=100_000)

    @pydantic.model_validator(mode="after")
    def _safe(self) -> Settings:
        if (self.ca or self.certificate) and not self.tls:
            raise ValueError("`ca` and `certificate` need `tls: true`")
        if self.user and not self.tls and not all(map(_local, self.servers)):
            raise ValueError("a password would go in clear text: `tls: true`")
        return self


def build(name: str, settings: Settings, setup: Setup) -> Transport:
    """Return the transport; raises UsageError for a credential or certificate that is not there."""
    options: dict[str, Any] = {"security_protocol": "SSL" if settings.tls else "PLAINTEXT"}
    if settings.tls:
        options["ssl_context"] = _tls.client(
            setup, ca=settings.ca, certificate=settings.certificate, key=settings.key
        )
    if settings.user:
        options |= {
            "security_protocol": "SASL_SSL" if settings.tls else "SASL_PLAINTEXT",
            "sasl_mechanism": settings.mechanism, "sasl_plain_username": settings.user,
            "sasl_plain_password": setup.secret(env=settings.password_env),
        }  # fmt: skip
    return Topics(name, settings, options)


def _local(server: str) -> bool:
    host = server.rpartition(":")[0].strip("[]")
    with contextlib.suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


@dataclass(slots=True)
class Topics:
    """Reads topics as a member of a consumer group."""

    name: str
    settings: Settings
    options: dict[str, Any] = field(repr=False)
    messages: int = 0

    async def run(self, receiver: Receiver, stop: asyncio.Event) -> None:
        """Take messages until ``stop``; see ``Transport``."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=list(self.settings.servers), group_id=self.settings.group, client_id="lemnis",
            enable_auto_commit=False, auto_offset_reset=self.settings.start, **self.options,
        )  # fmt: skip
        try:
            await self._begin(consumer)
            while not stop.is_set():
                try:
                    found = await self._fetched(consumer, stop)
                    if found and await hand_over(receiver, self._deliveries(found), stop=stop):
                        await self._commit(consumer, found)
                except KafkaError as error:  # brokers that begin anew
                    _log.warning("%s: %s", self.name, error)
                    await rest(stop, _AGAIN_S)
        finally:
            with contextlib.suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(consumer.stop(), _END_S)

    async def _begin(self, consumer: AIOKafkaConsumer) -> None:
        try:
            async with asyncio.timeout(_BEGIN_S):
                await consumer.start()
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            raise ServiceError(
                f"no broker can be used: {await self._why() or str(error) or type(error).__name__}",
                at=Location(", ".join(self.settings.servers)), fix="check the addresses and the credentials",
            ) from error  # fmt: skip
        consumer.subscribe(list(self.settings.topics), listener=_Told(self.name))

    async def _fetched(
        self, consumer: AIOKafkaConsumer, stop: asyncio.Event
    ) -> Mapping[TopicPartition, Sequence[ConsumerRecord]]:
        """Return what there is soon; nothing at ``stop``, for without a coordinator this waits for long."""
        fetching = asyncio.ensure_future(
            consumer.getmany(timeout_ms=_FETCH_MS, max_records=self.settings.batch)
        )
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({fetching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return fetching.result() if fetching.done() else {}
        finally:
            stopping.cancel()
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    async def _why(self) -> str:
        """Say what is against the first broker, which the client keeps to itself; nothing if nothing is."""
        host, _, port = self.settings.servers[0].rpartition(":")
        try:
            async with asyncio.timeout(_WHY_S):
                connection = await create_conn(host.strip("[]"), int(port), **self.options)
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            return str(error) or type(error).__name__
        connection.close()
        return ""

    async def _commit(
        self, consumer: AIOKafkaConsumer, found: Mapping[TopicPartition, Sequence[ConsumerRecord]]
    ) -> None:
        """Commit what is durable; what cannot be, for others have the partitions now, comes again to them."""
        try:
            await consumer.commit({place: records[-1].offset + 1 for place, records in found.items()})
        except KafkaError as error:
            _log.warning("%s: some messages are not committed: %s", self.name, error)
        self.messages += sum(map(len, found.values()))

    def _deliveries(self, found: Mapping[TopicPartition, Sequence[ConsumerRecord]]) -> list[Delivery]:
        """Return one delivery a message, so that it is the same one when it comes again."""
        return [
            Delivery(
                self.settings.topics[place.topic], f"{place.topic}/{place.partition}", record.value,
                key=f"{place.partition}@{record.offset}",
            )
            for place, records in found.items()
            for record in records
            if record.value
        ]  # fmt: skip


class _Told(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Logs which partitions are read here."""

    def __init__(self, name: str) -> None:
        self._name = name

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Say that others read these."""
        _log.info("%s: %d partitions are read elsewhere", self._name, len(revoked))

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Say that these are read here."""
        _log.info("%s: %d partitions are read here", self._name, len(assigned))
