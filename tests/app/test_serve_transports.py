"""`lemnis serve` with files, an interface and syslog: killed again and again, everything is in the lake once."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lemnis import app
from lemnis.testing.interfaces import TOKEN, OktaSimulator


def line(number: int) -> str:
    return f"Nov 29 12:{number // 60 % 60:02d}:{number % 60:02d} host sshd[{number}]: Accepted publickey for eve from 203.0.113.7 port 22 ssh2\n"


def login(number: int) -> dict[str, Any]:
    return {
        "uuid": f"id-{number}", "published": "2026-11-29T12:00:00.000Z", "eventType": "user.session.start",
        "outcome": {"result": "SUCCESS"}, "severity": "INFO", "displayMessage": "User login to Okta",
        "actor": {"id": "1", "type": "User", "alternateId": "eve@acme.example"},
    }  # fmt: skip


@contextlib.contextmanager
def serving(workspace: app.Workspace) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "from lemnis.interfaces.cli import main; main()", "serve", "--json"]
    with (workspace.root / "serve.out").open("ab") as out:
        process = subprocess.Popen(
            [*command, "--no-detect", "-w", str(workspace.root)],
            stdout=out, stderr=out, env=os.environ | {"OKTA": TOKEN}, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(condition: Callable[[], object], workspace: app.Workspace) -> None:
    end = time.monotonic() + 90
    while not condition():
        if time.monotonic() > end:
            pytest.fail((workspace.root / "serve.out").read_text()[-3000:])
        time.sleep(0.05)


def count(workspace: app.Workspace, *, distinct: bool = False) -> dict[str, int]:
    lake = app.lake(workspace)
    if lake.query("SELECT count(*) AS n FROM events").to_pylist() == [{"n": 0}]:
        return {}
    what = "DISTINCT raw_data" if distinct else "*"
    sql = f"SELECT metadata.product.name AS product, count({what}) AS n FROM events GROUP BY 1"
    return {row["product"]: row["n"] for row in lake.query(sql).to_pylist()}


@pytest.mark.slow
def test_whatever_is_killed_everything_is_there_once(tmp_path: Path) -> None:
    workspace = app.init(tmp_path / "workspace")
    logs = tmp_path / "logs"
    logs.mkdir()
    with OktaSimulator(page=50) as okta, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        transports = {
            "logs": {"kind": "files", "paths": [str(logs)], "poll_s": 0.05},
            "hosts": {"kind": "syslog", "protocol": "tcp", "port": port},
            "okta": {
                "kind": "pull", "api": "okta", "values": {"domain": "acme.okta.com"}, "url": okta.url,
                "secret_env": "OKTA", "every_s": 1,
            },
        }  # fmt: skip
        settings = {"name": "w", "transports": transports, "admin": {"port": 0}, "workers": 1}
        (workspace.root / "lemnis.yaml").write_text(yaml.safe_dump(settings))
        written = 0
        for turn in range(2):
            with (logs / "auth.log").open("a") as log:
                log.writelines(map(line, range(written, written + 4000)))
            for number in range(turn * 400, turn * 400 + 400):
                okta.add(int(time.time() * 1000), login(number))
            written += 4000
            had = sum(count(workspace).values())
            asked = len(okta.log)
            with serving(workspace):  # killed as soon as something of this turn is there
                until(lambda had=had: sum(count(workspace).values()) > had, workspace)
                until(lambda asked=asked: len(okta.log) > asked, workspace)
        (logs / "auth.log").rename(logs / "auth.log.1")
        (logs / "auth.log").write_text("".join(map(line, range(20_000, 20_100))))
        with serving(workspace) as process:
            wanted = {"syslog": written + 100, "System Log": 800}
            until(lambda: count(workspace) == wanted, workspace)
            with socket.create_connection(("127.0.0.1", port)) as sender:
                sender.sendall("".join(map(line, range(30_000, 30_500))).encode())
            wanted["syslog"] += 500
            until(lambda: count(workspace) == wanted, workspace)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    assert count(workspace) == count(workspace, distinct=True) == wanted
