"""The journal of systemd as ``journalctl -o json`` exports it: one object a line.

Fields have the journal's names, but what syslog has too is named as there: time (ISO), host, program, pid,
message, facility and severity (names). What the journal writes as an array of bytes, for it is no text,
becomes one; a field that an entry has several times is a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.ingest.flatten import coalesce
from lemnis.ingest.parsers import Options, Parsed, Start, jsonl, syslog
from lemnis.ingest.parsers._columns import table
from lemnis.ingest.streams import Stream

pc: Any = _compute
fits = jsonl.fits
first = jsonl.first
lined = jsonl.lined
_NAMES: Mapping[str, Sequence[str]] = MappingProxyType({
    "host": ("_HOSTNAME",), "program": ("SYSLOG_IDENTIFIER", "_COMM"), "pid": ("_PID", "SYSLOG_PID"),
    "message": ("MESSAGE",),
})  # fmt: skip
_NUMBERED = (("facility", "SYSLOG_FACILITY", syslog.FACILITIES), ("severity", "PRIORITY", syslog.SEVERITIES))
_TIME = "__REALTIME_TIMESTAMP"
_ALIASED = frozenset(
    {"_HOSTNAME", "SYSLOG_IDENTIFIER", "_PID", "MESSAGE", _TIME, *(n for _, n, _ in _NUMBERED)}
)
_BYTE = 256


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the entries of an export."""
    for parsed in jsonl.parse(stream, options, start, whole=whole):
        columns = {name: parsed.fields.column(name).combine_chunks() for name in parsed.fields.column_names}
        lists = [name for name, column in columns.items() if pa.types.is_list(column.type)]
        for name in (name for name in lists if "." not in name):  # a journal has no objects, other JSON does
            columns[name] = _told(name, columns[name], parsed.records)
        fields = _named(columns)
        read = syslog.events(stream.name, pa.table(fields)) if fields else parsed.fields.select([])
        yield replace(parsed, fields=read)


def _told(name: str, column: Any, records: Any) -> Any:
    """Tell arrays of bytes from fields that are there several times, by what the record says."""
    rows = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    values = {}
    for row in rows.tolist():
        value = orjson.loads(records[row].as_py())[name]
        several = isinstance(value, list) and not _bytes(value)
        values[row] = [_text(one) for one in value] if several else _text(value)
    if all(isinstance(value, str) for value in values.values()):
        return pa.array([values.get(row) for row in range(len(column))], pa.string())
    read = table([{name: values.get(row)} for row in range(len(column))])
    return read.column(name).combine_chunks()


def _bytes(value: object) -> bool:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < _BYTE for one in value)


def _text(value: Any) -> str:
    if _bytes(value):
        return bytes(value).decode("utf-8", "backslashreplace")
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _named(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Name what syslog has too as syslog does."""
    named = {name: column for name, column in columns.items() if name not in _ALIASED}
    for name, sources in _NAMES.items():
        for source in sources:
            column = columns.get(source)
            if column is not None:
                named[name] = coalesce(named[name], column) if name in named else column
    for name, source, words in _NUMBERED:
        column = columns.get(source)
        if column is not None and pa.types.is_string(column.type):
            keys = pa.array([str(number) for number in range(len(words))])
            named[name] = pa.array(words, pa.string()).take(pc.index_in(column, value_set=keys))
    column = columns.get(_TIME)
    if column is not None and pa.types.is_string(column.type):
        whole = pc.match_substring_regex(column, "^[0-9]{1,17}$")
        micros = pc.if_else(whole, column, pa.scalar(None, pa.string())).cast(pa.int64())
        told = pc.strftime(micros.cast(pa.timestamp("us", "UTC")), format="%Y-%m-%dT%H:%M:%SZ")
        named["time"] = pc.coalesce(told, column)
    return named
