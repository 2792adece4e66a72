"""What ``eslogger`` of macOS writes: events of the Endpoint Security framework, one JSON object a line.

The fields have the names of the JSON. Added are ``event``, its kind (``exec``, ``create`` …), and what
Sigma calls things: Image, CommandLine, CurrentDirectory, ProcessId, ParentProcessId, UserId, TargetFilename,
and ParentImage: of an exec the program that the process was before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.ingest.flatten import coalesce
from lemnis.ingest.parsers import Options, Parsed, Start, jsonl
from lemnis.ingest.streams import Stream

pc: Any = _compute
fits = jsonl.fits
first = jsonl.first
lined = jsonl.lined
_TARGET = "event.exec.target"
_NAMES: Mapping[str, Sequence[str]] = MappingProxyType({
    "Image": (f"{_TARGET}.executable.path", "event.fork.child.executable.path", "process.executable.path"),
    "CurrentDirectory": ("event.exec.cwd.path",),
    "ProcessId": (
        f"{_TARGET}.audit_token.pid", "event.fork.child.audit_token.pid", "process.audit_token.pid",
    ),
    "ParentProcessId": (f"{_TARGET}.ppid", "event.fork.child.ppid", "process.ppid"),
    "UserId": (f"{_TARGET}.audit_token.euid", "process.audit_token.euid"),
    "TargetFilename": (
        "event.create.destination.existing_file.path", "event.rename.destination.existing_file.path",
        "event.unlink.target.path", "event.write.target.path", "event.close.target.path",
        "event.open.file.path", "event.truncate.target.path", "event.setmode.target.path",
        "event.setowner.target.path", "event.setextattr.target.path", "event.link.source.path",
        "event.copyfile.target_file.path", "event.clone.source.path",
    ),
})  # fmt: skip
_NEW_PATHS = ("event.create.destination.new_path", "event.rename.destination.new_path")


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the events of JSON lines."""
    for parsed in jsonl.parse(stream, options, start, whole=whole):
        columns = {name: parsed.fields.column(name).combine_chunks() for name in parsed.fields.column_names}
        columns |= _added(columns)
        fields = pa.table(columns) if columns else parsed.fields
        yield Parsed(parsed.records, fields, parsed.positions, parsed.rejects, parsed.position, parsed.offset)


def _added(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is added; of each only where some record has it."""
    added: dict[str, Any] = {}
    for name, paths in _NAMES.items():
        for path in paths:
            _put(added, name, columns.get(path))
    for path in _NEW_PATHS:
        folder, file = columns.get(f"{path}.dir.path"), columns.get(f"{path}.filename")
        if folder is not None and file is not None:
            _put(added, "TargetFilename", pc.binary_join_element_wise(folder, file, "/"))
    _put(added, "event", _kinds(columns))
    if (arguments := columns.get("event.exec.args")) is not None:
        _put(added, "CommandLine", pc.binary_join(arguments, " "))
    replaced, target = columns.get("process.executable.path"), columns.get(f"{_TARGET}.executable.path")
    if replaced is not None and target is not None:
        _put(added, "ParentImage", pc.if_else(target.is_valid(), replaced, pa.scalar(None, pa.string())))
    return added


def _put(columns: dict[str, Any], name: str, column: Any) -> None:
    if column is not None and not pa.types.is_null(column.type):
        columns[name] = coalesce(columns[name], column) if name in columns else column


def _kinds(columns: Mapping[str, Any]) -> Any:
    """Return of which kind each event is: the member of ``event`` that it has."""
    kinds: Any = None
    for name, column in columns.items():
        if not name.startswith("event."):
            continue
        kind = pc.if_else(column.is_valid(), name.split(".")[1], pa.scalar(None, pa.string()))
        kinds = kind if kinds is None else coalesce(kinds, kind)
    return kinds
