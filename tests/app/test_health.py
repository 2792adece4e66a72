"""``lemnis sources health``: silence is seen."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from speaking import World

from lemnis.app import ingest, init, watching
from lemnis.contracts.clock import ManualClock, to_iso
from lemnis.interfaces.cli import run as lemnis

NOW = 1_767_225_600_000  # 2026-01-01
_DAY = 86_400_000
REPOSITORY = Path(__file__).parents[2]


def record(number, time):
    return orjson.dumps(
        {"eventVersion": "1.08", "eventID": f"e{number}", "eventTime": time, "eventName": "ListUsers",
         "eventSource": "iam.amazonaws.com", "awsRegion": "eu-west-1", "userIdentity": {"type": "Root"}}
    )  # fmt: skip


def test_a_record_from_the_far_future_does_not_hide_that_a_source_is_silent(tmp_path):
    workspace = init(tmp_path / "w", clock=ManualClock(NOW))
    log = tmp_path / "trail.jsonl"
    log.write_bytes(record(1, "2025-12-29T00:00:00Z") + b"\n" + record(2, "9999-12-31T00:00:00Z") + b"\n")
    ingest.Ingest(workspace, "aws_cloudtrail").run([log])
    (found,) = watching.look(workspace)
    assert (found.health.events, found.health.last) == (2, NOW - 3 * _DAY)
    assert found.state == "silent"
    assert found.why == ("its newest event is 3 d 0 h old",)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "w")


def run(world, *argv, monkeypatch):
    monkeypatch.setattr("lemnis.app.default_clock", lambda: world.clock)
    return lemnis(["sources", *argv, "--workspace", str(world.workspace.root)])


def test_the_command_tells_what_is_wrong_why_and_what_is_blind(world, capsys, monkeypatch):
    both = ("aws_cloudtrail", "a"), ("okta", "b", "c")
    world.pass_hours(60, *both)
    assert run(world, "health", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "living" in said
    header = next(line for line in said.splitlines() if "source" in line and "┃" in line)
    assert [cell.strip().split()[0] for cell in header.strip("┃\n").split("┃")] == [
        "source", "state", "per", "24", "lag", "newest",
    ]  # fmt: skip
    assert "█" in said
    world.pass_hours(5, both[1])
    assert run(world, "health", "--json", monkeypatch=monkeypatch) == 1
    lines = {(one["name"], one["host"]): one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    silent = lines["aws_cloudtrail", ""]
    assert (silent["state"], silent["events"], silent["rate"]) == ("silent", 60, 0)
    assert silent["silence"]["pause"] > silent["silence"]["alarm"]
    assert silent["alarms"][0]["kind"] == "silent"
    assert {one["name"] for one in silent["blind"]} >= {"aws_trail_silenced"}
    assert silent["techniques"]
    assert lines["okta", ""]["usual"]["low"] <= 2 <= lines["okta", ""]["usual"]["high"]
    assert len(silent["spark"]) == 24
    assert run(world, "health", "--hosts", monkeypatch=monkeypatch) == 1
    said = capsys.readouterr().out
    assert "blind meanwhile: aws_" in said
    assert "  b" in said


def test_drift_is_a_diff_that_applies(world, capsys, monkeypatch, tmp_path):
    def trail(number, **more):
        at = to_iso(world.clock.now())
        event = {"eventVersion": "1.08", "eventID": f"e{number}", "eventTime": at, "eventName": "ListUsers",
                 "eventSource": "iam.amazonaws.com", "awsRegion": "eu-west-1", "userIdentity": {"type": "Root"}}  # fmt: skip
        return orjson.dumps(event | more) + b"\n"

    log, taking = tmp_path / "trail.jsonl", ingest.Ingest(world.workspace, "aws_cloudtrail")
    for day in range(4):
        with log.open("ab") as lines:
            lines.writelines(trail(f"{day}-{n}") for n in range(120))
        taking.run([log])
        world.clock.advance(_DAY)
    assert run(world, "drift", "aws_cloudtrail", monkeypatch=monkeypatch) == 0
    with log.open("ab") as lines:
        lines.writelines(
            trail(f"new-{n}", sourcePrivateAddress=f"10.0.0.{n}").replace(b"awsRegion", b"awsRegionCode")
            for n in range(60)
        )
    taking.run([log])
    capsys.readouterr()
    assert run(world, "drift", "aws_cloudtrail", "--json", monkeypatch=monkeypatch) == 1
    found = json.loads(capsys.readouterr().out)
    changes = {one["field"]: one["change"] for one in found["drift"]}
    assert changes == {"awsRegion": "missing", "awsRegionCode": "new", "sourcePrivateAddress": "new"}
    assert found["problem"] == ""
    assert run(world, "drift", "aws_cloudtrail", monkeypatch=monkeypatch) == 1
    diff = capsys.readouterr().out
    assert diff == found["diff"]
    shutil.copytree(
        REPOSITORY / "content" / "sources" / "aws_cloudtrail",
        tmp_path / "c" / "content" / "sources" / "aws_cloudtrail",
    )
    subprocess.run(["git", "apply", "-"], input=diff.encode(), cwd=tmp_path / "c", check=True)
    mapping = (tmp_path / "c" / "content" / "sources" / "aws_cloudtrail" / "mapping.yaml").read_text()
    assert "awsRegionCode" in mapping
    assert run(world, "drift", "frobnicate", monkeypatch=monkeypatch) == 2


def test_watching_goes_on_until_it_is_stopped(world):
    world.speak("okta", "a")
    # where the tests run in the background of a shell, SIGINT is ignored from the start
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heeding}; from lemnis.interfaces.cli import main; main()"
    command = [sys.executable, "-c", program, "sources", "health"]
    options = ["--watch", "--every", "1", "--json", "-w", str(world.workspace.root)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        lines = [json.loads(process.stdout.readline()) for _ in range(4)]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(60) == 0
    assert [(one["name"], one["host"]) for one in lines] == [("okta", ""), ("okta", "a")] * 2
    assert all(json.loads(line)["name"] == "okta" for line in rest.splitlines())
