"""SIGKILL at random moments of watching, appending and correlating: no alert lost or twice, the same incidents."""

import multiprocessing
import random
import sys
from pathlib import Path

import pytest

from lemnis import app
from lemnis.app import incidents, watch
from lemnis.contracts.clock import ManualClock

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


def work(folder, progress, ready):
    """Do as ingest does: watch, append with the cursor, go on where the lake says; correlate now and then."""
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


@pytest.mark.slow
def test_a_killed_watch_ends_with_the_alerts_and_incidents_of_one_that_was_not(tmp_path):
    from watched import DETECTION, START, batch  # noqa: PLC0415 - as above

    calm = app.init(tmp_path / "calm", clock=ManualClock(START))
    watching = watch.Watch(calm, detecting=DETECTION)
    for number in range(BATCHES):
        watching.watch([batch(*rows(number))])
    watching.finish()

    killed = app.init(tmp_path / "killed", clock=ManualClock(START))
    moments = random.Random(7)  # noqa: S311 - moments, not secrets
    done, kills = tmp_path / "done", 0
    while not done.exists():
        ready = SPAWN.Event()
        child = SPAWN.Process(target=work, args=(killed.root, done, ready))
        child.start()
        assert ready.wait(60)
        child.join(moments.uniform(0, 0.12) if kills < KILLS else None)
        if child.is_alive():
            child.kill()
            kills += 1
        child.join()
        assert child.exitcode in {0, -9}
    assert kills >= KILLS
    assert outcome(killed) == outcome(calm)
    app.journal(killed).verify()
