"""Answers that are made to hurt: endless, swollen, misleading, or telling what must not be kept."""

import base64
import gzip
import socket
import sys
import threading
import time
import tracemalloc
import zlib
from contextlib import contextmanager, suppress
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendor import outcomes, site

from lemnis.content.schemas.action import Output, Request
from lemnis.contracts.errors import InputError, ServiceError
from lemnis.contracts.ids import canonical
from lemnis.respond.answers import Answer, extract
from lemnis.respond.client import CallError, Client, Login, retry_after
from lemnis.respond.kinds_host import HOST, Host
from lemnis.respond.kinds_mail import Mail
from lemnis.respond.template import Rendered, fill, render

SECRET = 's3cr3t/t0ken+"quoted"\\'
GET = Rendered("GET", "/")


@contextmanager
def vendor(talk):
    """A server whose every connection is given to ``talk``, after what was asked has come; how many came."""
    came, over = [], threading.Event()

    def serve():
        while not over.is_set():
            with suppress(OSError):
                there, _ = server.accept()
                with there, suppress(OSError):
                    there.settimeout(5)
                    came.append(there.recv(65536))
                    talk(there, over)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", came
        finally:
            over.set()
            thread.join(10)


def says(head, body=b""):
    return lambda there, _over: there.sendall(b"HTTP/1.1 " + head + b"\r\nConnection: close\r\n\r\n" + body)


def drips(start, more):
    def talk(there, over):
        there.sendall(start)
        while not over.wait(0.03):
            there.sendall(more)

    return talk


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"H", b""), (b"HTTP/1.1 200 OK\r\n", b"X-Slow: 1\r\n"), (b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)  # fmt: skip
def test_a_vendor_that_drips_is_given_up_in_time(start, more):
    with vendor(drips(start, more)) as (url, _), Client("c", url) as client:
        began = time.monotonic()
        with pytest.raises(CallError) as error:
            client.send(GET, timeout=0.4)
        assert time.monotonic() - began < 5
    assert not error.value.unsent


def test_a_vendor_that_does_not_read_is_given_up_in_time():
    with vendor(lambda _there, over: over.wait(20)) as (url, _), Client("c", url) as client:
        began = time.monotonic()
        with pytest.raises(CallError):
            client.send(Rendered("POST", "/", body=b"x" * 30_000_000), timeout=0.5)
        assert time.monotonic() - began < 5


def bomb(kind):
    zeros = b"0" * 100_000
    packer = zlib.compressobj(9, wbits=31 if kind == "gzip" else 15)
    return b"".join(packer.compress(zeros) for _ in range(1_000)) + packer.flush()


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
def test_a_bomb_is_not_unpacked(kind):
    body = bomb(kind)
    head = (
        f"200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {kind}\r\nContent-Length: {len(body)}"
    )
    with vendor(says(head.encode(), body)) as (url, came), Client("c", url) as client:
        tracemalloc.start()
        with pytest.raises(CallError, match="larger than"):
            client.send(GET, timeout=20)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 30_000_000
    assert b"accept-encoding: identity" in came[0].lower()


@pytest.mark.parametrize("kind", ["br", "zstd", "gzip, gzip", "nonsense"])
def test_what_was_not_asked_for_is_no_answer(kind):
    head = f"200 OK\r\nContent-Encoding: {kind}\r\nContent-Length: 3"
    with (
        vendor(says(head.encode(), b"abc")) as (url, _),
        Client("c", url) as client,
        pytest.raises(CallError),
    ):
        client.send(GET, timeout=5)


def test_an_answer_that_is_packed_all_the_same_is_read_and_half_of_one_is_not():
    body = gzip.compress(b'{"a": 1}')
    head = b"200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip"
    with vendor(says(head, body)) as (url, _), Client("c", url) as client:
        assert client.send(GET, timeout=5).data() == {"a": 1}
    for half in (body[:-9], b"", b"rubbish"):
        with vendor(says(head, half)) as (url, _), Client("c", url) as client, pytest.raises(CallError):
            client.send(GET, timeout=5)


@pytest.mark.parametrize(
    "to",
    ["http://127.0.0.1:1/", "http://169.254.169.254/latest/meta-data/", "//[::1]/", "file:///etc/passwd"],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status, to):
    head = f"{status} Moved\r\nLocation: {to}\r\nContent-Length: 0"
    with vendor(says(head.encode())) as (url, came), Client("c", url) as client:
        with pytest.raises(CallError, match="redirect"):
            client.send(GET, timeout=5)
        assert len(came) == 1


@given(st.text(max_size=40) | st.sampled_from([
    "-5", "9" * 400, "1e9", "Infinity", "NaN", " 7", "Mon, 01 Jan 0001 00:00:00 -0000", "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 99 Jan 2026 00:00:00 GMT", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2026 00:00:00 +99999999",
    "Mon, 01 Jan 2026 99:99:99 GMT", "0 0 0 0", ",,,", "١٢",
]))  # fmt: skip
def test_any_retry_after_is_a_number_of_seconds(text):
    wait = retry_after(text, 1_800_000_000_000)
    assert isinstance(wait, float)
    assert wait >= 0


def echoed():
    """The secret as a vendor may write it, in bodies of several kinds."""
    escaped = "".join(f"\\u{ord(one):04x}" for one in SECRET)
    marked = "".join(f"&#{ord(one)};" for one in SECRET)
    basic = base64.b64encode(SECRET.encode()).decode()
    return [
        ("application/json", orjson.dumps({"said": SECRET})), ("application/json", f'{{"said": "{escaped}"}}'.encode()),
        ("application/json", f'{{"{escaped}": "said"}}'.encode()), ("text/xml", f"<a><said>{marked}</said></a>".encode()),
        ("text/xml", f'<a said="{marked}"><said>x</said></a>'.encode()), ("text/plain", SECRET.encode()),
        ("text/plain", quote(SECRET, safe="").encode()), ("text/plain", basic.encode()),
        ("application/json", orjson.dumps({"said": [basic, quote(SECRET)]})), ("application/json", orjson.dumps(SECRET)[:-1]),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(echoed())))
def test_a_secret_that_comes_back_is_taken_out_however_it_is_written(number):
    kind, body = echoed()[number]
    head = f"400 No\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}"
    with vendor(says(head.encode(), body)) as (url, _), Client("c", url, Login(SECRET)) as client:
        answer = client.send(GET, timeout=5)
    shown = [answer.text(), answer.body.decode(), repr(answer)]
    with suppress(ServiceError):
        shown.append(orjson.dumps(answer.data()).decode())
        shown.append(str(answer.data()))
    forms = {SECRET, quote(SECRET, safe=""), quote(SECRET), base64.b64encode(SECRET.encode()).decode()}
    assert [form for form in forms for text in shown if form in text] == []


@pytest.mark.parametrize(
    "body",
    [b'{"a": 1e999}', b'{"a": 18446744073709551616}', b'{"a": -1e999}', b'{"a": 1' + b"0" * 5000 + b"}"],
)
def test_a_number_that_cannot_be_written_down_is_no_answer_or_one_that_can(body):
    try:
        found = extract({"a": Output(at=("a",))}, Answer(200, "application/json", body))
    except ServiceError:
        return
    assert orjson.loads(canonical(found)) == found
    assert found["a"] is not None


def test_arguments_are_no_headers_paths_or_templates():
    request = Request.model_validate(
        {"method": "POST", "path": "/a/{v}", "headers": {"X-Name": "{v}"}, "json": {"t": "{v}", "{v}": 1}}
    )
    for value in ("a\r\nX-Evil: 1", "a\nb", "a\0b", "ä", "a\u2028b"):
        with pytest.raises(InputError, match="cannot carry"):
            render(request, {"v": value})
    made = render(request, {"v": "{w}{{v}}", "w": "secret"})
    assert (made.path, made.headers["X-Name"]) == ("/a/%7Bw%7D%7B%7Bv%7D%7D", "{w}{{v}}")
    assert orjson.loads(made.body) == {"t": "{w}{{v}}", "{w}{{v}}": 1}
    assert fill("{v}", {"v": "{v}"}) == "{v}"


def agent(code, **more):
    return Host("host://fleet", [sys.executable, "-c", code], **more)


def test_an_agent_that_never_ends_or_says_too_much():
    began = time.monotonic()
    for code in (
        "import sys\nwhile True: sys.stdout.write('x' * 65536)",
        "import sys\nwhile True: sys.stderr.write('x' * 65536)",
        "import time\ntime.sleep(60)",
    ):
        with pytest.raises(CallError, match=r"larger than|no answer after"):
            agent(code, timeout=1.5).send(GET, timeout=1.5)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("name", ["-oProxyCommand=touch x", "", "a b", "a;b", "$(x)", "../x", "a\nb", "@x"])
def test_a_host_is_no_option_of_the_command(name):
    host = Host("host://fleet", ["echo", "{host}"])
    with pytest.raises(InputError, match="no name of a host"):
        host.send(Rendered("GET", "/", headers={HOST: name}), timeout=5)


def test_a_mail_server_that_drips_is_given_up_in_time():
    def talk(there, over):
        while not over.wait(0.03):
            there.sendall(b"220-still here\r\n")

    def serve():
        with suppress(OSError):
            there, _ = server.accept()
            with there, suppress(OSError):
                talk(there, over)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        mail = Mail(f"smtp://127.0.0.1:{server.getsockname()[1]}", plain=True, timeout=0.5)
        body = orjson.dumps({"from": "a@x", "to": ["b@x"], "subject": "s", "text": "t", "id": "1"})
        began = time.monotonic()
        with pytest.raises(CallError):
            mail.send(Rendered("POST", "/messages", body=body), timeout=0.5)
        assert time.monotonic() - began < 5
        over.set()
        thread.join(5)


@pytest.mark.slow
def test_what_hurts_refuses_the_plan_and_leaves_nothing_behind(tmp_path, monkeypatch):
    """Nothing is planned on such an answer, and nothing breaks off; once the vendor is well, all goes on."""
    body = bomb("gzip")
    talks = [
        drips(b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n"), says(b"200 OK\r\nContent-Encoding: gzip", body),
        says(b"302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0"),
        says(b"429 No\r\nRetry-After: Mon, 01 Jan 0001 00:00:00 -0000\r\nContent-Length: 0"),
        says(b"200 OK\r\nContent-Type: application/json\r\nContent-Length: 12", b'{"a": 1e999}'),
    ]  # fmt: skip
    with site(tmp_path / "ws", monkeypatch) as place:
        place.playbook("- {id: act, action: vendor.switch, with: {name: a}}")
        planned, settings = place.plan(), place.root / "lemnis.yaml"
        text = settings.read_text()
        for number, talk in enumerate(talks):
            with vendor(talk) as (url, _):
                settings.write_text(text.replace(f'"{place.vendor.url}"', f'"{url}", timeout_s: 0.3'))
                assert place.plan().plan.actions[0].refused, number
        settings.write_text(text)
        place.approve(planned)
        assert outcomes(place.run(planned)) == {"act": "done"}
