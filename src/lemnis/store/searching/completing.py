"""What can be typed next, and what fields there are: from the schemas, and from the newest events."""

# ruff: noqa: S608 - SQL is made of the lake's own names and of ours

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from lemnis.contracts.errors import InputError
from lemnis.store import footers, query
from lemnis.store.lakes import Readable, Snapshot
from lemnis.store.query import Relation
from lemnis.store.search import Limits, Search
from lemnis.store.searching import expressions, known, pipes, windows
from lemnis.store.searching.base import kind_of
from lemnis.store.searching.fields import ENTITIES, SHORT, Classes, quote, value
from lemnis.store.searching.veils import Veil

SAMPLE = 20_000
"""So many of the newest events of each class are looked at, and those that lie in files with them."""
_RECENT = 200_000
_TIMEOUT, _LONGEST = 10.0, 4_000
_VALUES, _SHOWN, _EXAMPLE = 5_000, 3, 60
_TOKEN = re.compile(r'[^\s|()\[\]",]*$')
_VALUE = re.compile(r"(?<![\w.])([A-Za-z_][\w.]*):([^\s:]*)$")
_STAGE = re.compile(r"\|\s*([a-z]*)$")
_INSIDE = re.compile(r"\|\s*([a-z]+)\s+[^|]*$")
_FUNCTIONS = {"stats": pipes.FUNCTIONS, "timechart": pipes.FUNCTIONS, "eval": tuple(expressions.FUNCTIONS)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may come next: the text that takes the place of the last word, and in how many events it is.

    ``kind`` is field, value, stage, function or entity; what is no part of events has a count of 0.
    """

    text: str
    kind: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field: its path, its type, the classes that have it, and what the newest events have in it.

    ``filled`` is the part of the ``sampled`` events of these classes that have a value.
    """

    name: str
    type: str
    classes: tuple[str, ...]
    sampled: int
    filled: float
    examples: tuple[str, ...]


def complete(
    lake: Readable, text: str, *, now: int, limit: int = 20, veil: Veil | None = None
) -> list[Candidate]:
    """Return what the last word of a query may become, the likeliest first, of what ``veil`` shows.

    Nothing, for a text that is longer than a query may be.
    """
    if len(text) > _LONGEST:
        return []
    stage = _STAGE.search(text)
    if stage:
        return [Candidate(one, "stage") for one in pipes.STAGES if one.startswith(stage[1])][:limit]
    found = _VALUE.search(text)
    if found:
        return values(lake, found[1], found[2], now=now, within=text[: found.start()], limit=limit, veil=veil)
    word = last_word(text)
    inside = _INSIDE.search(text)
    if inside and inside[1] == "join" and "[" not in inside[0]:
        return [Candidate(one, "entity") for one in ENTITIES if one.startswith(word)][:limit]
    functions = _FUNCTIONS.get(inside[1], ()) if inside and " by " not in inside[0] else ()
    called = [Candidate(one, "function") for one in functions if one.startswith(word)]
    return (called + _fields(lake, word))[:limit]


def last_word(text: str) -> str:
    """Return the end of a query that a candidate takes the place of."""
    token = _TOKEN.search(text[-_LONGEST:])
    return token[0].lstrip("-+") if token else ""


def values(
    lake: Readable,
    field: str,
    prefix: str,
    *,
    now: int,
    within: str = "",
    limit: int = 20,
    veil: Veil | None = None,
) -> list[Candidate]:
    """Return the values of a field that begin so, the most frequent of the newest events first.

    ``within`` is a filter that the events shall meet; it is left out where it is none.
    """
    snapshots = {name: one for name, one in lake.snapshots().items() if "class_uid" in one.schema.names}
    if field == "class":
        return [Candidate(f"class:{name}", "value") for name in snapshots if name.startswith(prefix)][:limit]
    newest = next(windows.backwards(windows.Tables(snapshots).parts, None, None, _RECENT), None)
    start = newest[0] if newest else None
    stages = f"{field}:* | stats count by {field} | sort -count"
    limits = Limits(_VALUES, _TIMEOUT)
    search: Search | None = None
    for before in dict.fromkeys((within, "")):
        try:
            search = Search(lake, f"{before} {stages}", now=now, start=start, limits=limits, veil=veil)
            break
        except InputError:
            continue
    rows = [row for table in search.tables() for row in table.to_pylist()] if search else []
    named = [(_text(row[field]), row["count"]) for row in rows if row[field] is not None]
    return [
        Candidate(f"{field}:{_written(text)}", "value", count)
        for text, count in named
        if text.lower().startswith(prefix.lower())
    ][:limit]


def fields(lake: Readable, *, like: str = "", examples: bool = True) -> list[FieldInfo]:
    """Return the fields that have values in the newest events, by path; of these, those with ``like``.

    To find ``examples`` takes longest: events are read for them.
    """
    rows: dict[str, list[tuple[str, str, int, int, list[str]]]] = {}
    snapshots = {name: one for name, one in lake.snapshots().items() if "class_uid" in one.schema.names}
    classes = Classes({name: one.schema for name, one in snapshots.items()})
    for name, snapshot in sorted(snapshots.items()):
        paths = [p for p, kind in classes.leaves(name).items() if kind_of(kind) and like.lower() in p.lower()]
        sampled, counts = _filled(name, snapshot, paths)
        there = [path for path in paths if counts.get(path)]
        shown = _examples(name, snapshot, there) if examples else {}
        for path in there:
            kind = kind_of(value(snapshot.schema, path)[1])
            rows.setdefault(path, []).append((name, kind, sampled, counts[path], shown.get(path, [])))
    return [_info(path, some) for path, some in sorted(rows.items())]


def _info(path: str, some: list[tuple[str, str, int, int, list[str]]]) -> FieldInfo:
    sampled, filled = sum(one[2] for one in some), sum(one[3] for one in some)
    examples = dict.fromkeys(text for *_, texts in some for text in texts)
    return FieldInfo(
        path, some[0][1], tuple(one[0] for one in some), sampled, filled / sampled if sampled else 0.0,
        tuple(examples)[:_SHOWN],
    )  # fmt: skip


def _fields(lake: Readable, word: str) -> list[Candidate]:
    """Return the ways to name a field that begin with a word, the most often filled first."""
    snapshots = {name: one for name, one in lake.snapshots().items() if "class_uid" in one.schema.names}
    classes = Classes({name: one.schema for name, one in snapshots.items()})
    counts: dict[str, int] = {}
    for name, snapshot in snapshots.items():
        ways: dict[str, list[str]] = {}
        for path, kind in classes.leaves(name).items():
            if kind_of(kind):
                parts = path.split(".")
                ends = [".".join(parts[place:]) for place in range(len(parts))]
                ends += [short for short, long in SHORT.items() if long == path]
                ways[path] = [end for end in ends if end.lower().startswith(word.lower())]
        ways = {path: ends for path, ends in ways.items() if ends}
        _, filled = _filled(name, snapshot, list(ways)) if ways else (0, {})
        for path, ends in ways.items():
            for end in ends:
                counts[end] = counts.get(end, 0) + filled.get(path, 0)
        for way, count in _known(name, snapshot, classes):
            if way.lower().startswith(word.lower()):
                counts[way] = counts.get(way, 0) + count
    if "class".startswith(word) and snapshots:
        counts["class"] = sum(_rows(one) for one in snapshots.values())
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0].count("."), pair[0]))
    return [Candidate(text, "field", count) for text, count in ranked]


def _known(name: str, snapshot: Snapshot, classes: Classes) -> Iterator[tuple[str, int]]:
    """Yield the ways to name what enrichments say of the newest events, with the number that say it."""
    if not known.paths("asset.id", classes.leaves(name)):
        return
    each = f"SELECT unnest({known.COLUMN}) AS e FROM sample"
    keys = (
        "SELECT e.type AS k, e.name AS n, unnest(json_keys(e.data)) AS a FROM each WHERE json_valid(e.data)"
    )
    sql = (
        f"WITH sample AS ({{sample}}), each AS ({each}), keys AS ({keys}) "
        "SELECT list({'k': k, 'n': n, 'a': a, 'c': c}) AS found "
        "FROM (SELECT k, n, a, count(*) AS c FROM keys GROUP BY ALL)"
    )
    (row,) = _asked(name, snapshot, sql)
    for one in row["found"] or ():
        yield from ((way, one["c"]) for way in known.ways(one["k"], one["n"] or "", one["a"]))


def _filled(name: str, snapshot: Snapshot, paths: Iterable[str]) -> tuple[int, dict[str, int]]:
    """Return how many events were looked at, and how many of them have each path.

    Files say it themselves, of the row groups that the newest events are in; only how many lists have
    elements is counted, where it is not plain.
    """
    some = list(paths)
    there, low, high = _newest(name, snapshot)
    files = [file for file in there.files if isinstance(file, Path)]
    if len(files) < len(there.files):  # in a bucket
        return _counted(name, there, some, low, high)
    try:
        rows, told = footers.counted(files, low, high)
    except OSError as error:
        raise query.GoneError(next((file for file in files if not file.exists()), files[0])) from error
    waiting, more = _counted(name, replace(there, files=[]), some, low, high)
    sampled = rows + waiting
    known = {path: told.get(path, (0, 0)) for path in some}
    open_ones = [path for path, (least, most) in known.items() if least != most]
    of, counts = _counted(name, there, open_ones, low, high) if open_ones else (0, {})
    shares = {path: count / of for path, count in counts.items()} if of else {}
    return sampled, {
        path: math.ceil(shares[path] * sampled) if path in shares else least + more[path]
        for path, (least, _) in known.items()
    }


def _counted(
    name: str, there: Relation, paths: Sequence[str], low: int, high: int
) -> tuple[int, dict[str, int]]:
    """Count events, and those of them that have each path."""
    if not there.files and isinstance(there.spooled, pa.Table) and not there.spooled.num_rows:
        return 0, dict.fromkeys(paths, 0)
    columns = ["count(*) AS n"]
    for number, path in enumerate(paths):
        sql, kind = value(there.schema, path)
        listed = f"count_if(len(list_filter({sql}, lambda one: one IS NOT NULL)) > 0)"
        counted = listed if pa.types.is_list(kind) else f"count({sql})"
        columns.append(f"{counted} AS c{number}")
    (row,) = _run(name, there, f"SELECT {', '.join(columns)} FROM ({{sample}})", low, high)
    return int(row["n"]), {path: int(row[f"c{number}"] or 0) for number, path in enumerate(paths)}


def _examples(name: str, snapshot: Snapshot, paths: list[str]) -> dict[str, list[str]]:
    """Return the most frequent values at paths."""
    columns = []
    for number, path in enumerate(paths):
        sql, kind = value(snapshot.schema, path)
        one = f"{sql}[1]" if str(kind).startswith("list") else sql
        columns.append(f"approx_top_k(left(CAST({one} AS VARCHAR), {_EXAMPLE}), {_SHOWN}) AS e{number}")
    if not columns:
        return {}
    (row,) = _asked(name, snapshot, f"SELECT {', '.join(columns)} FROM ({{sample}})")
    return {path: [str(v) for v in row[f"e{n}"] or () if v is not None] for n, path in enumerate(paths)}


def _asked(name: str, snapshot: Snapshot, sql: str) -> list[dict[str, Any]]:
    """Ask the newest events of a class, which stand for ``{sample}``."""
    there, low, high = _newest(name, snapshot)
    return _run(name, there, sql, low, high)


def _newest(name: str, snapshot: Snapshot) -> tuple[Relation, int, int]:
    """Return the newest events of a class, and from when to when (ms) they are."""
    tables = windows.Tables({name: snapshot})
    low, high = next(windows.backwards(tables.parts, None, None, SAMPLE), (0, 1))
    return tables.relations({name}, low, high)[name], low, high


def _run(name: str, there: Relation, sql: str, low: int, high: int) -> list[dict[str, Any]]:
    """Ask these events of a class, which stand for ``{sample}``."""
    sample = f"SELECT * FROM {quote(name)} WHERE time >= ? AND time < ? LIMIT {SAMPLE}"
    sql = sql.replace("{sample}", sample)
    relations = {name: there.narrowed(sql)}
    return query.run(relations, sql, parameters=[low, high], limit=1, timeout=_TIMEOUT).to_pylist()


def _rows(snapshot: Snapshot) -> int:
    return sum(part.rows for part in windows.Tables({"": snapshot}).parts)


def _text(one: Any) -> str:
    return str(one).lower() if isinstance(one, bool) else str(one)


def _written(text: str) -> str:
    """Return a value as a query has it: in quotes, if it needs them."""
    if re.fullmatch(r"[\w.@:/-]+", text) and not text.startswith(("/", "-")):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
