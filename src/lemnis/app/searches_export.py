"""What a search finds, as a file: Parquet, JSON, JSON lines or CSV, in batches, and whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import InputError, Location, UsageError
from lemnis.store import durable
from lemnis.store.columns import conform, merge_schemas
from lemnis.store.query import CancelledError
from lemnis.store.search import Found, Search

FORMATS = (".parquet", ".json", ".ndjson", ".jsonl", ".csv")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = ("time", "class", "source", "uid", "message")
Row = Mapping[str, Any]
Plain = Callable[[Any], Any]
"""Returns a value of the lake as JSON knows it."""
Change = Callable[[Any], Any]
"""Returns an event as it is to be shown."""


def alike(event: Any) -> Any:
    """Return an event as it is."""
    return event


def export(search: Search, path: Path, plain: Plain) -> int:
    """Write what a search finds to a file; return how many rows. The format follows from the name.

    The file is there whole or not at all, also where the search is ended: then CancelledError is raised.
    Raises UsageError for another name, or for classes that do not fit in one table.
    """
    if path.suffix not in FORMATS:
        raise UsageError(
            f"there is no format {path.suffix or path.name}",
            at=Location(str(path)),
            fix=f"one of {', '.join(FORMATS)}",
        )
    writer = _parquet if path.suffix == ".parquet" else _csv if path.suffix == ".csv" else _json
    with durable.replacing(path) as file:
        count = writer(search, file, plain, lines=path.suffix != ".json")
        if search.cancelled:
            raise CancelledError
    return count


def written(search: Search, suffix: str, file: BinaryIO, plain: Plain, change: Change = alike) -> int:
    """Write what a search finds to a file as ``export`` does; ``change`` is made to every event before.

    Raises UsageError for a format of which rows cannot be changed, CancelledError where the search is ended.
    """
    if suffix not in FORMATS or suffix == ".parquet":
        raise UsageError(f"there is no format {suffix}", fix="one of .json, .ndjson, .csv")
    writer = _csv if suffix == ".csv" else _json
    count = writer(search, file, plain, lines=suffix != ".json", change=change)
    if search.cancelled:
        raise CancelledError
    return count


def objects(search: Search, plain: Plain, change: Change = alike) -> Iterator[dict[str, Any]]:
    """Yield what a search finds as JSON objects: an event with its uid, time and class, or a row."""
    if not search.finds_events:
        for table in search.tables():
            for batch in table.to_batches(max_chunksize=10_000):
                yield from (plain(row) for row in batch.to_pylist())
        return
    for some in search.found():
        for hit in some:
            more = {"more": plain(hit.more)} if hit.more else {}
            yield {
                "uid": hit.uid,
                "time": hit.time,
                "class": hit.class_name,
                "event": plain(change(hit.event)),
                **more,
            }


def _json(search: Search, file: BinaryIO, plain: Plain, *, lines: bool, change: Change = alike) -> int:
    count = 0
    for count, one in enumerate(objects(search, plain, change), 1):
        if not lines:
            file.write(b"[" if count == 1 else b",\n")
        file.write(orjson.dumps(one, default=str))
        if lines:
            file.write(b"\n")
    if not lines:
        file.write(b"]\n" if count else b"[]\n")
    return count


def _csv(search: Search, file: BinaryIO, plain: Plain, *, lines: bool, change: Change = alike) -> int:
    """Write CSV (RFC 4180, UTF-8); texts that a spreadsheet would take for formulas begin with ``'``."""
    del lines
    count, text = 0, io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    if search.finds_events:
        names = [heading.name for heading in search.headings]
        writer.writerow(_safe(name) for name in (*_COLUMNS, *names, "event"))
        for some in search.found():
            for hit in some:
                shown = replace(hit, event=change(hit.event))
                writer.writerow(_safe(cell) for cell in _event(shown, names, plain))
                count += 1
    else:
        begun = False
        for table in search.tables():
            if not begun:
                writer.writerow(_safe(heading.name) for heading in search.headings)
                begun = True
            instants = {heading.name for heading in search.headings if heading.instant}
            for batch in table.to_batches(max_chunksize=10_000):
                for row in batch.to_pylist():
                    writer.writerow(
                        _safe(_cell(value, plain, instant=name in instants)) for name, value in row.items()
                    )
                    count += 1
        if not begun:
            writer.writerow(_safe(heading.name) for heading in search.headings)
    text.detach()
    return count


def _event(hit: Found, names: list[str], plain: Plain) -> list[object]:
    source = hit.event.get("metadata", {}).get("log_name", "")
    front = [to_iso(hit.time), hit.class_name, source, hit.uid, hit.event.get("message", "")]
    more = [_cell(hit.more.get(name), plain, instant=False) for name in names]
    return [*front, *more, orjson.dumps(plain(hit.event), default=str).decode()]


def _cell(value: Any, plain: Plain, *, instant: bool) -> object:
    if value is None:
        return ""
    if instant:
        return to_iso(value)
    known = plain(value)
    return orjson.dumps(known, default=str).decode() if isinstance(known, list | dict) else known


def _safe(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _parquet(search: Search, file: BinaryIO, plain: Plain, *, lines: bool) -> int:
    del plain, lines
    tables = _events(search) if search.finds_events else _rows(search)
    writer: pq.ParquetWriter | None = None
    count = 0
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
            count += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return count


def _rows(search: Search) -> Iterator[pa.Table]:
    """Yield the rows with instants as timestamps."""
    begun = False
    for table in search.tables():
        begun = True
        yield _timed(table, search)
    if not begun:
        yield _timed(pa.schema([(one.name, one.kind) for one in search.headings]).empty_table(), search)


def _timed(table: pa.Table, search: Search) -> pa.Table:
    for place, heading in enumerate(search.headings):
        if heading.instant:
            column = pc.cast(table.column(place), pa.timestamp("ms", "UTC"))
            table = table.set_column(place, heading.name, column)
    return table


def _events(search: Search) -> Iterator[pa.Table]:
    """Yield the events with the columns of all classes that they can be of, and their class's name."""
    schema: pa.Schema | None = None
    for one in search.schemas.values():
        try:
            schema = one if schema is None else merge_schemas(schema, one)
        except InputError as error:
            raise UsageError(
                f"the classes do not fit in one table: {error.what}",
                fix="add class:NAME, or `| table` with columns",
            ) from error
    whole = schema if schema is not None else pa.schema([("time", pa.int64())])
    name = pa.field("class", pa.string())
    begun = False
    for class_name, table in search.batches():
        begun = True
        rows = conform(table, whole)
        yield rows.append_column(name, pa.array([class_name] * rows.num_rows, pa.string()))
    if not begun:
        yield whole.append(name).empty_table()
