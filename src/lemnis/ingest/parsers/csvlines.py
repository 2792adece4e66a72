"""Comma-separated values with a header. Options: ``delimiter`` (else found out), ``columns`` (no header)."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pyarrow as pa

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import lines
from lemnis.ingest.parsers import Options, Parsed, Start
from lemnis.ingest.parsers._columns import Row, table
from lemnis.ingest.streams import KEPT_RAW, MAX_RECORD_BYTES, Stream

_BATCH = 20_000
_DELIMITERS = ",;\t|"
csv.field_size_limit(MAX_RECORD_BYTES)


class _Taken:
    """Lines for the csv module that remembers which it has used for the record at hand."""

    def __init__(self, stream: Stream, *, whole: bool) -> None:
        self.texts: list[str] = []
        self.number = 0
        self.first = 0
        self.rejects: list[Reject] = []
        self.end = Start()
        self._stream = stream
        self._whole = whole

    def __iter__(self) -> Iterator[str]:
        for batch in lines(self._stream, whole=self._whole):
            self.rejects += batch.rejects
            self.end = Start(batch.position, batch.offset)
            texts: list[str] = batch.texts.to_pylist()  # type: ignore[assignment]
            for text, number in zip(texts, batch.numbers.tolist(), strict=True):
                if not self.texts:
                    self.first = number
                else:  # blank lines within a quoted value
                    blank = [""] * (number - self.number - 1)
                    self.texts += blank
                    yield from (f"{line}\n" for line in blank)
                self.texts.append(text)
                self.number = number
                yield text + "\n"

    def take(self) -> str:
        """Return the lines since the last call."""
        text = "\n".join(self.texts)
        self.texts.clear()
        return text


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the rows of a table; it is read from its start, for its header, and those done are left out."""
    taken = _Taken(stream, whole=whole)
    head = stream.head().decode("utf-8", "replace").partition("\n")[0]
    delimiter = str(options.get("delimiter") or max(_DELIMITERS, key=head.count))
    names = list(options.get("columns", ())) or None
    reader = csv.reader(iter(taken), delimiter=delimiter, strict=True)
    rows: list[tuple[str, int, Row]] = []
    while True:
        try:
            values = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            at = Location(stream.name, record=taken.first)
            taken.rejects.append(
                Reject(at, f"not a row of values: {error}", taken.take().encode()[:KEPT_RAW])
            )
            continue
        text, number = taken.take(), taken.first
        if names is None:
            names = [name.strip() or f"column{place}" for place, name in enumerate(values, 1)]
        elif number > start.position:
            reason = (
                "" if len(values) == len(names) else f"{len(values)} values where the header has {len(names)}"
            )
            if reason:
                raw = text.encode()[:KEPT_RAW]
                taken.rejects.append(Reject(Location(stream.name, record=number), reason, raw))
            else:
                pairs = zip(names, values, strict=True)
                rows.append((text, number, {name: value for name, value in pairs if value}))
        if len(rows) >= _BATCH:
            yield _parsed(rows, taken, start, Start(taken.number, 0))
            rows = []
    if rows or taken.rejects:
        yield _parsed(rows, taken, start, taken.end)


def _parsed(rows: list[tuple[str, int, Row]], taken: _Taken, start: Start, end: Start) -> Parsed:
    rejects = tuple(reject for reject in taken.rejects if (reject.at.record or 0) > start.position)
    taken.rejects.clear()
    records = pa.array([text for text, _, _ in rows], pa.string())
    positions = pa.array([number for _, number, _ in rows], pa.int64())
    return Parsed(records, table([row for _, _, row in rows]), positions, rejects, end.position, end.offset)
