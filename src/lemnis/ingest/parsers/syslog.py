"""Syslog: RFC 5424, RFC 3164, and what rsyslog and journald write (an ISO time in place of the old one).

Fields: time, host, program, pid, message; facility and severity (names) where the line has a priority;
version, msgid and ``sd.ID.NAME`` of RFC 5424. What the message says is the mapping's business, but for the
events that Sysmon for Linux writes as XML: their fields have the names of Windows events'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.parsers import Options, Parsed, Start, Texts, _events_xml, windows
from lemnis.ingest.parsers._columns import Row, table
from lemnis.ingest.streams import KEPT_RAW, Stream

pc: Any = _compute
LINES = True
_OLD = r"[A-Z][a-z]{2} {1,2}\d{1,2}(?: \d{4})? \d{2}:\d{2}:\d{2}(?:\.\d+)?"
_ISO = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?"
_LINE = (
    rf"(?s)^(?:<(?P<pri>\d{{1,3}})>)?(?P<time>{_OLD}|{_ISO}) (?P<host>\S+) "
    r"(?P<program>[^\s\[\]:]+(?: [^\s\[\]:]+)?)(?:\[(?P<pid>[^\]]*)\])?: *(?P<message>.*)$"
)
_BARE = rf"(?s)^(?:<(?P<pri>\d{{1,3}})>)?(?P<time>{_OLD}|{_ISO}) (?P<host>\S+) (?P<message>.*)$"
_LONE = rf"(?s)^(?:<(?P<pri>\d{{1,3}})>)?(?P<time>{_OLD}|{_ISO}): (?P<message>.*)$"
_NEW = (
    r"(?s)^<(?P<pri>\d{1,3})>(?P<version>[1-9]\d{0,2}) (?P<time>\S+) (?P<host>\S+) "
    r"(?P<program>\S+) (?P<pid>\S+) (?P<msgid>\S+) (?P<rest>.*)$"
)
_ELEMENT = re.compile(r'\[([^\s=\]"]+)((?: [^\s=\]"]+="(?:[^"\\\]]|\\.)*")*)\]')
_PARAMETER = re.compile(r' ([^\s=\]"]+)="((?:[^"\\\]]|\\.)*)"')
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "security", "console", "solaris-cron", *(f"local{n}" for n in range(8)),
)  # fmt: skip
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
_FRACTION = r"^([A-Z][a-z]{2} .*:\d{2})\.\d+$"  # of the old times, which have no place for one
_NAMES = ("pri", "time", "host", "program", "pid", "message", "version", "msgid", "rest")


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:  # noqa: ARG001
    """Yield the messages of a syslog file."""
    for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
        yield _messages(stream.name, batch)


def _messages(name: str, batch: Lines) -> Parsed:
    texts, numbers, rejects = batch.texts, batch.numbers, list(batch.rejects)
    count = len(texts)
    columns: dict[str, Any] = {key: pa.nulls(count, pa.string()) for key in _NAMES}
    left = pa.array(np.ones(count, bool))
    for pattern in (_NEW, _LINE, _LONE, _BARE):
        found = pc.extract_regex(pc.if_else(left, texts, pa.scalar(None, pa.string())), pattern)
        there = found.is_valid()
        for field, values in zip(found.type, found.flatten(), strict=True):
            columns[field.name] = pc.if_else(there, values, columns[field.name])
        left = pc.and_(left, pc.invert(there))
        if not pc.any(left).as_py():
            break
    bad = np.flatnonzero(left.to_numpy(zero_copy_only=False))
    for row in bad.tolist():
        at = Location(name, record=int(numbers[row]))
        rejects.append(Reject(at, "not a syslog message", texts[row].as_py().encode()[:KEPT_RAW]))
    if len(bad):
        keep = pc.invert(left)
        texts, numbers = texts.filter(keep), numbers[~left.to_numpy(zero_copy_only=False)]
        columns = {key: column.filter(keep) for key, column in columns.items()}
    made = _finish(columns)
    rejects.sort(key=lambda reject: reject.at.record or 0)
    fields = pa.table(made) if made else pa.table({"_": pa.nulls(len(texts), pa.string())}).select([])
    positions = pa.array(numbers, pa.int64())
    return Parsed(texts, events(name, fields), positions, tuple(rejects), batch.position, batch.offset)


def events(name: str, fields: pa.Table) -> pa.Table:
    """Take apart messages that are Windows events in XML, as Sysmon for Linux writes them; others stay."""
    if "message" not in fields.column_names:
        return fields
    message: Any = fields.column("message").combine_chunks()
    there = np.flatnonzero(pc.fill_null(pc.starts_with(message, "<Event>"), False))
    if not len(there):
        return fields
    found = Texts(name, message.take(pa.array(there)), there, (), 0, 0)
    read = windows.fielded(_events_xml.as_json(found), {})
    rows = np.full(len(message), -1)
    rows[read.positions.to_numpy()] = np.arange(len(read.positions))
    places = pa.array(rows, mask=rows < 0)
    columns: dict[str, Any] = {key: fields.column(key) for key in fields.column_names}
    columns["message"] = pc.if_else(pa.array(rows < 0), message, pa.scalar(None, pa.string()))
    for key in read.fields.column_names:
        columns.setdefault(key, read.fields.column(key).take(places))
    return pa.table({key: column for key, column in columns.items() if column.null_count < len(column)})


def _finish(columns: dict[str, Any]) -> dict[str, Any]:
    """Name priorities, take structured data apart, and leave out what is empty."""
    columns["time"] = pc.replace_substring_regex(columns["time"], _FRACTION, r"\1")
    priorities = columns.pop("pri").to_pylist()
    rest = columns.pop("rest").to_pylist()
    if any(rest):
        rows = [_structured(text) if text else {} for text in rest]
        extra = table(rows)
        for key in extra.column_names:
            column = extra.column(key).combine_chunks()
            columns[key] = pc.coalesce(columns[key], column) if key in columns else column
    if any(priorities):
        numbers = [int(p) if p else None for p in priorities]
        columns["facility"] = pa.array(
            [None if n is None or n // 8 >= len(FACILITIES) else FACILITIES[n // 8] for n in numbers]
        )
        columns["severity"] = pa.array([None if n is None else SEVERITIES[n % 8] for n in numbers])
    dash = pa.array(["-", ""])
    plain = {
        key: column
        if pa.types.is_list(column.type)
        else pc.if_else(pc.is_in(column, dash), pa.scalar(None, pa.string()), column)
        for key, column in columns.items()
    }
    return {key: column for key, column in plain.items() if column.null_count < len(column)}


def _structured(text: str) -> Row:
    """Read what follows the header of RFC 5424: structured data and the message."""
    row: Row = {}
    place = 1 if text.startswith("-") else 0
    while element := _ELEMENT.match(text, place):
        for name, value in _PARAMETER.findall(element[2]):
            key, plain = f"sd.{element[1]}.{name}", re.sub(r'\\(["\\\]])', r"\1", value)
            known = row.get(key)
            row[key] = plain if known is None else [*(known if isinstance(known, list) else [known]), plain]
        place = element.end()
    row["message"] = text[place:].removeprefix(" ").removeprefix("\ufeff") or None
    return row
