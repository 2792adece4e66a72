"""Rules over one lake in one process, and on a Spark cluster: `.venv-spark/bin/python bench/_spark.py`.

Give the number of events as an argument. CPU seconds are those of all processes of a kind, by their sessions,
with children that have ended; seconds by the clock say little on a machine that does other work. Cold is the
first time, with all that is compiled once.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "spark"), str(TESTS / "app")]

import cluster  # noqa: E402 - of the tests
import history  # noqa: E402 - of the tests

from lemnis import app  # noqa: E402
from lemnis.app import retro, spark, spark_parcel  # noqa: E402
from lemnis.app.retro_question import Rules  # noqa: E402
from lemnis.app.retro_units import Range  # noqa: E402
from lemnis.contracts.alerts import Alert  # noqa: E402

Found = TypeVar("Found")
_TICK = os.sysconf("SC_CLK_TCK")


def cpu(sessions: Collection[int]) -> float:
    """Return the CPU seconds of all processes of some sessions."""
    total = 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                parts = (process / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(parts[3]) in sessions:
                total += sum(map(int, parts[11:15]))
    return total / _TICK


def timed(what: str, events: int, sessions: Collection[int], run: Callable[[], Found]) -> Found:
    """Run and print what it took."""
    began, used = time.perf_counter(), cpu(sessions)
    found = run()
    wall, spent = time.perf_counter() - began, cpu(sessions) - used
    print(f"{what}: {spent:.1f} CPU s, {events / spent:,.0f} events a CPU second; {wall:.1f} s by the clock")
    return found


def main(events: int) -> None:
    """Measure, and say whether the alerts are the same."""
    os.setsid()
    me = {os.getpid()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace = history.workspace(folder, events)
        lake = app.lake(workspace)
        question = Rules.of(app.library(workspace), lake.schemas(), cache=workspace.state / "cache")
        planned = retro.plan(lake, question, Range(), measured=False)
        print(f"{planned.rows:,} events, {planned.bytes / 1e6:.1f} MB, {len(planned.snapshots)} classes")

        def asked(engine: retro.Engine | None = None) -> list[Alert]:
            gathered = question.gathering()
            retro.run(question, planned, gathered.add, engine=engine)
            return gathered.found(lake)

        for what in ("one process, cold", "one process, warm"):
            wanted = timed(what, planned.rows, me, asked)
        (folder / "cluster").mkdir()
        with cluster.running(folder / "cluster") as address:
            began, used = time.perf_counter(), cpu(me)
            with spark.session(address, {"spark.executor.memory": "800m"}) as session:
                print(
                    f"session: {cpu(me) - used:.1f} CPU s, {time.perf_counter() - began:.1f} s by the clock"
                )
                engine = spark.Cluster(session, question, spark_parcel.of_rules(question))
                sessions = me | cluster.sessions()
                for what in ("two workers, cold", "two workers, warm", "two workers, warm again"):
                    found = timed(what, planned.rows, sessions, lambda: asked(engine))
        print("the same alerts:", found == wanted, len(wanted))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else history.EVENTS)
