"""HTTP: what it answers and hands over, who may send, and what no sender can do to it."""

import asyncio
import base64
import gzip
import zlib

import pydantic
import pytest
import zstandard
from listening import Noting, build, http, listens, running

from lemnis.contracts.errors import BusyError, ServiceError, UsageError
from lemnis.ingest.transports import _bodies, _senders

TOKENS = [
    {"name": "a", "token_env": "A_TOKEN", "sources": ["web_*"]},
    {"name": "b", "token_env": "B_TOKEN"},
]


def run(coroutine):
    return asyncio.run(coroutine)


# -- the plain dialect ---------------------------------------------------------------------------------------


def test_lines_go_to_the_source_that_the_path_names(tmp_path):
    async def talk():
        async with http(tmp_path) as (client, receiver):
            answers = [
                await client.post("/ingest/web_json", content=b'{"a":1}\n{"a":2}'),
                await client.post("/ingest/web_json", content=b"  \n"),
                await client.post("/ingest/..%2fetc", content=b"x"),
                await client.get("/ingest/web_json"),
                await client.get("/healthz"),
            ]
        return [one.status_code for one in answers], receiver.deliveries

    statuses, deliveries = run(talk())
    assert statuses == [200, 400, 404, 405, 200]
    assert [(d.source, d.origin, d.data) for d in deliveries] == [
        ("web_json", "127.0.0.1", b'{"a":1}\n{"a":2}')
    ]


def zstd(data):
    return zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstd), ("GZIP", lambda d: gzip.compress(d[:9]) + gzip.compress(d[9:])),
     ("deflate", lambda d: zlib.compress(d)[2:-4]), ("zstd", lambda d: zstd(d[:9]) + zstd(d[9:]))],
)  # fmt: skip
def test_packed_bodies_are_unpacked(tmp_path, encoding, pack):
    data = b'{"n":%d}\n' % 7 * 100_000

    async def talk():
        async with http(tmp_path) as (client, receiver):
            headers = {"Content-Encoding": encoding}
            whole = await client.post("/ingest/web_json", content=pack(data), headers=headers)
            cut = await client.post("/ingest/web_json", content=pack(data)[:-9], headers=headers)
            junk = await client.post("/ingest/web_json", content=b"\xff\xfejunk", headers=headers)
        return whole, cut, junk, receiver

    whole, cut, junk, receiver = run(talk())
    assert whole.status_code == 200
    assert receiver.got == [("web_json", data)]
    assert (cut.status_code, junk.status_code) == (400, 400)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", lambda d: gzip.compress(d, 9)),
        ("deflate", lambda d: zlib.compress(d, 9)),
        ("zstd", zstandard.ZstdCompressor(level=19).compress),
    ],
)
def test_a_bomb_stays_small(tmp_path, encoding, pack):
    bomb = pack(bytes(200 << 20))
    seen = []
    unpack = _bodies._UNPACK[encoding]
    for piece in unpack(bomb):
        seen.append(len(piece))
        if sum(seen) > 8 << 20:
            break
    assert max(seen) <= 64 << 20

    async def talk():
        async with http(tmp_path, max_unpacked_bytes=1 << 20) as (client, receiver):
            answer = await client.post(
                "/ingest/web_json", content=bomb, headers={"Content-Encoding": encoding}
            )
        return answer, receiver.got

    answer, got = run(talk())
    assert (answer.status_code, got) == (413, [])


def test_bodies_that_are_too_large_or_packed_in_an_unknown_way_are_refused(tmp_path):
    async def talk():
        async with http(tmp_path, max_body_bytes=2000) as (client, receiver):

            async def chunks():
                for _ in range(5):
                    yield b"x" * 1000

            answers = [
                await client.post("/ingest/web_json", content=b"x" * 2001),
                await client.post("/ingest/web_json", content=chunks()),
                await client.post("/ingest/web_json", content=b"x", headers={"Content-Encoding": "br"}),
                await client.post("/ingest/web_json", content=b"x" * 2000),
            ]
        return [one.status_code for one in answers], receiver.got

    assert run(talk()) == ([413, 413, 415, 200], [("web_json", b"x" * 2000)])


def test_a_sender_that_dawdles_is_sent_away(tmp_path):
    async def talk():
        async with running(build("http", tmp_path, body_timeout_s=0.2), Noting()) as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"POST /ingest/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab")
            answer = await reader.read(20)
            writer.close()
        return answer

    assert run(talk()).startswith(b"HTTP/1.1 408")


def test_bodies_under_way_are_bounded_together():
    bodies = _bodies.Bodies(100, 100, 150, 1)
    with bodies.counted(100), pytest.raises(BusyError), bodies.counted(100):
        pass
    assert bodies.held == 0
    with bodies.counted(200):  # alone it may be larger
        assert bodies.held == 200


# -- who sends -----------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_in_every_dialect_and_only_for_its_sources(tmp_path):
    bulk = b'{"create":{"_index":"x"}}\n{"a":1}\n'
    event = b'{"event":"x"}'
    basic = base64.b64encode(b"any:fake-token-b").decode()

    async def talk():
        async with http(tmp_path, tokens=TOKENS, elastic={"default": "web_json"}, hec={"default": "linux_syslog"}) as (client, receiver):  # fmt: skip

            async def post(path, body, authorization=None):
                headers = {"Authorization": authorization} if authorization else {}
                answer = await client.post(path, content=body, headers=headers)
                return answer.status_code, answer.json()

            said = [
                await post("/ingest/web_json", b"x"),
                await post("/ingest/web_json", b"x", "Bearer wrong"),
                await post("/ingest/web_json", b"x", "Bearer fake-token-a"),
                await post("/ingest/linux_audit", b"x", "Bearer fake-token-a"),
                await post("/_bulk", bulk),
                await post("/_bulk", bulk, "ApiKey " + base64.b64encode(b"id:fake-token-a").decode()),
                await post("/_bulk", bulk, f"Basic {basic}"),
                await post("/services/collector", event),
                await post("/services/collector", event, "Digest x"),
                await post("/services/collector", event, "Splunk wrong"),
                await post("/services/collector", event, "Splunk fake-token-b"),
                await post("/services/collector", event, "Splunk fake-token-a"),
            ]
        return said, receiver

    said, receiver = run(talk())
    assert [status for status, _ in said] == [401, 401, 200, 403, 401, 200, 200, 401, 401, 403, 200, 400]
    assert [body.get("code") for _, body in said[7:]] == [2, 3, 4, 0, 7]
    assert said[4][1]["error"]["type"] == "security_exception"
    assert len(receiver.deliveries) == 4


def test_a_token_has_a_rate(tmp_path):
    tokens = [{"name": "a", "token_env": "A_TOKEN", "bytes_per_s": 1000}]

    async def talk():
        async with http(tmp_path, tokens=tokens) as (client, _):
            headers = {"Authorization": "Bearer fake-token-a"}
            return [await client.post("/ingest/a", content=b"x" * 3000, headers=headers) for _ in range(2)]

    first, second = run(talk())
    assert (first.status_code, second.status_code) == (200, 429)
    assert int(second.headers["Retry-After"]) >= 1


def test_a_rate_fills_up_again():
    sender = _senders.Sender("a", bytes_per_s=100)
    sender.spend(500, now=0)
    with pytest.raises(BusyError) as caught:
        sender.spend(200, now=1)
    assert caught.value.retry_after_s == pytest.approx(1)
    sender.spend(200, now=2)
    sender.spend(9000, now=100)  # larger than a burst, but nothing was sent for long


def test_an_address_without_a_token_has_a_rate_in_every_dialect(tmp_path):
    least = 5 * 65_536  # what may come at once when a request a second is allowed

    async def talk():
        async with http(tmp_path, address_bytes_per_s=65_536, proxies=["127.0.0.1"]) as (client, receiver):
            own = {"X-Forwarded-For": "198.51.100.7"}
            first = [
                (await client.post("/ingest/a", content=b"{}", headers=own)).status_code for _ in range(6)
            ]
            late = [
                await client.post(
                    path, content=b'{"event": "x"}', headers=own | {"Content-Type": "application/json"}
                )
                for path in ("/ingest/a", "/_bulk", "/v1/logs", "/services/collector")
            ]
            others = {"X-Forwarded-For": "198.51.100.8"}
            large = await client.post("/ingest/a", content=b"x" * (least + 1), headers=others)
            more = await client.post("/ingest/a", content=b"x", headers=others)
            alive = await client.get("/healthz", headers=own)
            taken = [one.data for one in receiver.deliveries]
        return first, late, large.status_code, more.status_code, alive.status_code, taken

    first, late, large, more, alive, taken = run(talk())
    assert first == [200] * 5 + [429]
    assert [one.status_code for one in late] == [429, 429, 429, 503]  # the last as Splunk says it
    assert all(int(one.headers["Retry-After"]) >= 1 for one in late)
    assert (large, more, alive) == (200, 429, 200)
    assert taken == [b"{}"] * 5 + [b"x" * (least + 1)]


def test_a_bad_body_of_a_stranger_costs_as_much_as_the_largest(tmp_path):
    async def talk():
        sizes = {"address_bytes_per_s": 70_000, "max_body_bytes": 100_000, "max_unpacked_bytes": 100_000}
        async with http(tmp_path, **sizes) as (client, _):
            headers = {"Content-Encoding": "gzip"}
            return [
                (await client.post("/ingest/a", content=b"junk", headers=headers)).status_code
                for _ in range(5)
            ]

    assert run(talk()) == [400, 400, 400, 429, 429]


def test_a_webhook_that_is_not_signed_has_a_rate(tmp_path):
    async def talk():
        hooks = [{"name": "hub", "kind": "github", "secret_env": "HOOK"}]
        async with http(tmp_path, webhooks=hooks, tokens=TOKENS, address_bytes_per_s=65_536) as (client, _):
            unsigned = [(await client.post("/webhook/hub", content=b"{}")).status_code for _ in range(6)]
            token = {"Authorization": "Bearer fake-token-b"}
            known = [
                (await client.post("/ingest/a", content=b"{}", headers=token)).status_code for _ in range(9)
            ]
        return unsigned, known

    unsigned, known = run(talk())
    assert unsigned == [401] * 5 + [429]
    assert known == [200] * 9


def test_strangers_are_told_apart_by_their_networks_and_forgotten_when_there_are_many():
    strangers = _senders.Strangers(100)
    one = strangers.at("2001:db8::1")
    assert strangers.at("2001:db8::ffff:1") is one
    assert strangers.at("2001:db8:0:1::1") is not one
    assert strangers.at("::ffff:192.0.2.1").name == "192.0.2.1"
    first = strangers.at("192.0.2.1")
    for number in range(10_000):
        strangers.at(f"name-{number}")
    assert strangers.at("192.0.2.1") is not first
    assert len(strangers._known) == 10_000


def test_nobody_listens_to_the_network_without_a_token(tmp_path):
    with pytest.raises(pydantic.ValidationError, match="anybody could send"):
        build("http", tmp_path, host="0.0.0.0")  # noqa: S104 - that it is refused
    build("http", tmp_path, host="0.0.0.0", tokens=TOKENS)  # noqa: S104 - it is not run
    with pytest.raises(UsageError, match="NOT_THERE is not set"):
        build("http", tmp_path, tokens=[{"name": "x", "token_env": "NOT_THERE"}])


def test_an_origin_is_named_by_known_proxies_only(tmp_path):
    origin = _senders.origins(["10.0.0.0/8", "127.0.0.1"])
    assert origin("198.51.100.1", "203.0.113.5") == "198.51.100.1"
    assert origin("10.0.0.1", "203.0.113.5") == "203.0.113.5"
    assert origin("10.0.0.1", "spoofed, 203.0.113.5, 10.0.0.2") == "203.0.113.5"
    assert origin("10.0.0.1", "10.0.0.9") == "10.0.0.9"
    assert origin("10.0.0.1", "") == "10.0.0.1"
    with pytest.raises(pydantic.ValidationError):
        build("http", tmp_path, proxies=["nonsense"])


# -- when it cannot be taken ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "against", [BusyError("full", retry_after_s=7), ServiceError("no disk"), RuntimeError("bug")]
)
def test_what_cannot_be_stored_is_told_to_be_sent_again(tmp_path, against):
    async def talk():
        async with http(tmp_path) as (client, receiver):
            receiver.against = against
            plain = await client.post("/ingest/a", content=b"x")
            hec = await client.post("/services/collector", content=b'{"event":"x"}')
            bulk = await client.post("/_bulk", content=b'{"create":{"_index":"x"}}\n{"a":1}\n')
            otlp = await client.post(
                "/v1/logs",
                json={"resourceLogs": [{"scopeLogs": [{"logRecords": [{}]}]}]},
            )
        return plain, hec, bulk, otlp

    plain, hec, bulk, otlp = run(talk())
    if isinstance(against, RuntimeError):
        assert [one.status_code for one in (plain, hec, bulk, otlp)] == [500, 500, 500, 500]
        assert hec.json()["code"] == 8
        return
    assert [one.status_code for one in (plain, hec, bulk, otlp)] == [503, 503, 429, 503]
    assert hec.json()["code"] == 9
    assert bulk.json()["error"]["type"] == "es_rejected_execution_exception"
    assert {one.headers["Retry-After"] for one in (plain, hec, bulk, otlp)} <= {"7", "5"}


def test_what_is_under_way_is_finished_at_the_end(tmp_path):
    class Slow(Noting):
        def __init__(self):
            super().__init__()
            self.asked, self.go = asyncio.Event(), asyncio.Event()

        async def receive(self, deliveries, mark=None):
            self.asked.set()
            await self.go.wait()
            await super().receive(deliveries, mark)

    async def talk():
        receiver, stop = Slow(), asyncio.Event()
        transport = build("http", tmp_path)
        task = asyncio.create_task(transport.run(receiver, stop))
        await listens(transport, task)
        reader, writer = await asyncio.open_connection(*transport.address)
        writer.write(b"POST /ingest/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
        await receiver.asked.wait()
        stop.set()
        await asyncio.sleep(0.05)
        receiver.go.set()
        answer = await reader.read(1000)
        writer.close()
        await task
        return answer, receiver.got

    answer, got = run(talk())
    assert answer.startswith(b"HTTP/1.1 200")
    assert got == [("a", b"x")]


def test_a_port_in_use_is_told(tmp_path):
    async def talk():
        async with running(build("http", tmp_path), Noting()) as (_, port):
            with pytest.raises(ServiceError, match="cannot listen"):
                await build("http", tmp_path, port=port).run(Noting(), asyncio.Event())

    run(talk())
