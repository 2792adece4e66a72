r"""Access logs of web servers: the common and combined formats, with what Apache and nginx do to them.

Fields are named as in W3C logs, which is how Sigma names them: c-ip, cs-username, cs-method, cs-uri-stem,
cs-uri-query, c-uri, cs-version, sc-status, sc-bytes, cs-referer, cs-user-agent, cs-host; ``time`` is as it
is written, ``request`` the request line where it is no HTTP request, ``rest`` what follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.errors import Location
from lemnis.contracts.events import Reject
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.parsers import Options, Parsed, Start
from lemnis.ingest.streams import KEPT_RAW, Stream

pc: Any = _compute
LINES = True
_LINE = (
    r'^(?:(?P<host>[^\s"\[]+) )?(?P<ip>[0-9A-Za-z:][0-9A-Za-z.:%_-]*) '
    r"(?:(?P<ident>\S+) (?P<user>[^\[]*?)|-) "
    r'\[(?P<time>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}|-) (?P<bytes>\d+|-)'
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?(?P<rest> .*)?$'
)
_REQUEST = r"^(?P<method>[A-Za-z_-]{1,32}) (?P<uri>\S.*?)(?: (?P<version>HTTP/[0-9.]+))?$"
_URI = r"^(?P<stem>[^?]*)(?:\?(?P<query>.*))?$"
_ESCAPE = re.compile(r"""\\(?:x([0-9A-Fa-f]{2})|(["'\\nrtvbf0]))""")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "b": "\b", "f": "\f", "0": "\0"}
_NAMES = {
    "host": "cs-host", "ip": "c-ip", "user": "cs-username", "time": "time", "status": "sc-status",
    "bytes": "sc-bytes", "referer": "cs-referer", "agent": "cs-user-agent", "rest": "rest", "ident": "ident",
}  # fmt: skip


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:  # noqa: ARG001
    """Yield the requests of an access log."""
    for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
        yield _requests(stream.name, batch)


def _requests(name: str, batch: Lines) -> Parsed:
    found = pc.extract_regex(batch.texts, _LINE)
    texts, numbers, rejects = batch.texts, batch.numbers, list(batch.rejects)
    good: Any = found.is_valid().to_numpy(zero_copy_only=False)
    if not good.all():
        for row in np.flatnonzero(~good).tolist():
            at = Location(name, record=int(numbers[row]))
            raw = texts[row].as_py().encode()[:KEPT_RAW]
            rejects.append(Reject(at, "not a line of an access log in common or combined format", raw))
        mask = pa.array(good)
        found, texts, numbers = found.filter(mask), texts.filter(mask), numbers[good]
    parts = dict(zip((f.name for f in found.type), found.flatten(), strict=True))
    columns = {new: _text(parts[old]) for old, new in _NAMES.items()}
    columns["rest"] = _absent(pc.utf8_trim_whitespace(columns["rest"]))
    columns |= _request(_text(parts["request"]))
    table = pa.table({key: column for key, column in columns.items() if column.null_count < len(column)})
    if not columns or not table.num_columns:
        table = pa.table({"_": pa.nulls(len(texts), pa.string())}).select([])
    rejects.sort(key=lambda reject: reject.at.record or 0)
    positions = pa.array(numbers, pa.int64())
    return Parsed(texts, table, positions, tuple(rejects), batch.position, batch.offset)


def _request(request: Any) -> dict[str, Any]:
    """Take a request line apart; one that is no HTTP request stays as it is, in ``request``."""
    found = pc.extract_regex(request, _REQUEST)
    parts = dict(zip((f.name for f in found.type), found.flatten(), strict=True))
    uri = _absent(parts["uri"])
    pieces = pc.extract_regex(uri, _URI)
    split = dict(zip((f.name for f in pieces.type), pieces.flatten(), strict=True))
    odd = pc.if_else(pc.is_null(found), request, pa.scalar(None, pa.string()))
    return {
        "cs-method": _absent(parts["method"]), "c-uri": uri, "cs-version": _absent(parts["version"]),
        "cs-uri-stem": _absent(split["stem"]), "cs-uri-query": _absent(split["query"]), "request": odd,
    }  # fmt: skip


def _absent(column: Any) -> Any:
    """Take out empty texts and the dash that stands for nothing."""
    gone = pc.is_in(column, pa.array(["", "-"]))
    return pc.if_else(gone, pa.scalar(None, pa.string()), column)


def _text(column: Any) -> Any:
    """Take out what stands for nothing, and undo escapes where there are some."""
    column = _absent(column)
    escaped = pc.fill_null(pc.match_substring(column, "\\"), False)
    if not pc.any(escaped).as_py():
        return column
    values = [None if v is None else _unescape(v) for v in column.filter(escaped).to_pylist()]
    return pc.replace_with_mask(column, escaped, pa.array(values, pa.string()))


def _unescape(text: str) -> str:
    r"""Undo ``\xhh`` and C escapes; bytes that are not UTF-8 together stay as they were written."""

    def run(match: re.Match[str]) -> str:
        raw = bytes.fromhex(match[0].replace("\\x", ""))
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return match[0]

    text = re.sub(r"(?:\\x[0-9A-Fa-f]{2})+", run, text)
    return _ESCAPE.sub(lambda m: m[0] if m[1] else _PLAIN.get(m[2], m[2]), text)
