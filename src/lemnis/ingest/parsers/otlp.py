"""OpenTelemetry logs in the JSON of OTLP (1.x, ExportLogsServiceRequest): a record each log record.

A line or document is a whole export (``resourceLogs``), or one log record with its resource and scope beside
it: ``{"resource": …, "scope": …, "logRecord": …}``. Names may be written either way (``timeUnixNano``,
``time_unix_nano``), ids in hex or base64.

Fields: timeUnixNano, observedTimeUnixNano, severityNumber, severityText, body (members of one that is an
object are ``body.NAME``), traceId, spanId, eventName; ``scope.name`` and ``scope.version``; ``resource.NAME``
for each attribute of the resource; each of the record's own attributes by its name, or as
``attributes.NAME`` where a field has that name.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import lines
from lemnis.ingest.parsers import Options, Parsed, Start, _documents, jsonl
from lemnis.ingest.parsers._columns import Row, table
from lemnis.ingest.streams import KEPT_RAW, Head, Stream

fits = jsonl.fits
MADE = True  # of an export with several log records
"""A record is a log record with what its export says of all: it stands nowhere in the bytes as such."""
_LOOK = 65_536
_DEPTH = 16
_Json = Mapping[str, Any]
_FIELDS = {
    "timeUnixNano": "time_unix_nano", "observedTimeUnixNano": "observed_time_unix_nano",
    "severityNumber": "severity_number", "severityText": "severity_text", "eventName": "event_name",
    "traceId": "trace_id", "spanId": "span_id",
}  # fmt: skip
_IDS = {"traceId": 24, "spanId": 12}
"""How many characters an id has in base64; in hex it has a third more."""


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the log records of lines, or of a document, which is read from its start."""
    if lined(stream, options):
        for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
            pairs = zip(batch.texts.to_pylist(), batch.numbers.tolist(), strict=True)
            yield _parsed(stream.name, pairs, batch.rejects, Start(batch.position, batch.offset))
    elif whole or isinstance(stream, Head):
        for texts in jsonl.listed(stream.name, _documents.records(stream, ()), start):
            pairs = zip(texts.texts.to_pylist(), texts.numbers.tolist(), strict=True)
            yield _parsed(stream.name, pairs, texts.rejects, Start(texts.position, texts.offset))


def lined(stream: Stream, options: Options) -> bool:  # noqa: ARG001 - part of what a parser offers
    """Say whether each line stands for itself."""
    return not _documents.is_document(stream.head(_LOOK), ())


def _parsed(
    name: str, pairs: Iterable[tuple[Any, int]], refused: Sequence[Reject], end: Start
) -> Parsed:  # the pairs are texts and their numbers
    records: list[str] = []
    rows: list[Row] = []
    numbers: list[int] = []
    rejects = list(refused)
    for text, number in pairs:
        try:
            found = [(one, _row(one)) for one in _log_records(orjson.loads(text))]
        except (orjson.JSONDecodeError, _ShapeError) as error:
            raw = text.encode()[:KEPT_RAW]
            rejects.append(Reject(Location(name, record=number), f"no OTLP log record: {error}", raw))
            continue
        records += [text] if len(found) == 1 else [orjson.dumps(one).decode() for one, _ in found]
        rows += [row for _, row in found]
        numbers += [number] * len(found)
    rejects.sort(key=lambda reject: reject.at.record or 0)
    texts, positions = pa.array(records, pa.string()), pa.array(np.array(numbers, np.int64), pa.int64())
    return Parsed(texts, table(rows), positions, tuple(rejects), end.position, end.offset)


class _ShapeError(ValueError):
    """What is no log record."""


def _log_records(value: Any) -> Iterator[_Json]:
    """Yield the log records of an export or of a line, each with its resource and scope beside it."""
    if not isinstance(value, dict):
        raise _ShapeError("it is no object")
    exported = _get(value, "resourceLogs", "resource_logs")
    if exported is None:
        record = _get(value, "logRecord", "log_record")
        if record is None:
            record = {key: item for key, item in value.items() if key not in {"resource", "scope"}}
            if _get(record, "timeUnixNano", "time_unix_nano") is None and "body" not in record:
                raise _ShapeError("it has neither resourceLogs nor logRecord")
        yield {"resource": _object(value.get("resource")), "scope": _object(value.get("scope")),
               "logRecord": _object(record)}  # fmt: skip
        return
    for one in _objects(exported):
        for scoped in _objects(_get(one, "scopeLogs", "scope_logs")):
            for record in _objects(_get(scoped, "logRecords", "log_records")):
                yield {"resource": _object(one.get("resource")), "scope": _object(scoped.get("scope")),
                       "logRecord": record}  # fmt: skip


def _get(one: _Json, name: str, other: str) -> Any:
    return one[name] if name in one else one.get(other)


def _object(value: Any) -> _Json:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _ShapeError(f"an object was expected, not {type(value).__name__}")
    return value


def _objects(value: Any) -> list[_Json]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _ShapeError(f"a list was expected, not {type(value).__name__}")
    return [_object(item) for item in value]


def _row(one: _Json) -> Row:
    """Lay a log record flat."""
    row: Row = {}
    record = one["logRecord"]
    for name, other in _FIELDS.items():
        value = _get(record, name, other)
        if value not in (None, "", 0, "0"):  # no set: it may be a list
            row[name] = _id(str(value), _IDS[name]) if name in _IDS else str(value)
    _lay(row, "body", _get(record, "body", "body"))
    for part in ("name", "version"):
        if value := one["scope"].get(part):
            row[f"scope.{part}"] = str(value)
    for attribute in _objects(one["resource"].get("attributes")):
        _lay(row, f"resource.{attribute.get('key', '')}", attribute.get("value"))
    own: Row = {}
    for attribute in _objects(record.get("attributes")):
        _lay(own, str(attribute.get("key", "")), attribute.get("value"))
    row.update(
        (f"attributes.{name}" if name in row or not name else name, value) for name, value in own.items()
    )
    return row


def _id(text: str, length: int) -> str:
    """Return an id in hex."""
    if len(text) != length or not text.endswith("="):
        return text.lower()
    try:
        return base64.b64decode(text, validate=True).hex()
    except binascii.Error:
        return text


def _lay(row: Row, name: str, value: Any) -> None:
    """Put an AnyValue into a row."""
    row.update(_flat(name, _plain(value, 0)))


def _flat(name: str, plain: Any) -> Iterator[tuple[str, str | list[str]]]:
    """Name objects' members by dots; a list of texts stays one, any other is written as JSON."""
    if isinstance(plain, dict):
        for key, item in plain.items():
            yield from _flat(f"{name}.{key}", item)
    elif isinstance(plain, list) and not all(isinstance(item, str) for item in plain):
        yield name, orjson.dumps(plain).decode()
    elif plain is not None:
        yield name, plain


def _plain(value: Any, depth: int) -> Any:
    """Return an AnyValue as text, list or object of such; None for one that is empty."""
    if value is None:
        return None
    if depth > _DEPTH:
        raise _ShapeError(f"values nested deeper than {_DEPTH} levels")
    for kind, given in _object(value).items():
        word = kind.replace("_v", "V")
        if word == "kvlistValue":
            pairs = _objects(_object(given).get("values"))
            return {str(pair.get("key", "")): _plain(pair.get("value"), depth + 1) for pair in pairs}
        if word == "arrayValue":
            return [_plain(item, depth + 1) for item in _objects(_object(given).get("values"))]
        if word == "boolValue":
            return str(given).lower()
        if word in {"stringValue", "intValue", "doubleValue", "bytesValue"}:
            return str(given)
    return None
