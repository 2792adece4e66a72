"""Windows events, from event log files, from XML, and from the JSON that shippers make of them.

Whoever carried it, a field has one name: System's parts are Channel, EventID, Provider_Name, Computer,
EventRecordID, SystemTime, Execution_ProcessID, Security_UserID …; the fields of EventData and UserData
have their own names; nameless Data elements are the list ``Data``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.ingest.flatten import coalesce
from lemnis.ingest.mapping_columns import flat, there
from lemnis.ingest.parsers import Options, Parsed, Start, Texts, _events_xml, _evtx, jsonl
from lemnis.ingest.streams import BrokenStreamError, Stream

pc: Any = _compute
MAGIC = _evtx.MAGIC
_LOOK = 512
_TEXT = "#text"
_ATTRIBUTES = "#attributes"
_SYSTEM = ("Event.System.", "System.")
_XMLNS = "#attributes.xmlns"
_PREFIXES = ("Event.EventData.", "Event.UserData.", "Event.System.", "EventData.", "UserData.", "System.",
             "winlog.event_data.", "winlog.user_data.", "event_data.", "user_data.")  # fmt: skip
_ALIASES: Mapping[str, str] = MappingProxyType({
    "TimeCreated_SystemTime": "SystemTime", "Provider_EventSourceName": "EventSourceName",
    # winlogbeat 7 and later
    "winlog.channel": "Channel", "winlog.event_id": "EventID", "winlog.provider_name": "Provider_Name",
    "winlog.provider_guid": "Provider_Guid", "winlog.computer_name": "Computer",
    "winlog.record_id": "EventRecordID", "winlog.process.pid": "Execution_ProcessID",
    "winlog.process.thread.id": "Execution_ThreadID", "winlog.activity_id": "Correlation_ActivityID",
    "winlog.user.identifier": "Security_UserID", "winlog.opcode": "Opcode", "winlog.task": "Task",
    "winlog.version": "Version", "winlog.keywords": "Keywords",
    # winlogbeat 6
    "log_name": "Channel", "event_id": "EventID", "source_name": "Provider_Name",
    "provider_guid": "Provider_Guid", "computer_name": "Computer", "record_number": "EventRecordID",
    "process_id": "Execution_ProcessID", "thread_id": "Execution_ThreadID",
    "activity_id": "Correlation_ActivityID", "user.identifier": "Security_UserID",
    # NXLog
    "SourceName": "Provider_Name", "ProviderGuid": "Provider_Guid", "Hostname": "Computer",
    "RecordNumber": "EventRecordID", "ExecutionProcessID": "Execution_ProcessID",
    "ExecutionThreadID": "Execution_ThreadID", "OpcodeValue": "Opcode",
    "ActivityID": "Correlation_ActivityID",
    # plain exports
    "TimeCreated": "SystemTime", "ProviderName": "Provider_Name", "EventRecordId": "EventRecordID",
    "@timestamp": "SystemTime", "EventTime": "SystemTime",
})  # fmt: skip
_ORDER = {alias: place for place, alias in enumerate(_ALIASES)}


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the events of an event log file, of XML, or of JSON lines."""
    if _events_xml.fits(stream.head(_LOOK)):
        listed = jsonl.listed(stream.name, _events_xml.records(stream), start)
        yield from jsonl.parted(listed, start, lambda some: _of_xml(some, options))
        return
    found = texts(stream, options, start, whole=whole)
    yield from jsonl.parted(found, start, lambda some: fielded(some, options))


def _of_xml(some: Texts, options: Options) -> Parsed:
    """Turn events in XML into records: the XML as it was, by the fields of the JSON made of it."""
    made = fielded(_events_xml.as_json(some), options)
    places: Any = pa.array(np.searchsorted(some.numbers, made.positions.to_numpy()))
    return replace(made, records=some.texts.take(places))


def texts(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Texts]:
    """Yield the same as texts of JSON, before anything looks into them."""
    head = MAGIC if stream.begins(MAGIC) else stream.head(_LOOK)
    if head.startswith(MAGIC):
        return jsonl.batched(stream.name, _evtx.blocks(stream), start)
    if _events_xml.fits(head):
        return map(_events_xml.as_json, jsonl.listed(stream.name, _events_xml.records(stream), start))
    return jsonl.texts(stream, options, start, whole=whole)


def blocks(stream: Stream) -> Iterator[list[str | ValueError]]:
    """Yield the records of an event log file some at a time, as texts of JSON, or why one cannot be had."""
    return _evtx.blocks(stream)


def fits(head: bytes) -> bool:
    """Say whether a stream that begins so can be Windows events at all."""
    return jsonl.fits(head) or _events_xml.fits(head)


def fielded(some: Texts, options: Options) -> Parsed:
    """Turn JSON texts into events."""
    return _named(jsonl.fielded(some, options))


def lined(stream: Stream, options: Options) -> bool:
    """Say whether a stream has one JSON object a line."""
    head = stream.head(_LOOK)
    return not head.startswith(MAGIC) and not _events_xml.fits(head) and jsonl.lined(stream, options)


def named(path: str, options: Options) -> str | None:  # noqa: ARG001 - part of what a parser offers
    """Return what the field at a path (member names, joined by dots) is called; None for what is no field."""
    plain = _plain(path)
    if plain in _ALIASES:
        return _ALIASES[plain]
    return None if path.endswith(_XMLNS) else plain


def entangled(name: str) -> Iterator[str]:
    """Yield the fields whose presence decides whether one keeps its name, or is known by another."""
    if name in _ALIASES:
        yield _ALIASES[name]


def first(stream: Stream, options: Options) -> str | None:
    """Return the first record of an event log file or of a document; None for other streams."""
    if stream.once or not stream.head(len(MAGIC)).startswith(MAGIC):
        return jsonl.first(stream, options)
    try:
        return next((record for record in _evtx.records(stream) if isinstance(record, str)), None)
    except BrokenStreamError:
        return None


def _named(parsed: Parsed) -> Parsed:
    """Give every column the one name that it has, whoever carried it."""
    columns: dict[str, Any] = {}
    later: list[tuple[str, str]] = []
    for name in sorted(parsed.fields.column_names, key=lambda name: not name.startswith(_SYSTEM)):
        plain = _plain(name)
        if plain in _ALIASES:
            later.append((plain, name))
        elif not name.endswith(_XMLNS):
            _put(columns, plain, flat(parsed.fields.column(name)), name)
    for plain, name in sorted(later, key=lambda pair: _ORDER[pair[0]]):
        _put(columns, _ALIASES[plain], flat(parsed.fields.column(name)), plain)
    table = pa.table(columns) if columns else parsed.fields.select([])
    return Parsed(parsed.records, table, parsed.positions, parsed.rejects, parsed.position, parsed.offset)


def _put(columns: dict[str, Any], name: str, column: Any, other: str) -> None:
    """Add a column under ``name``; where that has a value already, the new one goes to ``other``."""
    if name not in columns:
        columns[name] = column
        return
    taken = there(columns[name])
    columns[name] = coalesce(columns[name], column)
    if other != name and (taken & there(column)).any():
        rest = pc.if_else(pa.array(taken), column, pa.scalar(None, column.type))
        columns[other] = coalesce(columns[other], rest) if other in columns else rest


def _plain(name: str) -> str:
    """Return the name of a flattened field without what its carrier wraps it in."""
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            break
    else:
        return name
    rest = name.removeprefix(prefix).removesuffix(f".{_TEXT}")
    rest = rest.replace(f".{_ATTRIBUTES}.", "_").removeprefix(f"{_ATTRIBUTES}.")
    if prefix.endswith(("UserData.", "user_data.")):
        return rest.rpartition(".")[2] if not re.search(r"xmlns|_Name$", rest) else rest
    return rest
