"""What Tetragon saw in the kernel: one object a line, named after its kind (``process_exec`` …).

The members of that object stand for themselves (``process.binary``, ``parent.pid``, ``args``); ``kind`` says
of which kind it is. Added are CommandLine and ParentCommandLine: a program and its arguments lie apart there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
_KIND = re.compile(r"^(process_(?:exec|exit|kprobe|uprobe|tracepoint|lsm|loader))\.(.+)$")
_COMMANDS: Mapping[str, str] = MappingProxyType({"process": "CommandLine", "parent": "ParentCommandLine"})


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the events of JSON lines."""
    for parsed in jsonl.parse(stream, options, start, whole=whole):
        columns = _lifted(parsed.fields)
        for prefix, name in _COMMANDS.items():
            if (command := _command(columns, prefix)) is not None:
                columns[name] = command
        fields = pa.table(columns) if columns else parsed.fields
        yield Parsed(parsed.records, fields, parsed.positions, parsed.rejects, parsed.position, parsed.offset)


def _lifted(fields: pa.Table) -> dict[str, Any]:
    """Name what an event's object holds as if it stood outside it, and say of which kind the event is."""
    columns: dict[str, Any] = {}
    for name in fields.column_names:
        column = fields.column(name).combine_chunks()
        found = _KIND.match(name)
        if found is None:
            columns[name] = column
            continue
        kind, plain = found.groups()
        columns[plain] = coalesce(columns[plain], column) if plain in columns else column
        if plain == "process.exec_id":
            kinds = pc.if_else(column.is_valid(), kind, pa.scalar(None, pa.string()))
            columns["kind"] = coalesce(columns["kind"], kinds) if "kind" in columns else kinds
    return columns


def _command(columns: Mapping[str, Any], prefix: str) -> Any:
    """Join the program and its arguments; None where no record has a program."""
    binary, arguments = columns.get(f"{prefix}.binary"), columns.get(f"{prefix}.arguments")
    if binary is None or arguments is None:
        return binary
    given = pc.if_else(pc.equal(arguments, ""), pa.scalar(None, pa.string()), arguments)
    there = pc.fill_null(binary, "")  # joining drops rows in which all is null
    joined = pc.binary_join_element_wise(there, given, " ", null_handling="skip")
    return pc.if_else(binary.is_valid(), joined, pa.scalar(None, pa.string()))
