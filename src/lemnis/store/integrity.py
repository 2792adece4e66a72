"""Is the lake whole: logs, files, rows, uids and spool are compared, with each other and their digests.

A data file's name has a part of its SHA-256, and each of its pages a checksum: ``deep`` reads every byte, and
says in which row group and column one was flipped. Without it logs, sizes, the files' own accounts, and the
columns ``time`` and ``metadata.uid`` are read. Ingest goes on meanwhile, compaction and retention wait.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lemnis.contracts.counting import counted
from lemnis.contracts.errors import InputError, IntegrityError, LemnisError
from lemnis.store import delta, deltalog, rows, spots
from lemnis.store.columns import MS_A_DAY, Keys, merge_schemas, uid_keys
from lemnis.store.delta import DataFile
from lemnis.store.lakes import TableSet
from lemnis.store.spots import Spot
from lemnis.store.sweeping import data_files

ERROR, NOTE = "error", "note"
_CHUNK = 1 << 20
_AT_ONCE = 64 << 20
_SHOWN = 20
_UNREADABLE = (OSError, pa.ArrowException, ValueError, MemoryError, UnicodeError)
_RESTORE = "restore the file from a copy: what is in it is nowhere else"
_LOG = "restore the log's entry from a copy; do not write to the table before"
_ANEW = "remove it: the next flush makes it anew from the tables"
_FIXES = {
    "log-unreadable": _LOG, "log-torn": _LOG, "log-gap": _LOG, "log-cut": _LOG,
    "log-state": "remove the checkpoints if every entry can be read: the entries say all that there is",
    "file-missing": _RESTORE, "file-size": _RESTORE, "file-unreadable": _RESTORE, "file-page": _RESTORE,
    "file-changed": _RESTORE, "file-rows": _RESTORE, "file-columns": _RESTORE, "row-incomplete": _RESTORE,
    "row-day": _RESTORE,
    "row-time": "`lemnis lake compact --min-files 1` writes the day anew",
    "file-stray": "`lemnis lake compact` sweeps them",
    "uid-twice": "count it once, by metadata.uid; please report how it came to be",
    "uid-unknown": "restore spool.db and uids/ from a copy as old as the tables, or move both away: the lake "
    "learns uids from its tables then, but not cursors and dead letters",
    "uid-list": _ANEW,
    "spool-schema": "open the lake anew: it takes over what the tables have",
    "spool-damaged": "move spool.db away and open the lake: what is flushed is in the tables; `sqlite3 "
    "spool.db .recover` may bring back what waited in it",
    "spool-segment": "restore spool.db from a copy, or take the segment out of its table `segments`",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong: an ``error``, or a ``note`` of what harms nothing. ``at`` is a path below the lake."""

    kind: str
    what: str
    table: str = ""
    at: str = ""
    fix: str = ""
    level: str = ERROR


@dataclass(slots=True)
class Report:
    """What was looked at, and what was found."""

    deep: bool
    findings: list[Finding] = field(default_factory=list)
    tables: int = 0
    versions: int = 0
    files: int = 0
    rows: int = 0
    bytes: int = 0
    spooled: int = 0
    seen: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not any(one.level == ERROR for one in self.findings)


Progress = Callable[[int, int], None]
"""Told how many files are done, and of how many."""


def check(tables: TableSet, *, deep: bool = False, progress: Progress | None = None) -> Report:
    """Look whether a lake is whole; nothing is changed. ``deep`` reads every byte."""
    with tables.keeping():
        checking = _Checking(tables, Report(deep), progress)
        checking.run()
    return checking.report


@dataclass(slots=True)
class _Checking:
    tables: TableSet
    report: Report
    progress: Progress | None
    keys: list[Keys] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)

    def run(self) -> None:
        self.spool_file()
        waiting = self.segments()
        opened = [(name, table) for folder in self.tables.folders() for name, table in self.opened(folder)]
        moved = {name: table.moved for name, table in opened}
        for name, number, keys in waiting:
            if number > moved.get(name, 0):
                self.keys.append(keys)
                self.owners.append(f"spool.db, segment {number}")
        whole = sum(len(table.files()) for _, table in opened)
        for name, table in opened:
            self.report.tables += 1
            self.log(name, table)
            for file in table.files():
                self.file(name, table, file)
                self.report.files += 1
                if self.progress is not None:
                    self.progress(self.report.files, whole)
            self.strays(name, table)
        self.uids()
        self.lists()

    def add(self, kind: str, what: str, *, table: str = "", at: Spot | str = "") -> None:
        """Put an error on record."""
        self.report.findings.append(Finding(kind, what, table, self.below(at), _FIXES[kind]))

    def note(self, kind: str, what: str, *, table: str = "", at: Spot | str = "") -> None:
        """Put on record what harms nothing."""
        self.report.findings.append(Finding(kind, what, table, self.below(at), _FIXES.get(kind, ""), NOTE))

    def below(self, path: Spot | str) -> str:
        return path if isinstance(path, str) else spots.below(path, self.tables.root)

    # -- the log -------------------------------------------------------------------------------------------

    def opened(self, folder: Spot) -> Iterator[tuple[str, delta.Table]]:
        """Open a table, or say why it cannot be."""
        try:
            table = delta.open_table(folder)
        except IntegrityError as error:
            self.add("log-unreadable", error.what, table=folder.name, at=folder / deltalog.FOLDER)
            self.entries(folder)
            return
        if table is None and (had := self.had(folder.name)) >= 0:
            self.add("log-cut", f"the log is gone, and had version {had}", table=folder.name, at=folder)
            return
        if table is None:
            self.note("no-table", "this folder has no log, so it is no table", at=folder)
            return
        yield folder.name, table

    def had(self, name: str) -> int:
        """Return the last version of a table that the spool knows to be on the device; -1 if none."""
        if self.tables.spool is None:
            return -1
        with self.tables.spool.reading() as spool:
            return spool.synced(name)

    def entries(self, folder: Spot) -> list[deltalog.Entry]:
        """Read a table's log, as far as it can be read, and say what of it is missing."""
        found = []
        there = deltalog.versions(folder)
        for _, path in there:
            try:
                found.append(deltalog.read(path))
            except IntegrityError as error:
                self.add("log-torn", error.what, table=folder.name, at=path)
        numbers = [version for version, _ in there]
        for before, after in pairwise(numbers):
            if after != before + 1:
                gap = f"{before + 1}" if after == before + 2 else f"{before + 1} to {after - 1}"
                at = folder / deltalog.FOLDER
                self.add("log-gap", f"version {gap} is missing", table=folder.name, at=at)
        return found

    def log(self, name: str, table: delta.Table) -> None:
        """Compare a table's log with what it opens as, and with what the spool knows to be on the device."""
        found = self.entries(table.folder)
        self.report.versions += len(found)
        at = table.folder / deltalog.FOLDER
        self.known(name, table)
        if not found or found[-1].version < table.version:
            return
        first = found[0]
        state: dict[str, int] = {}
        if first.version > 0:
            began = delta.open_table(table.folder, first.version)
            state = {file.path: file.rows for file in began.files()} if began else {}
            found = found[1:]
        for entry in found:
            if entry.version > table.version:
                break
            for path in entry.removed:
                if state.pop(path, None) is None:
                    what = f"version {entry.version} removes {path}, which was not there"
                    self.add("log-state", what, table=name, at=at)
            state |= {one.path: one.rows for one in entry.added}
        opened = {file.path: file.rows for file in table.files()}
        if state != opened:
            odd = sorted({path for path, _ in state.items() ^ opened.items()})
            what = f"entries and checkpoint differ about {len(odd)} files, such as {odd[0]}"
            self.add("log-state", what, table=name, at=at)

    def known(self, name: str, table: delta.Table) -> None:
        """Compare a table with what the spool knows of it."""
        if self.tables.spool is None:
            return
        with self.tables.spool.reading() as spool:
            synced, known = spool.synced(name), spool.schema(name)
        last = delta.newest(table.folder)
        if last < synced:
            what = f"the log ends at version {last}, and had {synced}"
            self.add("log-cut", what, table=name, at=table.folder / deltalog.FOLDER)
        if known is None:
            self.add("spool-schema", "the spool does not know this table", table=name, at="spool.db")

    # -- a file --------------------------------------------------------------------------------------------

    def file(self, name: str, table: delta.Table, file: DataFile) -> None:
        """Look at one file that the log names."""
        path = table.absolute(file)
        self.report.rows += file.rows
        self.report.bytes += file.bytes
        about: dict[str, Any] = {"table": name, "at": path}
        try:
            size = path.stat().st_size
        except OSError as error:
            self.add("file-missing", f"{file.rows} rows of {file.day} are gone: {error.strerror}", **about)
            return
        if size != file.bytes:
            self.add("file-size", f"it has {size} bytes, and {file.bytes} by the log", **about)
        flipped = self.report.deep and self.flipped(path)
        try:
            opened = spots.parquet(path, page_checksum_verification=True)
        except _UNREADABLE as error:
            self.add("file-unreadable", f"its footer cannot be read: {_said(error)}", **about)
            return
        bad = list(self.pages(opened)) if self.report.deep else []
        for where, why in bad:
            self.add("file-page", f"{where}: {why}", **about)
        if flipped and not bad:
            self.add("file-changed", "it is not what was written, though its pages can be read", **about)
        if opened.metadata.num_rows != file.rows:
            self.add(
                "file-rows", f"it has {opened.metadata.num_rows} rows, and {file.rows} by the log", **about
            )
        self.columns(table, opened, about)
        if not bad:
            self.rows_of(file, opened, about)

    def flipped(self, path: Spot) -> bool:
        """Say whether a file is other than its name says."""
        wanted = delta.digest_in(path.name)
        if not wanted:
            return False
        return spots.sha256(path)[: delta.DIGEST] != wanted

    def pages(self, file: pq.ParquetFile) -> Iterator[tuple[str, str]]:
        """Read every page, and yield where one cannot be, and why."""
        meta = file.metadata
        columns = [meta.schema.column(number).path for number in range(meta.num_columns)]
        for group in range(meta.num_row_groups):
            about = meta.row_group(group)
            some: list[str] = []
            size = 0
            for number, path in enumerate(columns):
                some.append(path)
                size += about.column(number).total_uncompressed_size
                if size >= _AT_ONCE or number == len(columns) - 1:
                    if _fault(file, group, some):
                        each = ((one, _fault(file, group, [one])) for one in some)
                        yield from ((f"row group {group}, column {one}", why) for one, why in each if why)
                    some, size = [], 0

    def columns(self, table: delta.Table, file: pq.ParquetFile, about: dict[str, Any]) -> None:
        """Compare a file's columns with the table's."""
        try:
            merged = merge_schemas(table.schema, file.schema_arrow)
        except InputError as error:
            self.add("file-columns", error.what, **about)
            return
        if not merged.equals(table.schema):
            self.add("file-columns", "it has columns that the table has not", **about)

    def rows_of(self, file: DataFile, opened: pq.ParquetFile, about: dict[str, Any]) -> None:
        """Compare a file's times with its day and the log, and take its uids."""
        try:
            table = opened.read(columns=["time", "metadata.uid"])
            times, uids = table.column("time"), rows.uids(table)
        except (*_UNREADABLE, LemnisError, KeyError) as error:
            self.add("file-unreadable", f"its times and uids cannot be read: {_said(error)}", **about)
            return
        if times.null_count or uids.null_count:
            self.add(
                "row-incomplete", f"{max(times.null_count, uids.null_count)} rows lack time or uid", **about
            )
            return
        instants: Any = times
        values = instants.to_numpy()
        if len(values):
            days = np.floor_divide(values, MS_A_DAY)
            wrong = int((days != delta.day_number(file.day)).sum())
            if wrong:
                self.add("row-day", f"{wrong} rows are not of {file.day}", **about)
            if values.min() < file.first or values.max() > file.last:
                self.add("row-time", "it has times that the log says it has not: queries miss them", **about)
        self.keys.append(uid_keys(uids))
        self.owners.append(self.below(about["at"]))

    def strays(self, name: str, table: delta.Table) -> None:
        """Tell of files that no version kept names."""
        named = {file.path for file in table.files()}
        for _, path in deltalog.versions(table.folder):
            try:
                entry = deltalog.read(path)
            except IntegrityError:
                return  # told already; whose the files are cannot be said
            named |= {one.path for one in entry.added} | set(entry.removed)
        stray = [p for p in data_files(table.folder) if spots.below(p, table.folder) not in named]
        if stray:
            what = f"{len(stray)} files are in no version: what a killed writer left"
            self.note("file-stray", what, table=name, at=stray[0])

    # -- uids ----------------------------------------------------------------------------------------------

    def uids(self) -> None:
        """Look whether each uid is there once, and known."""
        if not self.keys:
            return
        whole = np.sort(np.concatenate(self.keys))
        twice = np.unique(whole[1:][whole[1:] == whole[:-1]])
        for key in twice[:_SHOWN].tolist():
            pairs = zip(self.keys, self.owners, strict=True)
            owners = [one for keys, one in pairs for _ in range(int((keys == key).sum()))]
            number, places = key & (2**64 - 1), ", ".join(owners[:3])
            self.add("uid-twice", f"ev-{number:016x} is there {len(owners)} times: {places}", at=owners[0])
        if len(twice) > _SHOWN:
            self.add("uid-twice", f"so are {len(twice) - _SHOWN} more")
        if self.tables.spool is None:
            return
        distinct = np.unique(whole)
        unknown = 0
        for start in range(0, len(distinct), _CHUNK):
            with self.tables.spool.writing() as spool:
                unknown += len(spool.unknown(distinct[start : start + _CHUNK]))
        if unknown:
            what = f"{counted(unknown, 'event')} not known by uid: sent again, there would be two of each"
            self.add("uid-unknown", what, at="spool.db")

    def lists(self) -> None:
        """Look at the lists of known uids."""
        if self.tables.spool is None:
            return
        with self.tables.spool.reading() as spool:
            lost, there = spool.lost(), spool.runs()
        for run in lost:
            self.add("uid-list", "a list of known uids is gone or cut", at=f"uids/{run.file}")
        if not self.report.deep:
            return
        for run in there:
            path = self.tables.spool.path.parent / "uids" / run.file
            if run in lost:
                continue
            with path.open("rb") as handle:
                digest = hashlib.file_digest(handle, "sha256").hexdigest()
            if digest != run.file:
                self.add("uid-list", "a list of known uids is not what was written", at=path)

    # -- the spool -----------------------------------------------------------------------------------------

    def spool_file(self) -> None:
        """Let SQLite look at the spool's file."""
        if self.tables.spool is None:
            return
        path = self.tables.spool.path
        pragma = "integrity_check" if self.report.deep else "quick_check"
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
                said = [str(row[0]) for row in db.execute(f"PRAGMA {pragma}")]
        except sqlite3.Error as error:
            said = [str(error)]
        if said != ["ok"]:
            self.add("spool-damaged", f"SQLite says: {'; '.join(said[:3])}", at=path)

    def segments(self) -> list[tuple[str, int, Keys]]:
        """Read what waits in the spool; return each segment's table, number and uids."""
        found: list[tuple[str, int, Keys]] = []
        if self.tables.spool is None:
            return found
        with self.tables.spool.reading() as spool:
            for name in spool.names():
                try:
                    for segment in spool.segments(name, after=0):
                        self.report.spooled += segment.table.num_rows
                        found.append((name, segment.id, uid_keys(rows.uids(segment.table))))
                except (*_UNREADABLE, LemnisError) as error:
                    what = f"a segment cannot be read: {_said(error)}"
                    self.add("spool-segment", what, table=name, at="spool.db")
        return found


def _fault(file: pq.ParquetFile, group: int, columns: list[str]) -> str:
    """Say why some columns of a row group cannot be read; empty if they can."""
    try:
        file.read_row_group(group, columns=columns, use_threads=False).validate(full=True)
    except _UNREADABLE as error:
        return _said(error)
    return ""


def _said(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
