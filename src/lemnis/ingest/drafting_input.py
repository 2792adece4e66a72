"""Which parser reads a sample, with which options: JSON, a table, syslog, pairs, or lines of one pattern."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from lemnis.contracts.errors import Location, UsageError
from lemnis.ingest import parsers
from lemnis.ingest.drafting_values import kind
from lemnis.ingest.mapping_columns import RawColumns, pc
from lemnis.ingest.parsers import Start, keyvalue
from lemnis.ingest.streams import Head, Stream

_HEAD = 262_144
_LOOK = 200
_MOST = 0.9
_MIN_PAIRS = 2
_JSON = re.compile(rb"[\xef\xbb\xbf\s]*(?:\{\s*[\"}]|\[\s*[{\]])")
"""How JSON begins that can hold records: lines of text may begin with brackets, too."""
_MIN_COLUMNS = 3
_UNITS = 12
TIMES = (
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?(?:Z| ?[+-]\d{2}:?\d{2})?",
    r"\d{4}/\d{2}/\d{2} (?:- )?\d{2}:\d{2}:\d{2}",
    r"\d{2}/\d{2}/\d{4},? \d{1,2}:\d{2}:\d{2} [AP]M",
    r"\d{2}/\d{2}/\d{4}-\d{2}:\d{2}:\d{2}\.\d{6}",
    r"[A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2}",
    r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]?\d \d{2}:\d{2}:\d{2} \d{4}",
    r"\d{1,2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2}(?:\.\d{1,6}| [+-]\d{4})?",
    r"\d{1,2}-[A-Z][a-z]{2}-\d{4} \d{2}:\d{2}:\d{2}",
    r"\d{10}(?:\.\d{1,9})?",
)
"""How times are written at the beginning of lines."""
_LEVEL = r"(?:TRACE|DEBUG|INFO|INFORMATION|NOTICE|WARN|WARNING|ERROR|ERR|CRITICAL|CRIT|FATAL|ALERT|EMERG)"
_NAMED = {
    "ip": "ip", "endpoint": "ip", "integer": "number", "number": "number", "method": "method", "uuid": "uid",
    "email": "email", "mac": "mac", "hash": "hash", "url": "url", "path": "path",
}  # fmt: skip
"""What a word is called by the kind of its values; any other is a word if it is one of few."""


def parser_of(stream: Stream) -> tuple[str, Mapping[str, Any]]:
    """Return the parser and its options for what is in a stream.

    Raises UsageError where nothing is in it, and where it is of no kind that can be drafted from.
    """
    head = stream.head(_HEAD)
    if not head.strip():
        raise UsageError("there is nothing in the sample", at=Location(stream.name))
    if b"\x00" in head[:4096]:
        raise UsageError(
            "the sample is no text", at=Location(stream.name),
            fix="draft from JSON lines, a JSON array, a table, key=value pairs or lines of text",
        )  # fmt: skip
    if _JSON.match(head):
        member = _member(head)
        return "jsonl", {"records_at": member} if member else {}
    texts = [text for text in head.decode("utf-8", "replace").splitlines() if text.strip()]
    texts = (texts[:-1] if len(head) == _HEAD and len(texts) > 1 else texts)[:_LOOK]
    if delimiter := _delimiter(texts):
        return "csvlines", {"delimiter": delimiter}
    if _syslog(stream, head):
        return "syslog", {}
    if sum(len(keyvalue.pairs(text)) >= _MIN_PAIRS for text in texts) >= _MOST * len(texts):
        heads = [str(row["head"]) for text in texts if "head" in (row := keyvalue.pairs(text))]
        if len(heads) >= _MOST * len(texts) and "<time>" in (front := pattern(heads)):
            return "keyvalue", {"head": front}
        return "keyvalue", {}
    return "pattern", {"line": pattern(texts)}


def _member(head: bytes) -> str | None:
    """Return the member of an envelope that lists the records, if the sample is one object that has such."""
    try:
        found = orjson.loads(head)
    except orjson.JSONDecodeError:
        opened = re.match(rb'[\s\xef\xbb\xbf]*\{\s*"([A-Za-z_][\w.-]{0,60})"\s*:\s*\[\s*\{', head)
        return opened[1].decode() if opened else None
    if not isinstance(found, dict):
        return None
    lists = {
        key: len(value)
        for key, value in found.items()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    }
    return (
        max(lists, key=lambda key: lists[key])
        if lists and len(found) - len(lists) <= len(found) // 2
        else None
    )


def _delimiter(texts: Sequence[str]) -> str | None:
    """Return what parts the columns of a table with a header; None if it is none."""
    if len(texts) < _MIN_PAIRS:  # a header and a row
        return None
    for delimiter in sorted(",;\t|", key=texts[0].count, reverse=True):
        try:
            rows = list(csv.reader(texts, delimiter=delimiter, strict=True))
        except csv.Error:
            continue
        header = [name.strip() for name in rows[0]]
        named = all(re.fullmatch(r"[A-Za-z_@#][\w .@/()%-]*", name) for name in header)
        widths = Counter(len(row) for row in rows[1:])
        fit = widths[len(header)] >= _MOST * (len(rows) - 1)
        if len(header) >= _MIN_COLUMNS and named and len(set(header)) == len(header) and fit:
            return delimiter
    return None


def _syslog(stream: Stream, head: bytes) -> bool:
    """Say whether the lines are syslog: nearly all of them have a host, which is no level, and a program."""
    sample = Head(stream, head, whole=len(head) < _HEAD)
    good = count = 0
    for parsed in parsers.get("syslog").parse(sample, {}, Start(), whole=sample.whole):
        count += len(parsed.records) + len(parsed.rejects)
        columns = RawColumns(parsed.fields)
        host, program = columns.get("host"), columns.get("program")
        if host is not None and program is not None:
            named = pc.invert(pc.match_substring_regex(host, f"^(?i:{_LEVEL})$"))
            good += pc.sum(pc.and_(named, program.is_valid()).cast("int64")).as_py() or 0
    return bool(count) and good >= _MOST * count


def pattern(texts: Sequence[str]) -> str:
    """Return a pattern (RE2) that fits nearly all lines: what they have in common in front, the message.

    Fields are called by what they hold: ``time``, ``level``, ``ip``, ``word2`` … for a person to rename.
    """
    rest, found, names = list(texts), "^", Counter[str]()
    for _ in range(_UNITS):
        unit = _unit(rest, first=found == "^", named=names)
        if unit is None:
            break
        written, name, rest = unit
        names[name] += 1
        group = name if names[name] == 1 else f"{name}{names[name]}"
        found += written.replace("?P<>", f"?P<{group}>")
    return f"{found}(?P<message>.*)$"


def _unit(
    texts: Sequence[str], *, first: bool, named: Mapping[str, int]
) -> tuple[str, str, list[str]] | None:
    """Return the pattern of what comes next in nearly all the lines, its name, and what follows in each."""
    for written, name in _candidates(first=first, named=named):
        compiled = re.compile(written.replace("?P<>", "?P<value>"))
        matches = [match for text in texts if (match := compiled.match(text))]
        if len(matches) < max(1, _MOST * len(texts)):
            continue
        rest = [match.string[match.end() :] for match in matches]
        if name != "word":
            return written, name, rest
        values = [match["value"] for match in matches]
        called = _NAMED.get(kind(values))
        if called is None and len(set(values)) > max(1, len(values) // 2):
            return None
        return written, called or name, rest
    return None


def _candidates(*, first: bool, named: Mapping[str, int]) -> list[tuple[str, str]]:
    times = [(rf"\[?(?P<>{written})\]?[ ,:|-]*", "time") for written in TIMES]
    word = (r"(?P<>\S+)[ \t]+", "word")
    if first:
        return [*times, word]
    level = [(rf"\[?(?P<>(?i:{_LEVEL}))\]?[ \t:|-]+", "level")] if "level" not in named else []
    return [
        (r"[|>:-]+[ \t]+", ""), *(times if "time" not in named else []), *level,
        (r"\[(?P<>[^\]]*)\][ \t:|-]*", "bracket"), (r'"(?P<>[^"]*)"[ \t]*', "quoted"),
        (r"(?P<>[A-Za-z_][\w./-]*)(?:\[\d+\])?:[ \t]+", "program"), word,
    ]  # fmt: skip
