"""Correlations from raw input, live, killed and replayed: the same alerts."""

import json
import multiprocessing
import random
import sys
from pathlib import Path

import pytest
from correlated import RULES, content, lines, told

from lemnis import app
from lemnis.app import hunt, hunt_jobs, watch
from lemnis.app.correlation import Running
from lemnis.app.ingest import Ingest
from lemnis.app.replay import replay
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock, to_iso
from lemnis.correlate.incremental import Limits
from lemnis.incidents.entries import ALERT, read_alert

START = 1_767_225_600_000
SPAWN = multiprocessing.get_context("forkserver")


def workspace(folder):
    made = app.init(folder, clock=ManualClock(START + 86_400_000))
    content(made.content)
    return made


def ingest(where, *files):
    watching = watch.Watch(where)
    assert [str(p) for p in watching.detection.problems] == []
    Ingest(where, source="windows", watcher=watching).run(list(files))


def journaled(where):
    return [read_alert(entry) for entry in app.journal(where).entries(kind=ALERT)]


@pytest.fixture(scope="module")
def logins():
    return lines(900)


def test_hunt_stream_and_replay_tell_the_same_episodes(tmp_path, logins):
    first, second = tmp_path / "b.jsonl", tmp_path / "a.jsonl"
    first.write_text("".join(logins[:500]))
    second.write_text("".join(logins[500:]))
    (tmp_path / "rules.yml").write_text(RULES)
    where = workspace(tmp_path / "w")
    ingest(where, first)
    ingest(where, second)
    live = told(journaled(where))
    assert {rule for _, rule, *_ in live} == {f"00000000-0000-4000-8000-0000000000a{n}" for n in range(2, 7)}
    assert any(alert.revision for alert in journaled(where))
    again = replay(app.lake(where), Library.open(where.content))
    assert told(again) == live
    hits = [
        item
        for item in hunt.hunt(
            [tmp_path / "a.jsonl", tmp_path / "b.jsonl"], hunt.rules([tmp_path / "rules.yml"])
        )
        if isinstance(item, hunt.Hit)
    ]
    seen = sorted(
        (h.rule.id, h.event["first"], h.event["last"], h.event["count"], str(h.event["group"])) for h in hits
    )
    assert seen == sorted((r, to_iso(f), to_iso(e), c, g) for _, r, _, f, e, c, _, _, g in live)
    for hit in hits:
        last = json.loads(Path(hit.file).read_text().splitlines()[hit.record - 1])
        assert last["SystemTime"] == hit.event["last"] == hit.time
        assert len(hit.event["records"]) == min(100, hit.event["count"])
    assert {alert.entities for alert in again if "correlation" in alert.event} != {()}


@pytest.mark.slow
def test_several_processes_find_what_one_finds(tmp_path, logins, monkeypatch):
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "e.jsonl").write_text("".join(logins))
    loaded = hunt.rules([tmp_path / "rules.yml"])

    def found(jobs):
        items = hunt.hunt([tmp_path / "e.jsonl"], loaded, jobs=jobs)
        return [(h.rule.id, h.record, h.event) for h in items if isinstance(h, hunt.Hit)]

    alone = found(1)
    monkeypatch.setattr(hunt_jobs, "WORTH", 0)
    monkeypatch.setattr(hunt_jobs, "PIECE", 40_000)
    assert found(2) == alone != []


def test_what_a_correlation_draws_on_gives_no_alerts_of_its_own(tmp_path, logins):
    where = workspace(tmp_path / "w")
    (tmp_path / "e.jsonl").write_text("".join(logins[:200]))
    ingest(where, tmp_path / "e.jsonl")
    assert {alert.rule_id for alert in journaled(where)}.isdisjoint({"Refused", "Granted", "Many refusals"})


def test_a_checkpoint_lets_go_of_the_signals_and_another_process_goes_on_from_it(tmp_path, logins):
    where = workspace(tmp_path / "w")
    file = tmp_path / "e.jsonl"
    watching = watch.Watch(where)
    file.write_text("".join(logins[:450]))
    Ingest(where, source="windows", watcher=watching).run([file])
    watching._running.save()
    assert list(app.lake(where).signals()) == []
    file.write_text("".join(logins))
    ingest(where, file)
    assert list(app.lake(where).signals())
    watching.finish()  # the first one learns of what the other told
    assert told(journaled(where)) == told(replay(app.lake(where), Library.open(where.content)))
    keys = [entry.key for entry in app.journal(where).entries(kind=ALERT)]
    assert len(keys) == len(set(keys))


def test_events_that_the_lake_knew_are_not_counted_again(tmp_path, logins):
    where = workspace(tmp_path / "w")
    for name in ("a", "b"):  # the same records from another place
        (tmp_path / name).write_text("".join(logins if name == "a" else [*logins[::-1]]))
        ingest(where, tmp_path / name)
    assert told(journaled(where)) == told(replay(app.lake(where), Library.open(where.content)))


def work(folder, file, ready, limit):
    """Ingest as a run does that may be killed; checkpoints come often."""
    sys.path.insert(0, str(Path(__file__).parent))
    from lemnis.app import correlation  # noqa: PLC0415
    from lemnis.app import ingest as ingesting  # noqa: PLC0415

    correlation._UNSAVED = limit
    where = app.open_workspace(folder, clock=ManualClock(START + 86_400_000))
    watching = watch.Watch(where)
    take = ingesting.Ingest._take

    def finishing(self, *given):
        rejected = take(self, *given)
        watching.finish()
        return rejected

    ingesting.Ingest._take = finishing
    ready.set()
    ingesting.Ingest(where, source="windows", watcher=watching).run([file])
    (folder / "done").write_text("")


@pytest.mark.slow
def test_a_killed_run_ends_with_the_alerts_of_one_that_was_not(tmp_path, logins, monkeypatch):
    files = []
    for number in range(30):  # each is acknowledged by itself
        files.append(tmp_path / "in" / f"{number:02}.jsonl")
        files[-1].parent.mkdir(exist_ok=True)
        files[-1].write_text("".join(logins[number * 30 : number * 30 + 30]))
    files[-1].write_text(files[-1].read_text() + logins[-1])
    killed = workspace(tmp_path / "killed")
    moments = random.Random(5)  # noqa: S311 - moments, not secrets
    kills = 0
    while not (killed.root / "done").exists():
        ready = SPAWN.Event()
        child = SPAWN.Process(target=work, args=(killed.root, tmp_path / "in", ready, 25))
        child.start()
        assert ready.wait(120)
        child.join(moments.uniform(0, 1.2) if kills < 8 else None)
        if child.is_alive():
            child.kill()
            kills += 1
        child.join()
        assert child.exitcode in {0, -9}
    assert kills >= 3
    ingest(killed, *files)
    assert told(journaled(killed)) == told(replay(app.lake(killed), Library.open(killed.content)))
    keys = [entry.key for entry in app.journal(killed).entries(kind=ALERT)]
    assert len(keys) == len(set(keys))
    calm = workspace(tmp_path / "calm")
    ingest(calm, *files)
    assert told(journaled(calm)) == told(journaled(killed))


def test_late_events_and_closed_groups_are_told(tmp_path, logins, caplog):
    where = workspace(tmp_path / "w")
    watching = watch.Watch(where)
    file = tmp_path / "e.jsonl"
    file.write_text("".join(sorted(logins, key=lambda line: json.loads(line)["SystemTime"])[300:]))
    Ingest(where, source="windows", watcher=watching).run([file])
    correlating = watching.detection.correlating
    tight = Limits(keep=0, lateness=60_000)
    watching._running = Running(where, correlating, watching.journal, app.lake(where), tight)
    watching.finish()
    (tmp_path / "f.jsonl").write_text("".join(logins))
    Ingest(where, source="windows", watcher=watching).run([tmp_path / "f.jsonl"])
    assert any("came too late for correlation" in record.getMessage() for record in caplog.records)
