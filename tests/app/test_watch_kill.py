"""SIGKILL at random moments of watching, appending and correlating: no alert lost or twice, the same incidents."""

import gc
import multiprocessing
import os
import random
import sys
from pathlib import Path

import pytest

from lemnis import app
from lemnis.app import incidents, watch
from lemnis.contracts.clock import ManualClock
from lemnis.testing import cluster

KILLS = 25
BATCHES = 120
ROWS = 20
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["lemnis.app.watch", "lemnis.app.incidents"])


def rows(number):
    rng = random.Random(number)  # noqa: S311 - input, not a secret
    return [
        (
            number * ROWS + n,
            rng.randrange(600),
            rng.choice(["low", "high", "fine", "fine"]),
            f"192.0.2.{rng.randrange(30)}",
        )
        for n in range(ROWS)
    ]


def work(folder, progress, ready, database):
    """Do as ingest does: watch, append with the cursor, go on where the lake says; correlate now and then."""
    if database:  # the server that forks may be older than the setting
        os.environ["LEMNIS_DATABASE_URL"] = database
    sys.path.insert(0, str(Path(__file__).parent))
    from watched import DETECTION, START, batch  # noqa: PLC0415 - beside this file

    from lemnis.contracts.events import Cursor  # noqa: PLC0415

    workspace = app.open_workspace(folder, clock=ManualClock(START))
    lake, watching = app.lake(workspace), watch.Watch(workspace, detecting=DETECTION)
    ready.set()
    cursor = lake.cursor("test", "file")
    for number in range(cursor.position if cursor else 0, BATCHES):
        some = batch(*rows(number))
        watching.watch([some])
        lake.append([some], cursor=Cursor("test", "file", "file", number + 1))
        if number % 3 == 0:
            watching.finish()
    watching.finish()
    progress.write_text("done")


def outcome(workspace):
    alerts = [entry.subject for entry in app.journal(workspace).entries(kind="alert")]
    assert len(alerts) == len(set(alerts))
    found = [one for one in incidents.incidents(workspace) if not one.merged_into]
    inside = [alert for one in found for alert in one.alert_ids]
    assert len(inside) == len(set(inside))
    return set(alerts), {frozenset(one.alert_ids) for one in found}


def calm(workspace):
    """Do the same without being killed."""
    from watched import DETECTION, batch  # noqa: PLC0415 - as above

    watching = watch.Watch(workspace, detecting=DETECTION)
    for number in range(BATCHES):
        watching.watch([batch(*rows(number))])
    watching.finish()
    return outcome(workspace)


def killed(workspace, folder, longest):
    """Do it in processes that are killed until enough were; return how many."""
    moments = random.Random(7)  # noqa: S311 - moments, not secrets
    done, kills = folder / "done", 0
    database = os.environ.get("LEMNIS_DATABASE_URL", "")
    while not done.exists():
        ready = SPAWN.Event()
        child = SPAWN.Process(target=work, args=(workspace.root, done, ready, database))
        child.start()
        assert ready.wait(60)
        child.join(moments.uniform(0, longest) if kills < KILLS else None)
        if child.is_alive():
            child.kill()
            kills += 1
        child.join()
        assert child.exitcode in {0, -9}
    return kills


def made(folder):
    from watched import START  # noqa: PLC0415 - as above

    return app.init(folder, clock=ManualClock(START))


@pytest.mark.slow
def test_a_killed_watch_ends_with_the_alerts_and_incidents_of_one_that_was_not(tmp_path):
    wanted = calm(made(tmp_path / "calm"))
    one = made(tmp_path / "killed")
    assert killed(one, tmp_path, 0.12) >= KILLS
    assert outcome(one) == wanted
    app.journal(one).verify()


# The journal's engines live as long as the process and are not disposed of; psycopg says so when they go.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_killed_watch_on_postgresql_ends_with_the_same(tmp_path, monkeypatch):
    if reason := cluster.missing_postgres():
        pytest.skip(reason)
    wanted = calm(made(tmp_path / "calm"))
    with cluster.postgres() as server:
        monkeypatch.setenv("LEMNIS_DATABASE_URL", server.url)
        one = made(tmp_path / "killed")
        assert killed(one, tmp_path, 0.3) >= KILLS
        assert outcome(one) == wanted
        app.journal(one).verify()
        (one.state / "cache/grouping.db").unlink()  # lost: made anew from the journal
        assert outcome(app.open_workspace(one.root, clock=one.clock)) == wanted
        assert not (one.state / "journal.db").exists()
        gc.collect()
