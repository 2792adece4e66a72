"""Time travel: the versions of the lake's tables, and questions to the tables as they were.

A version of a table is what one commit left. The log tells of those within the history that is kept; files
that compaction replaced stay as long. What retention took is taken from older versions too: they cannot be
read for these days, and a question that needs them is refused, unless it may go without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import InputError, NotFoundError, UsageError
from lemnis.store import delta, deltalog, query, rows
from lemnis.store.lakes import TableSet
from lemnis.store.spots import Spot


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a table: when (ms), what was done, files and rows that came and went, rows after it.

    ``facts`` are what the commit says else. Of the first version kept it is not known what went.
    """

    name: str
    version: int
    at: int
    operation: str
    files_added: int
    files_removed: int
    rows_added: int
    rows_removed: int
    total: int
    facts: Mapping[str, Any] = field(default_factory=dict)


def versions(tables: TableSet, name: str | None = None) -> list[Version]:
    """Return the versions of tables (or one) that the logs tell of, newest first by time.

    Raises NotFoundError for a table that there is not.
    """
    found: list[Version] = []
    for folder in tables.folders():
        if name in (None, folder.name):
            found += _versions(folder)
    if name is not None and not found:
        there = ", ".join(folder.name for folder in tables.folders()) or "none"
        raise NotFoundError(f"no table {name!r} in the lake", fix=f"there are: {there}")
    return sorted(found, key=lambda one: (-one.at, one.name, -one.version))


def _versions(folder: Spot) -> Iterator[Version]:
    known: dict[str, int] = {}
    total, begun = 0, False
    for entry in deltalog.entries(folder):
        added = sum(one.rows for one in entry.added)
        if begun or entry.version == 0:
            removed = sum(known.pop(path, 0) for path in entry.removed)
            known |= {one.path: one.rows for one in entry.added}
            total += added - removed
        else:  # the log before was cut off: what the first entry left is told by its checkpoint
            table = delta.open_table(folder, entry.version)
            known = {file.path: file.rows for file in table.files()} if table else {}
            total, removed = sum(known.values()), 0
        begun = True
        yield Version(
            folder.name, entry.version, entry.at, entry.operation, len(entry.added), len(entry.removed),
            added, removed, total, entry.facts,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AsOf:
    """A moment of the lake: a time (ms), or the version of one table."""

    at: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows, and the days of tables that could not be read for them."""

    table: pa.Table
    missing: tuple[str, ...] = ()


def ask(
    tables: TableSet,
    sql: str,
    as_of: AsOf,
    *,
    parameters: Sequence[object] = (),
    limit: int = 1000,
    timeout: float = 60,
    partly: bool = False,
) -> Answer:
    """Run one SELECT over the tables as they were; what was in the spool then is not seen.

    Raises UsageError where a version is asked for of more than one table, or one that there was not, and
    InputError where files that are needed are gone, unless ``partly``. The rest is as ``Lake.query`` has it.
    """
    names = [folder.name for folder in tables.folders()]
    wanted = query.needed(sql, [*names, rows.REJECTS])
    if rows.REJECTS in wanted and len(wanted) == 1:
        raise UsageError("rejects have no history", fix="ask without --as-of")
    chosen = sorted(wanted & set(names))
    if as_of.version is not None and len(chosen) != 1:
        raise UsageError(
            f"version {as_of.version} of which table? the query needs {len(chosen)}",
            fix="name one table in the query, or give a time; `lemnis lake history` lists both",
        )
    relations: dict[str, query.Relation] = {}
    missing: list[str] = []
    for name in names:
        there = _at(tables.folder(name), as_of) if name in chosen else None
        if there is None:
            continue
        files = [(file, there.absolute(file)) for file in there.files()]
        gone = sorted({file.day for file, path in files if not path.exists()})
        missing += [f"{name} {day}" for day in gone]
        paths = [path for file, path in files if file.day not in gone]
        relations[name] = query.Relation(there.schema, paths, there.schema.empty_table())
    if not relations:
        raise UsageError(
            f"there was nothing in the lake {_said(as_of)}", fix="`lemnis lake history` lists what was"
        )
    if missing and not partly:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")  # noqa: PLR2004
        raise InputError(
            f"{len(missing)} days are no longer on the disk as they were {_said(as_of)}: {shown}",
            fix="retention took them, or history is kept for fewer days (`lake: {history_days: …}`); "
            "--partly goes without them",
        )
    answer = query.run(relations, sql, parameters=parameters, limit=limit, timeout=timeout)
    return Answer(answer, tuple(missing))


def _at(folder: Spot, as_of: AsOf) -> delta.Table | None:
    """Open a table as it was; None where there was none yet."""
    kept = [version for version, _ in deltalog.versions(folder)]
    if not kept:
        return None
    if as_of.version is not None:
        if not kept[0] <= as_of.version <= kept[-1]:
            raise UsageError(
                f"no version {as_of.version} of {folder.name} is kept",
                fix=f"there are {kept[0]} to {kept[-1]}",
            )
        return delta.open_table(folder, as_of.version)
    version = deltalog.version_at(folder, as_of.at or 0)
    if version is None and kept[0] > 0:
        first = to_iso(deltalog.read(deltalog.versions(folder)[0][1]).at)
        raise UsageError(
            f"the history of {folder.name} begins at {first}",
            fix="`lake: {history_days: …}` keeps more from now on",
        )
    return None if version is None else delta.open_table(folder, version)


def _said(as_of: AsOf) -> str:
    return f"at version {as_of.version}" if as_of.version is not None else f"at {to_iso(as_of.at or 0)}"
