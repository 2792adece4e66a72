"""The console as a process on a real socket: first account, live events, hostile clients, TLS."""

import ast
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

import httpx
import orjson
import pytest
import yaml

from lemnis import app
from lemnis.app.access import accounts, tokens
from lemnis.app.access.service import Access
from lemnis.contracts.alerts import Alert, Severity
from lemnis.incidents import entries
from lemnis.interfaces.api import generate
from lemnis.interfaces.api.calling import ApiError
from lemnis.interfaces.api.client import Client
from lemnis.testing import certificates

PASSWORD = "a lemniscate turns twice"
TRIES = 20
LEMNIS = (sys.executable, "-c", "from lemnis.interfaces.cli import main; main()")


@contextlib.contextmanager
def serving(root, *arguments):
    environment = os.environ | {"LEMNIS_ACTOR": "root", "NO_COLOR": "1"}
    command = [*LEMNIS, "console", "--port", "0", "--json", *arguments]
    with subprocess.Popen(
        [*command, "--workspace", str(root)], stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        try:
            yield orjson.loads(process.stdout.readline()), process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(90) == 0


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return app.init(tmp_path_factory.mktemp("served") / "soc").root


@pytest.fixture(scope="module")
def console(root):
    with serving(root) as (said, process):
        yield said, process


@pytest.fixture(scope="module")
def key(root):
    access = Access(app.open_workspace(root))
    account, _ = accounts.add(access, "machine", ["responder"], actor="root")
    return tokens.make(access, account, "test", ["alert.read", "incident.read"], days=1, actor="root")[1]


def port_of(said):
    return int(said["url"].rsplit(":", 1)[1])


def test_the_first_account_is_made_by_the_printed_link(root, console):
    said, _ = console
    assert said["welcome"].startswith(f"{said['url']}/welcome/")
    with httpx.Client(base_url=said["url"], headers={"accept": "text/html"}) as browser:
        page = browser.get("/sign-in")
        assert page.status_code == 200
        csrf = page.text.partition('name="csrf" value="')[2].partition('"')[0]
        body = {"key": said["welcome"].rpartition("/")[2], "name": "ana", "password": PASSWORD}
        assert browser.post("/api/v1/welcome", json=body).status_code == 403, "without the form's token"
        entered = browser.post("/api/v1/welcome", json=body, headers={"x-csrf-token": csrf})
        assert entered.status_code == 200, entered.text
        assert "admin" in browser.get("/api/v1/me").json()["roles"]
        again = httpx.post(f"{said['url']}/api/v1/welcome", json=body)
        assert again.status_code == 403


def test_live_events_come_within_a_second(root, console, key):
    said, _ = console
    journal, took = app.journal(app.open_workspace(root)), []
    with (
        httpx.Client(base_url=said["url"], headers={"authorization": f"Bearer {key}"}, timeout=60) as machine,
        machine.stream("GET", "/api/v1/stream") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines) == ": begun"
        while min(took, default=1) >= 1 and len(took) < TRIES:  # others may keep the machine busy
            subject = f"al-{len(took):016x}"
            written = time.monotonic()
            journal.append(entries.alert_entry(_alert(subject)))
            event = next(line for line in lines if line.startswith("event:"))
            took.append(time.monotonic() - written)
            data = next(line for line in lines if line.startswith("data:"))
            assert event == "event: alert"
            assert orjson.loads(data.removeprefix("data: "))["subject"] == subject
        assert min(took) < 1, took
    with (
        httpx.Client(base_url=said["url"], headers={"authorization": f"Bearer {key}"}, timeout=60) as machine,
        machine.stream("GET", "/api/v1/stream", headers={"last-event-id": "0"}) as stream,
    ):
        found = [line for line, _ in zip(stream.iter_lines(), range(4), strict=False)]
        assert "event: lost" in found, "what came before it began to look is not told one by one"


def test_at_the_stop_streams_end_at_once_and_quietly(root, key):
    command = [*LEMNIS, "console", "--port", "0", "--json", "--workspace", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = orjson.loads(process.stdout.readline())
        machine = httpx.Client(base_url=said["url"], headers={"authorization": f"Bearer {key}"}, timeout=60)
        with machine, machine.stream("GET", "/api/v1/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": begun"
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert not [line for line in lines if line.startswith("event:")]
            assert time.monotonic() - begun < 9, "a server waits ten seconds for what does not end"
        _, told = process.communicate(timeout=90)
        assert process.returncode == 0
        assert "ancel" not in told
        assert "Traceback" not in told


def _alert(name):
    return Alert(name, "rule-1", "t", Severity.HIGH, 1, "s", ("ev-1",), (), "sha256:0", fingerprint="f")


def test_the_client_of_the_description(console, key):
    said, _ = console
    with Client(said["url"], key) as lemnis:
        assert lemnis.me_oneself()["name"] == "machine"
        one_by_one = [one["id"] for one in lemnis.every(lemnis.list_incidents, state="all", limit=1)]
        assert one_by_one == [one["id"] for one in lemnis.every(lemnis.list_incidents, state="all")]
        with pytest.raises(ApiError) as refused:
            lemnis.show_incidents("in-0000000000000000")
        assert (refused.value.status, refused.value.kind) == (404, "not-found")
        with pytest.raises(ApiError) as refused:
            lemnis.list_journal()
        assert refused.value.status == 403


def test_the_client_is_of_today():
    made = {
        file: ast.dump(ast.parse(told)) for file, told in generate.generated(generate.described()).items()
    }
    there = {path.name: ast.dump(ast.parse(path.read_text())) for path in generate.TARGET.glob("*.py")}
    assert made == there, "python -m lemnis.interfaces.api.generate"


def test_the_client_has_every_route():
    paths = generate.described()["paths"]
    named = {one["operationId"] for path, some in paths.items() if path != "/stream" for one in some.values()}
    assert named == {name for name in named if callable(getattr(Client, name, None))}


def test_nobody_listens_without_an_account(console):
    said, _ = console
    answer = httpx.get(f"{said['url']}/api/v1/stream")
    assert answer.status_code == 401


def test_clients_that_send_slowly_or_nonsense_hold_up_nobody(console, key):
    said, _ = console
    port = port_of(said)
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
    try:
        for one in slow:
            one.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\n{")
        begun = time.monotonic()
        answer = httpx.get(f"{said['url']}/api/v1/me", headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        assert time.monotonic() - begun < 2
        for raw in (
            b"\x00\x01\x02\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nxx\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
                one.sendall(raw)
                said_back = one.recv(200)
                assert not said_back or said_back.split(b" ")[1][:1] in {b"3", b"4"}, said_back
    finally:
        for one in slow:
            one.close()


def test_files_are_not_had_by_tricks_of_paths(console, key):
    said, _ = console
    port = port_of(said)
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/api/v1/rules/..%2f..%2flemnis.yaml",
        "/static/console.css%00.py",
        "//etc/passwd",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
            one.sendall(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n".encode()
            )
            raw = b""
            while part := one.recv(65536):
                raw += part
        assert raw.split(b" ")[1] in {b"404", b"303", b"403", b"422", b"400"}, (path, raw[:200])
        assert b"import" not in raw


def test_another_address_needs_tls(root):
    command = [*LEMNIS, "console", "--host", "0.0.0.0", "--workspace", str(root)]  # noqa: S104 - it is refused
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "without TLS" in done.stderr


def test_tls(tmp_path):
    authority = certificates.Authority(tmp_path)
    pair = authority.issue("soc.example")
    root = app.init(tmp_path / "soc").root
    settings = yaml.safe_load((root / "lemnis.yaml").read_text())
    settings["console"] = {"tls": {"certificate": str(pair.certificate), "key": str(pair.key)}}
    (root / "lemnis.yaml").write_text(yaml.safe_dump(settings))
    trusted = ssl.create_default_context(cafile=str(authority.certificate))
    with serving(root) as (said, _):
        assert said["url"].startswith("https://")
        answer = httpx.get(f"{said['url']}/sign-in", verify=trusted, headers={"accept": "text/html"})
        assert answer.headers["strict-transport-security"]
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-lemnis-visit=")
        assert "Secure" in cookie
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port_of(said)}/sign-in")
    settings["console"]["tls"]["key"] = str(pair.certificate)
    (root / "lemnis.yaml").write_text(yaml.safe_dump(settings))
    done = subprocess.run([*LEMNIS, "console", "-w", str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "console.tls" in done.stderr
