"""Syslog over real sockets: what is sent arrives, once, and what cannot be taken is told."""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.ingest.transports import Setup, get
from lemnis.testing.certificates import Authority
from lemnis.testing.receiver import MemoryReceiver, running, until


def listener(root: Path, **settings: Any) -> Any:
    kind = get("syslog")
    given = {"protocol": "tcp", "port": 0, "flush_s": 0.02} | settings
    return kind.build("edge", kind.Settings.model_validate(given), Setup(root, {}, ManualClock(1000)))


async def connect(transport: Any, **more: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    await until(lambda: transport.address)
    return await asyncio.open_connection(*transport.address, **more)


async def say(transport: Any, data: bytes, **more: Any) -> None:
    _, writer = await connect(transport, **more)
    writer.write(data)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def lines(count: int, size: int = 100) -> list[bytes]:
    return [(b"<13>Nov 29 12:00:00 host app: %06d " % n).ljust(size, b"x") for n in range(count)]


def test_datagrams_arrive_by_sender_and_what_is_too_long_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, protocol="udp", max_message_bytes=500)
        async with running(transport, receiver):
            await until(lambda: transport.address)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for data in (b"<13>one\n", b"<13>two\nlines\0", b"<13>" + b"x" * 600, b"<13>three"):
                    sender.sendto(data, transport.address)
            await until(lambda: len(receiver.lines()) == 3 and receiver.refused)
        assert receiver.lines(source="linux_syslog", origin="127.0.0.1") == [
            b"<13>one", b"<13>two#012lines", b"<13>three",
        ]  # fmt: skip
        assert [(one.origin, len(one.data)) for one in receiver.refused] == [("127.0.0.1", 604)]
        assert "longer than the 500 bytes" in receiver.refused[0].refused

    asyncio.run(story())


def test_what_the_kernel_dropped_is_told_with_its_number(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, protocol="udp", receive_buffer_bytes=65_536)
        async with running(transport, receiver):
            await until(lambda: transport.address)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for line in lines(5000, 500):  # the loop does not run meanwhile, so nobody reads
                    sender.sendto(line, transport.address)
            await until(lambda: receiver.refused)
        dropped = sum(int(re.match(r"\d+", one.refused)[0]) for one in receiver.refused)
        assert dropped > 0
        assert len(receiver.lines()) + dropped == 5000
        assert receiver.refused[0].origin.startswith("udp 127.0.0.1:")

    asyncio.run(story())


def test_datagrams_wait_in_the_kernel_while_too_much_waits_for_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lemnis.ingest.transports._datagrams._HELD_BYTES", 10_000)

    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, protocol="udp")
        receiver.gate.clear()
        sent = lines(600)
        async with running(transport, receiver):
            await until(lambda: transport.address)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for some in range(0, 600, 50):
                    for line in sent[some : some + 50]:
                        sender.sendto(line, transport.address)
                    await asyncio.sleep(0.01)
            await until(lambda: receiver.waiting)
            assert transport.received < 600
            receiver.gate.set()
            await until(lambda: len(receiver.lines()) == 600)
        assert sorted(receiver.lines()) == sent

    asyncio.run(story())


@pytest.mark.parametrize("counted", [True, False])
def test_connections_of_either_framing_arrive_in_order_and_once(tmp_path: Path, *, counted: bool) -> None:
    async def story() -> None:
        receiver = MemoryReceiver(busy=2, failing=1)
        transport = listener(tmp_path)
        sent = lines(30_000, 120)
        data = b"".join(b"%d %s" % (len(one), one) if counted else one + b"\n" for one in sent)
        async with running(transport, receiver):
            await asyncio.gather(say(transport, data), say(transport, data[: 124 * 100]))
            await until(lambda: len(receiver.lines()) >= 30_000 + 100)
        assert receiver.turned_away == 3
        per_connection: dict[str, list[bytes]] = {}
        for one in receiver.taken:
            per_connection.setdefault(one.key.partition("@")[0], []).extend(one.data.splitlines())
        assert sent in per_connection.values()
        assert len({(one.origin, one.key) for one in receiver.taken}) == len(receiver.taken)

    asyncio.run(story())


def test_a_sender_is_held_back_until_what_it_sent_is_durable(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        receiver.gate.clear()
        transport = listener(tmp_path)
        data = b"\n".join(lines(200_000, 300)) + b"\n"
        async with running(transport, receiver):
            await until(lambda: transport.address)
            sender = socket.create_connection(transport.address)
            sender.setblocking(False)
            sent, still = 0, time.monotonic()
            while time.monotonic() - still < 0.5:  # until nothing more goes out for a while
                try:
                    sent += sender.send(data[sent : sent + 65_536])
                    still = time.monotonic()
                except BlockingIOError:
                    await asyncio.sleep(0.01)
            assert sent < len(data) // 2
            assert receiver.calls == []
            receiver.gate.set()
            sender.setblocking(True)
            await asyncio.to_thread(sender.sendall, data[sent:])
            sender.close()
            await until(lambda: sum(len(one.data) for one in receiver.taken) == len(data))
        assert b"".join(one.data for one in receiver.taken) == data

    asyncio.run(story())


def test_hostile_connections_cost_only_themselves(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path)
        hostile = [
            b"x" * 50_000_000,
            b"50000000 <13>" + b"y" * 49_999_996,
            b"999999999 <13>gone" + b"z" * 100_000,
            b"\0" * 1_000_000,
            b"<13>\xff\xfe\n",
            b"",
        ]
        async with running(transport, receiver):
            attacks = [asyncio.create_task(say(transport, data)) for data in hostile]
            await say(transport, b"\n".join(lines(100)) + b"\n")
            await asyncio.gather(*attacks, return_exceptions=True)
            await until(lambda: len(receiver.lines()) >= 101 and len(receiver.refused) >= 3)
        assert set(lines(100)) < set(receiver.lines())
        assert sorted(one.refused[:11] for one in receiver.refused) == [
            "longer than",
            "longer than",
            "no length of"[:11],
        ]
        assert transport.counts.refused == 3

    asyncio.run(story())


def test_no_more_than_so_many_are_connected(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, max_connections=2)
        async with running(transport, receiver):
            kept = [await connect(transport) for _ in range(2)]
            await until(lambda: transport.counts.connections == transport.connected == 2)
            reader, writer = await connect(transport)
            assert await reader.read() == b""  # closed by the listener
            kept[0][1].write(b"<13>still\n")
            await until(lambda: receiver.lines() == [b"<13>still"])
            for _, one in [*kept, (reader, writer)]:
                one.close()
        assert transport.counts.turned_away == 1

    asyncio.run(story())


def test_a_connection_is_read_at_its_rate_and_others_go_on(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, bytes_per_s=4_000_000)
        data = b"\n".join(lines(120_000, 100)) + b"\n"  # 12 MB: three seconds' worth, one of them at once
        async with running(transport, receiver):
            _, fast = await connect(transport)
            began = time.monotonic()
            fast.write(data)
            sending = asyncio.create_task(fast.drain())
            await say(transport, b"<13>another\n")
            await until(lambda: b"<13>another" in receiver.lines())
            assert sum(len(one.data) for one in receiver.taken) < len(data), "the other is not waited for"
            await sending
            await until(lambda: sum(len(one.data) for one in receiver.taken) == len(data) + 12)
            assert time.monotonic() - began > 1.4
            fast.close()

    asyncio.run(story())


def test_what_was_sent_before_the_stop_is_handed_over(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, flush_s=5)
        async with running(transport, receiver):
            _, writer = await connect(transport)
            writer.write(b"<13>one\n<13>half")
            await writer.drain()
            await until(lambda: transport.counts.connections)
        writer.close()
        assert receiver.lines() == [b"<13>one", b"<13>half"]

    asyncio.run(story())


def test_routes_say_which_source_a_line_is_of(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        routes = [{"match": "%ASA-", "source": "cisco_asa"}, {"match": " nginx: ", "source": "web_combined"}]
        transport = listener(tmp_path, routes=routes, source="auto")
        async with running(transport, receiver):
            await say(transport, b"<1>a %ASA-6-1: x\n<2>h nginx: %ASA-\n<3>h nginx: y\n<4>z\n<5>\xff %ASA-\n")
            await until(lambda: len(receiver.lines()) == 5)
        assert receiver.lines(source="cisco_asa") == [
            b"<1>a %ASA-6-1: x",
            b"<2>h nginx: %ASA-",
            b"<5>\xff %ASA-",
        ]
        assert receiver.lines(source="web_combined") == [b"<3>h nginx: y"]
        assert receiver.lines(source="auto") == [b"<4>z"]

    asyncio.run(story())


def test_another_encoding_is_read_where_a_line_is_not_utf_8(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, encoding="latin-1")
        texts = ["<1>caf\u00e9".encode(), "<2>caf\u00e9".encode("latin-1"), b"<3>tea"]
        async with running(transport, receiver):
            await say(transport, b"\n".join(texts) + b"\n")
            await until(lambda: len(receiver.lines()) == 3)
        assert [line.decode() for line in receiver.lines()] == ["<1>caf\u00e9", "<2>caf\u00e9", "<3>tea"]

    asyncio.run(story())


def client(authority: Authority, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if name:
        pair = authority.issue(name)
        context.load_cert_chain(pair.certificate, pair.key)
    return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def tls(authority: Authority, **more: Any) -> dict[str, Any]:
    pair = authority.issue("server")
    return {"protocol": "tls", "tls": {"certificate": str(pair.certificate), "key": str(pair.key), **more}}


def test_tls_carries_counted_messages(tmp_path: Path, authority: Authority) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, **tls(authority))
        sent = lines(3000)
        async with running(transport, receiver):
            await say(transport, b"".join(b"%d %s" % (len(one), one) for one in sent), ssl=client(authority))
            await until(lambda: len(receiver.lines()) == 3000)
            old = client(authority)
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            await say(transport, b"5 <1>ab", ssl=old)
            await until(lambda: b"<1>ab" in receiver.lines())
        assert receiver.lines()[:3000] == sent

    asyncio.run(story())


@pytest.mark.parametrize(
    ("peers", "name", "taken"),
    [((), "", False), ((), "anybody", True), (("host-*",), "host-1", True), (("host-*",), "other", False)],
)
def test_who_must_show_a_certificate_shows_it(
    tmp_path: Path, authority: Authority, peers: tuple[str, ...], name: str, *, taken: bool
) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        transport = listener(tmp_path, **tls(authority, client_ca=str(authority.certificate), peers=peers))
        async with running(transport, receiver):
            try:
                reader, writer = await connect(transport, ssl=client(authority, name))
                writer.write(b"<1>hello\n")
                await writer.drain()
                if taken:
                    await until(receiver.lines)
                else:
                    assert await reader.read() == b""
                writer.close()
            except (ConnectionError, ssl.SSLError):
                assert not taken
        assert bool(receiver.lines()) is taken

    asyncio.run(story())


def test_a_certificate_of_another_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    async def story() -> None:
        other = Authority(tmp_path, "another authority")
        context = client(authority)
        pair = other.issue("host-1")
        context.load_cert_chain(pair.certificate, pair.key)
        receiver = MemoryReceiver()
        transport = listener(tmp_path, **tls(authority, client_ca=str(authority.certificate)))
        async with running(transport, receiver):
            with pytest.raises((ConnectionError, ssl.SSLError)):  # noqa: PT012 - TLS 1.3 tells it late
                reader, writer = await connect(transport, ssl=context)
                writer.write(b"<1>hello\n")
                await writer.drain()
                await reader.read()
                raise ConnectionResetError
        assert receiver.calls == []

    asyncio.run(story())


def test_an_address_in_use_is_said(tmp_path: Path) -> None:
    async def story(protocol: str, kind: int) -> None:
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind(("127.0.0.1", 0))
            if kind == socket.SOCK_STREAM:
                taken.listen()
            transport = listener(tmp_path, protocol=protocol, port=taken.getsockname()[1])
            with pytest.raises(ServiceError, match="cannot be listened at"):
                await transport.run(MemoryReceiver(), asyncio.Event())

    asyncio.run(story("tcp", socket.SOCK_STREAM))
    asyncio.run(story("udp", socket.SOCK_DGRAM))


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"protocol": "tls"}, "needs `tls"),
        ({"tls": {"certificate": "a", "key": "b"}}, "nothing else has it"),
        ({"protocol": "tls", "tls": {"certificate": "a", "key": "b", "peers": ["x"]}}, "needs `client_ca`"),
        ({"routes": [{"match": "(?=x)", "source": "y"}]}, "not an RE2 expression"),
        ({"hots": "x"}, "Extra inputs"),
        ({"protocol": "udp", "bytes_per_s": 1}, "cannot be slowed down"),
        ({"encoding": "runes"}, "no encoding"),
        ({"encoding": "hex"}, "no encoding"),
    ]
    for settings, said in cases:
        with pytest.raises(ValueError, match=re.escape(said)):
            listener(tmp_path, **settings)
    with pytest.raises(UsageError, match="cannot be used"):
        listener(tmp_path, protocol="tls", tls={"certificate": "none.pem", "key": "none.key"})


def test_a_receiver_that_breaks_is_not_hidden(tmp_path: Path) -> None:
    class Broken(MemoryReceiver):
        async def receive(self, *_: object) -> None:
            raise ZeroDivisionError

    async def story(protocol: str, send: Callable[[Any], Any]) -> None:
        transport = listener(tmp_path, protocol=protocol)
        work = asyncio.create_task(transport.run(Broken(), asyncio.Event()))
        await until(lambda: transport.address)
        await send(transport)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(work, 10)

    async def datagram(transport: Any) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"<1>x", transport.address)

    asyncio.run(story("tcp", lambda transport: say(transport, b"<1>x\n")))
    asyncio.run(story("udp", datagram))
