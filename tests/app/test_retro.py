"""Retro-hunt: what it finds is what a replay finds, whatever ends it on the way; what it costs is told first."""

import signal
import subprocess
import sys

import hunted
import lived
import orjson
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from lemnis import app
from lemnis.app import retro, retro_pieces, retro_running
from lemnis.app.ingest import Ingest
from lemnis.app.replay import replay
from lemnis.app.retro_state import Job
from lemnis.app.retro_units import File, Range, read
from lemnis.contracts.alerts import Alert, Entity, EntityKind, MatchedField, Severity
from lemnis.contracts.errors import InputError, ServiceError, UsageError
from lemnis.interfaces.cli import build
from lemnis.interfaces.cli import run as told


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return hunted.workspace(tmp_path_factory.mktemp("history"))


@pytest.fixture
def workspace(history, tmp_path):
    """A workspace of its own, over the one lake."""
    made = lived.workspace(tmp_path)
    (made.state / "lake").symlink_to(history.state / "lake")
    return made


@pytest.fixture
def rules(history):
    return history.content / "detections"


def test_the_alerts_are_those_of_a_replay(history):
    found = hunted.run(hunted.question(history), history)[1].found(app.lake(history))
    assert found == replay(app.lake(history), app.library(history))
    assert {alert.rule_id for alert in found} >= {lived.ADMIN, "00000000-0000-4000-8000-0000000000a3"}


def test_a_range_of_time_is_that_of_a_replay(history, rules):
    start, end = lived.START + 2 * lived.DAY + 3_600_001, lived.START + 9 * lived.DAY + 18_000_000
    asked = hunted.question(history, paths=[rules])
    found = hunted.run(asked, history, Range(start, end))[1].found(app.lake(history))
    assert found == replay(app.lake(history), app.library(history), rules=[rules], start=start, end=end)
    assert 0 < len(found) < len(replay(app.lake(history), app.library(history), rules=[rules]))


def test_rows_in_the_spool_are_looked_at(history, tmp_path):
    lake = app.lake(lived.workspace(tmp_path))
    batch = next(app.lake(history).scan(4002))
    lake.append([batch])
    made = app.open_workspace(tmp_path / "w", clock=history.clock)
    asked = hunted.question(made)
    done, gathered = hunted.run(asked, made)
    assert done.looked == len(batch)
    assert gathered.found(lake) == replay(lake, app.library(made)) != []


def test_what_cannot_match_is_not_read(history):
    only = hunted.question(history, paths=[history.content / "detections" / "admin_page"])
    planned = retro.plan(app.lake(history), only, Range())
    assert {unit.table for unit in planned.units} == {"http_activity"}
    assert {one.table for one in planned.skipped} >= {"authentication", "process_activity"}
    assert planned.rows == 300 + 14 * 24 + 2
    assert planned.rates["http_activity"] > 0
    assert planned.seconds == pytest.approx(planned.rows / planned.rates["http_activity"])
    found = hunted.run(only, history)[1].found(app.lake(history))
    assert found == replay(app.lake(history), app.library(history), rules=only.paths)


def test_files_of_other_sources_are_left_out_by_their_footers(history):
    """Windows' logins and those of sshd are in one table, in files of their own."""
    only = hunted.question(history, paths=[history.content / "detections" / "login_0"])
    planned = retro.plan(app.lake(history), only, Range(), measured=False)
    assert {unit.table for unit in planned.units} == {"authentication", "class_0"}
    assert {(one.table, one.rows) for one in planned.skipped} >= {("authentication", 300)}
    found = hunted.run(only, history)[1].found(app.lake(history))
    assert found == replay(app.lake(history), app.library(history), rules=only.paths) != []


def test_a_rule_that_no_source_serves_is_named(history, tmp_path):
    rule = tmp_path / "rule.yml"
    rule.write_text(lived.RULE.format(
        title="Nobody", id=lived.LOGIN, tags="attack.t1", field="a", value="b", level="low"
    ).replace("category: webserver", "product: abacus"))  # fmt: skip
    asked = hunted.question(history, paths=[rule])
    assert asked.unserved == ("Nobody",)
    assert retro.plan(app.lake(history), asked, Range()).units == ()


def test_what_was_looked_at_is_not_looked_at_again(history, tmp_path):
    job = Job(tmp_path / "job")
    asked = hunted.question(history)
    job.begin({"start": None})
    first, _ = hunted.run(asked, history, job=job, bounds=retro.Bounds(events=700))
    assert 0 < first.looked < first.of
    assert first.ended
    then, gathered = hunted.run(asked, history, job=job)
    assert (then.known, then.known + then.looked, then.ended) == (first.looked, first.of, "")
    again, _ = hunted.run(asked, history, job=job)
    assert (again.known, again.looked) == (first.of, 0)
    assert gathered.found(app.lake(history)) == replay(app.lake(history), app.library(history))


def test_a_run_ends_when_its_time_is_over(history, tmp_path):
    job = Job(tmp_path / "job")
    job.begin({})
    done, gathered = hunted.run(hunted.question(history), history, job=job, bounds=retro.Bounds(seconds=0.0))
    assert done.looked < done.of
    assert "0 s" in done.ended
    whole = replay(app.lake(history), app.library(history))
    some = gathered.found(app.lake(history), whole=False)
    assert {alert.id for alert in some} < {alert.id for alert in whole}
    assert not any("correlation" in alert.event for alert in some)


def test_a_run_ends_when_it_finds_too_much(history, tmp_path):
    job = Job(tmp_path / "job")
    job.begin({})
    done, _ = hunted.run(hunted.question(history), history, job=job, bounds=retro.Bounds(found=3))
    assert "alerts already" in done.ended
    assert 0 < done.looked < done.of


def test_what_is_damaged_is_looked_at_again(history, tmp_path):
    job = Job(tmp_path / "job")
    job.begin({})
    asked = hunted.question(history, paths=[history.content / "detections" / "admin_page"])
    whole, _ = hunted.run(asked, history, job=job)
    kept = sorted(job.folder.glob("*.arrow"))
    kept[0].write_bytes(kept[0].read_bytes()[:-100])
    kept[1].write_bytes(b"")
    done, gathered = hunted.run(asked, history, job=job)
    assert 0 < done.looked <= whole.of
    assert gathered.found(app.lake(history)) == replay(
        app.lake(history), app.library(history), rules=asked.paths
    )


def test_files_that_were_rewritten_are_looked_at_anew_and_count_once(tmp_path):
    made = lived.workspace(tmp_path)
    log = tmp_path / "access.log"
    lines = list(lived.requests())
    lake = app.lake(made)
    job = Job(tmp_path / "job")
    asked = None
    for part in range(3):
        with log.open("a") as file:
            file.writelines(lines[part::3])
        Ingest(made, "web_combined").run([log])
        lake.flush()
        asked = hunted.question(made)
        if part == 1:
            job.begin({})
            hunted.run(asked, made, job=job)
    assert lake.compact(min_files=2) > 0
    done, gathered = hunted.run(asked, made, job=job)
    assert done.looked > 0
    assert gathered.found(lake) == replay(lake, app.library(made)) != []


def test_alerts_are_written_whole():
    alert = replay_one()
    assert retro_pieces.read_alert(retro_pieces.write_alert(alert)) == alert


def replay_one():
    return Alert(
        "al-1", "r", "t", Severity.HIGH, 5, "s", ("ev-1", "ev-2"), (Entity(EntityKind.HOST, "a:b"),), "sha256:0",
        ("attack.t1",), {"a": {"b": [1, None, "ü"]}}, 2, True, 2, 5, 6, "sha256:1",
        (MatchedField("f", "is x", "x"),), "low", 1000,
    )  # fmt: skip


HUNT = ("retro", "--yes", "--json")


def lemnis(*arguments, code):
    answer = CliRunner().invoke(build(), [str(one) for one in arguments])
    if isinstance(answer.exception, Exception) and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    assert answer.exit_code == code, answer.output
    return [orjson.loads(line) for line in answer.stdout.splitlines()]


def test_the_command_line_tells_alerts_and_what_it_did(workspace, history, rules):
    *alerts, done = lemnis(*HUNT, rules, "-w", workspace.root, code=1)
    wanted = replay(app.lake(history), app.library(workspace), rules=[rules])
    assert [one["id"] for one in alerts] == [one.id for one in wanted]
    assert done["complete"]
    assert (done["hits"], done["looked"], done["known"]) == (len(wanted), done["events"], 0)
    *_, again = lemnis(*HUNT, rules, "--resume", "-w", workspace.root, code=1)
    assert (again["looked"], again["known"]) == (0, done["events"])
    *_, anew = lemnis(*HUNT, rules, "-w", workspace.root, code=1)
    assert anew["known"] == 0
    assert lemnis(*HUNT, rules, "--until", "2000-01-01", "-w", workspace.root, code=0)[-1]["hits"] == 0


def test_a_plan_tells_what_it_would_cost(workspace, rules):
    (told,) = lemnis("retro", rules / "admin_page", "--plan", "--json", "-w", workspace.root, code=0)
    assert [one["table"] for one in told["tables"]] == ["http_activity"]
    assert told["events"] == told["tables"][0]["events"] == 638
    assert told["days"][0] == "2025-11-03"
    assert told["seconds"] is not None
    assert not (workspace.state / "retro").exists()


def test_what_is_asked_for_must_fit(workspace, rules, tmp_path):
    with pytest.raises(UsageError):
        lemnis(*HUNT, "-w", workspace.root, code=2)
    with pytest.raises(UsageError):
        lemnis(*HUNT, rules, "--indicator", "a.example", "-w", workspace.root, code=2)
    with pytest.raises(InputError):
        lemnis(*HUNT, rules, "--since", "once", "-w", workspace.root, code=2)


@pytest.mark.parametrize("options", [["--plan"], ["--json"], ["--plan", "--json"]])
def test_without_a_rule_that_can_be_used_nothing_is_planned_or_told(workspace, tmp_path, capsys, options):
    broken, notes = tmp_path / "broken.yml", tmp_path / "notes.yml"
    broken.write_text("title: [unclosed\n")
    notes.write_text("title: nothing\n")
    for path in (broken, notes, tmp_path / "none.yml"):
        assert told(["retro", str(path), *options, "-w", str(workspace.root)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert path.name in err


def test_without_pyspark_it_says_what_to_install(workspace, rules, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(ServiceError, match="pyspark") as raised:
        lemnis(*HUNT, rules, "--on", "spark://127.0.0.1:1", "-w", workspace.root, code=3)
    assert raised.value.exit_code == 3
    assert "spark" in raised.value.fix


def test_alerts_that_are_wanted_become_incidents(workspace, rules, tmp_path):
    rule = tmp_path / "rule.yml"
    rule.write_text(
        (rules / "admin_page" / "rule.yml").read_text().replace("level: medium", "level: critical")
    )
    *alerts, done = lemnis(*HUNT, rule, "--alert", "-w", workspace.root, code=1)
    written = [entry.subject for entry in app.journal(workspace).entries(kind="alert")]
    assert sorted(written) == sorted(one["id"] for one in alerts)
    assert done["hits"] == 58
    assert list(app.journal(workspace).entries(kind="incident.opened"))
    again = retro_running.tell(workspace, replay(app.lake(workspace), app.library(workspace), rules=[rule]))
    assert again == 0


SLOW = """
import sys, time
from pathlib import Path
from lemnis.app import retro_state
kept = retro_state.Job.save
def save(self, key, found):
    kept(self, key, found)
    print("kept", flush=True)
    time.sleep(60)
retro_state.Job.save = save
from lemnis.interfaces.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_tells_each_alert_once(workspace, history, rules):
    """Kill it after its first unit, then after another one; then let it end."""
    arguments = [str(one) for one in (*HUNT, rules, "--resume", "-w", workspace.root)]
    for kept in (1, 2):
        process = subprocess.Popen([sys.executable, "-c", SLOW, *arguments], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"kept\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert len(list((workspace.state / "retro").glob("*/*.arrow"))) == kept
    *alerts, done = lemnis(*arguments, code=1)
    assert done["known"] > 0
    assert done["known"] + done["looked"] == done["events"]
    wanted = replay(app.lake(history), app.library(workspace), rules=[rules])
    assert [one["id"] for one in alerts] == [one.id for one in wanted]


def test_memory_is_bounded_by_a_row_group(tmp_path):
    """A file of many row groups is read one at a time, and only the columns that are asked for."""
    path = tmp_path / "a.parquet"
    table = pa.table({"time": pa.array(range(200_000)), "a": pa.array(["x"] * 200_000)})
    pa.parquet.write_table(table, path, row_group_size=65_536)
    file = File("a", path, 200_000, path.stat().st_size)
    some = list(read(file, table.schema.remove(1), Range(70_000, 140_000)))
    assert [one.num_rows for one in some] == [131_072 - 70_000, 140_000 - 131_072]
    assert some[0].column_names == ["time"]
