"""History on a Spark cluster: the same questions, asked of the same Delta tables, by the same functions.

Spark reads the tables, at the version that was planned with, and hands their rows to ``spark_work`` in its
executors. What they give comes back with the data file that it is of, as from one process: a task that fails,
or an executor that dies, is run again by Spark and leaves no trace, since only whole results come back.

A cluster needs Java, this version of Lemnis on every worker, the tables at the same address everywhere, and
the Delta Lake jars: those in Spark's ``jars`` folder, or Spark fetches them by name when the session begins.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lemnis.app.backtest import Difference, Limits, Sides
from lemnis.app.retro import Plan
from lemnis.app.retro_compare import Versions, replayed
from lemnis.app.retro_pieces import PIECES
from lemnis.app.retro_question import Question
from lemnis.app.retro_units import Range, Unit, by_table
from lemnis.app.spark_parcel import Parcel, of_backtest
from lemnis.app.spark_work import FILE, Looking
from lemnis.content.library import Library
from lemnis.contracts.errors import ServiceError
from lemnis.store.delta import DAY
from lemnis.store.lakes import Readable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DELTA = "io.delta:delta-spark_4.1_2.13:4.3.0"
"""What Spark fetches where it has no Delta jars of its own; for the version that the extra `spark` names."""
_SPARK_HAS = "com.*:*,commons-*:*,io.airlift:*,io.unitycatalog:*,javax.*:*,org.*:*"
"""What these jars need besides, and Spark has already, or nobody needs who only reads."""
_JOB_ROWS = 4_000_000
_RESULT = "file string, kind string, body binary"
_SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
    "spark.sql.files.maxPartitionBytes": "16m",
    "spark.sql.files.openCostInBytes": "256k",
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.maxResultSize": "4g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
"""Small tasks, so that one that is lost costs little; nothing listens that need not."""


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
        import pyspark
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise ServiceError(
            "pyspark is not installed", fix="install Lemnis with the extra `spark`, and Java 17 or newer"
        ) from error
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # where the executors look for Lemnis
    chosen = dict(_SETTINGS)
    if not list((Path(pyspark.__file__).parent / "jars").glob("delta-spark_*.jar")):
        chosen |= {"spark.jars.packages": DELTA, "spark.jars.excludes": _SPARK_HAS}
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

    def run(self, planned: Plan, todo: Sequence[Unit]) -> Generator[tuple[Unit, pa.Table], None, None]:
        """Look at many units at once: those of one job are kept when it is done."""
        self.session.send(self.parcel)
        for some in _jobs(todo):
            yield from self._job(planned, some)

    def _job(self, planned: Plan, some: Sequence[Unit]) -> Iterator[tuple[Unit, pa.Table]]:
        with _failing(
            "a job failed", "what was done is kept: --resume goes on; the executors' logs say more"
        ):
            frames = [self._asked(planned, name, mine) for name, mine in by_table(some).items()]
            found: pa.Table = reduce(lambda one, other: one.unionAll(other), frames).toArrow()
        found = found.cast(PIECES)
        rows: dict[str, list[int]] = {}
        names: list[Any] = found.column("file").to_pylist()
        for row, name in enumerate(names):
            rows.setdefault(name, []).append(row)
        for unit in some:
            mine = [row for file in unit.files for row in rows.get(f"{unit.class_uid}/{file.name}", ())]
            yield unit, found.take(pa.array(mine, pa.int64()))

    def _asked(self, planned: Plan, name: str, some: Sequence[Unit]) -> DataFrame:
        """Return what the executors make of some units of one table."""
        from pyspark.sql import functions as f

        snapshot = planned.snapshots[name]
        schema = self.question.columns(name, snapshot.schema)
        table = snapshot.table
        if table is None:
            raise ServiceError(f"table {name} is gone")
        reader = self.session.spark.read.format("delta").option("versionAsOf", table.version)
        frame = reader.load(str(table.folder))
        frame = frame.filter(f.col(DAY).isin(sorted({unit.day for unit in some})))
        there = set(frame.columns)
        frame = _timed(frame, planned.limits).select(
            *(f.col(f"`{column}`") for column in schema.names if column in there),
            f.col("_metadata.file_path").alias(FILE),
        )
        days = {unit.day for unit in some}
        wanted = {file.name.rpartition("/")[2] for unit in some for file in unit.files}
        if any(one.path.rpartition("/")[2] not in wanted for one in table.files() if one.day in days):
            frame = frame.filter(f.substring_index(f.col(FILE), "/", -1).isin(sorted(wanted)))
        looking = Looking(
            self.parcel.name, some[0].class_uid, schema.serialize().to_pybytes(), some[0].wanted
        )
        return frame.mapInArrow(looking, _RESULT)


@dataclass(frozen=True, slots=True)
class Replaying:
    """Backtests on a cluster; ``old`` and ``new`` are the content on both sides."""

    session: Session
    old: Library
    new: Library

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
        return replayed(lake, question, Cluster(self.session, question, parcel), found, limits)


def _timed(frame: DataFrame, limits: Range) -> DataFrame:
    if limits.start is not None:
        frame = frame.filter(frame["time"] >= limits.start)
    return frame if limits.end is None else frame.filter(frame["time"] < limits.end)


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
