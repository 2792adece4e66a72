"""What runs in Spark's executors: the same work as in one process, on the same files.

Spark's Python workers live longer than a task. What a parcel asks is compiled once in each of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

import lemnis
from lemnis.app import retro_pieces as pieces
from lemnis.app import spark_parcel
from lemnis.app.backtest import among
from lemnis.app.detection import detection
from lemnis.app.retro_compare import Comparing
from lemnis.app.retro_sightings import Indicators
from lemnis.app.retro_units import File, Range, Wanted, batches, read
from lemnis.app.retro_work import Detecting
from lemnis.contracts.errors import ServiceError
from lemnis.store.objects import Bucket
from lemnis.store.remote_tables import Place
from lemnis.store.rows import table_class
from lemnis.store.spots import Spot


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a data file: of its row groups the ``part[0]``-th of ``part[1]`` stretches."""

    table: str
    file: str
    address: str
    part: tuple[int, int]
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Origin:
    """The bucket that a lake is in, and the variables of an executor's environment that hold its keys."""

    uri: str
    address: str
    region: str
    ca: str
    keys: tuple[str, str, str]

    def place(self) -> Place:
        """Return it with its keys; raises ServiceError where they are not in the environment."""
        access, secret, token = (os.environ.get(name, "") for name in self.keys)
        if not (access and secret):
            raise ServiceError(
                f"executors have no {' and '.join(self.keys[:2])}",
                fix="set spark.executorEnv.NAME for both in Spark's settings",
            )
        return Place(self.uri, self.address, self.region, access, secret, token, self.ca)


@dataclass(frozen=True, slots=True)
class Looking:
    """A function for ``mapInArrow``; it goes to the executors, and finds the parcel there by its name.

    Its rows are the numbers of tasks; of each it looks at the files.
    """

    parcel: str
    tasks: tuple[tuple[Part, ...], ...]
    schemas: Mapping[str, bytes]
    limits: Range
    origin: Origin | None

    def __call__(self, some: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield rows of ``PIECES``, of files that are named with their class."""
        work = _work(self.parcel)
        numbers: list[Any] = [number for batch in some for number in batch.column(0).to_pylist()]
        for part in (part for number in numbers for part in self.tasks[number]):
            yield from self._looked(work, part).to_batches()

    def _looked(self, work: pieces.Work, part: Part) -> pa.Table:
        schema = pa.ipc.read_schema(pa.py_buffer(self.schemas[part.table]))
        class_uid = table_class(part.table)
        file = File(part.file, _spot(self.origin, part.address), 0, 0)
        found = (
            piece
            for table in read(file, schema, self.limits, part.wanted, part.part)
            for batch in batches(table, class_uid, part.wanted)
            for piece in work.of(batch)
        )
        return pieces.table(f"{class_uid}/{part.file}", found)


def _spot(origin: Origin | None, address: str) -> Spot:
    if origin is None:
        return Path(address)
    bucket = _bucket(origin)
    return bucket.spot(bucket.path(address))


@lru_cache(maxsize=2)
def _bucket(origin: Origin) -> Bucket:
    return origin.place().bucket()


@lru_cache(maxsize=2)
def _work(parcel: str) -> pieces.Work:
    """Return what a parcel asks. Raises ServiceError if this Lemnis is another than the one that asks."""
    from pyspark import SparkFiles

    return unpacked(Path(SparkFiles.get(parcel)))


def unpacked(folder: Path) -> pieces.Work:
    """Return what a parcel asks that was unpacked to a folder."""
    about = spark_parcel.read(folder)
    if about["lemnis"] != lemnis.__version__:
        raise ServiceError(
            f"this worker has Lemnis {lemnis.__version__}",
            fix=f"have Lemnis {about['lemnis']} on every worker",
        )
    ask, cache = about["ask"], folder / "cache"
    if ask == "indicators":
        asked = Indicators.of(
            spark_parcel.indicators(folder), {}, content_digest=str(about["content"]),
            alerting=bool(about["alerts"]),
        )  # fmt: skip
        return asked.work
    if ask == "backtest":
        names, changed = (frozenset(cast("list[str]", about[one])) for one in ("names", "changed"))
        old, new = (
            detection(spark_parcel.library(folder, str(about[side])), only=among(names), cache=cache)
            for side in ("old", "new")
        )
        return Comparing((old, new), changed)
    rules = None if about["own"] else sorted((folder / "rules").glob("*.yml"))
    return Detecting(detection(spark_parcel.library(folder, str(about["content"])), rules=rules, cache=cache))
