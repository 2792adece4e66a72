"""Requests to elsewhere that an attacker would like the console to make: it makes none but those of its settings."""

import asyncio
import contextlib
import gzip
import http.server
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import marked
import pydantic
import pytest
from besieged import API, attacked

from lemnis import app
from lemnis.app import respond
from lemnis.app.access.openid import providers
from lemnis.content.schemas.console import Console, OpenId
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import LemnisError, ServiceError
from lemnis.testing.switches import SWITCH, TOKEN, Switches

METADATA = (
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://2852039166/", "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/", "http://[::ffff:169.254.169.254]/", "http://127.0.0.1:22/", "http://localhost:6379/",
    "http://[::1]:80/", "http://0.0.0.0/", "http://127.1/", "gopher://127.0.0.1:6379/_x", "file:///etc/passwd",
    "ftp://127.0.0.1/", "http://metadata.google.internal/", "https://user:pw@127.0.0.1/", "dict://127.0.0.1:11211/",
)  # fmt: skip


def described(issuer, **changed):
    known = {"issuer": issuer, "authorization_endpoint": f"{issuer}/a", "token_endpoint": f"{issuer}/t",
             "jwks_uri": f"{issuer}/k"}  # fmt: skip
    return known | changed


def provider(issuer, answer):
    """Return a provider whose answers are given, and the addresses that it was asked for."""
    asked = []

    def handle(request):
        asked.append(str(request.url))
        return answer(request)

    client = httpx.Client(transport=httpx.MockTransport(handle), follow_redirects=False)
    return providers([OpenId(name="corp", issuer=issuer, client_id="x")], client=client)["corp"], asked


@pytest.mark.parametrize("address", METADATA)
@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "authorization_endpoint"])
def test_a_provider_does_not_send_the_console_to_places_within(address, name):
    one, asked = provider(
        "https://id.example",
        lambda _: httpx.Response(200, json=described("https://id.example", **{name: address})),
    )
    if address.startswith("https://"):
        pytest.skip("over TLS it may be anywhere: what answers there has to have a certificate of that name")
    with pytest.raises(ServiceError, match="is not over TLS"):
        one.described(0)
    assert asked == ["https://id.example/.well-known/openid-configuration"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status):
    one, asked = provider(
        "https://id.example", lambda _: httpx.Response(status, headers={"location": METADATA[0]})
    )
    with pytest.raises(ServiceError):
        one.described(0)
    assert len(asked) == 1


def test_an_answer_that_is_endless_or_blown_up_is_given_up():

    for content, headers in (
        (b"x" * 2_000_000, {}), (gzip.compress(b" " * 100_000_000), {"content-encoding": "gzip"}),
    ):  # fmt: skip
        one, _ = provider(
            "https://id.example", lambda _, c=content, h=headers: httpx.Response(200, content=c, headers=h)
        )
        begun = time.monotonic()
        with pytest.raises(ServiceError, match="too large"):
            one.described(0)
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "said", [b"[]", b"null", b"{", b'{"issuer": "https://evil.example"}', b"\xff", b"[" * 100_000]
)
def test_an_answer_that_is_none_is_told(said):
    one, _ = provider("https://id.example", lambda _: httpx.Response(200, content=said))
    with pytest.raises(ServiceError):
        one.described(0)


def test_a_provider_that_fails_is_not_asked_by_everybody_at_once():
    one, asked = provider("https://id.example", lambda _: httpx.Response(500))
    for _ in range(20):
        with pytest.raises(ServiceError):
            one.described(0)
    assert len(asked) == 1


@contextmanager
def hanging():
    """Something that takes a connection and says nothing, as a provider does whose machine is stuck."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            over.wait(30)

        def log_message(self, *_):
            pass

    over = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_a_provider_that_hangs_holds_up_nobody_else(tmp_path):
    """Anybody may ask to be sent there: the threads that pages are made by are not all to wait for it."""

    with hanging() as issuer:
        how = Console(openid=(OpenId(name="corp", issuer=issuer, client_id="x"),))
        made = attacked(app.init(tmp_path / "soc"), how=how)
        ana = made.join("ana", "analyst")
        ana.get("/queue")

        async def flood():
            some = [made.browser().client.get(f"{API}/openid/corp") for _ in range(60)]
            waiting = [asyncio.ensure_future(one) for one in some]
            await asyncio.sleep(0.5)
            took = []
            for _ in range(5):
                begun = time.monotonic()
                assert (await ana.client.get("/queue")).status_code == 200
                took.append(time.monotonic() - begun)
                await asyncio.sleep(0.2)
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            return took

        took = made.run(flood())
        assert sorted(took)[2] < 3, took
        made.end()


def test_no_page_asks_anything_elsewhere_whatever_stands_in_it(spoilt, monkeypatch):
    """Links, findings, rules and events are full of addresses: to show them is not to ask them."""

    asked = []
    connect = socket.socket.connect

    def noted(self, address):
        if self.family != socket.AF_UNIX and address[0] not in {"127.0.0.1", "::1"}:
            asked.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **_: asked.append(a) or [])
    ana = spoilt.browser("ana")
    for path in ("/", "/queue", "/incident/in-0000000000000001", "/alert/al-0000000000000001", "/pipeline", "/lessons",
                 f"/lesson/{marked.LESSON}", "/detection/evil_rule", "/playbook/keep_and_ask", "/posture", "/sources"):  # fmt: skip
        assert ana.get(path).status_code == 200
    assert asked == []


@pytest.mark.parametrize("address", METADATA)
def test_settings_take_no_provider_that_is_not_over_tls(address):

    if address.startswith("https"):
        address = "http://id.example"
    if address.startswith(("http://127.0.0.1:", "http://localhost:")):
        assert OpenId(name="x", issuer=address, client_id="x").issuer == address, (
            "for trying it out on one machine"
        )
        return
    with pytest.raises(pydantic.ValidationError):
        OpenId(name="x", issuer=address, client_id="x")


def test_what_runs_are_given_changes_no_address_that_they_go_to(tmp_path, monkeypatch):
    """The host of an action is that of its connection; what an incident is about comes in as a part of the path."""

    monkeypatch.setenv("VENDOR_TOKEN", TOKEN)
    soc = app.init(tmp_path / "soc")
    for path, text in (("actions/vendor/switch.yaml", SWITCH), ("playbooks/book/playbook.yaml", _BOOK)):
        file = soc.content / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with Switches() as vendor, hanging() as inside:
        (soc.root / app.SETTINGS).write_text(
            f'name: soc\nconnections:\n  vendor: {{url: "{vendor.url}", token_env: VENDOR_TOKEN}}\n'
        )
        port = inside.rpartition(":")[2]
        for number, host in enumerate(
            (f"@127.0.0.1:{port}", f"../../..//127.0.0.1:{port}/", f"x?y=http://127.0.0.1:{port}#", "..", f"//127.0.0.1:{port}/x",
             "a\r\nHost: evil.example\r\n\r\n", "%2e%2e%2fadmin"), 1
        ):  # fmt: skip
            name = marked.incident(
                soc, marked.alert(number, entities=(Entity(EntityKind.HOST, host),), event={})
            )
            with contextlib.suppress(LemnisError):
                planned = respond.plan(soc, "book", name, actor="ana")
                respond.approve(soc, planned.plan.digest, actor="bob", reason="x")
                respond.run(soc, planned.plan.digest, actor="ana")
        assert all("/" not in one for one in vendor.things), vendor.things


_BOOK = """\
title: Switch what is named
inputs:
  host: {select: host, many: true, required: false}
steps:
  - {id: switch, action: vendor.switch, for_each: host, with: {name: "{host}"}}
"""
