"""Windows events, from event log files and from the JSON that shippers make of them.

Whoever carried it, a field has one name: System's parts are Channel, EventID, Provider_Name, Computer,
EventRecordID, SystemTime, Execution_ProcessID, Security_UserID …; the fields of EventData and UserData
have their own names; nameless Data elements are the list ``Data``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.flatten import coalesce
from lemnis.ingest.parsers import Options, Parsed, Start, _evtx, jsonl
from lemnis.ingest.streams import Stream

MAGIC = _evtx.MAGIC
_BATCH = 20_000
_TEXT = "#text"
_ATTRIBUTES = "#attributes"
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
_SIGNS = frozenset({"Channel", "EventID", "EventRecordID"})


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the events of an event log file, or of JSON lines."""
    if stream.head(len(MAGIC)).startswith(MAGIC):
        yield from _event_log(stream, start)
        return
    for parsed in jsonl.parse(stream, options, start, whole=whole):
        yield _named(parsed)


def _event_log(stream: Stream, start: Start) -> Iterator[Parsed]:
    """Yield the records of an event log file; those up to ``start`` are read again and left out."""
    found = enumerate(_evtx.records(stream), 1)
    position = start.position
    for _ in islice(found, start.position):
        pass
    while some := list(islice(found, _BATCH)):
        texts = pa.array([text for _, text in some if isinstance(text, str)], pa.string())
        numbers = np.array([number for number, text in some if isinstance(text, str)], np.int64)
        rejects = tuple(
            Reject(Location(stream.name, record=number), str(text))
            for number, text in some
            if not isinstance(text, str)
        )
        position = some[-1][0]
        yield _named(jsonl.objects(stream.name, texts, numbers, rejects, position=position, offset=0))


def _named(parsed: Parsed) -> Parsed:
    """Give every column the one name that it has, whoever carried it."""
    columns: dict[str, pa.Array[Any]] = {}
    later: list[tuple[str, str, pa.Array[Any]]] = []
    for name in parsed.fields.column_names:
        column: Any = parsed.fields.column(name).combine_chunks()
        plain = _plain(name)
        if plain in _ALIASES:
            later.append((_ALIASES[plain], plain, column))
        else:
            columns[plain] = coalesce(columns[plain], column) if plain in columns else column
    order = {alias: place for place, alias in enumerate(_ALIASES)}
    for name, alias, column in sorted(later, key=lambda item: order[item[1]]):
        if name not in columns:
            columns[name] = column
            continue
        taken = pc.is_valid(columns[name])
        columns[name] = coalesce(columns[name], column)
        rest = pc.if_else(taken, column, pa.scalar(None, column.type))
        if rest.null_count < len(rest):
            columns[alias] = coalesce(columns[alias], rest) if alias in columns else rest
    table = pa.table(columns) if columns else parsed.fields
    return Parsed(parsed.records, table, parsed.positions, parsed.rejects, parsed.position, parsed.offset)


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
