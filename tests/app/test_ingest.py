"""Ingest: cursors, files that grow, move and rotate, rejects, following, sources."""

import gzip
import io
import json
import os
import threading
import time

import pytest
from ingesting import Logs, access, audit, syslog, trail

from lemnis import app
from lemnis.app import ingest, sources
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import NotFoundError, ServiceError
from lemnis.interfaces.cli import run as lemnis

NOW = 1_762_200_000_000


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "workspace", clock=ManualClock(NOW))


def take(workspace, *paths, source="auto", watcher=None):
    return ingest.Ingest(workspace, source, watcher).run(list(paths))


def account(totals):
    assert totals.read == totals.accepted + totals.rejected + totals.duplicates
    return totals.accepted, totals.rejected, totals.duplicates


def raws(workspace):
    rows = app.lake(workspace).query("SELECT raw_data FROM events", limit=100_000)
    return sorted(rows.column("raw_data").to_pylist())


def test_every_kind_of_log_goes_in_once(workspace, tmp_path):
    logs = Logs(tmp_path / "logs")
    logs.grow(50)
    accepted, rejected, duplicates = account(take(workspace, logs.folder))
    assert (accepted, duplicates) == (50 + 50 + 50 + 5, 0)
    assert rejected == 2
    assert account(take(workspace, logs.folder)) == (0, 0, 0)
    logs.grow(10)
    assert account(take(workspace, logs.folder))[0] == 31
    names = (
        app.lake(workspace)
        .query("SELECT DISTINCT metadata.log_name AS n FROM events")
        .column("n")
        .to_pylist()
    )
    assert set(names) == {"web_combined", "linux_audit", "linux_syslog", "aws_cloudtrail"}


def test_rejects_are_kept_with_place_and_reason(workspace, tmp_path):
    path = tmp_path / "access.log"
    path.write_bytes(access(1, 2).encode() + b"\xff\xfe broken\nnot a request\n")
    totals = take(workspace, path)
    assert account(totals) == (2, 2, 0)
    rows = (
        app.lake(workspace).query("SELECT file, record, reason, raw FROM rejects ORDER BY record").to_pylist()
    )
    assert [(row["file"], row["record"]) for row in rows] == [(str(path), 3), (str(path), 4)]
    assert rows[0]["reason"].startswith("not UTF-8")
    assert rows[1]["raw"] == b"not a request"
    assert sum(totals.reasons.values()) == 2


def test_a_renamed_file_is_the_same_and_a_new_one_in_its_place_is_not(workspace, tmp_path):
    path = tmp_path / "access.log"
    path.write_text(access(1, 5))
    assert account(take(workspace, path)) == (5, 0, 0)
    moved = path.rename(tmp_path / "access.log.1")
    with moved.open("a") as file:
        file.write(access(6, 2))
    path.write_text(access(100, 3))
    assert account(take(workspace, path, moved)) == (5, 0, 0)
    assert account(take(workspace, path, moved)) == (0, 0, 0)


def test_another_file_that_begins_alike_is_read_too(workspace, tmp_path):
    one, two = tmp_path / "a.log", tmp_path / "b.log"
    one.write_text(access(1, 1) + access(10, 3))
    two.write_text(access(1, 1) + access(20, 3))
    assert account(take(workspace, one)) == (4, 0, 0)
    accepted, _, duplicates = account(take(workspace, two))
    assert (accepted, duplicates) in {(4, 0), (3, 1)}
    assert account(take(workspace, one, two)) == (0, 0, 0)
    assert len(set(raws(workspace))) == 7


def test_a_truncated_file_is_another(workspace, tmp_path):
    path = tmp_path / "access.log"
    path.write_text(access(1, 20))
    take(workspace, path)
    path.write_text(access(1, 1) + access(50, 1))
    account(take(workspace, path))
    assert access(50, 1).strip() in raws(workspace)


def test_a_last_line_without_an_end_is_taken_and_read_again_when_it_grows(workspace, tmp_path):
    path = tmp_path / "auth.log"
    text = syslog(1, 3)
    cut = text.index(" ssh2", text.index("port 3"))
    path.write_text(text[:cut])
    assert account(take(workspace, path)) == (3, 0, 0)
    assert account(take(workspace, path)) == (0, 0, 0)
    path.write_text(text + syslog(4, 1))
    assert account(take(workspace, path)) == (2, 0, 0)
    assert text.splitlines()[2] in raws(workspace)


def test_compressed_files_and_folders(workspace, tmp_path):
    folder = tmp_path / "logs"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "access.log.gz").write_bytes(gzip.compress(access(1, 5).encode()))
    (folder / "audit.log").write_text(audit(0, 5))
    (folder / "link.log").symlink_to(folder / "audit.log")
    assert account(take(workspace, folder)) == (10, 0, 0)
    assert account(take(workspace, folder)) == (0, 0, 0)


def test_parents_are_known_though_the_run_stopped_between(workspace, tmp_path):
    path = tmp_path / "audit.log"
    whole = audit(0, 10)
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[:12]))
    take(workspace, path)
    path.write_text(whole)
    take(workspace, path)
    rows = (
        app.lake(workspace)
        .query(
            "SELECT process.pid AS pid, process.parent_process.cmd_line AS parent FROM process_activity ORDER BY pid"
        )
        .to_pylist()
    )
    assert [row["pid"] for row in rows] == list(range(1000, 1010))
    assert rows[4]["parent"] == "sh -c 'id; echo 0'"


def test_a_broken_file_costs_only_itself(workspace, tmp_path):
    (tmp_path / "bad.log.gz").write_bytes(gzip.compress(access(1, 500).encode())[:-20])
    (tmp_path / "noise.evtx").write_bytes(os.urandom(5000))
    (tmp_path / "empty.log").write_text("")
    (tmp_path / "trail.json").write_text(trail(0, 4)[:-700])
    totals = take(workspace, *sorted(tmp_path.glob("*.*")))
    accepted, rejected, _ = account(totals)
    assert accepted > 400
    assert rejected >= 3
    assert {reject.at.file.rpartition("/")[2] for reject in totals.examples} == {
        "bad.log.gz", "noise.evtx", "trail.json",
    }  # fmt: skip


def test_what_the_watcher_has_not_seen_is_not_acknowledged(workspace, tmp_path):
    path = tmp_path / "access.log"
    path.write_text(access(1, 5))

    class Fails:
        def watch(self, batches):
            raise RuntimeError(str(len(batches)))

        def finish(self):
            pass

    with pytest.raises(ServiceError, match="RuntimeError: 1"):
        take(workspace, path, watcher=Fails())
    assert app.lake(workspace).cursors() == []
    assert account(take(workspace, path)) == (5, 0, 0)


def test_following_reads_what_comes_and_what_takes_its_place(workspace, tmp_path):
    path = tmp_path / "access.log"
    path.write_text(access(1, 3))
    run = ingest.Ingest(workspace, "auto")
    stop = threading.Event()
    seen = {}

    def until(count):
        end = time.monotonic() + 90
        while time.monotonic() < end and run.totals.accepted < count:
            time.sleep(0.02)
        assert run.totals.accepted == count

    def act():
        try:
            until(3)
            with path.open("a") as file:
                file.write(access(4, 2) + access(6, 1)[:30])
            until(5)
            with path.open("a") as file:
                file.write(access(6, 1)[30:])
            until(6)
            with path.open("a") as file:
                file.write(access(7, 1))
            old = path.rename(tmp_path / "old")
            path.write_text(access(50, 2))
            until(9)
            with old.open("a") as file:  # its writer has not noticed
                file.write(access(8, 1))
            until(10)
        except AssertionError as error:
            seen["error"] = error
        finally:
            stop.set()

    thread = threading.Thread(target=act)
    thread.start()
    totals = run.follow([path], stop.is_set)
    thread.join()
    if "error" in seen:
        raise seen["error"]
    assert account(totals) == (10, 0, 0)


def test_a_path_or_source_that_is_not_there_is_refused_first(workspace, tmp_path):
    path = tmp_path / "access.log"
    path.write_text(access(1, 1))
    with pytest.raises(NotFoundError):
        take(workspace, path, tmp_path / "nowhere")
    with pytest.raises(NotFoundError):
        take(workspace, path, source="frobnicate")
    assert app.lake(workspace).cursors() == []


def test_the_command_counts_and_exits_as_it_should(workspace, tmp_path, capsys):
    path = tmp_path / "access.log"
    path.write_text(access(1, 3) + "nonsense\n")
    at = ["--workspace", str(workspace.root), "--no-detect"]
    assert lemnis(["ingest", "web_combined", str(path), "--json", *at]) == 2
    output = capsys.readouterr()
    assert json.loads(output.out) == {"read": 4, "accepted": 3, "rejected": 1, "duplicates": 0}
    assert f"{path}#4" in output.err
    assert lemnis(["ingest", "web_combined", str(path), "--json", *at]) == 0
    assert lemnis(["ingest", "web_combined", str(tmp_path / "nowhere"), *at]) == 2
    capsys.readouterr()
    assert lemnis(["sources", "health", "--json", "--workspace", str(workspace.root)]) in {0, 1}
    (health,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (health["name"], health["events"], health["rejects"]) == ("web_combined", 3, 1)


def test_the_standard_input_is_an_origin_too(workspace, monkeypatch):
    read, write = os.pipe()
    with os.fdopen(write, "wb") as pipe:
        pipe.write(access(1, 5).encode())
    kept = os.dup(0)
    os.dup2(read, 0)
    try:
        from pathlib import Path  # noqa: PLC0415 - the file's own

        assert account(take(workspace, Path("-"))) == (5, 0, 0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(read)


def test_every_source_gives_its_golden_events_and_maps_its_samples():
    found = {one.name: one for one in sources.check(Library.open())}
    assert len(found) >= 10
    for one in found.values():
        assert [case.why for case in one.cases if not case.passed] == [], one.name
        assert one.cases == () or one.mapped_percent == 100, one.name


def test_a_golden_file_that_differs_is_told(tmp_path):
    import shutil  # noqa: PLC0415 - only here

    overlay = tmp_path / "content"
    shutil.copytree(
        Library.open().get("sources", "web_combined").folder, overlay / "sources" / "web_combined"
    )
    golden = overlay / "sources" / "web_combined" / "golden" / "common.log.json"
    golden.write_text(golden.read_text().replace("192.0.2.4", "192.0.2.40", 1))
    (one,) = sources.check(Library.open(overlay), ["web_combined"])
    assert one.passed == len(one.cases) - 1
    (wrong,) = [case for case in one.cases if not case.passed]
    assert wrong.sample == "common.log"
    (again,) = sources.check(Library.open(overlay), ["web_combined"], update=True)
    assert again.passed == len(again.cases)


def test_the_listing_needs_no_workspace(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEMNIS_WORKSPACE", raising=False)
    assert lemnis(["sources", "list", "--json"]) == 0
    names = {json.loads(line)["name"] for line in io.StringIO(capsys.readouterr().out)}
    assert {"windows", "linux_audit", "aws_cloudtrail", "sarif"} <= names


def test_a_name_that_is_no_utf8_stops_nothing(workspace, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / os.fsdecode(b"bad\xff.log")).write_text(syslog(0, 3) + "no message\n")
    (folder / "good.log").write_text(syslog(10, 3))
    totals = take(workspace, folder, source="linux_syslog")
    (reject,) = (one for one in totals.examples if one.reason == "not a syslog message")
    assert reject.at.file.endswith("bad\\xff.log")
    files = {cursor.origin.rpartition("/")[2] for cursor in app.lake(workspace).cursors()}
    assert files == {"bad\\xff.log", "good.log"}


def pretty(*numbers):
    return json.dumps([json.loads(trail(n, 1))["Records"][0] for n in numbers], indent=4)


def test_documents_that_begin_alike_are_each_read_whole(workspace, tmp_path):
    for name, numbers in {"a.json": [1, 2, 3], "b.json": [4, 5], "c.json": [1, 6, 7], "d.json": [1]}.items():
        (tmp_path / name).write_text(pretty(*numbers))
    totals = take(workspace, *sorted(tmp_path.glob("*.json")), source="aws_cloudtrail")
    assert (totals.accepted, totals.duplicates, totals.rejected) == (7, 2, 0)
    assert take(workspace, *sorted(tmp_path.glob("[ab].json")), source="aws_cloudtrail").accepted == 0


def test_a_document_that_has_grown_gives_what_is_new(workspace, tmp_path):
    log = tmp_path / "trail.json"
    log.write_text(pretty(1, 2))
    assert take(workspace, log).accepted == 2
    assert take(workspace, log).read == 0
    log.write_text(pretty(1, 2, 3))
    assert take(workspace, log).accepted == 1


def test_reports_of_two_scans_are_each_read(workspace, tmp_path):
    for rule in ("B602", "B603", "B101"):
        (tmp_path / f"{rule}.sarif").write_text(report([{"ruleId": rule, "message": {"text": rule}}]))
    assert take(workspace, *tmp_path.glob("*.sarif"), source="sarif").accepted == 3


@pytest.mark.parametrize("count", [0, 1, 500])
def test_a_report_is_recognised_whatever_its_size(workspace, tmp_path, count):
    log = tmp_path / "bandit.sarif"
    log.write_text(
        report([{"ruleId": "B602", "message": {"text": f"{n} " + "x" * 200}} for n in range(count)])
    )
    totals = take(workspace, log)
    assert (totals.accepted, totals.rejected) == (count, 0)


def test_a_report_of_another_version_is_refused_with_its_version(workspace, tmp_path):
    log = tmp_path / "old.sarif"
    log.write_text(report([{"ruleId": "B602", "message": {"text": "x"}}], version="2.0.0"))
    totals = take(workspace, log)
    assert totals.accepted == 0
    assert "SARIF 2.0.0" in totals.examples[0].reason


def report(results, version="2.1.0"):
    run = {"tool": {"driver": {"name": "bandit"}}, "results": results}
    return json.dumps({"version": version, "runs": [run]}, indent=2)


def test_lines_of_white_space_between_json_only_count(workspace, tmp_path):
    log = tmp_path / "trail.jsonl"
    records = [json.dumps(json.loads(trail(n, 1))["Records"][0]) for n in (1, 2)]
    log.write_text(f"{records[0]}\n\n  \t\n{records[1]}\nbad\n \r\n")
    totals = take(workspace, log, source="aws_cloudtrail")
    assert (totals.read, totals.accepted) == (3, 2)
    assert totals.examples[0].at.record == 5
