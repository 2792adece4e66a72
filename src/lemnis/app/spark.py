"""History on a Spark cluster: the same questions, asked of the same files of the lake, by the same functions.

The driver reads the tables' logs and plans, as one process does. Executors are told of files, or parts of
large ones, which they read as one process reads them (``spark_work``): no row goes through Java. What they
give comes back with the data file that it is of: a task that fails, or an executor that dies, is run again by
Spark and leaves no trace, since only whole results come back.

A cluster needs Java, this version of Lemnis on every worker, and the lake at the same address everywhere: a
shared file system, or a bucket, whose keys are in the executors' environment.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lemnis.app.backtest import Difference, Limits, Sides
from lemnis.app.retro import Plan
from lemnis.app.retro_compare import Versions, replayed
from lemnis.app.retro_pieces import PIECES
from lemnis.app.retro_question import Question
from lemnis.app.retro_units import Unit, by_table
from lemnis.app.spark_parcel import Parcel, of_backtest
from lemnis.app.spark_work import Looking, Origin, Part
from lemnis.content.library import Library
from lemnis.contracts.errors import ServiceError
from lemnis.store.lakes import Readable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_JOB_ROWS = 16_000_000
_TASK_BYTES = (1 << 20, 16 << 20)
"""So many bytes of files a task has: few where there are few, never many, so that one that is lost costs
little."""
_TASKS_A_CORE = 3
_RESULT = "file string, kind string, body binary"
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1024",
    "spark.driver.maxResultSize": "4g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
"""Nothing listens that need not."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session on a cluster, and the parcels that were sent there."""

    spark: SparkSession
    folder: Path

    def send(self, parcel: Parcel) -> str:
        """Send a parcel to the executors, once; return the name under which it is unpacked there."""
        if not (self.folder / f"{parcel.name}.zip").exists():
            self.spark.sparkContext.addArchive(f"{parcel.write(self.folder)}#{parcel.name}")
        return parcel.name


@contextmanager
def session(master: str, settings: Mapping[str, str] | None = None) -> Iterator[Session]:
    """Open a session on a cluster, and end it; raises ServiceError where that is impossible.

    ``settings`` are Spark's, and win over ours. A session that this process has already is used, and stays.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ServiceError(
            "pyspark is not installed", fix="install Lemnis with the extra `spark`, and Java 17 or newer"
        ) from error
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # where the executors look for Lemnis
    chosen = dict(_SETTINGS)
    if "//127.0.0.1" in master or master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        chosen |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    builder = SparkSession.builder.master(master).appName("lemnis").config(map={**chosen, **(settings or {})})
    before = SparkSession.getActiveSession()
    with _failing(f"no session on {master}", "check the address, the master, and that Java is there"):
        opened = before or builder.getOrCreate()
    with tempfile.TemporaryDirectory(prefix="lemnis-spark-") as folder:
        try:
            yield Session(opened, Path(folder))
        finally:
            if opened is not before:
                opened.stop()


@contextmanager
def _failing(what: str, fix: str) -> Iterator[None]:
    """Say what Spark has against it: the first line of its error, or what Lemnis said in an executor."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"py4j", "pyspark"}:
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        ours = [line for line in lines if line.startswith("lemnis.")]
        raise ServiceError(f"Spark: {what}: {(ours or lines)[0]}", fix=fix) from error


@dataclass(frozen=True, slots=True)
class Cluster:
    """Looks at units on a Spark cluster; ``parcel`` says to the executors what is asked."""

    session: Session
    question: Question
    parcel: Parcel
    origin: Origin | None = None
    """The bucket that the lake is in, if it is in one."""

    def run(self, planned: Plan, todo: Sequence[Unit]) -> Generator[tuple[Unit, pa.Table], None, None]:
        """Look at many units at once: those of one job are kept when it is done."""
        self.session.send(self.parcel)
        for some in _jobs(todo):
            yield from self._job(planned, some)

    def _job(self, planned: Plan, some: Sequence[Unit]) -> Iterator[tuple[Unit, pa.Table]]:
        with _failing(
            "a job failed", "what was done is kept: --resume goes on; the executors' logs say more"
        ):
            found: pa.Table = self._asked(planned, some).toArrow()
        found = found.cast(PIECES)
        rows: dict[str, list[int]] = {}
        names: list[Any] = found.column("file").to_pylist()
        for row, name in enumerate(names):
            rows.setdefault(name, []).append(row)
        for unit in some:
            mine = [row for file in unit.files for row in rows.get(f"{unit.class_uid}/{file.name}", ())]
            yield unit, found.take(pa.array(mine, pa.int64()))

    def _asked(self, planned: Plan, some: Sequence[Unit]) -> DataFrame:
        """Return what the executors make of some units: each partition has a number, and that its task."""
        spark = self.session.spark
        chosen = tuple(tasks(some, spark.sparkContext.defaultParallelism))
        schemas = {
            name: self.question.columns(name, planned.snapshots[name].schema).serialize().to_pybytes()
            for name in by_table(some)
        }
        looking = Looking(self.parcel.name, chosen, schemas, planned.limits, self.origin)
        return spark.range(0, len(chosen), 1, len(chosen)).mapInArrow(looking, _RESULT)


@dataclass(frozen=True, slots=True)
class Replaying:
    """Backtests on a cluster; ``old`` and ``new`` are the content on both sides."""

    session: Session
    old: Library
    new: Library
    origin: Origin | None = None

    def __call__(
        self,
        lake: Readable,
        sides: Sides,
        found: dict[str, Difference],
        limits: Limits,
        among: Collection[str],
    ) -> int:
        """Count into the differences; return how many events there were."""
        question = Versions(sides, tuple(found))
        parcel = of_backtest(self.old, self.new, among, found)
        return replayed(lake, question, Cluster(self.session, question, parcel, self.origin), found, limits)


def tasks(some: Sequence[Unit], cores: int) -> Iterator[tuple[Part, ...]]:
    """Yield what is to be looked at in one task each: whole small files, parts of large ones."""
    size = sum(unit.bytes for unit in some) // max(1, _TASKS_A_CORE * cores)
    size = min(max(size, _TASK_BYTES[0]), _TASK_BYTES[1])
    held: list[Part] = []
    taken = 0
    for unit in some:
        for file in unit.files:
            parts = max(1, round(file.bytes / size))
            weight = file.bytes // parts
            for number in range(parts):
                if held and taken + weight > size:
                    yield tuple(held)
                    held, taken = [], 0
                held.append(Part(unit.table, file.name, str(file.path), (number, parts), unit.wanted))
                taken += weight
    if held:
        yield tuple(held)


def _jobs(todo: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Yield units that are looked at together."""
    held: list[Unit] = []
    for unit in todo:
        held.append(unit)
        if sum(one.rows for one in held) >= _JOB_ROWS:
            yield held
            held = []
    if held:
        yield held
