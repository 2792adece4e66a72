"""Dead letters after a fix: they enter the lake with the uids they would have had, once, whatever happens."""

import json

import pytest
from acme_letters import FIXED, KINDS, MAPPING, NOW, source, text, told
from ingesting import access, audit

from lemnis import app
from lemnis.app import deadletters, ingest
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import NotFoundError, ServiceError
from lemnis.interfaces.cli import run as lemnis


@pytest.fixture
def workspace(tmp_path):
    return app.init(tmp_path / "workspace", clock=ManualClock(NOW))


def events(workspace):
    sql = "SELECT metadata.uid AS uid, message, raw_data FROM events"
    rows = app.lake(workspace).query(sql, limit=100_000).to_pylist()
    assert len({row["uid"] for row in rows}) == len(rows)
    return {row["uid"]: (row["message"], row["raw_data"]) for row in rows}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_better_mapping_takes_is_what_it_would_have_been(workspace, tmp_path, kind):
    log = tmp_path / "acme.log"
    log.write_text(text(kind) * 2)
    source(workspace, KINDS[kind][0], MAPPING)
    before = ingest.Ingest(workspace, "acme").run([log])
    assert before.rejected >= 40
    assert told(deadletters.replay(workspace)) == (before.rejected, 0, 0, before.rejected, 0)
    source(workspace, KINDS[kind][0], FIXED)
    read, accepted, duplicates, rejected, left = told(deadletters.replay(workspace))
    extra = 1 if kind == "a table" else 0  # its header again, between its rows
    assert (read, accepted, duplicates, rejected, left) == (before.rejected, 40, 0, extra, 0)
    assert len(app.lake(workspace).dead_letters()) == extra
    assert told(deadletters.replay(workspace))[1:3] == (0, 0)

    other = app.init(tmp_path / "other", clock=ManualClock(NOW))
    source(other, KINDS[kind][0], FIXED)
    ingest.Ingest(other, "acme").run([log])
    assert events(workspace) == events(other)
    again = log.rename(tmp_path / "again.log")
    again.write_text(again.read_text() + "\n")
    assert ingest.Ingest(workspace, "acme").run([again]).accepted == 0


def test_a_better_parser_takes_what_it_could_not_read(workspace, tmp_path):
    log = tmp_path / "acme.log"
    log.write_text("1762200000001 one\nat 1762200000002 two\nodd\n1762200000003 three\n")
    pattern = "parser: pattern\noptions: {{line: '^{}(?P<t>[0-9]+)(?P<said>.*)$'}}"
    source(workspace, pattern.format(""), FIXED)
    assert ingest.Ingest(workspace, "acme").run([log]).rejected == 2
    source(workspace, pattern.format("(?:at )?"), FIXED)
    assert told(deadletters.replay(workspace)) == (2, 1, 0, 1, 0)
    assert [one.raw for one in app.lake(workspace).dead_letters()] == [b"odd"]
    assert sorted(said for said, _ in events(workspace).values()) == [" one", " three", " two"]


def test_lines_that_would_be_a_document_together_are_not_mixed_up(workspace, tmp_path):
    log = tmp_path / "acme.log"
    good = {"t": "2025-11-03T10:00:00Z", "said": "x"}
    log.write_text(json.dumps(good) + '\n[1]\n{"t": 5, "said": "five"}\n{"t": 6, "said": "six"}\n{"t": \n')
    source(workspace, "parser: jsonl", MAPPING)
    assert ingest.Ingest(workspace, "acme").run([log]).rejected == 4
    source(workspace, "parser: jsonl", FIXED)
    assert told(deadletters.replay(workspace)) == (4, 2, 0, 2, 0)
    assert sorted(message for message, _ in events(workspace).values()) == ["five", "six", "x"]
    assert [one.at.record for one in app.lake(workspace).dead_letters()] == [2, 5]


def test_events_of_several_lines_keep_what_others_said_of_them(workspace, tmp_path):
    log = tmp_path / "audit.log"
    log.write_text(audit(0, 10))
    library_mapping = workspace.content / "sources" / "linux_audit" / "mapping.yaml"
    import shutil  # noqa: PLC0415 - only here

    from lemnis.content.library import Library  # noqa: PLC0415 - only here

    shutil.copytree(Library.open().get("sources", "linux_audit").folder, library_mapping.parent)
    sound = library_mapping.read_text()
    library_mapping.write_text(
        sound.replace("process.pid: ", "process.pid: ", 1).replace("format: epoch_s", "format: iso")
    )
    changed = library_mapping.read_text() != sound
    assert changed
    assert ingest.Ingest(workspace, "linux_audit").run([log]).accepted == 0
    library_mapping.write_text(sound)
    assert told(deadletters.replay(workspace)) == (10, 10, 0, 0, 0)
    other = app.init(tmp_path / "other", clock=ManualClock(NOW))
    ingest.Ingest(other, "linux_audit").run([log])
    sql = "SELECT metadata.uid AS uid, process.parent_process.cmd_line AS parent FROM process_activity ORDER BY uid"
    assert app.lake(workspace).query(sql).to_pylist() == app.lake(other).query(sql).to_pylist()
    assert any(row["parent"] for row in app.lake(other).query(sql).to_pylist())


class Watching:
    def __init__(self):
        self.seen, self.wrong, self.finished = [], False, 0

    def watch(self, batches):
        if self.wrong:
            raise ServiceError("the database fails")
        self.seen += [
            uid for one in batches for uid in (row["metadata"]["uid"] for row in one.table.to_pylist())
        ]

    def finish(self):
        self.finished += 1


def test_detection_sees_them_before_they_leave(workspace, tmp_path):
    log = tmp_path / "acme.log"
    log.write_text(text("lines of JSON"))
    source(workspace, "parser: jsonl", MAPPING)
    ingest.Ingest(workspace, "acme").run([log])
    source(workspace, "parser: jsonl", FIXED)
    watcher = Watching()
    watcher.wrong = True
    with pytest.raises(ServiceError):
        deadletters.replay(workspace, watcher=watcher)
    assert len(app.lake(workspace).dead_letters()) == 20
    watcher.wrong = False
    assert told(deadletters.replay(workspace, ["acme"], watcher=watcher)) == (20, 20, 0, 0, 0)
    assert len(set(watcher.seen)) == 20
    assert watcher.finished == 1


def test_the_commands_list_and_replay(workspace, tmp_path, capsys):
    log = tmp_path / "acme.log"
    log.write_text(text("lines of JSON") + "TOKEN=not-json\n")
    (tmp_path / "noise.bin").write_bytes(b"\x00\x01\x02" * 50)
    source(workspace, "parser: jsonl", MAPPING)
    ingest.Ingest(workspace, "acme").run([log])
    ingest.Ingest(workspace).run([tmp_path / "noise.bin"])
    at = ["--workspace", str(workspace.root)]
    assert lemnis(["sources", "rejects", "--json", *at]) == 0
    out = capsys.readouterr().out
    groups = {(one["name"], one["reason"]): one for one in map(json.loads, out.splitlines())}
    assert set(groups) == {
        ("acme", "no time"),
        ("acme", "not JSON"),
        ("", "no source recognises it; name one"),
    }
    assert groups["acme", "no time"]["count"] == groups["acme", "no time"]["replayable"] == 20
    assert groups["", "no source recognises it; name one"]["replayable"] == 0
    assert groups["acme", "not JSON"]["examples"][0]["at"] == f"{log}#61"
    assert "TOKEN" not in out
    assert lemnis(["sources", "rejects", "--source", "acme", "--reason", "json", "--raw", "--json", *at]) == 0
    (one,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert one["examples"][0]["raw"] == "TOKEN=not-json"
    assert lemnis(["sources", "rejects", *at]) == 0
    assert "no time" in capsys.readouterr().out
    source(workspace, "parser: jsonl", FIXED)
    assert lemnis(["sources", "replay", "acme", "--no-detect", "--json", *at]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "read": 21,
        "accepted": 20,
        "rejected": 1,
        "duplicates": 0,
        "left": 0,
        "deliveries": 0,
    }
    assert lemnis(["sources", "replay", "nobody", *at]) == 2
    with pytest.raises(NotFoundError):
        deadletters.replay(workspace, ["nobody"])


def test_what_is_kept_is_set_in_the_settings(workspace, tmp_path, capsys):
    settings = workspace.root / "lemnis.yaml"
    settings.write_text(settings.read_text() + "dead_letters: {days: 1, megabytes: 1}\n")
    log = tmp_path / "access.log"
    log.write_text("".join(f"no request {n} {'x' * 5000}\n" for n in range(400)) + access(1, 1))
    assert ingest.Ingest(workspace, "web_combined").run([log]).rejected == 400
    (count,) = app.lake(workspace).dead_counts()
    assert count.bytes <= 1_000_000
    assert count.rows + count.forgotten == 400
    assert lemnis(["sources", "rejects", "--json", "--workspace", str(workspace.root)]) == 0
    assert json.loads(capsys.readouterr().out)["forgotten"] == count.forgotten
    settings.write_text(settings.read_text().replace("days: 1", "days: -1"))
    assert lemnis(["sources", "rejects", "--workspace", str(workspace.root)]) == 2
    assert "dead_letters.days" in capsys.readouterr().err


def test_a_source_whose_parser_fails_keeps_its_letters_and_the_others_are_tried(workspace, tmp_path):
    source(workspace, "parser: jsonl", MAPPING)
    (tmp_path / "acme.log").write_text(text("lines of JSON"))
    refused = ingest.Ingest(workspace, "acme").run([tmp_path / "acme.log"]).rejected
    (tmp_path / "access.log").write_text(access(1, 41))
    assert ingest.Ingest(workspace).run([tmp_path / "access.log"]).rejected == 1
    source(workspace, "parser: jsonl\noptions: {records_at: 7}", FIXED)  # on which the parser fails
    done = deadletters.replay(workspace)
    assert (done.read, done.done.accepted, done.rejected) == (refused + 1, 0, refused + 1)
    assert any("a defect of the parser jsonl" in one.reason for one in app.lake(workspace).dead_letters())
    source(workspace, "parser: jsonl", FIXED)
    assert deadletters.replay(workspace).done.accepted == refused
