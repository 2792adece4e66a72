"""OTLP logs (opentelemetry-proto 1.x): an export, of either form, as a line of JSON for each log record.

A line is ``{"resource": …, "scope": …, "logRecord": …}`` in the JSON of OTLP: names in lowerCamelCase, 64-bit
numbers as texts, ids in hex.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from lemnis.ingest.transports._dialect_hec import dumped

SOURCE = "otlp_logs"
CODES = {
    "no_token": 16, "unreadable_token": 16, "unknown_token": 16, "forbidden": 7, "body": 3, "data": 3,
    "busy": 14, "service": 14,
}  # fmt: skip
"""What gRPC calls the reasons why something is not taken (google.rpc.Code)."""
_DEPTH = 32
_SEVEN_BITS = 0x7F
_SIMPLE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "string_value": ("stringValue", str), "int_value": ("intValue", str), "bool_value": ("boolValue", bool),
    "double_value": ("doubleValue", float),
    "bytes_value": ("bytesValue", lambda value: base64.b64encode(value).decode()),
}  # fmt: skip


class ExportError(ValueError):
    """What is no export of logs."""


def from_protobuf(body: bytes) -> ExportLogsServiceRequest:
    """Read an export; raises ExportError."""
    try:
        export = ExportLogsServiceRequest()
        export.ParseFromString(body)
    except DecodeError as error:
        raise ExportError(f"not an ExportLogsServiceRequest: {error}") from error
    return export


def lines(export: ExportLogsServiceRequest) -> Iterator[bytes]:
    """Yield a line for each log record of an export."""
    for of_resource in export.resource_logs:
        resource = {"attributes": _attributes(of_resource.resource.attributes)}
        for of_scope in of_resource.scope_logs:
            scope: dict[str, Any] = {"name": of_scope.scope.name, "version": of_scope.scope.version}
            if of_scope.scope.attributes:
                scope["attributes"] = _attributes(of_scope.scope.attributes)
            around = {"resource": resource, "scope": {key: one for key, one in scope.items() if one}}
            for record in of_scope.log_records:
                yield orjson.dumps({**around, "logRecord": _record(record)}) + b"\n"


def json_lines(body: bytes) -> Iterator[bytes]:
    """Yield the same of an export in JSON; raises ExportError."""
    try:
        export = orjson.loads(body)
        for of_resource in _list(export, "resourceLogs", "resource_logs"):
            resource = of_resource.get("resource", {})
            for of_scope in _list(of_resource, "scopeLogs", "scope_logs"):
                scope = of_scope.get("scope", {})
                for record in _list(of_scope, "logRecords", "log_records"):
                    if not isinstance(record, dict):
                        raise ExportError("a log record is no object")
                    yield dumped({"resource": resource, "scope": scope, "logRecord": record})
    except (orjson.JSONDecodeError, AttributeError, TypeError) as error:
        raise ExportError(f"not the JSON of an ExportLogsServiceRequest: {error}") from error


def response() -> bytes:
    """Return the answer to an export of which all was taken."""
    said: bytes = ExportLogsServiceResponse().SerializeToString()
    return said


def status(code: int, message: str) -> bytes:
    """Return a google.rpc.Status: the code in field 1, the message in field 2."""
    text = message.encode("utf-8", "backslashreplace")[:1000]
    length, varint = len(text), bytearray()
    while length > _SEVEN_BITS:
        varint.append(length & _SEVEN_BITS | 0x80)
        length >>= 7
    varint.append(length)
    return b"\x08" + bytes([code]) + b"\x12" + bytes(varint) + text


def _list(holder: Mapping[str, Any], name: str, other: str) -> list[Any]:
    found = holder.get(name, holder.get(other)) or []
    if not isinstance(found, list):
        raise ExportError(f"{name} is no list")
    return found


def _record(record: Any) -> dict[str, Any]:
    found: dict[str, Any] = {key: value for key, value in {
        "timeUnixNano": str(record.time_unix_nano or ""),
        "observedTimeUnixNano": str(record.observed_time_unix_nano or ""),
        "severityNumber": record.severity_number, "severityText": record.severity_text,
        "traceId": record.trace_id.hex(), "spanId": record.span_id.hex(), "flags": record.flags,
        "eventName": record.event_name, "attributes": _attributes(record.attributes),
    }.items() if value}  # fmt: skip
    if record.HasField("body"):
        found["body"] = _value(record.body)
    return found


def _attributes(found: Any, depth: int = 0) -> list[dict[str, Any]]:
    return [_pair(one, depth) for one in found]


def _pair(one: KeyValue, depth: int) -> dict[str, Any]:
    return {"key": one.key, "value": _value(one.value, depth)}


def _value(value: AnyValue, depth: int = 0) -> dict[str, Any]:
    kind = value.WhichOneof("value")
    simple = _SIMPLE.get(kind or "")
    if simple is not None:
        name, say = simple
        return {name: say(getattr(value, str(kind)))}
    if kind is None or depth >= _DEPTH:
        return {}
    if kind == "array_value":
        return {"arrayValue": {"values": [_value(one, depth + 1) for one in value.array_value.values]}}
    if kind == "kvlist_value":
        return {"kvlistValue": {"values": _attributes(value.kvlist_value.values, depth + 1)}}
    return {}
