"""Lines of ``key=value`` pairs (logfmt, and what firewalls and gateways write).

A value may be in double or single quotes, with backslashes before quotes in it; a comma, a semicolon or
a bracket that only closes after a value belongs to none. A key that comes again gives a list. What stands
before the first pair is the field ``head``, what stands between pairs ``rest``. A line without a pair is a
reject.

Option ``head``: a regular expression (RE2) whose named groups are fields of what is before the first pair.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import re2

from lemnis.contracts.errors import ContentError, Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.parsers import Options, Parsed, Start
from lemnis.ingest.parsers._columns import Row, table
from lemnis.ingest.streams import KEPT_RAW, Stream

PAIR = re.compile(
    r"""(?:^|(?<=[\s,;|(\[{]))([A-Za-z_@][\w.@/-]{0,100})="""
    r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"']?\S*))"""
)
_ESCAPED = re.compile(r"\\([\"'\\])")
_BETWEEN = " \t,;|"
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the lines of a stream as records; raises ContentError for a pattern that cannot be used."""
    head = options.get("head")
    try:
        front = None if head is None else re2.compile(str(head))
    except re2.error as error:
        raise ContentError(f"the pattern of `head` cannot be used: {error}") from error
    for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
        yield _read(stream.name, batch, front)


def _read(name: str, batch: Lines, front: Any) -> Parsed:
    rejects, kept, rows, numbers = list(batch.rejects), [], [], []
    texts: list[str] = batch.texts.to_pylist()  # type: ignore[assignment]
    for text, number in zip(texts, batch.numbers.tolist(), strict=True):
        row = pairs(text)
        if front is not None and (found := front.match(str(row.get("head") or ""))):
            row = {key: value for key, value in found.groupdict().items() if value} | row
        if row:
            kept.append(text)
            rows.append(row)
            numbers.append(number)
        else:
            at = Location(name, record=number)
            rejects.append(Reject(at, "no key=value pair in the line", text.encode()[:KEPT_RAW]))
    rejects.sort(key=lambda reject: reject.at.record or 0)
    positions = pa.array(numbers, pa.int64())
    return Parsed(
        pa.array(kept, pa.string()), table(rows), positions, tuple(rejects), batch.position, batch.offset
    )


def pairs(text: str) -> Row:
    """Return the pairs of one line, and what stands outside them; nothing if it has no pair."""
    row: Row = {}
    end, first, between = 0, -1, []
    for found in PAIR.finditer(text):
        if first < 0:
            first = found.start()
        elif rest := text[end : found.start()].strip(_BETWEEN):
            between.append(rest)
        end = found.end()
        key, double, single, bare = found.groups()
        value = (
            _bare(bare) if bare is not None else _ESCAPED.sub(r"\1", double if double is not None else single)
        )
        known = row.get(key)
        if known is None:
            row[key] = value or None
        elif value:
            row[key] = [*known, value] if isinstance(known, list) else [known, value]
    if first < 0:
        return {}
    if head := text[:first].strip(_BETWEEN):
        row.setdefault("head", head)
    if rest := text[end:].strip(_BETWEEN):
        between.append(rest)
    if between:
        row.setdefault("rest", " ".join(between))
    return row


def _bare(text: str) -> str:
    """Return a value that stands in no quotes without what follows it."""
    value = text.rstrip(",;|")
    for opening, closing in _BRACKETS:
        if value.endswith(closing) and opening not in value:
            value = value.rstrip(f"{closing},;|")
    return value
