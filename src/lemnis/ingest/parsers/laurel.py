"""Linux audit events as the LAUREL plug-in of auditd writes them: an event a line in JSON, records by type.

The fields are those of the parser ``audit``: what LAUREL took apart is named as in the audit log (arguments
a0, a1 …), and what Sigma calls things is added in the same way. What LAUREL knows of the parent is used where
the log does not hold its start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pyarrow as pa

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.parsers import Options, Parsed, Start, jsonl
from lemnis.ingest.parsers._audit import ABSENT, Record
from lemnis.ingest.parsers._columns import Row, table
from lemnis.ingest.parsers.audit import Event, Process, State, row_of
from lemnis.ingest.streams import KEPT_RAW, Stream

fits = jsonl.fits
_SOCKADDR = {"addr": "saddr_ip", "port": "saddr_port", "saddr_fam": "saddr_family"}
_OCTAL, _HEX = "0o", "0x"
_Json = Mapping[str, Any]


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:  # noqa: ARG001
    """Yield the events of JSON lines; they are read from the start, those done before ``start`` left out."""
    state = State()
    for batch in lines(stream, whole=whole):
        yield _events(stream.name, batch, state, start)


def _events(name: str, batch: Lines, state: State, start: Start) -> Parsed:
    texts: list[str] = []
    rows: list[Row] = []
    numbers: list[int] = []
    rejects = [reject for reject in batch.rejects if (reject.at.record or 0) > start.position]
    given: list[str] = batch.texts.to_pylist()  # type: ignore[assignment]
    for text, number in zip(given, batch.numbers.tolist(), strict=True):
        row = _row(text, number, state)
        if number <= start.position:
            continue
        if row is None:
            at = Location(name, record=number)
            rejects.append(Reject(at, "not an audit event of LAUREL", text.encode()[:KEPT_RAW]))
            continue
        texts.append(text)
        rows.append(row)
        numbers.append(number)
    rejects.sort(key=lambda reject: reject.at.record or 0)
    positions = pa.array(numbers, pa.int64())
    records = pa.array(texts, pa.string())
    return Parsed(records, table(rows), positions, tuple(rejects), batch.position, batch.offset)


def _row(text: str, number: int, state: State) -> Row | None:
    """Read one event; None if it is none."""
    try:
        event = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    time, _, serial = str(event.get("ID", "") if isinstance(event, dict) else "").partition(":")
    if not serial or not time.replace(".", "", 1).isdigit():
        return None
    node = str(event.get("NODE") or "")
    records = [
        Record(kind, node, time, serial, *_fields(kind, one))
        for kind, held in event.items()
        for one in (held if isinstance(held, list) else [held])
        if isinstance(one, dict)
    ]
    if not records:
        return None
    main = event.get("SYSCALL")
    if isinstance(main, dict) and isinstance(main.get("PPID"), dict):
        parent = main["PPID"]
        command = parent.get("ARGV")
        told = " ".join(map(str, command)) if isinstance(command, list) else ""
        known = state.processes.get((node, str(main.get("ppid"))))
        if known is None or not known.image:
            state.see(node, str(main.get("ppid")), Process(str(parent.get("exe") or ""), told))
    return row_of(Event(number, records), state)


def _fields(kind: str, one: _Json) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return a record's fields as the audit log names and writes them, and the arguments of an EXECVE."""
    fields: dict[str, str] = {}
    arguments: tuple[str, ...] = ()
    for name, value in one.items():
        if name == "ARGV" and isinstance(value, list):
            texts = [str(part) for part in value]
            if kind == "PROCTITLE":
                fields["proctitle"] = " ".join(texts)
                continue
            arguments = tuple(texts) if kind == "EXECVE" else ()
            plain = texts if kind == "EXECVE" else [text.removeprefix(_HEX) for text in texts]
            fields |= {f"a{place}": text for place, text in enumerate(plain)}
        elif isinstance(value, str | int | float) and value not in ABSENT:
            fields[name] = _text(name, value)
    if kind == "SOCKADDR":
        fields |= {new: fields[old] for old, new in _SOCKADDR.items() if old in fields}
    return fields, arguments


def _text(name: str, value: str | float) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if name == "arch":
        return text.removeprefix(_HEX)
    return f"0{text.removeprefix(_OCTAL)}" if text.startswith(_OCTAL) else text
