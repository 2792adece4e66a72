"""A report's bytes as plain values: JSON, JSON lines, XML, CSV; bounded, and each bad line told. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final
from xml.parsers import expat

import orjson

from lemnis.content.schemas.reader import Report
from lemnis.contracts.errors import Location, RecordError

MAX_REPORT: Final = 200_000_000
"""Bytes; a larger one is refused before it is read."""
_DEEP: Final = 200
_FIELD: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Decoded:
    """A report as plain values, and the parts of it that could not be read."""

    document: Any
    errors: tuple[str, ...] = ()


def decode(report: Report, data: bytes, name: str) -> Decoded:
    """Read a report's bytes in the format that its reader names; ``name`` says whose it is.

    Raises RecordError, with the place, for one that is too large, too deep or not of the format.
    """
    if len(data) > MAX_REPORT:
        raise RecordError(
            f"a report of {len(data):,} bytes is more than {MAX_REPORT:,}", at=Location(name),
            fix="let the tool write several reports, or filter it",
        )  # fmt: skip
    form = "json" if report.format in {"sarif", "cyclonedx", "ocsf"} else report.format
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode()
    return _DECODERS[form](data.removeprefix(b"\xef\xbb\xbf"), report, name)


def _json(data: bytes, _report: Report, name: str) -> Decoded:
    try:
        return Decoded(orjson.loads(data))
    except orjson.JSONDecodeError as error:
        several = _several(data)
        if several:
            return Decoded(several)
        at = Location(name, error.lineno, error.colno)
        raise RecordError(f"the report is no JSON: {error.msg}", at=at) from error


def _json_lines(data: bytes, report: Report, name: str) -> Decoded:
    if data.lstrip()[:1] == b"[":  # the whole in one list
        return _json(data, report, name)
    several = _several(data) if data.lstrip()[:2] in {b"{\n", b"{\r"} else []
    if several:  # one document a line, but pretty
        return Decoded(several)
    rows: list[Any] = []
    errors: list[str] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            rows.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            errors.append(f"{Location(name, number)}: no JSON: {error.msg}")
    if errors and not rows:
        raise RecordError("no line of the report is JSON", at=Location(name, 1))
    return Decoded(rows, tuple(errors))


def _several(data: bytes) -> list[Any]:
    """Read JSON documents one after another; none if there is anything else."""
    text, at, found = data.decode("utf-8", "replace").strip(), 0, []
    decoder = json.JSONDecoder()
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            found.append(value)
            while at < len(text) and text[at].isspace():
                at += 1
    except (ValueError, RecursionError):
        return []
    return found


def _csv(data: bytes, report: Report, name: str) -> Decoded:
    text = data.decode("utf-8", "replace")
    csv.field_size_limit(_FIELD)
    rows: list[Any] = []
    errors: list[str] = []
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=report.delimiter, restkey="")
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            errors.append(f"{Location(name, reader.line_num)}: {error}")
            continue
        if row is None:
            return Decoded(rows, tuple(errors))
        rows.append({(key or "").strip(): value for key, value in row.items()})


@dataclass(slots=True)
class _Tree:
    """Builds values of XML: an element is an object of its attributes (``@name``) and children (lists).

    An element of text alone, without attributes, is that text; others have it as ``#text``.
    """

    name: str
    stack: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    texts: list[list[str]] = field(default_factory=lambda: [[]])

    def start(self, _tag: str, attributes: dict[str, str]) -> None:
        if len(self.stack) > _DEEP:
            raise RecordError(f"more than {_DEEP} elements within each other", at=Location(self.name))
        self.stack.append({f"@{key}": value for key, value in attributes.items()})
        self.texts.append([])

    def text(self, words: str) -> None:
        self.texts[-1].append(words)

    def end(self, tag: str) -> None:
        made, words = self.stack.pop(), "".join(self.texts.pop()).strip()
        if made and words:
            made["#text"] = words
        self.stack[-1].setdefault(tag.rpartition(":")[2], []).append(made or words)


def _xml(data: bytes, _report: Report, name: str) -> Decoded:
    tree = _Tree(name)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text

    def refuse(*_words: Any) -> None:
        raise RecordError("declares entities, which are not read", at=Location(name))

    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        at = Location(name, error.lineno, error.offset + 1)
        raise RecordError(f"the report is no XML: {expat.errors.messages[error.code]}", at=at) from error
    return Decoded(tree.stack[0])


_DECODERS: Final[Mapping[str, Callable[[bytes, Report, str], Decoded]]] = MappingProxyType(
    {"json": _json, "jsonl": _json_lines, "csv": _csv, "xml": _xml}
)
