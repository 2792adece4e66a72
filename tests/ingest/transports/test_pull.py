"""Interfaces pulled from: every record once, from where it came to, through limits, failures and late ones."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock, to_iso
from lemnis.contracts.errors import ContentError, ServiceError, UsageError
from lemnis.contracts.events import RawBatch
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.parsers import _documents
from lemnis.ingest.reading import open_path
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream
from lemnis.ingest.transports import Setup, get
from lemnis.testing import interfaces
from lemnis.testing.interfaces import (
    TOKEN,
    GithubSimulator,
    GoogleSimulator,
    GraphSimulator,
    Interface,
    OktaSimulator,
)
from lemnis.testing.receiver import MemoryReceiver, running, until
from lemnis.testing.server import Asked, Reply

NOW = 1_790_000_000_000
HOUR = 3_600_000
VALUES: dict[str, dict[str, str]] = {
    "okta": {"domain": "acme.okta.com"},
    "github_audit": {"organisation": "acme"},
    "github_enterprise_audit": {"enterprise": "acme"},
    "github_events": {"organisation": "acme"},
    "entra_signins": {"tenant": "acme.example", "client_id": "1234"},
    "entra_audits": {"tenant": "acme.example", "client_id": "1234"},
    "google_workspace": {"application": "login", "administrator": "admin@acme.example"},
}
SIMULATORS: dict[str, type[Interface]] = {
    "okta": OktaSimulator,
    "github_audit": GithubSimulator,
    "github_enterprise_audit": GithubSimulator,
    "github_events": GithubSimulator,
    "entra_signins": GraphSimulator,
    "entra_audits": GraphSimulator,
    "google_workspace": GoogleSimulator,
}


@contextlib.contextmanager
def simulated(api: str, **more: Any) -> Iterator[Any]:
    with SIMULATORS[api](page=7, **more) as simulator:
        yield simulator


def puller(root: Path, api: str, simulator: Any, clock: ManualClock | None = None, **settings: Any) -> Any:
    kind = get("pull")
    secret = simulator.key_file if isinstance(simulator, GoogleSimulator) else TOKEN
    tokens = {
        "google_workspace": "/token",
        "entra_signins": "/t/oauth2/v2.0/token",
        "entra_audits": "/t/oauth2/v2.0/token",
    }
    given = {
        "api": api, "values": VALUES[api], "secret_env": "SECRET", "url": simulator.url, "every_s": 1,
        "token_url": simulator.url + tokens[api] if api in tokens else None,
    }  # fmt: skip
    setup = Setup(root, {"SECRET": secret}, clock or ManualClock(NOW))
    made = kind.build("pulled", kind.Settings.model_validate(given | settings), setup)
    made.every_s = 0.02  # for the test's sake faster than anybody may say
    return made


def always(status: int, body: bytes) -> Callable[..., Reply]:
    return lambda *_: Reply(status, body)


def record(number: int, at: int) -> dict[str, Any]:
    return {"id": number, "published": to_iso(at), "text": "\u00e9\n\x00"}


def ids(receiver: MemoryReceiver) -> list[int]:
    return [orjson.loads(one.data)["id"] for one in receiver.taken]


@pytest.mark.parametrize("api", sorted(SIMULATORS))
def test_every_record_comes_once_and_a_restart_goes_on(tmp_path: Path, api: str) -> None:
    async def story() -> None:
        receiver = MemoryReceiver(busy=1, failing=1)
        clock = ManualClock(NOW)
        with simulated(api) as simulator:
            if api != "github_events":  # which knows no times
                simulator.add(NOW - 30 * HOUR, record(999, 0))  # before the start
            for n in range(50):
                simulator.add(NOW - HOUR + n * 1000, record(n, NOW - HOUR + n * 1000))
            async with running(puller(tmp_path, api, simulator, clock), receiver):
                await until(lambda: len(receiver.taken) >= 50)
                simulator.add(NOW + 1000, record(50, 0))
                clock.advance(5000)
                await until(lambda: len(receiver.taken) >= 51)
            assert sorted(ids(receiver)) == list(range(51))
            asked = len(simulator.log)
            simulator.add(NOW + 6000, record(51, 0))
            clock.advance(5000)
            async with running(puller(tmp_path, api, simulator, clock), receiver):
                await until(lambda: 51 in ids(receiver))
            assert set(ids(receiver)) == set(range(52))
            assert len(simulator.log) - asked < 20  # it did not begin from the start
        first = receiver.taken[0]
        assert first.source == {"okta": "okta", "google_workspace": "google_workspace"}.get(api, first.source)
        assert first.origin.startswith("127.0.0.1:")
        assert all(b"\n" not in one.data for one in receiver.taken)

    asyncio.run(story())


@pytest.mark.parametrize("api", sorted(SIMULATORS))
def test_what_is_pulled_is_what_its_source_reads(tmp_path: Path, api: str) -> None:
    sources = Sources.load(Library.open())
    clock = ManualClock(NOW)
    with simulated(api) as simulator:
        source = sources.get(puller(tmp_path, api, simulator, clock).source)
        keys = source.file.options.get("records_at", ())
        samples = [
            found
            for file in sorted((source.folder / "samples").glob("*.json*"))
            for found in _documents.records(Stream(file), (keys,) if isinstance(keys, str) else tuple(keys))
        ]
        assert samples

        async def story() -> list[bytes]:
            receiver = MemoryReceiver()
            for number, sample in enumerate(samples):
                simulator.add(NOW - HOUR + number, orjson.loads(str(sample)))
            async with running(puller(tmp_path, api, simulator, clock), receiver):
                await until(lambda: len(receiver.taken) == len({str(sample) for sample in samples}))
            return [one.data for one in receiver.taken]

        pulled = tmp_path / "pulled.jsonl"
        pulled.write_bytes(b"\n".join(asyncio.run(story())))
    mapped = 0
    for batch in open_path(pulled, sources, source=source.name):
        assert isinstance(batch, RawBatch), batch
        done = Mapper(source).map(batch, now=NOW)
        assert not done.rejects
        mapped += sum(map(len, done.batches))
    assert mapped == len({str(sample) for sample in samples})


def test_numbers_beyond_64_bits_stay_what_they_are(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        with simulated("okta") as simulator:
            simulator.reply = always(200, b'[{"n": 1234567890123456789012345678901}]')
            async with running(puller(tmp_path, "okta", simulator), receiver):
                await until(lambda: receiver.taken)
        assert receiver.taken[0].data == b'{"n":1234567890123456789012345678901}'

    asyncio.run(story())


@pytest.mark.parametrize("api", ["okta", "entra_signins", "google_workspace"])
def test_limits_and_failures_are_waited_for(
    tmp_path: Path, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lemnis.ingest.transports._web._WAIT_S", (0.01, 0.05))

    async def story() -> None:
        receiver = MemoryReceiver()
        with simulated(api) as simulator:
            for n in range(20):
                simulator.add(NOW - HOUR + n, record(n, 0))
            simulator.limited, simulator.failing = 3, 2
            async with running(puller(tmp_path, api, simulator), receiver):
                await until(lambda: len(receiver.taken) >= 8)
                simulator.limited = 2
                await until(lambda: len(receiver.taken) >= 20)
        assert sorted(ids(receiver)) == list(range(20))
        assert {429, 503} < {one.status for one in simulator.log}

    asyncio.run(story())


def test_a_limit_that_is_used_up_is_left_alone_until_it_is_over(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        with simulated("github_audit") as simulator:
            for n in range(30):
                simulator.add(NOW - HOUR + n, record(n, 0))
            simulator.remaining = 2
            async with running(puller(tmp_path, "github_audit", simulator), receiver):
                await until(lambda: len(receiver.taken) >= 30)
        assert sorted(ids(receiver)) == list(range(30))
        assert 403 not in {one.status for one in simulator.log}  # it waited before it was told to

    asyncio.run(story())


@pytest.mark.parametrize("api", ["github_audit", "entra_signins", "google_workspace"])
def test_what_is_told_late_is_asked_for_again(tmp_path: Path, api: str) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        clock = ManualClock(NOW)
        with simulated(api) as simulator:
            for n in range(10):
                simulator.add(NOW - 60_000 + n, record(n, 0))
            made = puller(tmp_path, api, simulator, clock)
            async with running(made, receiver):
                await until(lambda: len(receiver.taken) >= 10 and made._swept)
                simulator.add(NOW - 59_000, record(77, 0))  # it was long before what came already
                clock.advance(made.pull.late_s * 1000 // 4 + 1)
                await until(lambda: 77 in ids(receiver))
        assert sorted(ids(receiver)) == [*range(10), 77]

    asyncio.run(story())


def test_a_token_that_is_refused_is_fetched_anew(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        clock = ManualClock(NOW)
        with simulated("entra_signins") as simulator:
            simulator.add(NOW - HOUR, record(0, 0))
            async with running(puller(tmp_path, "entra_signins", simulator, clock), receiver):
                await until(lambda: receiver.taken)
                simulator.expire()
                simulator.add(NOW + 1, record(1, 0))
                clock.advance(1000)
                await until(lambda: len(receiver.taken) == 2)
        assert 401 in {one.status for one in simulator.log}

    asyncio.run(story())


def test_google_is_asked_in_the_name_of_the_administrator(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        with simulated("google_workspace") as simulator:
            simulator.add(NOW - 1, record(0, 0))
            async with running(puller(tmp_path, "google_workspace", simulator), receiver):
                await until(lambda: receiver.taken)
        assert simulator.subjects == ["admin@acme.example"]

    asyncio.run(story())


@pytest.mark.parametrize("api", ["okta", "entra_signins", "google_workspace"])
def test_a_login_that_is_refused_from_the_beginning_is_said(tmp_path: Path, api: str) -> None:
    with simulated(api) as simulator:
        made = puller(tmp_path, api, simulator)
        simulator.reply = always(401, b'{"error": "no"}')
        with pytest.raises(ServiceError, match="answered 401"):
            asyncio.run(asyncio.wait_for(made.run(MemoryReceiver(), asyncio.Event()), 20))


def test_a_place_that_is_not_known_any_more_is_found_again_by_time(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        gone = orjson.dumps({"next": "/api/v1/logs?after=gone", "at": NOW - HOUR}).decode()
        with simulated("okta") as simulator:
            receiver.marks["pulled", puller(tmp_path, "okta", simulator).key] = gone
            simulator.add(NOW - 2 * HOUR, record(0, 0))
            simulator.add(NOW - HOUR // 2, record(1, 0))
            real = simulator.reply
            simulator.reply = lambda asked, query: (
                Reply(400, b"{}") if query.get("after") == "gone" else real(asked, query)
            )
            async with running(puller(tmp_path, "okta", simulator), receiver):
                await until(lambda: receiver.taken)
        assert ids(receiver) == [1]

    asyncio.run(story())


@pytest.mark.parametrize("api", ["github_audit", "google_workspace"])
def test_another_account_begins_anew(tmp_path: Path, api: str) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        with simulated(api) as simulator:
            for n in range(20):
                simulator.add(NOW - HOUR + n, record(n, 0))
            async with running(puller(tmp_path, api, simulator), receiver):
                await until(lambda: len(receiver.taken) == 20 and receiver.marks)
            values = (
                VALUES[api] | {"organisation": "other"}
                if api == "github_audit"
                else VALUES[api] | {"application": "admin"}
            )
            async with running(puller(tmp_path, api, simulator, values=values), receiver):
                await until(lambda: len(receiver.taken) == 40)
        assert len({one.origin for one in receiver.taken}) == 2

    asyncio.run(story())


class Elsewhere(OktaSimulator):
    """Says that the next page lies elsewhere, or redirects there."""

    redirect = False
    to = "http://127.0.0.1:9/api/v1/logs"

    def reply(self, *_: Any) -> Reply:
        if self.redirect:
            return Reply(302, b"", headers={"Location": self.to})
        return Reply(200, b'[{"id": 1}]', headers={"Link": f'<{self.to}>; rel="next"'})


@pytest.mark.parametrize("redirect", [True, False])
def test_credentials_go_to_no_other_server(tmp_path: Path, *, redirect: bool) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        with OktaSimulator() as other, Elsewhere() as simulator:
            simulator.redirect, simulator.to = redirect, f"{other.url}/api/v1/logs"
            made = puller(tmp_path, "okta", simulator)
            async with running(made, receiver):
                await until(lambda: made.failures)
            assert other.log == []
        assert receiver.taken == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"<html>", "no JSON"), (b'{"error": 1}', "no list"), (b"[" * 100_000, "no JSON")],
)
def test_an_answer_that_is_no_page_is_told_once(tmp_path: Path, body: bytes, reason: str) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        with simulated("okta") as simulator:
            simulator.reply = always(200, body)
            made = puller(tmp_path, "okta", simulator)
            async with running(made, receiver):
                await until(lambda: made.failures > 1)
        assert len(receiver.refused) == 1
        assert reason in receiver.refused[0].refused

    asyncio.run(story())


def test_an_answer_has_a_largest_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lemnis.ingest.transports._web.MAX_ANSWER", 1000)

    async def story() -> None:
        receiver = MemoryReceiver()
        with simulated("okta") as simulator:
            simulator.reply = always(200, b"[" + b" " * 2000 + b"]")
            made = puller(tmp_path, "okta", simulator)
            async with running(made, receiver):
                await until(lambda: made.failures)
        assert receiver.marks == {}

    asyncio.run(story())


def test_pages_that_go_round_end(tmp_path: Path) -> None:
    async def story() -> None:
        receiver = MemoryReceiver()
        with simulated("google_workspace") as simulator:
            real = simulator.reply
            body = b'{"items": [{"id": 1}], "nextPageToken": "1"}'
            simulator.reply = lambda asked, query: (
                real(asked, query) if asked.path == "/token" else Reply(200, body)
            )
            made = puller(tmp_path, "google_workspace", simulator)
            async with running(made, receiver):
                await until(lambda: made.failures)
        assert receiver.marks == {}
        assert len(receiver.taken) == 1

    asyncio.run(story())


def test_a_description_in_the_workspace_is_all_that_an_interface_needs(tmp_path: Path) -> None:
    folder = tmp_path / "content" / "pulls" / "acme"
    folder.mkdir(parents=True)
    (folder / "pull.yaml").write_text(
        """
name: acme
title: Acme
source: application_access
url: https://api.acme.example
path: /v1/{organisation}/events
values: {organisation: {title: the organisation}}
login: {kind: header, name: X-Token, value: "{secret}"}
query: {from: "{since}"}
time: epoch_s
records: data/items
next: {field: meta/cursor, parameter: cursor}
""",
        encoding="utf-8",
    )

    class Acme(Interface):
        def reply(self, asked: Asked, query: Any) -> Reply:
            if asked.headers.get("x-token") != TOKEN or asked.path != "/v1/acme/events":
                return Reply(403, b"{}")
            first = int(query.get("cursor", 0))
            assert query["from"] == str((NOW - 24 * HOUR) // 1000)
            items = [one.record for one in self._records[first : first + 7]]
            more = {"cursor": first + 7} if len(self._records) > first + 7 else {"cursor": None}
            return Reply(200, orjson.dumps({"data": {"items": items}, "meta": more}))

    async def story() -> None:
        receiver = MemoryReceiver()
        with Acme() as simulator:
            for n in range(20):
                simulator.add(NOW, {"id": n})
            kind = get("pull")
            settings = kind.Settings(
                api="acme", values={"organisation": "acme"}, secret_env="S", url=simulator.url
            )
            made = kind.build("acme", settings, Setup(tmp_path, {"S": TOKEN}, ManualClock(NOW)))
            async with running(made, receiver):
                await until(lambda: len(receiver.taken) == 20)
        assert [orjson.loads(one.data)["id"] for one in receiver.taken] == list(range(20))
        assert {one.source for one in receiver.taken} == {"application_access"}

    asyncio.run(story())


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    kind = get("pull")

    def build(**settings: Any) -> None:
        given = {"api": "okta", "values": {"domain": "a.okta.com"}, "secret_env": "SECRET"} | settings
        kind.build("x", kind.Settings.model_validate(given), Setup(tmp_path, {"SECRET": "s"}, ManualClock(0)))

    build()
    with pytest.raises(UsageError, match="nowhere"):
        build(api="nowhere")
    with pytest.raises(UsageError, match="needs the value domain"):
        build(values={})
    with pytest.raises(UsageError, match="needs the value domain"):
        build(values={"domain": "evil.example/path?"})
    with pytest.raises(UsageError, match="no value 'more'"):
        build(values={"domain": "a.okta.com", "more": "x"})
    with pytest.raises(UsageError, match="OTHER is not set"):
        build(secret_env="OTHER")
    with pytest.raises(ValueError, match="only https"):
        build(url="http://192.0.2.1")
    with pytest.raises(ValueError, match="no credentials in addresses"):
        build(url="https://user:word@acme.example")
    with pytest.raises(UsageError, match="no service account's key"):
        build(api="google_workspace", values=VALUES["google_workspace"])
    folder = tmp_path / "content" / "pulls" / "bad"
    folder.mkdir(parents=True)
    (folder / "pull.yaml").write_text(
        "name: bad\ntitle: b\nsource: s\nurl: https://x\npath: /{nothing}\n", encoding="utf-8"
    )
    with pytest.raises(ContentError, match="there is no value 'nothing'"):
        build(api="bad")


def test_simulators_are_all_used() -> None:
    made = {
        value
        for value in vars(interfaces).values()
        if isinstance(value, type) and issubclass(value, Interface)
    }
    assert made - {Interface} == set(SIMULATORS.values())
