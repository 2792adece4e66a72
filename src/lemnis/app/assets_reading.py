"""Files of assets, identities, networks and vulnerabilities: CSV, JSON, JSON lines and Parquet, row by row.

A row that is wrong costs only itself, and is told with its line or record; a cell or a file may be as large
as it likes, and only what a record may hold is ever kept.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from lemnis.content.schemas.reference import KINDS, Record
from lemnis.contracts.errors import InputError, Location
from lemnis.contracts.events import Reject
from lemnis.enrich.merge import Told

MAX_LINE = 262_144
"""Bytes that a line of text may have."""
MAX_DOCUMENT = 200_000_000
"""Bytes that a JSON document that is no lines may have: it is read whole."""
_BATCH = 10_000
_TRUE, _FALSE = frozenset({"true", "yes", "y", "1", "x"}), frozenset({"false", "no", "n", "0"})
_SUFFIXES = ".csv, .json, .ndjson, .jsonl or .parquet"
Row = Mapping[str, Any]


@dataclass(slots=True)
class Reading:
    """One file read: what it tells, what was refused, and which of its columns say nothing to us."""

    table: str
    path: Path
    rename: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    rejects: list[Reject] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)

    def told(self) -> Iterator[Told]:
        """Yield what the rows say, by row; an id is said once of a time.

        Raises InputError for a file that is none of these formats, or that has none of the fields.
        """
        known = _fields(KINDS[self.table])
        said: dict[str, list[tuple[int, int]]] = {}
        useful = False
        for at, row in self._read():
            self.rows += 1
            if isinstance(row, str):
                self.rejects.append(Reject(at, row))
                continue
            named = {self.rename.get(name, name): value for name, value in row.items()}
            mine = {known[name]: value for name, value in named.items() if name in known}
            self.ignored |= named.keys() - known.keys()
            useful = useful or bool(mine)
            one = self._one(at, mine)
            if one is None:
                continue
            spans = said.setdefault(one.id, [])
            if any(one.since < end and start < one.until for start, end in spans):
                self.rejects.append(Reject(at, f"{one.id!r} is said twice of the same time"))
                continue
            spans.append((one.since, one.until))
            yield one
        if self.rows and not useful:
            names = ", ".join(sorted(self.ignored)[:10]) or "nothing"
            raise InputError(
                f"it has none of the fields of {self.table}, but {names}", at=Location(str(self.path)),
                fix=f"name them {', '.join(sorted(known))}, or say --rename THEIRS=OURS",
            )  # fmt: skip

    def _one(self, at: Location, row: Row) -> Told | None:
        model = KINDS[self.table]
        try:
            record = model.model_validate(_cells(model, row))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "the record"
            self.rejects.append(Reject(at, f"{name}: {first['msg']}"[:300]))
            return None
        except OverflowError:
            self.rejects.append(Reject(at, "a number in it is too large"))
            return None
        return Told(record.id, orjson.dumps(record.said()).decode(), record.since, record.until)

    def _read(self) -> Iterator[tuple[Location, Row | str]]:
        """Yield rows with their places; a text is the reason why a row cannot be read."""
        suffix = self.path.suffix.lower()
        if suffix == ".csv":
            yield from self._csv()
        elif suffix in {".ndjson", ".jsonl"}:
            yield from self._lines()
        elif suffix == ".json":
            yield from self._document()
        elif suffix == ".parquet":
            yield from self._parquet()
        else:
            raise InputError(
                "the format is not known", at=Location(str(self.path)), fix=f"name it {_SUFFIXES}"
            )

    def _csv(self) -> Iterator[tuple[Location, Row | str]]:
        with self.path.open("rb") as file:
            lines = _Lines(file)
            reader = csv.reader(lines, strict=True)
            header: list[str] | None = None
            while True:
                begun = lines.number + 1
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except (csv.Error, UnicodeDecodeError) as error:
                    yield Location(str(self.path), line=begun), f"no CSV: {error}"
                    continue
                at = Location(str(self.path), line=begun)
                if lines.cut:
                    lines.cut = False
                    yield at, f"longer than {MAX_LINE:,} bytes"
                elif header is None:
                    header = [name.strip().removeprefix("\ufeff") for name in row]
                elif row and len(row) > len(header):
                    yield at, f"{len(row)} cells, but the header has {len(header)}"
                elif row:
                    yield at, dict(zip(header, row, strict=False))

    def _lines(self) -> Iterator[tuple[Location, Row | str]]:
        with self.path.open("rb") as file:
            lines = _Lines(file)
            while True:
                try:
                    text = next(lines)
                except StopIteration:
                    return
                except UnicodeDecodeError as error:
                    yield Location(str(self.path), line=lines.number), f"not UTF-8: {error.reason}"
                    continue
                at = Location(str(self.path), line=lines.number)
                if lines.cut:
                    lines.cut = False
                    yield at, f"longer than {MAX_LINE:,} bytes"
                elif text.strip():
                    yield at, _object(text)

    def _document(self) -> Iterator[tuple[Location, Row | str]]:
        if self.path.stat().st_size > MAX_DOCUMENT:
            raise InputError(
                f"larger than {MAX_DOCUMENT:,} bytes",
                at=Location(str(self.path)),
                fix="write it as JSON lines",
            )
        try:
            read = orjson.loads(self.path.read_bytes())
        except orjson.JSONDecodeError as error:
            at = Location(str(self.path), line=error.lineno, column=error.colno)
            raise InputError(f"not JSON: {error.msg}", at=at, fix="JSON lines are named .ndjson") from error
        if not isinstance(read, list):
            raise InputError("no list of records", at=Location(str(self.path)), fix="write [{…}, {…}]")
        for number, row in enumerate(read, 1):
            at = Location(str(self.path), record=number)
            yield at, row if isinstance(row, dict) else "no object"

    def _parquet(self) -> Iterator[tuple[Location, Row | str]]:
        number = 0
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=_BATCH):
                    for row in batch.to_pylist():
                        number += 1
                        there = {name: value for name, value in row.items() if value is not None}
                        yield Location(str(self.path), record=number), there
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(f"no Parquet: {error}", at=Location(str(self.path))) from error


class _Lines:
    """Lines of a file as text, of bounded size: of a longer one the rest is skipped, and ``cut`` says so."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0
        self.cut = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE)
        if not raw:
            raise StopIteration
        self.number += 1
        if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
            self.cut = True
            while (more := self._file.readline(MAX_LINE)) and not more.endswith(b"\n"):
                pass
            return "\n"
        return raw.decode("utf-8")


def _object(text: str) -> Row | str:
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"not JSON: {error.msg}"
    return read if isinstance(read, dict) else "no object"


def _fields(model: type[Record]) -> dict[str, str]:
    """Return the names of a kind's fields as files write them, and as the model is given them."""
    names = {field.alias or name: field.alias or name for name, field in model.model_fields.items()}
    extra = {"valid_from": "from", "valid_until": "until"}
    return names | extra | ({"first_seen": "first_seen", "fixed": "fixed"} if "cve" in names else {})


def _cells(model: type[Record], row: Row) -> dict[str, Any]:
    """Return a row as the model reads it: without empty cells; lists are apart by ``;``, ``,`` or blanks."""
    made: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        field = model.model_fields.get(name)
        kind = str(field.annotation) if field is not None else ""
        if isinstance(value, str):
            text = value.strip()
            if "tuple" in kind:
                apart = ";" if ";" in text else "," if "," in text else None
                made[name] = [part.strip() for part in text.split(apart) if part.strip()]
            elif "bool" in kind:
                low = text.lower()
                made[name] = low in _TRUE if low in _TRUE | _FALSE else text
            else:
                made[name] = text
        elif isinstance(value, int | float) and not isinstance(value, bool) and "str" in kind:
            made[name] = str(value)
        else:
            made[name] = value
    return made
