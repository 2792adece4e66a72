"""What a check found is put right where that loses nothing: said first, done when asked for.

Nothing is deleted that may be of use: entries of logs, checkpoints and lists of uids that are damaged are set
aside below ``aside/``. Rows of data files that no version names are added again if no other file and no
segment of the spool has their uids, so that a log that lost its end loses no event; what is there twice is
not. A file whose bytes are what its name says, and of which the log says something else, is written anew by
what is in it. What is lost already, such as a file that is gone, is only given up if that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.contracts.errors import IntegrityError, UsageError
from lemnis.store import compaction, delta, deltalog, durable, spots
from lemnis.store.columns import MS_A_DAY, Keys, merge_schemas, uid_keys
from lemnis.store.compaction import Rewriting
from lemnis.store.delta import DataFile
from lemnis.store.integrity import Finding, Report
from lemnis.store.lakes import TableSet
from lemnis.store.rows import uids as uids_of
from lemnis.store.spots import Spot
from lemnis.store.sweeping import data_files
from lemnis.store.tables import Tables

REPAIR = "repair"
ASIDE = "aside"
_BATCH = 131_072
_LOG = {"log-torn", "log-gap", "log-unreadable", "log-cut"}
_LIES = {"row-time", "row-day", "file-rows", "file-size"}
_LISTS, _UIDS = "uid-list", "uid-unknown"
_DAMAGED = {"file-changed", "file-page", "file-unreadable", "file-columns", "row-incomplete"}
"""Kinds of findings that each step is for; a file with one of the last kind is left as it is."""


@dataclass(frozen=True, slots=True)
class Step:
    """What would be done: a ``kind`` (log, state, lists, uids, lies, missing, strays), and in words."""

    kind: str
    what: str
    table: str = ""
    at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What can be put right, and what cannot."""

    steps: tuple[Step, ...]
    left: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What a step did: rows that were added again or written anew, files that it took away or set aside."""

    step: Step
    rows: int = 0
    files: int = 0


def plan(report: Report, *, give_up: bool = False) -> Plan:
    """Say what can be done about a report; ``give_up`` lets go of files that are gone."""
    by_kind: dict[str, list[Finding]] = {}
    for one in report.findings:
        by_kind.setdefault(one.kind, []).append(one)
    steps: list[Step] = []
    logs = sorted({one.table for kind in _LOG for one in by_kind.get(kind, ())})
    steps += [Step("log", "set its log aside from the first bad entry on", name) for name in logs]
    states = sorted({one.table for one in by_kind.get("log-state", ())} - set(logs))
    steps += [Step("state", "set its checkpoints aside: the entries say all", name) for name in states]
    damaged = {one.at for kind in _DAMAGED for one in by_kind.get(kind, ())}
    lies: dict[tuple[str, str], None] = {}
    for kind in sorted(_LIES):
        lies |= {(one.table, one.at): None for one in by_kind.get(kind, ()) if one.at not in damaged}
    steps += [Step("lies", "write it anew by what is in it", name, (at,)) for name, at in lies]
    if give_up:
        missing: dict[str, list[str]] = {}
        for one in by_kind.get("file-missing", ()):
            missing.setdefault(one.table, []).append(one.at)
        steps += [Step("missing", "take them from the log", n, tuple(some)) for n, some in missing.items()]
    if lists := by_kind.get(_LISTS):
        steps.append(Step("lists", "learn known uids anew", at=tuple(one.at for one in lists)))
    if _UIDS in by_kind and _LISTS not in by_kind:
        steps.append(Step("uids", "learn the uids of events that are not known"))
    strays = {one.table for one in by_kind.get("file-stray", ())} | set(logs)
    steps += [
        Step("strays", "add the rows that only files have which no version names; set these aside", name)
        for name in sorted(strays)
    ]
    handled = {*(_LOG if logs else ()), "log-state", "file-stray", _LISTS, _UIDS}
    handled |= {"file-missing"} if give_up else set()
    left = [
        one
        for one in report.findings
        if one.kind not in handled and not (one.kind in _LIES and (one.table, one.at) in lies)
    ]
    return Plan(tuple(steps), tuple(left))


def apply(tables: TableSet, some: Plan, done: Callable[[Done], None] = lambda _: None) -> list[Done]:
    """Do what a plan says, step by step; return what was done. Killed anywhere, a check finds the rest.

    Raises UsageError for a lake in a bucket, whose writers are on several machines; IntegrityError where a
    step turns out to be impossible: then nothing of it is done.
    """
    if not isinstance(tables, Tables):
        raise UsageError("a lake in a bucket is not repaired", fix="restore what is named from a copy")
    repairing = _Repairing(tables, tables.root / ASIDE / str(deltalog.now()))
    found = []
    with tables.keeping():
        for step in some.steps:
            one = getattr(repairing, step.kind)(step)
            found.append(one)
            done(one)
    return found


@dataclass(slots=True)
class _Repairing:
    tables: Tables
    aside: Path

    def log(self, step: Step) -> Done:
        """Cut a log before its first bad entry. What only later ones named is stray then."""
        folder = self.tables.folder(step.table)
        cut = _cut(folder)
        log = folder / deltalog.FOLDER
        gone = [path for version, path in deltalog.versions(folder) if version >= cut]
        gone += [path for version, path in deltalog.checkpoints(folder) if version >= cut]
        gone += [log / "_last_checkpoint"] if (log / "_last_checkpoint").exists() else []
        for path in gone:
            self.set_aside(path, step.table)
        durable.sync(log)
        if delta.open_table(folder) is None:
            delta.create_table(folder, self.schema_of(folder))
        self.tables.settled(step.table, delta.newest(folder))
        return Done(step, files=len(gone))

    def state(self, step: Step) -> Done:
        """Set checkpoints aside that say something else than the entries, all of which are there."""
        folder = self.tables.folder(step.table)
        if _cut(folder) <= delta.newest(folder) or deltalog.versions(folder)[0][0] != 0:
            raise IntegrityError(f"the log of {step.table} does not reach back to its beginning", fix=_COPY)
        gone = [path for _, path in deltalog.checkpoints(folder)]
        last = folder / deltalog.FOLDER / "_last_checkpoint"
        for path in [*gone, *([last] if last.exists() else [])]:
            self.set_aside(path, step.table)
        return Done(step, files=len(gone))

    def lies(self, step: Step) -> Done:
        """Write a file anew of which the log does not say what is in it."""
        table = self.opened(step.table)
        (file,) = [one for one in table.files() if self.below(table, one) == step.at[0]]
        path = table.absolute(file)
        if spots.sha256(path)[: delta.DIGEST] != delta.digest_in(path.name):
            raise IntegrityError(f"{step.at[0]} is not what was written", fix=_COPY)
        all_times = replace(file, first=-delta.FAR, last=delta.FAR)
        rewriting = Rewriting(self.tables, step.table, REPAIR)
        rows = 0
        for day in _days(path):
            parts = (_of_day(part, day) for part in compaction.merged(table, [all_times]))
            rows += rewriting.stage(str(np.datetime64(day, "D")), (part for part in parts if part.num_rows))
        rewriting.commit([file])
        return Done(step, rows)

    def missing(self, step: Step) -> Done:
        """Take files that are gone from the log."""
        table = self.opened(step.table)
        gone = [one for one in table.files() if self.below(table, one) in step.at]
        Rewriting(self.tables, step.table, REPAIR).commit(gone, changed=True)
        return Done(step, sum(one.rows for one in gone), len(gone))

    def lists(self, step: Step) -> Done:
        """Set damaged lists of uids aside; they are made anew by what is in the tables and the spool."""
        for at in step.at:
            path = self.tables.root / at
            if path.exists():
                self.set_aside(path, "uids")
        with self.tables.writing():
            pass
        return Done(step, files=len(step.at))

    def uids(self, step: Step) -> Done:
        """Learn all uids that are in the tables or wait in the spool, and are not known."""
        keys = np.unique(self.there())
        with self.tables.spool.writing() as spool:
            new = spool.unknown(keys)
            spool.adopt([new])
        return Done(step, len(new))

    def strays(self, step: Step) -> Done:
        """Add the rows that only stray files have, and set those files aside."""
        name = step.table
        table = self.opened(name)
        named = {file.path for file in table.files()}
        for entry in deltalog.entries(table.folder):
            named |= {one.path for one in entry.added} | set(entry.removed)
        there = data_files(self.tables.folder(name))
        strays = [path for path in there if spots.below(path, table.folder) not in named]
        keys_there, rows = [self.there()], 0
        for path in strays:
            if spots.sha256(path)[: delta.DIGEST] == delta.digest_in(path.name):
                for part in _parts(path):
                    keys, first = np.unique(uid_keys(uids_of(part)), return_index=True)
                    missing = ~np.logical_or.reduce([_among(some, keys) for some in keys_there])
                    if missing.any():
                        new = part.take(pa.array(np.sort(first[missing])))
                        self.added(name, new, f"{REPAIR}-{delta.digest_in(path.name)}-{rows:09}")
                        keys_there.append(keys)
                        rows += new.num_rows
            self.set_aside(path, name)
        return Done(step, rows, len(strays))

    def added(self, name: str, part: pa.Table, called: str) -> None:
        """Add rows to a table, and their uids to those that are known."""
        with self.tables.writing():
            table = self.opened(name)
            table.append(part, name=called, moved=table.moved)
            with self.tables.spool.writing() as spool:
                spool.adopt([spool.unknown(np.unique(uid_keys(uids_of(part))))])
            self.tables.settled(name, table.version)

    def there(self) -> Keys:
        """Return the keys, ascending, of all uids that are in files of the tables, or wait in the spool."""
        found = [np.empty(0, dtype=np.int64)]
        for _, table in self.tables.open():
            for file in table.files():
                if table.absolute(file).exists():
                    column = spots.parquet(table.absolute(file)).read(columns=["metadata.uid"])
                    found.append(uid_keys(uids_of(column)))
        with self.tables.spool.reading() as spool:
            for name in spool.names():
                found += [uid_keys(uids_of(one.table)) for one in spool.segments(name, after=0)]
        return np.sort(np.concatenate(found))

    def schema_of(self, folder: Path) -> pa.Schema:
        """Return the schema of a table whose log is lost, by the spool and its files."""
        with self.tables.spool.reading() as spool:
            schema = spool.schema(folder.name)
        for path in data_files(folder):
            mine = spots.parquet(path).schema_arrow
            schema = mine if schema is None else merge_schemas(schema, mine)
        if schema is None:
            raise IntegrityError("of this table nothing is left", fix="remove its folder")
        return schema

    def opened(self, name: str) -> delta.Table:
        table = delta.open_table(self.tables.folder(name))
        if table is None:
            raise IntegrityError(f"the table {name} cannot be read", fix=_COPY)
        return table

    def below(self, table: delta.Table, file: DataFile) -> str:
        return spots.below(table.absolute(file), self.tables.root)

    def set_aside(self, path: Path, name: str) -> None:
        """Move a file out of the way, and keep it."""
        folder = self.aside / name
        durable.make_folder(folder)
        path.replace(folder / path.name)
        durable.sync(folder)
        durable.sync(path.parent)


_COPY = "restore it from a copy"


def _cut(folder: Path) -> int:
    """Return the first version of a log that cannot be read, or that lacks those before it; else one more."""
    there = deltalog.versions(folder)
    checkpoints = {version for version, _ in deltalog.checkpoints(folder)}
    wanted = there[0][0] if there and (there[0][0] == 0 or there[0][0] in checkpoints) else 0
    for version, path in there:
        if version != wanted:
            break
        try:
            deltalog.read(path)
        except IntegrityError:
            break
        wanted += 1
    return wanted


def _among(some: Keys, keys: Keys) -> Any:
    """Say which of the keys are among some, which ascend."""
    if not len(some):
        return np.zeros(len(keys), dtype=bool)
    return some[np.minimum(np.searchsorted(some, keys), len(some) - 1)] == keys


def _parts(path: Spot) -> Iterator[pa.Table]:
    for batch in spots.parquet(path).iter_batches(batch_size=_BATCH):
        yield pa.Table.from_batches([batch])


def _days(path: Spot) -> Sequence[int]:
    times: Any = spots.parquet(path).read(columns=["time"]).column("time")
    return [int(day) for day in np.unique(np.floor_divide(times.to_numpy(), MS_A_DAY))]


def _of_day(part: pa.Table, day: int) -> pa.Table:
    days = np.floor_divide(part.column("time").to_numpy(), MS_A_DAY)
    return part.filter(pa.array(days == day))
