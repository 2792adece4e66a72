r"""Zeek's tab-separated logs: header lines name the columns and their types, the rest are values.

A column is made into what Zeek's own JSON writer makes of it, so that both formats give the same fields:
booleans are ``true`` and ``false``, containers are lists, numbers lose what they end in for nothing, and
``\x`` escapes are undone where JSON has the character itself. ``_path`` is the log, ``_open`` when it was
opened, of rows that have no time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.mapping_columns import make_lists
from lemnis.ingest.parsers import Options, Parsed, Start
from lemnis.ingest.streams import KEPT_RAW, Stream

pc: Any = _compute
TEXT = pa.string()
MARK = b"#"
_BOM_MARK = b"\xef\xbb\xbf#"
_NO_HEADER = "no #fields header comes before it"
_TYPED = re.compile(r"^(?:set|vector|table)\[(.*)\]$")
_FRACTIONS = frozenset({"double", "interval", "time"})
_HEX = re.compile(r"(?:\\x[0-9a-fA-F]{2})+|\\\\")
_SPOKEN = frozenset(map(ord, "\b\t\n\f\r"))
_STRAY = range(0xDC80, 0xDD00)  # bytes that are not UTF-8
_FIRST_PRINTABLE, _DELETE = 0x20, 0x7F


@dataclass(slots=True)
class Header:
    """What the header lines say; ``names`` is empty until they have named the columns."""

    separator: str = "\t"
    between: str = ","
    empty: str = "(empty)"
    unset: str = "-"
    path: str | None = None
    opened: str | None = None
    names: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)

    def read(self, line: str) -> None:
        """Take in one header line."""
        if line.startswith("#separator"):
            self.separator = _literal(line.removeprefix("#separator").strip(" ")) or "\t"
            return
        key, _, rest = line.partition(self.separator)
        if key == "#set_separator":
            self.between = _literal(rest) or ","
        elif key == "#empty_field":
            self.empty = rest
        elif key == "#unset_field":
            self.unset = rest
        elif key == "#path":
            self.path = rest
        elif key == "#open":
            self.opened = rest
        elif key == "#fields":
            self.names, self.types = tuple(rest.split(self.separator)), {}
        elif key == "#types":
            self.types = dict(zip(self.names, rest.split(self.separator), strict=False))


def _literal(text: str) -> str:
    return {"\\t": "\t"}.get(text) or re.sub(r"\\x([0-9a-fA-F]{2})", lambda m: chr(int(m[1], 16)), text)


def fits(head: bytes) -> bool:
    """Say whether a stream that begins so has header lines."""
    return head.startswith((MARK, _BOM_MARK))


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:  # noqa: ARG001
    """Yield the rows; begun in the middle, the header that holds there is read first."""
    header = _header_at(stream, start.offset)
    for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
        yield from _sections(stream.name, batch, header)


def _header_at(stream: Stream, offset: int) -> Header:
    """Return the header that holds from a byte of the stream on."""
    header, rest = Header(), b""
    if not offset:
        return header
    left = offset
    for block in stream.blocks():
        some = rest + block[:left]
        left -= len(block)
        *done, rest = some.split(b"\n")
        for line in done:
            if line.startswith((MARK, _BOM_MARK)):
                header.read(line.decode("utf-8", "replace").lstrip("\ufeff").rstrip("\r"))
        if left <= 0:
            break
    return header


def _sections(name: str, batch: Lines, header: Header) -> Iterator[Parsed]:
    """Yield the rows between header lines, section by section."""
    marked = pc.starts_with(batch.texts, "#").to_numpy(zero_copy_only=False)
    places = [-1, *np.flatnonzero(marked).tolist(), len(batch.texts)]
    rejects = batch.rejects
    for before, after in pairwise(places):
        if before >= 0:
            header.read(batch.texts[before].as_py())
        if after - before > 1:
            texts, numbers = (
                batch.texts.slice(before + 1, after - before - 1),
                batch.numbers[before + 1 : after],
            )
            yield _rows(name, Lines(texts, numbers, rejects, batch.position, batch.offset), header)
            rejects = ()
    if rejects or len(places) == len(batch.texts) + 2:
        none: pa.StringArray = pa.array([], TEXT)
        yield _rows(name, Lines(none, np.empty(0, np.int64), rejects, batch.position, batch.offset), header)


def _rows(name: str, batch: Lines, header: Header) -> Parsed:
    parts = pc.split_pattern(batch.texts, header.separator)
    counts = pc.list_value_length(parts).to_numpy(zero_copy_only=False)
    good = counts == len(header.names)
    if (counts > len(header.names)).any():  # others that write the format end their lines with a separator
        trimmed = pc.utf8_rtrim(batch.texts, characters=header.separator)
        parts = pc.split_pattern(pc.if_else(pa.array(good), batch.texts, trimmed), header.separator)
        counts = pc.list_value_length(parts).to_numpy(zero_copy_only=False)
        good = counts == len(header.names)
    texts, numbers, rejects = batch.texts, batch.numbers, list(batch.rejects)
    if not good.all():
        rejects += _misfits(name, batch, header, np.flatnonzero(~good))
        keep = pa.array(good)
        texts, numbers, parts = texts.filter(keep), numbers[good], parts.filter(keep)
        rejects.sort(key=lambda reject: reject.at.record or 0)
    table = pa.table(_columns(parts, len(texts), header)) if len(texts) else pa.table({})
    if not table.num_columns:
        table = pa.table({"_": pa.nulls(len(texts), TEXT)}).select([])
    return Parsed(texts, table, pa.array(numbers, pa.int64()), tuple(rejects), batch.position, batch.offset)


def _misfits(name: str, batch: Lines, header: Header, rows: npt.NDArray[np.int64]) -> Iterator[Reject]:
    for row in rows.tolist():
        text = batch.texts[row].as_py()
        count = text.count(header.separator) + 1
        why = f"{count} values where the header has {len(header.names)}" if header.names else _NO_HEADER
        yield Reject(Location(name, record=int(batch.numbers[row])), why, text.encode()[:KEPT_RAW])


def _columns(parts: Any, count: int, header: Header) -> dict[str, Any]:
    values, wide = parts.flatten(), len(header.names)
    columns: dict[str, Any] = {}
    for place, name in enumerate(header.names):
        column = values.take(pa.array(np.arange(count) * wide + place))
        made = _column(column, header.types.get(name, "string"), header)
        if made.null_count < count:
            columns[name] = made
    if header.path is not None:
        columns["_path"] = pa.repeat(pa.scalar(header.path, TEXT), count)
    if "ts" not in columns and header.opened is not None:
        columns["_open"] = pa.repeat(pa.scalar(header.opened, TEXT), count)
    return columns


def _column(texts: Any, kind: str, header: Header) -> Any:
    there = pc.not_equal(texts, header.unset)
    texts = pc.if_else(there, texts, pa.scalar(None, TEXT))
    inner = _TYPED.match(kind)
    if inner is None:
        return _scalars(pc.if_else(pc.equal(texts, header.empty), "", texts), kind)
    empty = pc.equal(texts, header.empty)
    lists = pc.split_pattern(texts, header.between)
    counts = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    nothing = pc.fill_null(empty, False).to_numpy(zero_copy_only=False)
    elements = lists.flatten().filter(pa.array(np.repeat(~nothing, counts)))
    offsets = np.concatenate(([0], np.cumsum(np.where(nothing, 0, counts)))).astype(np.int32)
    return make_lists(pa.array(offsets), _scalars(elements, inner[1]), mask=texts.is_null())


def _scalars(texts: Any, kind: str) -> Any:
    if kind == "bool":
        truth = pc.if_else(pc.equal(texts, "T"), "true", "false")
        return pc.if_else(pc.is_in(texts, pa.array(["T", "F"])), truth, texts)
    if kind in _FRACTIONS:
        short = pc.replace_substring_regex(texts, r"^(-?[0-9]+\.(?:0|[0-9]*[1-9]))0+$", r"\1")
        return _each(short, pc.match_substring(short, "e"), _number)
    return _each(texts, pc.match_substring(texts, "\\"), _unescape)


def _each(texts: Any, which: Any, change: Callable[[str], str]) -> Any:
    """Change some of the texts, one by one."""
    which = pc.fill_null(which, False)
    if not pc.any(which).as_py():
        return texts
    changed = pa.array([change(text) for text in texts.filter(which).to_pylist()], TEXT)
    return pc.replace_with_mask(texts, which, changed)


def _number(text: str) -> str:
    try:
        return repr(float(text))
    except ValueError:
        return text


def _unescape(text: str) -> str:
    r"""Undo ``\\`` and ``\xhh``; control characters and bytes that are not UTF-8 stay as they are written."""
    return _HEX.sub(lambda match: "\\" if match[0] == "\\\\" else _bytes(match[0]), text)


def _bytes(escapes: str) -> str:
    text = bytes.fromhex(escapes.replace("\\x", "")).decode("utf-8", "surrogateescape")
    return "".join(char if _shown(ord(char)) else f"\\x{ord(char) & 0xFF:02x}" for char in text)


def _shown(code: int) -> bool:
    return (code >= _FIRST_PRINTABLE and code != _DELETE and code not in _STRAY) or code in _SPOKEN
