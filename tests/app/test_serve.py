"""`lemnis serve` as a program: what is answered is in the lake, whatever ends it; settings that are wrong."""

import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest
import yaml
from ingesting import syslog, trail
from serving import Served, receiving_workspace, worked

from lemnis import app
from lemnis.app import serve
from lemnis.contracts.errors import ContentError, UsageError
from lemnis.interfaces.cli import run as lemnis


@pytest.fixture
def workspace(tmp_path):
    return receiving_workspace(tmp_path)


def count(workspace):
    return app.lake(workspace).query("SELECT count(*) AS n FROM events").to_pylist()[0]["n"]


def test_what_is_answered_is_queryable_and_survives_a_kill(workspace):
    body = syslog(0, 50).encode()
    served = Served(workspace, "--no-detect")
    try:
        place, admin = served.wait("listening"), served.wait("admin")
        url = f"http://{place['host']}:{place['port']}"
        served.wait("ready")
        assert httpx.post(f"{url}/ingest/linux_syslog", content=body).status_code == 200
        served.wait("worked", worked("linux_syslog", 50))
        health = f"http://{admin['host']}:{admin['port']}"
        assert httpx.get(f"{health}/healthz").json() == {"status": "ok"}
        ready = httpx.get(f"{health}/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (200, [])
        assert count(workspace) == 50
        assert httpx.post(f"{url}/ingest/aws_cloudtrail", content=trail(0, 5)).status_code == 200
    finally:
        code, _ = served.end(signal.SIGKILL)
    assert code == -signal.SIGKILL
    served = Served(workspace, "--no-detect")
    try:
        place = served.wait("listening")
        served.wait("ready")
        url = f"http://{place['host']}:{place['port']}"
        assert httpx.post(f"{url}/ingest/linux_syslog", content=body).status_code == 200
        served.wait("worked", lambda e: e["sources"].get("linux_syslog", {}).get("duplicates") == 50)
    finally:
        code, said = served.end()
    assert code == 0, said
    assert served.wait("stopped")["waiting"] == 0
    assert count(workspace) == 55
    assert app.lake(workspace).backlog().rows == 0


@pytest.mark.slow
def test_a_worker_or_a_settler_that_dies_is_begun_again_and_health_says_so(workspace):
    served = Served(workspace, "--no-detect")
    try:
        place, admin = served.wait("listening"), served.wait("admin")
        health = f"http://{admin['host']}:{admin['port']}/readyz"
        reasons = {"lemnis-settler": "the settler has not begun", "lemnis-worker-0": "worker 0 has not begun"}
        for _ in reasons:  # in whatever order
            served.wait("ready")
        before = _children(served.process.pid)
        for name, reason in reasons.items():
            assert httpx.get(health).json()["reasons"] == []
            os.kill(before[name], signal.SIGKILL)
            _until(lambda reason=reason: httpx.get(health).json()["reasons"] == [reason])
            assert httpx.get(health).status_code == 503
            served.wait("ready")
            _until(lambda: httpx.get(health).status_code == 200)
        after = _children(served.process.pid)
        assert after.keys() == before.keys()
        assert not set(after.values()) & set(before.values())
        url = f"http://{place['host']}:{place['port']}"
        assert httpx.post(f"{url}/ingest/linux_syslog", content=syslog(0, 5)).status_code == 200
        served.wait("worked", worked("linux_syslog", 5))
        assert app.lake(workspace).backlog().rows == 5
    finally:
        code, said = served.end()
    assert code == 0, said
    assert "the settler ended with -9" in said
    assert "worker 0 ended with -9" in said
    assert app.lake(workspace).backlog().rows == 0  # the second settler flushed them


def _until(holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def _children(pid):
    """Return the workers and the settler among a process's children, by name."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = status.read_text().partition("(")[2].rpartition(")")
        except OSError:
            continue
        if int(fields.split()[1]) == pid and name.startswith("lemnis-"):
            found[name] = int(status.parent.name)
    return found


def test_an_address_in_use_ends_it_unless_something_else_listens(workspace):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = {"kind": "http", "port": other.getsockname()[1]}
        settings = {"name": "w", "transports": {"in": taken}, "workers": 1}
        (workspace.root / "lemnis.yaml").write_text(yaml.safe_dump(settings))
        served = Served(workspace, "--no-detect", "--admin", "off")
        served.wait("stopped")
        code, said = served.end()
    assert code == 3
    assert "cannot listen" in said


@pytest.mark.parametrize(
    ("text", "wrong", "line"),
    [
        ("  in: {kind: htpp}\n", "no kind of transport 'htpp'", 3),
        ("  in: {port: 1}\n", "no kind of transport ''", 3),
        ("  in:\n    kind: http\n    prot: 1\n", "transports.in.prot: Extra inputs", 5),
        (
            "  in:\n    kind: http\n    tokens:\n      - {name: x, token_env: NOT_THERE}\n",
            "NOT_THERE is not set",
            4,
        ),
        ("  in: {kind: http, host: 0.0.0.0}\n", "anybody could send", 3),
        ("  In: {kind: http}\n", "transports.In", 3),
    ],
)
def test_settings_that_are_wrong_are_named_with_their_place(workspace, text, wrong, line):
    (workspace.root / "lemnis.yaml").write_text(f"name: w\ntransports:\n{text}")
    with pytest.raises(ContentError) as caught:
        serve.Serving(workspace)
    assert wrong in str(caught.value)
    assert caught.value.at.line == line


def test_without_a_transport_there_is_nothing_to_serve(workspace, capsys):
    (workspace.root / "lemnis.yaml").write_text("name: w\n")
    with pytest.raises(UsageError, match="no transport"):
        serve.Serving(workspace)
    assert lemnis(["serve", "-w", str(workspace.root)]) == 2
    assert "no transport in the settings" in capsys.readouterr().err
    assert lemnis(["serve", "-w", str(workspace.root), "--admin", "nonsense"]) == 2
