"""W3C extended logs (IIS, the Windows firewall and others): ``#Fields`` says what the values of a line are.

Fields have the names of the header; of ``cs(User-Agent)`` and its like, ``cs-user-agent``. ``timestamp`` is
date and time together; a log without dates takes that of its ``#Date``. A dash stands for nothing. ``c-uri``
is a request's path and query together. Option ``plus``: fields in which the writer puts ``+`` for a space.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.parsers import Options, Parsed, Start, nothing
from lemnis.ingest.parsers._columns import table
from lemnis.ingest.streams import KEPT_RAW, Stream

pc: Any = _compute
_NOTHING = pa.scalar(None, pa.string())
_HEADER_NAME = re.compile(r"^(c|s|cs|sc|r|rs|sr|x)\((.+)\)$")
_VALUE = re.compile(r'"((?:[^"]|"")*)"|(\S+)')


def fits(head: bytes) -> bool:
    """Say whether a stream that begins so can be such a log at all."""
    return head.lstrip(b"\xef\xbb\xbf").startswith(b"#")


@dataclass(slots=True)
class _Header:
    """What the directives said so far: the fields, and the day of times that have none."""

    names: tuple[str, ...] = ()
    day: str = ""

    def take(self, line: str) -> None:
        """Take in a directive; one that says nothing of the values changes nothing."""
        word, _, rest = line[1:].partition(":")
        if word.lower() == "fields":
            self.names = tuple(map(_name, rest.split()))
        elif word.lower() == "date":
            self.day = rest.strip()[:10]


def _name(field: str) -> str:
    found = _HEADER_NAME.match(field)
    return f"{found[1]}-{found[2].lower()}" if found else field


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the lines of a log; it is looked through from its start, for its headers."""
    header = _Header()
    plus = tuple(options.get("plus", ()))
    for batch in lines(stream, whole=whole):
        if batch.position <= start.position:
            for _ in _runs(batch, header):
                pass
            continue
        parts = []
        for texts, numbers in _runs(batch, header):
            fresh = numbers > start.position
            parts.append(_rows(stream.name, texts.filter(pa.array(fresh)), numbers[fresh], header, plus))
        yield _joined(parts, batch)


def _joined(parts: Sequence[Parsed], batch: Lines) -> Parsed:
    """Make one of what stands under the headers of a batch."""
    rejects = [*batch.rejects, *(reject for part in parts for reject in part.rejects)]
    rejects.sort(key=lambda reject: reject.at.record or 0)
    some = [part for part in parts if len(part.records)]
    if not some:
        return nothing(tuple(rejects), Start(batch.position, batch.offset))
    fields = pa.concat_tables([part.fields for part in some], promote_options="default").combine_chunks()
    records, positions = (pa.concat_arrays(one) for one in zip(*((p.records, p.positions) for p in some),
                                                               strict=True))  # fmt: skip
    return Parsed(records, fields, positions, tuple(rejects), batch.position, batch.offset)


def _runs(batch: Lines, header: _Header) -> Iterator[tuple[Any, Any]]:
    """Yield the lines between headers; ``header`` is then what holds for them."""
    texts: Any = batch.texts
    marks = np.flatnonzero(pc.starts_with(texts, "#").to_numpy(zero_copy_only=False)).tolist()
    begin = 0
    for mark in [*marks, len(texts)]:
        if mark > begin:
            yield texts.slice(begin, mark - begin), batch.numbers[begin:mark]
        if mark < len(texts):
            header.take(texts[mark].as_py())
        begin = mark + 1


def _rows(name: str, texts: Any, numbers: Any, header: _Header, plus: Sequence[str]) -> Parsed:
    """Cut lines into their values; what has not as many as there are fields is a reject."""
    wide = "\t" if pc.any(pc.match_substring(texts, "\t")).as_py() else " "
    cut = pc.split_pattern(texts, wide)
    quoted = pc.match_substring(texts, '"')
    if wide == " " and pc.any(quoted).as_py():
        again = [[(a or b).replace('""', '"') for a, b in _VALUE.findall(one)] for one in
                 texts.filter(quoted).to_pylist()]  # fmt: skip
        order = np.arange(len(texts))
        order[quoted.to_numpy(zero_copy_only=False)] = len(texts) + np.arange(len(again))
        cut = pa.concat_arrays([cut, pa.array(again, cut.type)]).take(pa.array(order))
    count = len(header.names)
    good: Any = pc.equal(pc.list_value_length(cut), count)
    good = pc.and_(good, bool(count))
    bad = np.flatnonzero(~good.to_numpy(zero_copy_only=False)).tolist()
    rejects = tuple(
        Reject(
            Location(name, record=int(numbers[row])),
            f"{len(cut[row])} values where #Fields names {count}" if count else "no #Fields line before it",
            texts[row].as_py().encode()[:KEPT_RAW],
        )
        for row in bad
    )
    if bad:
        cut, texts, numbers = (
            cut.filter(good),
            texts.filter(good),
            numbers[good.to_numpy(zero_copy_only=False)],
        )
    values = cut.flatten()
    columns: dict[str, Any] = {}
    for place, field in enumerate(header.names):
        column = values.take(pa.array(np.arange(place, len(values), count)))
        gone = pc.is_in(column, pa.array(["-", ""]))
        columns[field] = pc.if_else(gone, _NOTHING, column)
    for field in plus:
        if field in columns:
            columns[field] = pc.replace_substring(columns[field], "+", " ")
    _stamp(columns, header.day)
    if "cs-uri-stem" in columns and "c-uri" not in columns:
        columns["c-uri"] = _address(columns["cs-uri-stem"], columns.get("cs-uri-query"))
    kept = {field: column for field, column in columns.items() if column.null_count < len(column)}
    fields = pa.table(kept) if kept else table([{}] * len(texts))
    return Parsed(texts, fields, pa.array(numbers, pa.int64()), rejects, 0, 0)


def _stamp(columns: dict[str, Any], day: str) -> None:
    """Put date and time together."""
    date, time = columns.pop("date", None), columns.pop("time", None)
    if time is None:
        if date is not None:
            columns["timestamp"] = date
        return
    days = pa.array([day or None] * len(time), pa.string()) if date is None else date
    columns["timestamp"] = pc.binary_join_element_wise(days, time, " ")


def _address(stem: Any, query: Any) -> Any:
    """Put a request's path and query together."""
    if query is None:
        return stem
    whole = pc.binary_join_element_wise(stem, query, "?")
    return pc.coalesce(whole, stem)
