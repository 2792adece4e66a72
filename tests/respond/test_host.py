"""The host's agent for real: nftables in a network namespace, processes, files; and through the whole action."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import orjson
import pytest
from acting import ACTIONS, Memory, Stage

from lemnis.app.connections import Connections
from lemnis.content.schemas.settings import Connection
from lemnis.respond import host_agent
from lemnis.respond.answers import ABSENT, PRESENT
from lemnis.respond.client import CallError
from lemnis.respond.kinds_host import HOST, Host
from lemnis.respond.template import Rendered

AGENT = (sys.executable, host_agent.__file__)


def namespaces():
    """Say whether this user may make a network namespace that has nftables."""
    if not shutil.which("unshare"):
        return False
    ask = '{"method": "GET", "path": "/blocks/203.0.113.9", "query": "", "body": ""}'
    done = subprocess.run(
        ["unshare", "-Urn", *AGENT], input=ask.encode(), capture_output=True, check=False
    )  # fmt: skip
    return done.returncode == 0 and b'"status": 404' in done.stdout


needs_namespace = pytest.mark.skipif(not namespaces(), reason="no network namespace with nftables here")


@pytest.fixture
def elsewhere():
    """A network namespace with two addresses of its own, kept by a process; gives the command to enter it."""
    script = "ip link set lo up; ip addr add 203.0.113.5/32 dev lo; ip -6 addr add 2001:db8::5/128 dev lo nodad; echo ready; exec cat"
    keeper = subprocess.Popen(
        ["unshare", "-Urn", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip
    assert keeper.stdout.readline() == b"ready\n"
    yield ["nsenter", "-t", str(keeper.pid), "-U", "-n", "--preserve-credentials"]
    keeper.stdin.close()
    keeper.stdout.close()
    keeper.wait(60)


CONNECT = textwrap.dedent("""\
    import socket, sys
    with socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET) as server:
        try:
            socket.create_connection(server.getsockname()[:2], timeout=0.5).close()
        except OSError:
            print("shut")
        else:
            print("open")
""")


def connects(enter, address):
    """Try a TCP connection from the namespace to itself."""
    command = [*enter, sys.executable, "-c", CONNECT, address]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


class Here(Stage):
    """An action's stage on a host: the agent is started by a command."""

    def __init__(self, name, inputs, command, tmp_path):
        known = {"host": Connection.model_validate({"url": "host://fleet", "command": command})}
        self.name, self.inputs = name, {"host": "web-1", **inputs}
        self.action = ACTIONS[name]
        self.connections = Connections(known, tmp_path, {})
        self.journal, self.slept, self.vault = Memory(), [], []


@needs_namespace
@pytest.mark.parametrize("address", ["203.0.113.5", "2001:db8::5"])
def test_an_address_is_blocked_by_the_kernel_and_let_go(elsewhere, tmp_path, address):
    one = Here("host.block_address", {"address": address, "minutes": 60}, [*elsewhere, *AGENT], tmp_path)
    assert (one.state().name, connects(elsewhere, address)) == (ABSENT, "open")
    first = one.do("run-1")
    assert (first.name, first.ours) == ("done", True), first
    assert (one.state().name, connects(elsewhere, address)) == (PRESENT, "shut")
    again = one.do("run-2")
    assert (again.name, again.ours) == ("already", False)
    assert one.undo().name == "done"
    assert (one.state().name, connects(elsewhere, address)) == (ABSENT, "open")


@needs_namespace
def test_a_block_of_somebody_else_is_not_taken_back(elsewhere, tmp_path):
    one = Here("host.block_address", {"address": "203.0.113.5", "minutes": 0}, [*elsewhere, *AGENT], tmp_path)
    assert one.do().ours
    kernel = Host("host://web-1", [*elsewhere, *AGENT])
    kernel.send(Rendered("DELETE", "/blocks/203.0.113.5"), timeout=10)
    body = orjson.dumps({"mark": "theirs", "minutes": 0})
    assert kernel.send(Rendered("PUT", "/blocks/203.0.113.5", body=body), timeout=10).status == 201
    assert one.undo().name == "refused"
    assert connects(elsewhere, "203.0.113.5") == "shut"


def test_a_process_is_ended_by_its_pid_and_its_start(tmp_path):
    with subprocess.Popen(["sleep", "60"]) as child:
        agent = Host("host://web-1", AGENT)
        said = agent.send(Rendered("GET", f"/processes/{child.pid}"), timeout=10).data()
        assert said["exe"] == os.path.realpath(f"/proc/{child.pid}/exe")
        assert (said["command"], said["parent"]) == ("sleep 60", os.getpid())
        other = agent.send(Rendered("DELETE", f"/processes/{child.pid}/{said['start'] - 1}"), timeout=10)
        assert (other.status, child.poll()) == (404, None)
        one = Here("host.kill_process", {"pid": str(child.pid), "start": said["start"]}, AGENT, tmp_path)
        assert one.do().name == "done"
        assert child.wait(10) == -9
        assert agent.send(Rendered("GET", f"/processes/{child.pid}"), timeout=10).status == 404
        assert one.do("run-2").name == "already"


def test_the_agent_ends_neither_init_nor_itself():
    agent = Host("host://web-1", AGENT)
    for pid in ("1", "x", "1/2/3"):
        assert agent.send(Rendered("DELETE", f"/processes/{pid}"), timeout=10).status in {403, 404, 405, 422}
    start = Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
    assert agent.send(Rendered("DELETE", f"/processes/1/{start}"), timeout=10).status == 403


def test_a_file_is_collected_from_where_it_may_be(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "auth.log").write_bytes(b"refused\xff\n")
    (tmp_path / "secret").write_text("no")
    (logs / "way_out").symlink_to(tmp_path / "secret")
    command = [*AGENT, "--files", str(logs)]
    one = Here("host.collect_file", {"path": str(logs / "auth.log")}, command, tmp_path)
    outcome = one.do()
    assert (outcome.name, [data for _, _, data in one.vault]) == ("done", [b"refused\xff\n"])
    agent = Host("host://web-1", command)

    def status(path):
        return agent.send(Rendered("GET", "/content", f"path={path}"), timeout=10).status

    assert [status(path) for path in (tmp_path / "secret", logs / "way_out", logs / "../secret")] == [403] * 3
    assert (status(logs / "gone"), status(logs)) == (404, 422)
    with (logs / "large").open("wb") as file:
        file.truncate(host_agent.LARGEST + 1)
    assert status(logs / "large") == 413


def test_what_never_is_blocked_and_what_is_no_address():
    agent = Host("host://web-1", AGENT)
    for address, status in (("127.0.0.1", 403), ("::1", 403), ("224.0.0.1", 403), ("x", 422)):
        assert agent.send(Rendered("PUT", f"/blocks/{address}"), timeout=10).status == status


def test_an_agent_that_is_not_there_was_not_asked():
    with pytest.raises(CallError) as caught:
        Host("host://web-1", ["/nowhere/agent"]).send(Rendered("GET", "/files"), timeout=1)
    assert caught.value.unsent


@pytest.mark.parametrize(
    ("code", "said", "timeout"),
    [
        ("import sys; sys.exit('broken')", "broken", 60),
        ("print('{')", "no JSON", 60),
        ("print('[]')", "no JSON", 60),
        ("import time; time.sleep(60)", "no answer after", 0.5),
    ],
)
def test_an_agent_that_fails_leaves_open_what_it_did(code, said, timeout):
    agent = Host("host://web-1", [sys.executable, "-c", code])
    with pytest.raises(CallError, match=said) as caught:
        agent.send(Rendered("GET", "/files"), timeout=timeout)
    assert not caught.value.unsent


def test_the_command_names_the_host_of_the_request():
    code = "import json, sys; json.dump({'status': 200, 'content_type': 'text/plain', 'body': sys.argv[1]}, sys.stdout)"
    agent = Host("host://fleet", [sys.executable, "-c", code, "root@{host}"])
    answer = agent.send(Rendered("GET", "/", headers={HOST: "web-1"}), timeout=10)
    assert answer.body == b"root@web-1"


@needs_namespace
def test_the_kernel_lets_a_block_go_by_itself(elsewhere):
    minute = "60_000"
    text = Path(host_agent.__file__).read_text(encoding="utf-8")
    assert f"minutes * {minute}" in text
    code = text.replace(f"minutes * {minute}", "minutes * 3_000")
    agent = Host("host://web-1", [*elsewhere, sys.executable, "-c", code])
    body = orjson.dumps({"mark": "m", "minutes": 1})
    begun = time.monotonic()
    assert agent.send(Rendered("PUT", "/blocks/203.0.113.5", body=body), timeout=10).status == 201
    stands = agent.send(Rendered("GET", "/blocks/203.0.113.5"), timeout=10).status == 200
    assert stands or time.monotonic() - begun > 3, "a busy machine may look after its end"
    until = time.monotonic() + 60
    while agent.send(Rendered("GET", "/blocks/203.0.113.5"), timeout=10).status != 404:
        assert time.monotonic() < until
        time.sleep(0.2)
