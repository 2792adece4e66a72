"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.flatten import flatten
from lemnis.ingest.parsers import Options, Parsed, Start
from lemnis.ingest.streams import KEPT_RAW, Stream, lines


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:  # noqa: ARG001
    """Yield the objects of a stream of JSON lines."""
    for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
        rejects, position, offset = batch.rejects, batch.position, batch.offset
        yield objects(stream.name, batch.texts, batch.numbers, rejects, position=position, offset=offset)


def objects(
    name: str,
    texts: pa.StringArray,
    numbers: npt.NDArray[np.int64],
    rejects: tuple[Reject, ...],
    *,
    position: int,
    offset: int,
) -> Parsed:
    """Turn JSON texts into records; those that are no objects join the rejects."""
    flat = flatten(texts)
    columns: dict[str, pa.Array[Any]] = flat.columns
    found = list(rejects)
    if flat.bad:
        keep = np.ones(len(texts), bool)
        for row, reason in flat.bad.items():
            keep[row] = False
            raw = texts[row].as_py().encode()[:KEPT_RAW]
            found.append(Reject(Location(name, record=int(numbers[row])), reason, raw))
        mask = pa.array(keep)
        texts, numbers = texts.filter(mask), numbers[keep]
        columns = {key: column.filter(mask) for key, column in columns.items()}
    table = pa.table(columns) if columns else empty(len(texts))
    found.sort(key=lambda reject: reject.at.record or 0)
    return Parsed(texts, table, pa.array(numbers, pa.int64()), tuple(found), position, offset)


def empty(rows: int) -> pa.Table:
    """Return a table with rows and no columns."""
    return pa.table({"_": pa.nulls(rows, pa.string())}).select([])
