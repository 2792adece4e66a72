"""Calls stay with their connection, are bounded, and never show a credential."""

import socket
import threading
import time
from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.app.connections import Connections
from lemnis.content.schemas.action import Output, Probe, Request
from lemnis.content.schemas.settings import Connection
from lemnis.contracts.errors import InputError, NotFoundError, RefusedError, ServiceError, UsageError
from lemnis.respond import client as calling
from lemnis.respond.answers import Answer, State, extract, judge
from lemnis.respond.client import CallError, Client, Login
from lemnis.respond.template import Rendered, fill, render
from lemnis.testing.server import Reply, Simulator

SECRET = "s3cr3t-t0ken"


class Echo(Simulator):
    """Answers with what it was told to, else with the request's own headers."""

    reply = None

    def answer(self, asked):
        return self.reply or Reply(200, orjson.dumps(dict(asked.headers)))


@pytest.fixture
def echo():
    with Echo() as made:
        yield made


def test_a_token_goes_out_and_never_comes_back(echo):
    with Client("c", echo.url, Login(SECRET)) as client:
        answer = client.send(Rendered("GET", "/"), timeout=5)
    assert echo.log[0].request.headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET.encode() not in answer.body
    assert b"(secret)" in answer.body
    assert SECRET not in repr(Login(SECRET))


def test_redirects_are_refused(echo):
    echo.reply = Reply(302, headers={"Location": "http://169.254.169.254/"})
    with Client("c", echo.url) as client, pytest.raises(CallError, match="redirect"):
        client.send(Rendered("GET", "/"), timeout=5)
    assert len(echo.log) == 1


def test_answers_are_bounded(echo, monkeypatch):
    monkeypatch.setattr(calling, "MAX_ANSWER", 10)
    echo.reply = Reply(200, b"x" * 11)
    with Client("c", echo.url) as client, pytest.raises(CallError, match="larger"):
        client.send(Rendered("GET", "/"), timeout=5)


def test_slow_answers_end(echo):
    echo.delay = 1
    with Client("c", echo.url) as client, pytest.raises(CallError) as caught:
        client.send(Rendered("GET", "/"), timeout=0.4)
    assert not caught.value.unsent


def test_a_request_that_never_left_says_so():
    with Client("c", "http://127.0.0.1:1", Login(SECRET)) as client, pytest.raises(CallError) as caught:
        client.send(Rendered("GET", f"/{SECRET}"), timeout=1)
    assert caught.value.unsent
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("path", ["@evil.example/", ":99/", ".evil.example/"])
def test_a_path_cannot_lead_elsewhere(echo, path):
    with Client("c", "http://127.0.0.1", None) as client, pytest.raises((RefusedError, CallError)) as caught:
        client.send(Rendered("GET", path), timeout=1)
    assert isinstance(caught.value, RefusedError)


@given(st.text(min_size=1))
def test_values_stay_within_their_segment(value):
    request = Request(method="POST", path="/a/{v}/b", query={"q": "{v}"}, json={"k": "{v}", "t": "x{v}"})
    if value in {".", ".."}:
        with pytest.raises(InputError):
            render(request, {"v": value})
        return
    made = render(request, {"v": value})
    assert made.path.count("/") == 3
    assert not set(made.path + made.query) & set("?# \n\r")
    assert orjson.loads(made.body) == {"k": value, "t": f"x{value}"}


def test_values_keep_their_type_and_braces_are_doubled():
    assert fill({"a": "{o}", "b": "{{{n}}}", "c": ["{n}"]}, {"o": {"x": 1}, "n": 2}) == {
        "a": {"x": 1}, "b": "{2}", "c": [2],
    }  # fmt: skip
    with pytest.raises(InputError, match="there is no gone"):
        fill("{gone}", {})
    with pytest.raises(InputError, match="structure"):
        fill("a {o}", {"o": {}})


def test_xml_with_a_document_type_is_not_read():
    bomb = b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'
    with pytest.raises(ServiceError, match="document type"):
        Answer(200, "text/xml", bomb).data()
    assert Answer(200, "text/xml", b"<a xmlns='u'><b>1</b><b>2</b></a>").data() == {"a": {"b": ["1", "2"]}}


@given(body=st.binary(max_size=40) | st.sampled_from([b"{}", b"[1]", b'"x"', b"null", b"<a/>"]))
def test_nonsense_is_an_error_and_not_a_state(body):
    try:
        meant = orjson.loads(body)
    except orjson.JSONDecodeError:
        with pytest.raises(ServiceError, match="no JSON"):
            Answer(200, "application/json", body).data()
    else:
        assert Answer(200, "application/json", body).data() == meant
    found = None
    with suppress(ServiceError):
        found = Answer(200, "text/xml", body).data()
    assert found is None or (isinstance(found, dict) and len(found) == 1)
    assert (found is not None) or body != b"<a/>"
    assert Answer(200, "text/plain", body).data() is None


def test_outputs_that_are_not_there_are_an_error():
    with pytest.raises(ServiceError, match=r"spec\.labels"):
        extract({"labels": Output(at=("spec", "labels"))}, Answer(200, "application/json", b"{}"))
    request = {"method": "GET", "path": "/"}
    probe = Probe.model_validate(
        {"request": request, "absent": {"status": [404]}, "present": {"status": [200]}}
    )
    assert judge(probe, Answer(403, "", b"no"), {}) == State("unknown", said="403 no")


def test_credentials_come_from_where_the_settings_say(tmp_path):
    known = {
        "env": Connection(url="http://h", token_env="T"),
        "file": Connection(url="http://h", token_file="token"),
        "aws": Connection(url="http://h", access_key_env="T", secret_key_env="U"),
    }  # fmt: skip
    path = tmp_path / "token"
    path.write_text(SECRET)
    path.chmod(0o644)
    with Connections(known, tmp_path, {}) as connections:
        for name, said in (("env", "variable T"), ("aws", "variable"), ("file", "others can read")):
            with pytest.raises(UsageError, match=said):
                connections.reach(name)
        with pytest.raises(NotFoundError, match="gone"):
            connections.reach("gone")
        path.chmod(0o600)
        assert connections.reach("file").url == "http://h"


def test_an_answer_that_never_ends_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def serve():
            there, _ = server.accept()
            with there, suppress(OSError):
                there.recv(65536)
                there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not stop.wait(0.05):
                    there.sendall(b" ")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        with Client("c", url) as client, pytest.raises(CallError, match="not finished after") as error:
            client.send(Rendered("GET", "/"), timeout=0.5)
        stop.set()
        thread.join(5)
    assert not error.value.unsent
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "body",
    [b'{"a": "\\ud800"}', b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", b'{"a": NaN}', b'{"a": [', b"\xff"],
)
def test_an_answer_that_no_journal_can_hold_is_no_answer(body):
    with pytest.raises(ServiceError):
        extract({"a": Output(at=("a",))}, Answer(200, "application/json", body))


def test_a_list_that_is_not_there_is_not_an_empty_one():
    names = {"names": Output(at=("items",), each=("metadata", "name"))}
    assert extract(names, Answer(200, "application/json", b'{"items": []}')) == {"names": []}
    for body in (b"7", b"{}", b'{"items": null}', b'{"items": {"a": 1}}'):
        with pytest.raises(ServiceError, match="has no items"):
            extract(names, Answer(200, "application/json", body))
