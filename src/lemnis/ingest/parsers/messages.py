r"""Messages of one product in whatever carries them: syslog, a container's log file, or a file of its own.

What carries a line is taken off it and gives ``logged`` (its time), ``host``, ``program``, ``pid`` and
``stream``; the message that is left gives the fields of the first pattern that fits it.

Options: ``messages``, regular expressions (RE2) with named groups, tried in order; ``head``, one that every
message begins with, whose group ``message`` is what the others read; ``json``, whether a message may also be
a JSON object, whose members are fields; ``skip``, a pattern of messages that are no records. A message that
none of it reads is a reject; a group that takes no part, takes nothing or a dash is no field.

For example ``{head: '^\[(?P<level>\w+)\] (?P<message>.*)$', messages: ['^denied (?P<ip>\S+)']}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as _compute

from lemnis.contracts.errors import ContentError, Location
from lemnis.contracts.events import Reject
from lemnis.ingest.flatten import coalesce, flatten
from lemnis.ingest.lines import Lines, lines
from lemnis.ingest.parsers import Options, Parsed, Start
from lemnis.ingest.streams import KEPT_RAW, Stream

pc: Any = _compute
LINES = True
TEXT = pa.string()
_NONE = pa.scalar(None, TEXT)
_FIX = "give the option `messages`: regular expressions (RE2) of which every group is named"
_ISO = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d+)?(?:Z|[+-]\d{2}:?\d{2})?"
_OLD = r"[A-Z][a-z]{2} {1,2}\d{1,2}(?: \d{4})? \d{2}:\d{2}:\d{2}(?:\.\d+)?"
_PRIORITY = r"(?:<\d{1,3}>)?"
_NEW = (
    r"(?s)^<\d{1,3}>[1-9]\d{0,2} (?P<logged>\S+) (?P<host>\S+) (?P<program>\S+) (?P<pid>\S+) \S+ "
    r'(?:-|(?:\[(?:[^"\]]|"(?:[^"\\]|\\.)*")*\])+)(?: (?:\x{FEFF})?(?P<message>.*))?$'
)
_TAGGED = (
    rf"(?s)^{_PRIORITY}(?P<logged>{_OLD}|{_ISO}) (?P<host>[^\s:%\[]\S*) "
    r"(?P<program>[^\s\[\]:%]+)(?:\[(?P<pid>[^\]\s]*)\])?: *(?P<message>.*)$"
)
_CARRIERS = (
    rf"(?s)^(?P<logged>{_ISO}) (?P<stream>stdout|stderr) [FP] (?P<message>.*)$",
    _NEW,
    _TAGGED,
    rf"(?s)^{_PRIORITY}(?P<logged>{_OLD}|{_ISO})(?: (?P<host>[^\s:%]\S*))? ?: ?(?P<message>.*)$",
    rf"(?s)^{_PRIORITY}(?P<logged>{_OLD}|{_ISO})(?: (?P<host>[^\s:%\[]\S*)){{0,2}} (?P<message>[%\[].*)$",
    r"(?s)^<\d{1,3}>(?: *: *)?(?:(?P<program>[^\s\[\]:%]+)(?:\[(?P<pid>[^\]\s]*)\])?: *)?(?P<message>.*)$",
    r"(?s)^(?P<program>[A-Za-z][^\s\[\]:%]*)\[(?P<pid>\d+)\]: *(?P<message>.*)$",
)


def parse(stream: Stream, options: Options, start: Start, *, whole: bool) -> Iterator[Parsed]:
    """Yield the messages of a stream as records; raises ContentError for patterns that cannot be used."""
    patterns = _patterns(options)
    for batch in lines(stream, position=start.position, offset=start.offset, whole=whole):
        yield _read(stream.name, batch, patterns, options)


def _patterns(options: Options) -> Sequence[str]:
    given = options.get("messages", ())
    patterns = [given] if isinstance(given, str) else list(given)
    try:
        for pattern in (*patterns, str(options.get("head", ""))):
            pc.extract_regex(pa.array([], TEXT), f"(?P<all>{pattern})")
        pc.match_substring_regex(pa.array([""]), str(options.get("skip", "")))
    except pa.ArrowInvalid as error:
        raise ContentError(f"a pattern of the messages cannot be used: {error}", fix=_FIX) from error
    if not patterns and not options.get("json"):
        raise ContentError("the parser of messages has no pattern", fix=_FIX)
    return patterns


def _read(name: str, batch: Lines, patterns: Sequence[str], options: Options) -> Parsed:
    columns = _split(batch.texts, _CARRIERS)
    message = columns.pop("message", pa.nulls(len(batch.texts), TEXT))
    message = pc.utf8_rtrim_whitespace(pc.coalesce(message, batch.texts))
    left = np.ones(len(message), bool)
    skipped = np.zeros(len(message), bool)
    if "skip" in options:
        skipped = _true(pc.match_substring_regex(message, str(options["skip"])))
        left &= ~skipped
    if "head" in options:
        headless = left.copy()
        columns |= _split(message, [str(options["head"])], headless)
        message, left = columns.pop("message", message), left & ~headless
    unread = left.copy()
    if options.get("json"):
        _add(columns, _members(message, unread))
    _add(columns, _split(message, patterns, unread))
    read = left & ~unread
    return _parsed(name, batch, columns, (~read & ~skipped, read))


def _split(texts: Any, patterns: Sequence[str], left: Any = None) -> dict[str, Any]:
    """Return the groups of the first pattern that fits each text; ``left`` keeps the rows that none did."""
    left = np.ones(len(texts), bool) if left is None else left
    columns: dict[str, Any] = {}
    for pattern in patterns:
        if not left.any():
            break
        found = pc.extract_regex(texts if left.all() else pc.if_else(pa.array(left), texts, _NONE), pattern)
        fits = found.is_valid().to_numpy(zero_copy_only=False)
        left &= ~fits
        if fits.any():
            parts = {one.name: column for one, column in zip(found.type, found.flatten(), strict=True)}
            _add(columns, {name: _present(column) for name, column in parts.items()})
    return columns


def _add(columns: dict[str, Any], more: dict[str, Any]) -> None:
    for name, column in more.items():
        columns[name] = coalesce(column, columns[name]) if name in columns else column


def _present(column: Any) -> Any:
    return pc.if_else(pc.is_in(column, pa.array(["", "-"])), _NONE, column)


def _true(mask: Any) -> Any:
    return pc.fill_null(mask, False).to_numpy(zero_copy_only=False)


def _members(message: Any, left: Any) -> dict[str, Any]:
    """Return the members of the messages that are JSON objects; ``left`` keeps the rows that are none."""
    rows = np.flatnonzero(left & _true(pc.starts_with(message, "{")))
    if not len(rows):
        return {}
    flat = flatten(message.take(pa.array(rows)))
    good = np.ones(len(rows), bool)
    good[list(flat.bad)] = False
    left[rows[good]] = False
    places = np.full(len(message), -1)
    places[rows[good]] = np.flatnonzero(good)
    taken = pa.array(places, mask=places < 0)
    return {name: column.take(taken) for name, column in flat.columns.items()}


def _parsed(name: str, batch: Lines, columns: dict[str, Any], rows: tuple[Any, Any]) -> Parsed:
    unread, read = rows
    rejects = list(batch.rejects)
    for row in np.flatnonzero(unread).tolist():
        raw = batch.texts[row].as_py().encode()[:KEPT_RAW]
        why = "the message fits none of the source's patterns"
        rejects.append(Reject(Location(name, record=int(batch.numbers[row])), why, raw))
    rejects.sort(key=lambda reject: reject.at.record or 0)
    keep = pa.array(read)
    texts, numbers = batch.texts.filter(keep), batch.numbers[read]
    kept = {key: column.filter(keep) for key, column in columns.items()}
    kept = {key: column for key, column in kept.items() if column.null_count < len(column)}
    fields = pa.table(kept) if kept else pa.table({"_": pa.nulls(len(texts), TEXT)}).select([])
    positions = pa.array(numbers, pa.int64())
    return Parsed(texts, fields, positions, tuple(rejects), batch.position, batch.offset)
