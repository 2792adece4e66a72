"""What runs in Spark's executors: the same work as in one process, on batches as Spark hands them over.

Spark's Python workers live longer than a task. What a parcel asks is compiled once in each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import pyarrow as pa

import lemnis
from lemnis.app import retro_pieces as pieces
from lemnis.app import spark_parcel
from lemnis.app.backtest import among
from lemnis.app.detection import detection
from lemnis.app.retro_compare import Comparing
from lemnis.app.retro_sightings import Indicators
from lemnis.app.retro_units import Wanted, batches
from lemnis.app.retro_work import Detecting
from lemnis.contracts.errors import ServiceError
from lemnis.store.columns import conform

FILE = "_lemnis_file"
"""The column that says of which data file a row is."""


@dataclass(frozen=True, slots=True)
class Looking:
    """A function for ``mapInArrow``; it goes to the executors, and finds the parcel there by its name."""

    parcel: str
    class_uid: int
    schema: bytes
    wanted: Wanted

    def __call__(self, some: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield rows of ``PIECES`` for rows of a table."""
        work = _work(self.parcel)
        schema = pa.ipc.read_schema(pa.py_buffer(self.schema))
        for batch in some:
            for file, rows in _by_file(pa.Table.from_batches([batch])):
                table = conform(rows, schema)
                found = (
                    piece for one in batches(table, self.class_uid, self.wanted) for piece in work.of(one)
                )
                yield from pieces.table(f"{self.class_uid}/{file}", found).to_batches()


def _by_file(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Part rows by the files that they come from."""
    codes = table.column(FILE).combine_chunks().dictionary_encode()
    rows = table.drop_columns([FILE])
    names: list[Any] = codes.dictionary.to_pylist()
    for number, name in enumerate(names):
        mine = rows if len(names) == 1 else rows.filter(pa.array(codes.indices.to_numpy() == number))
        yield name_of(name), mine


def name_of(address: str) -> str:
    """Return a data file's name below its table, of the address that Spark knows it by."""
    return "/".join(unquote(address).rsplit("/", 2)[-2:])


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
