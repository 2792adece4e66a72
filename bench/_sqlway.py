"""The SQL way: fields into a table in SQLite, each rule one SELECT by pySigma's SQLite backend.

So does Zircolite, and so is it done here: every field of the events is a column, in the order in which they
come. The peer is helped where it would fall silent: a field that only rules know is a column, too (a query
over a column that the table lacks fails), and of fields whose names differ by case alone, which SQLite takes
for one, the row's own is kept. ``arranged`` helps it further, as its users cannot: only the columns that some
rule asks for, those first that nearly every query asks for, because SQLite reads a row from its start. In
both cases the rules are turned into SQL before the clock starts.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from bench import _evtx, _windows
from lemnis.detect.rules import rule_files

RAW = "_raw"
"""The column of the whole record, for keywords."""
FIRST = ("Channel", "EventID")
MOST = 1_990
"""SQLite takes 2,000 columns, unless it was built otherwise."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Rules as SQL: the id, the query, its fields; and why some rules have none."""

    sql: list[tuple[str, str]]
    fields: list[str]
    refused: dict[str, str]


def available() -> str:
    """Return why the SQL way cannot be gone; "" if it can."""
    try:
        import sigma.backends.sqlite  # noqa: F401, PLC0415
    except ImportError:
        return "pysigma-backend-sqlite is not installed"
    return ""


def queries(paths: Sequence[Path], cache: Path | None = None) -> Queries:
    """Turn rules into SQL; with ``cache`` a file that keeps them."""
    if cache is not None and cache.exists():
        return Queries(**orjson.loads(cache.read_bytes()))
    from sigma.backends.sqlite import sqliteBackend  # noqa: PLC0415
    from sigma.collection import SigmaCollection  # noqa: PLC0415
    from sigma.exceptions import SigmaError  # noqa: PLC0415
    from sigma.rule import SigmaRule  # noqa: PLC0415

    backend = sqliteBackend(processing_pipeline=_windows.pipeline(), fulltext_field=RAW)
    made = Queries([], [], {})
    fields: set[str] = set()
    for file in rule_files(paths):
        try:
            rules = SigmaCollection.from_yaml(file.read_text(encoding="utf-8")).rules
        except SigmaError as error:
            made.refused[file.name] = str(error)
            continue
        for rule in rules:
            if not isinstance(rule, SigmaRule):
                continue
            try:
                made.sql.extend((str(rule.id), query) for query in backend.convert_rule(rule))
                fields.update(backend.required_fields(rule))
            except (SigmaError, NotImplementedError) as error:
                made.refused[str(rule.id)] = str(error)
    made.fields.extend(sorted(fields))
    if cache is not None:
        cache.write_bytes(orjson.dumps(made))
    return made


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _regexp(pattern: str, value: Any) -> bool:
    return value is not None and _pattern(pattern).search(str(value)) is not None


class Table:
    """Records in SQLite, in memory."""

    def __init__(self, fields: Iterable[str]) -> None:
        """Make the table's columns."""
        alike: dict[str, list[str]] = {}
        for name in (*(name for name in fields if name != RAW), RAW):
            alike.setdefault(name.lower(), []).append(name)
        self._columns = list(alike.values())
        self._database = sqlite3.connect(":memory:")
        self._database.create_function("regexp", 2, _regexp, deterministic=True)

    def fill(self, rows: Iterable[tuple[str, dict[str, Any]]], whole: frozenset[str]) -> None:
        """Make the table; ``whole`` names the fields that hold whole numbers."""
        spelled = ", ".join(
            '"{}" {}'.format(
                names[0].replace('"', '""'), "INTEGER" if names[0] in whole else "TEXT COLLATE NOCASE"
            )
            for names in self._columns
        )
        self._database.execute(f"CREATE TABLE logs ({spelled})")
        marks = ", ".join("?" for _ in self._columns)
        first = [names[0] for names in self._columns[:-1]]
        others = [(place, name) for place, names in enumerate(self._columns[:-1]) for name in names[1:]]

        def values(raw: str, fields: dict[str, Any]) -> list[Any]:
            row = [*map(fields.get, first), raw]
            for place, name in others:
                if row[place] is None and name in fields:
                    row[place] = fields[name]
            return row

        self._database.executemany(
            f"INSERT INTO logs VALUES ({marks})",  # noqa: S608 - own text
            (values(raw, fields) for raw, fields in rows),
        )

    def ask(self, query: str) -> list[int]:
        """Return the rows, from 0, that a query selects; raises sqlite3.Error."""
        wanted = query.replace("SELECT * FROM", "SELECT rowid, * FROM", 1)
        return [row[0] - 1 for row in self._database.execute(wanted)]


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """Flatten as such tools do: fields of nested objects by their own names, lists and truth as text."""
    if not any(isinstance(value, (dict, list, bool)) for value in record.values()):
        return record
    return dict(_leaves(record))


def _leaves(record: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        elif isinstance(value, list):
            yield name, orjson.dumps(value).decode()
        elif isinstance(value, bool):
            yield name, str(value).lower()
        else:
            yield name, value


def columns(rows: Sequence[tuple[str, dict[str, Any]]], asked: Sequence[str], *, arranged: bool) -> list[str]:
    """Return the fields to make columns of, in order."""
    if arranged:
        return list(dict.fromkeys((*FIRST, *asked)))
    seen = list(dict.fromkeys(name for _, fields in rows for name in fields))
    if len({*seen, *asked}) > MOST:
        seen = [name for name in seen if name in set(asked)]
    return list(dict.fromkeys((*seen, *asked)))


def run(
    rows: Sequence[tuple[str, dict[str, Any]]], made: Queries, *, arranged: bool
) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Return the rows of each rule that found some, and why a rule could not be asked."""
    table = Table(columns(rows, made.fields, arranged=arranged))
    table.fill(rows, frozenset({"EventID"}))
    found: dict[str, list[int]] = {}
    failed: dict[str, str] = {}
    for rule, query in made.sql:
        try:
            selected = table.ask(query)
        except (sqlite3.Error, re.error) as error:
            failed[rule] = str(error)
            continue
        if selected:
            found[rule] = sorted({*found.get(rule, ()), *selected})
    return found, failed


def main(spec: dict[str, Any]) -> dict[str, Any]:
    """Run over a file of JSON lines, of messages (``text``), or a folder of EVTX files (``evtx``)."""
    cache = Path(spec["cache"]) if "cache" in spec else None
    made = queries([Path(path) for path in spec["rules"]], cache)
    file = Path(spec["events"])
    wall, cpu = time.perf_counter(), time.process_time()
    if spec.get("evtx"):
        rows = [(text, fields) for _, _, text, fields in _evtx.records(file)]
    else:
        with file.open(encoding="utf-8") as lines:
            rows = [(line, {} if spec.get("text") else flat(orjson.loads(line))) for line in lines]
    found, failed = run(rows, made, arranged=bool(spec.get("arranged")))
    return {
        "rules": len({rule for rule, _ in made.sql}),
        "refused": len(made.refused) + len(failed),
        "events": len(rows),
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "alerts": sum(map(len, found.values())),
        "fired": dict(Counter({rule: len(at) for rule, at in found.items()})),
        "failed": failed,
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(orjson.dumps(main(orjson.loads(sys.argv[1]))) + b"\n")
