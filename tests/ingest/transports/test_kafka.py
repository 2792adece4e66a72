"""Kafka against a real broker: LEMNIS_KAFKA names a folder with the jars of Apache Kafka's server."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lemnis.contracts.clock import SystemClock
from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.ingest.transports import Setup, get
from lemnis.testing.receiver import MemoryReceiver, running, until

aiokafka = pytest.importorskip("aiokafka")
JARS, JAVA = os.environ.get("LEMNIS_KAFKA", ""), shutil.which("java")
broker_only = pytest.mark.skipif(
    not (JARS and JAVA), reason="LEMNIS_KAFKA names no folder with Kafka's jars, or there is no java"
)
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
num.partitions=3
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Broker:
    """One node that is broker and controller, and can be killed and begun again where it was."""

    def __init__(self, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.config = folder / "server.properties"
        self.config.write_text(PROPERTIES.format(port=self.port, controller=free_port(), folder=folder))
        self.work: asyncio.subprocess.Process | None = None

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def java(self, main: str, *argv: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            str(JAVA), "-Xmx512m", "-cp", f"{JARS}/*", main, *argv,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    async def format(self) -> None:
        work = await self.java(
            "kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(self.config)
        )
        assert await work.wait() == 0

    async def start(self) -> None:
        self.work = await self.java("kafka.Kafka", str(self.config))
        async with asyncio.timeout(90):
            while True:
                producer = aiokafka.AIOKafkaProducer(bootstrap_servers=self.server)
                try:
                    await producer.start()
                    await producer.send_and_wait("ready", b"?")
                except aiokafka.errors.KafkaError:
                    await asyncio.sleep(0.2)
                else:
                    return
                finally:
                    await producer.stop()

    async def kill(self) -> None:
        if self.work is not None:
            with contextlib.suppress(ProcessLookupError):
                self.work.send_signal(signal.SIGKILL)
            await self.work.wait()


@contextlib.asynccontextmanager
async def broker(folder: Path) -> AsyncIterator[Broker]:
    one = Broker(folder)
    await one.format()
    try:
        await one.start()
        yield one
    finally:
        await one.kill()


async def produce(one: Broker, first: int, last: int) -> None:
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=one.server) as producer:
        sent = [await producer.send("logs.linux", b"line %d" % n) for n in range(first, last)]
        await asyncio.gather(*sent)


def transport(servers: list[str], root: Path = Path("/"), **settings: Any) -> Any:
    kind = get("kafka")
    given = {"servers": servers, "topics": {"logs.linux": "linux_syslog"}} | settings
    return kind.build(
        "bus", kind.Settings.model_validate(given), Setup(root, {"PASSWORD": "word"}, SystemClock())
    )


async def committed(one: Broker) -> int:
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=one.server, group_id="lemnis", enable_auto_commit=False
    )
    await consumer.start()
    try:
        places = [aiokafka.TopicPartition("logs.linux", n) for n in range(3)]
        return sum([await consumer.committed(place) or 0 for place in places])
    finally:
        await consumer.stop()


@broker_only
@pytest.mark.slow
def test_messages_arrive_once_in_effect_whatever_is_killed(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver(busy=1)
        async with broker(tmp_path) as one:
            await produce(one, 0, 3000)
            receiver.gate.clear()
            work = asyncio.create_task(transport([one.server], batch=500).run(receiver, asyncio.Event()))
            await until(lambda: receiver.waiting, seconds=40)
            assert await committed(one) == 0  # nothing is durable yet
            work.cancel()  # as if killed
            await asyncio.wait([work])
            receiver.gate.set()
            async with running(transport([one.server], batch=500), receiver, seconds=60):
                await until(lambda: len({each.key for each in receiver.taken}) == 3000, seconds=60)
                await one.kill()
                await one.start()
                await produce(one, 3000, 3500)
                await until(lambda: len({each.key for each in receiver.taken}) == 3500, seconds=60)
            assert await committed(one) == 3500
        assert {each.data for each in receiver.taken} == {b"line %d" % n for n in range(3500)}
        assert len({(each.origin, each.key, each.data) for each in receiver.taken}) == 3500
        assert {each.source for each in receiver.taken} == {"linux_syslog"}

    asyncio.run(story())


def test_a_broker_that_is_not_there_is_said() -> None:
    made = transport([f"127.0.0.1:{free_port()}"])
    with pytest.raises(ServiceError, match="no broker can be used"):
        asyncio.run(made.run(MemoryReceiver(), asyncio.Event()))


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in clear text"):
        transport(["192.0.2.1:9092"], user="u", password_env="PASSWORD")
    with pytest.raises(ValueError, match="need `tls: true`"):
        transport(["192.0.2.1:9092"], ca="x.pem")
    with pytest.raises(UsageError, match="is not set"):
        transport(["127.0.0.1:9092"], user="u", password_env="OTHER")
    with pytest.raises(UsageError, match="cannot be used"):
        transport(["192.0.2.1:9092"], tls=True, ca="none.pem", root=tmp_path)
    with pytest.raises(ValueError, match="at least 1 item"):
        transport(["127.0.0.1:9092"], topics={})
