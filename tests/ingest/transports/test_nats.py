"""NATS JetStream against a real server: every message once in effect, whatever is killed."""

import asyncio
import contextlib
import gc
import json
import signal
import ssl
import subprocess
import sysconfig
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lemnis.contracts.clock import SystemClock
from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.ingest.transports import Setup, get
from lemnis.testing.certificates import Authority
from lemnis.testing.receiver import MemoryReceiver, running, until

nats = pytest.importorskip("nats")
SERVER = Path(sysconfig.get_path("scripts")) / "nats-server"
pytestmark = pytest.mark.skipif(not SERVER.exists(), reason="nats-server is not installed")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again, or waited for in vain, is so at once: nothing here is about how long that takes."""
    for name in ("_AGAIN_S", "_FETCH_S"):
        monkeypatch.setattr(f"lemnis.ingest.transports.nats.{name}", 0.1)


class Server:
    """A JetStream server that can be killed and begun again where it was."""

    def __init__(self, folder: Path, *more: str) -> None:
        self.folder, self.more, self.port = folder, more, -1
        self.work: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        for old in self.folder.glob("*.ports"):
            old.unlink()
        argv = [SERVER, "-js", "-sd", self.folder / "store", "-a", "127.0.0.1", "-p", self.port, *self.more]
        self.work = await asyncio.create_subprocess_exec(
            *map(str, argv),
            "--ports_file_dir",
            str(self.folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await until(lambda: [one for one in self.folder.glob("*.ports") if one.stat().st_size])
        said = json.loads(next(self.folder.glob("*.ports")).read_text())
        self.port = int(said["nats"][0].rpartition(":")[2])

    async def kill(self) -> None:
        if self.work is not None:
            with contextlib.suppress(ProcessLookupError):
                self.work.send_signal(signal.SIGKILL)
            await self.work.wait()


@contextlib.asynccontextmanager
async def server(folder: Path, *more: str) -> AsyncIterator[Server]:
    one = Server(folder, *more)
    await one.start()
    try:
        yield one
    finally:
        await one.kill()


@contextlib.asynccontextmanager
async def publisher(one: Server, **more: Any) -> AsyncIterator[Any]:
    client = await nats.connect(one.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, **more)
    stream = client.jetstream()
    with contextlib.suppress(nats.js.errors.BadRequestError):
        await stream.add_stream(name="LOGS", subjects=["logs.>"])
    try:
        yield stream
    finally:
        await client.close()


def transport(one: Server, root: Path = Path("/"), **settings: Any) -> Any:
    kind = get("nats")
    given = {"servers": [one.url], "stream": "LOGS"} | settings
    return kind.build(
        "bus", kind.Settings.model_validate(given), Setup(root, {"PASSWORD": "word"}, SystemClock())
    )


async def pending(stream: Any) -> int:
    info = await stream.consumer_info("LOGS", "lemnis-bus")
    return int(info.num_ack_pending + info.num_pending)


async def settled(stream: Any) -> None:
    """Wait until the server has taken every acknowledgement in."""
    async with asyncio.timeout(20):
        while await pending(stream):  # noqa: ASYNC110 - the server sets no event
            await asyncio.sleep(0.05)


def test_messages_arrive_with_the_source_of_their_subject(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver(busy=1)
        async with server(tmp_path) as one, publisher(one) as stream:
            for n in range(2500):
                await stream.publish(f"logs.{('linux', 'web', 'other')[n % 3]}.h1", b"line %d" % n)
            rules = [
                {"match": "logs.linux.>", "source": "linux_syslog"},
                {"match": "logs.web.*", "source": "web_combined"},
            ]
            async with running(transport(one, subjects=rules), receiver):
                await until(lambda: len(receiver.taken) == 2500)
            await settled(stream)
        assert set(receiver.lines(source="linux_syslog")) == {b"line %d" % n for n in range(0, 2500, 3)}
        assert len(receiver.lines(source="web_combined", origin="LOGS/logs.web.h1")) == 833
        assert len({one.key for one in receiver.taken}) == 2500

    asyncio.run(story())


def test_nothing_is_acknowledged_before_it_is_durable(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        receiver.gate.clear()
        async with server(tmp_path) as one, publisher(one) as stream:
            for n in range(10):
                await stream.publish("logs.a", b"line %d" % n)
            work = asyncio.create_task(transport(one, ack_wait_s=1).run(receiver, asyncio.Event()))
            await until(lambda: receiver.waiting)
            assert await pending(stream) == 10
            work.cancel()  # as if killed
            await asyncio.wait([work])
            receiver.gate.set()
            async with running(transport(one, ack_wait_s=1), receiver):
                await until(lambda: len(receiver.taken) == 10)
            await settled(stream)

    asyncio.run(story())


def test_a_server_that_is_killed_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        async with server(tmp_path) as one:
            async with publisher(one) as stream:
                for n in range(3000):
                    await stream.publish("logs.a", b"line %d" % n)
            async with running(transport(one, batch=50, ack_wait_s=1), receiver):
                await until(lambda: len(receiver.taken) >= 100)
                await one.kill()
                await one.start()
                async with publisher(one) as stream:
                    for n in range(3000, 3500):
                        await stream.publish("logs.a", b"line %d" % n)
                    await until(lambda: len({each.key for each in receiver.taken}) == 3500, seconds=40)
                    await settled(stream)
        by_key = {each.key: each.data for each in receiver.taken}
        assert set(by_key.values()) == {b"line %d" % n for n in range(3500)}
        assert (
            len({(each.origin, each.key, each.data) for each in receiver.taken}) == 3500
        )  # again is the same

    asyncio.run(story())


def test_a_login_that_is_refused_and_a_stream_that_is_not_there_are_said(tmp_path: Path) -> None:
    async def story() -> None:
        async with server(tmp_path, "--user", "u", "--pass", "word") as one:
            with pytest.raises(ServiceError, match="no server answers"):
                await transport(one).run(MemoryReceiver(), asyncio.Event())
            async with publisher(one, user="u", password="word"):
                made = transport(one, user="u", password_env="PASSWORD", stream="OTHER")
                with pytest.raises(ServiceError, match="the stream OTHER cannot be read"):
                    await made.run(MemoryReceiver(), asyncio.Event())

    asyncio.run(story())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("login", ["certificate", "password", "token"])
def test_a_stream_is_read_over_tls_by_whoever_may(tmp_path: Path, login: str) -> None:
    authority = Authority(tmp_path)
    its, ours = authority.issue("server"), authority.issue("lemnis")
    options = {
        "certificate": ["--tlsverify"], "password": ["--user", "u", "--pass", "word"],
        "token": ["--auth", "word"],
    }[login]  # fmt: skip
    given: dict[str, Any] = {
        "certificate": {"certificate": str(ours.certificate), "key": str(ours.key)},
        "password": {"user": "u", "password_env": "PASSWORD"}, "token": {"token_env": "PASSWORD"},
    }[login]  # fmt: skip
    files = ["--tls", "--tlscert", its.certificate, "--tlskey", its.key, "--tlscacert", authority.certificate]
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(ours.certificate, ours.key)
    theirs: dict[str, Any] = {
        "certificate": {}, "password": {"user": "u", "password": "word"}, "token": {"token": "word"}
    }[login]  # fmt: skip

    async def story() -> None:
        receiver = MemoryReceiver()
        async with server(tmp_path, *map(str, files), *options) as one:
            async with publisher(one, tls=context, **theirs) as stream:
                await stream.publish("logs.a", b"over tls")
            address = {"servers": [one.url.replace("nats:", "tls:")]}
            with pytest.raises(ServiceError, match="no server answers"):  # nobody vouches for the server
                await transport(one, **address, **given).run(MemoryReceiver(), asyncio.Event())
            stranger = transport(one, **address, ca=str(authority.certificate))
            with pytest.raises(ServiceError, match="no server answers"):  # nor for us
                await stranger.run(MemoryReceiver(), asyncio.Event())
            reader = transport(one, **address, **given, ca=str(authority.certificate))
            async with running(reader, receiver):
                await until(receiver.lines)
        assert receiver.lines() == [b"over tls"]

    asyncio.run(story())
    gc.collect()  # a handshake that failed leaves a socket to it


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    one = Server(tmp_path)
    with pytest.raises(ValueError, match="no address of a NATS server"):
        transport(one, servers=["http://x"])
    with pytest.raises(ValueError, match="no credentials in addresses"):
        transport(one, servers=["nats://u:p@x:4222"])
    with pytest.raises(UsageError, match="in clear text"):
        transport(one, servers=["nats://192.0.2.1:4222"], user="u", password_env="PASSWORD")
    with pytest.raises(UsageError, match="cannot be used"):
        transport(one, servers=["tls://192.0.2.1:4222"], ca="none.pem", root=tmp_path)


@pytest.mark.parametrize(
    ("match", "subject", "fits"),
    [
        ("a.>", "a.b.c", True), ("a.>", "a", False), (">", "a.b", True), ("a.*", "a.b", True),
        ("a.*", "a.b.c", False), ("*.b", "a.b", True), ("a.b", "a.b", True), ("a.b", "a.c", False),
    ],
)  # fmt: skip
def test_subjects_match_as_nats_matches_them(match: str, subject: str, *, fits: bool) -> None:
    assert get("nats").Rule(match=match, source="s").fits(subject) is fits
