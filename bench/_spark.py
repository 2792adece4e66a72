"""Rules over one lake in one process, and on a Spark cluster: `.venv-spark/bin/python bench/_spark.py`.

Give how many times the history of 122,701 events is to be there, each time a week later. CPU seconds are
those of all processes of a kind, by their sessions, with children that have ended; seconds by the clock say
little on a machine that does other work. Cold is the first time, with all that is compiled once; nothing is a
job of as many tasks that look at no file.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "spark"), str(TESTS / "app")]

import cluster  # noqa: E402 - of the tests
import history  # noqa: E402 - of the tests

from lemnis import app  # noqa: E402
from lemnis.app import retro, spark, spark_parcel  # noqa: E402
from lemnis.app.retro_question import Rules  # noqa: E402
from lemnis.app.retro_units import Range  # noqa: E402
from lemnis.contracts.alerts import Alert  # noqa: E402
from lemnis.contracts.events import EventBatch  # noqa: E402
from lemnis.store import rows  # noqa: E402
from lemnis.store.columns import by_source  # noqa: E402
from lemnis.store.lake import Lake  # noqa: E402

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


def _same(some: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Look at nothing."""
    yield from some


def timed(what: str, events: int, sessions: Collection[int], run: Callable[[], Found]) -> Found:
    """Run and print what it took."""
    began, used = time.perf_counter(), cpu(sessions)
    found = run()
    wall, spent = time.perf_counter() - began, cpu(sessions) - used
    print(
        f"{what}: {spent:.1f} CPU s, {events / max(0.01, spent):,.0f} a CPU second; {wall:.1f} s by the clock"
    )
    return found


def grow(lake: Lake, copies: int) -> None:
    """Add the history of a lake again and again, each time a week later, under names of its own."""
    parts = [
        (rows.table_class(n), s.table.read(s.table.files())) for n, s in lake.snapshots().items() if s.table
    ]
    for copy in range(1, copies):
        for class_uid, table in parts:
            named: Any = table.column("metadata").combine_chunks()
            fields = {f.name: named.field(f.name) for f in named.type}
            fields["uid"] = pc.binary_join_element_wise(fields["uid"], str(copy), "-")
            known = pa.StructArray.from_arrays(list(fields.values()), list(fields))
            later = pc.add(table.column("time"), copy * 7 * 86_400_000)
            table_then = table.set_column(table.column_names.index("metadata"), "metadata", known)
            moved = table_then.set_column(table.column_names.index("time"), "time", later)
            for source, some in by_source(moved):
                lake.append([EventBatch(class_uid, source, f"copy {copy}", some)])
        lake.flush()


def main(copies: int) -> None:
    """Measure, and say whether the alerts are the same."""
    os.setsid()
    me = {os.getpid()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workspace = history.workspace(folder)
        lake = app.lake(workspace)
        grow(lake, copies)
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
                count = len(list(spark.tasks(planned.units, session.spark.sparkContext.defaultParallelism)))
                nothing = session.spark.range(0, count, 1, count)
                for what in ("nothing, cold", "nothing, warm"):
                    timed(what, count, sessions, lambda: nothing.mapInArrow(_same, "id long").toArrow())
                for what in ("two workers, cold", "two workers, warm", "two workers, warm again"):
                    found = timed(what, planned.rows, sessions, lambda: asked(engine))
        print("the same alerts:", found == wanted, len(wanted))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
