"""Search: a parsed query compiled to parameterised SQL over the classes that have its fields.

SQL text is made of column names from the lake's own schemas; what people type goes in as values only.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import InputError
from lemnis.store.lake import Lake
from lemnis.store.searchquery import Group, Node, Not, Term, parse, problem

_SHORT = {"source": "metadata.log_name", "uid": "metadata.uid", "severity": "severity_id"}
_TEXT = ("message", "raw_data", "unmapped")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Found:
    """One event that matched: its class's name, and the event without its empty attributes."""

    class_name: str
    time: int
    uid: str
    event: Mapping[str, Any]


def run(
    lake: Lake,
    text: str,
    *,
    start: int | None = None,
    end: int | None = None,
    limit: int = 100,
    timeout: float = 60,
) -> list[Found]:
    """Return the newest ``limit`` events that match a query (see ``store.searchquery``), newest first.

    ``start`` and ``end`` (ms) bound ``time`` to [start, end). Raises InputError that points to the column of
    the query, UsageError if it takes longer than ``timeout`` seconds.
    """
    node = parse(text)
    schemas = {name: schema for name, schema in lake.schemas().items() if "class_uid" in schema.names}
    compiled = _Compiler(schemas)
    selects, parameters = [], []
    for name in schemas:
        test, values = compiled.test(name, node)
        bounds = [("time >= ?", start)] if start is not None else []
        bounds += [("time < ?", end)] if end is not None else []
        where = " AND ".join([f"({test})", *(bound for bound, _ in bounds)])
        columns = f"'{name}' AS name, time, metadata.uid AS uid"
        selects.append(f'SELECT {columns} FROM "{name}" WHERE {where}')  # noqa: S608 - the lake's own names
        parameters += [*values, *(value for _, value in bounds)]
    compiled.check()
    if not selects:
        return []
    sql = " UNION ALL ".join(selects) + " ORDER BY time DESC, uid LIMIT ?"
    limits: dict[str, Any] = {"limit": limit, "timeout": timeout, "start": start, "end": end}
    hits = lake.query(sql, parameters=[*parameters, limit], **limits).to_pylist()
    return _events(lake, hits, limits)


def instant(text: str, now: int) -> int:
    """Read a point in time: ISO 8601, or a span before ``now`` such as 90s, 15m, 24h, 7d, 2w.

    Raises InputError.
    """
    span = re.fullmatch(r"(\d{1,9})([smhdw])", text)
    if span:
        return now - int(span[1]) * _UNITS[span[2]] * 1000
    try:
        return from_iso(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is no time", fix="write 2024-05-01, 2024-05-01T12:00:00Z, or a span back such as 24h"
        ) from error


def _events(lake: Lake, hits: list[dict[str, Any]], limits: Mapping[str, Any]) -> list[Found]:
    """Fetch the events of the hits, in their order."""
    events: dict[tuple[str, str], Mapping[str, Any]] = {}
    for name in {hit["name"] for hit in hits}:
        mine = [hit for hit in hits if hit["name"] == name]
        times = [hit["time"] for hit in mine]
        which = "time BETWEEN ? AND ? AND list_contains(?, metadata.uid)"
        sql = f'SELECT * EXCLUDE day FROM "{name}" WHERE {which}'  # noqa: S608 - the lake's own name
        values = [min(times), max(times), [hit["uid"] for hit in mine]]
        for row in lake.query(sql, parameters=values, **limits).to_pylist():
            events[name, row["metadata"]["uid"]] = _without_empty(row)
    return [Found(h["name"], h["time"], h["uid"], events[h["name"], h["uid"]]) for h in hits]


def _without_empty(value: Any) -> Any:
    """Return nested data without the attributes that are null."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item != {}}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


@dataclass(slots=True)
class _Compiler:
    """Compiles a tree for one class after the other, and notes which terms none of them could use."""

    schemas: Mapping[str, pa.Schema]
    used: set[int] = field(default_factory=set)
    failed: dict[int, InputError] = field(default_factory=dict)

    def test(self, name: str, node: Node | None) -> tuple[str, list[object]]:
        """Return a boolean SQL expression, never null, and the values for its ``?``."""
        if node is None:
            return "true", []
        if isinstance(node, Not):
            test, values = self.test(name, node.operand)
            return f"NOT ({test})", values
        if isinstance(node, Group):
            parts = [self.test(name, operand) for operand in node.operands]
            joined = f" {node.operator} ".join(f"({test})" for test, _ in parts)
            return joined, [value for _, values in parts for value in values]
        return self.term(name, node)

    def check(self) -> None:
        """Raise the error of the first term that no class could use."""
        unused = sorted(column for column in self.failed if column not in self.used)
        if unused:
            raise self.failed[unused[0]]

    def term(self, name: str, term: Term) -> tuple[str, list[object]]:
        """Compile one term; false where this class lacks the field."""
        if term.field == "class":
            known = [other for other in self.schemas if _matches(term, other)]
            if not known:
                fix = "there are " + (", ".join(self.schemas) or "no events yet")
                self.failed[term.column] = problem(term.column, f"there is no class {term.value}", fix)
            else:
                self.used.add(term.column)
            return ("true" if name in known else "false"), []
        wanted = _SHORT.get(term.field, term.field)
        leaves = dict(_leaves(self.schemas[name], ""))
        paths = [path for path in leaves if path == wanted or (wanted and path.endswith(f".{wanted}"))]
        if not term.field:
            paths = [path for path in _TEXT if path in leaves]
        tests, values = [], []
        for path in paths:
            try:
                test, some = _reach(self.schemas[name], path.split("."), term)
            except InputError as error:
                self.failed[term.column] = error
                continue
            tests.append(f"coalesce({test}, false)")
            values += some
        if tests or not term.field:
            self.used.add(term.column)
        elif term.column not in self.failed:
            self.failed[term.column] = self.unknown(term)
        return " OR ".join(tests) or "false", values

    def unknown(self, term: Term) -> InputError:
        """Make the error for a field that no class has, with the nearest that one has."""
        paths = [path.split(".") for schema in self.schemas.values() for path, _ in _leaves(schema, "")]
        ends = {".".join(path[-length:]) for path in paths for length in (1, 2, 9)} | {*_SHORT, "class"}
        near = difflib.get_close_matches(term.field, sorted(ends), n=3)
        fix = f"did you mean {' or '.join(near)}?" if near else "put it in quotes to search for the text"
        return problem(term.column, f"no event has a field {term.field}", fix)


def _leaves(schema: Any, prefix: str) -> Iterator[tuple[str, pa.DataType]]:
    """Yield every path of a schema or struct with its type; lists of structs are passed through."""
    for child in schema:
        path, kind = prefix + child.name, child.type
        yield path, kind
        while pa.types.is_list(kind):
            kind = kind.value_type
        if pa.types.is_struct(kind):
            yield from _leaves(kind, f"{path}.")


def _reach(schema: pa.Schema, path: list[str], term: Term) -> tuple[str, list[object]]:
    """Compile the test of a term on the column at a path."""
    head, *rest = path
    return _inside(_quote(head), schema.field(head).type, rest, term, 0)


def _inside(sql: str, kind: Any, path: list[str], term: Term, depth: int) -> tuple[str, list[object]]:
    """Go into structs by name and into every element of lists; compare what is at the end."""
    if pa.types.is_list(kind):
        test, values = _inside(f"x{depth}", kind.value_type, path, term, depth + 1)
        return f"len(list_filter({sql}, lambda x{depth}: coalesce({test}, false))) > 0", values
    if path:
        name, child = path[0].replace("'", "''"), kind[kind.get_field_index(path[0])]
        return _inside(f"struct_extract({sql}, '{name}')", child.type, path[1:], term, depth)
    if term.pattern == "%" and term.field:
        return f"{sql} IS NOT NULL", []
    if pa.types.is_string(kind):
        return _text(sql, term)
    if term.pattern is not None or pa.types.is_struct(kind) or pa.types.is_binary(kind):
        what = "a group of fields" if pa.types.is_struct(kind) else f"no text, but {kind}"
        fix = "name one of its fields" if pa.types.is_struct(kind) else "give a number, or * for any value"
        raise problem(term.column, f"{term.field} is {what}", fix)
    return f"{sql} {'=' if term.operator == ':' else term.operator} ?", [_number(term, kind)]


def _text(sql: str, term: Term) -> tuple[str, list[object]]:
    """Compare text without regard to case; a word may be anywhere in it."""
    if term.pattern is not None:
        pattern = term.pattern.lower() if term.field else f"%{term.pattern.lower()}%"
        return f"lower({sql}) LIKE ? ESCAPE '\\'", [pattern]
    if not term.field:
        return f"contains(lower({sql}), ?)", [term.value.lower()]
    return f"lower({sql}) {'=' if term.operator == ':' else term.operator} ?", [term.value.lower()]


def _number(term: Term, kind: pa.DataType) -> object:
    """Read a term's value as the column's type; times may be ISO 8601, severities names."""
    text = term.value
    if term.field.rpartition(".")[2] in ("severity", "severity_id") and text.upper() in Severity.__members__:
        return int(Severity[text.upper()])
    try:
        if pa.types.is_boolean(kind):
            return _TRUTHS[text.lower()]
        if pa.types.is_floating(kind):
            return float(text)
        if term.field.endswith("time") and not re.fullmatch(r"-?\d+", text):
            return from_iso(text)
        number = int(text)
    except (KeyError, ValueError) as error:
        raise problem(term.column, f"{text!r} does not fit {term.field}, which is {kind}") from error
    if abs(number) >= 2**63:
        raise problem(term.column, f"{text} is too large for {term.field}, which is {kind}")
    return number


def _matches(term: Term, name: str) -> bool:
    """Say whether a class's name is what ``class:`` asks for."""
    if term.pattern is None:
        return name == term.value.lower()
    return fnmatch.fnmatchcase(name, term.value.lower())


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
