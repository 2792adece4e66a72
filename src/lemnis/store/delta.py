"""One Delta table on the local disk, written so that a power cut at any point loses nothing.

Neither Delta writer calls fsync, so the order is ours: data files are written and synced, then named in one
log entry, then that entry is synced; only then may the spool forget the rows. Until it has, a log entry that
a power cut left torn is taken away, because the spool still holds its rows.

The log entry also says, as the application transaction ``lemnis-spool``, up to which spool segment the table
holds the rows, so the two can be compared after a crash. Format: the Delta protocol's reader version 1,
writer version 2; partitioned by ``day``; Parquet with zstd.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction

from lemnis.contracts.errors import IntegrityError, Location
from lemnis.store import durable
from lemnis.store.columns import MS_A_DAY, conform, sort_events

APP = "lemnis-spool"
DAY = "day"
_LOG_FILE = re.compile(r"(\d{20})\.json")
_ROW_GROUP = 65_536
_EPOCH = date(1970, 1, 1)
_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_KEEP_HOURS = 168


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table: where, its day, its rows, and its first and last ``time`` (ms)."""

    path: str
    day: str
    rows: int
    bytes: int
    first: int
    last: int


class Table:
    """A snapshot of one Delta table."""

    def __init__(self, folder: Path, delta: DeltaTable) -> None:
        """Wrap an open table; use ``open_table`` or ``create_table``."""
        self.folder = folder
        self._delta = delta

    @property
    def version(self) -> int:
        """The snapshot's version."""
        return int(self._delta.version())

    @property
    def moved(self) -> int:
        """Up to which spool segment this table holds the rows; 0 if none."""
        return int(self._delta.transaction_version(APP) or 0)

    @property
    def schema(self) -> pa.Schema:
        """The schema of the rows, without the partition column ``day``."""
        fields = pa.schema(self._delta.schema())
        return pa.schema([pa.field(f.name, _plain(f.type)) for f in fields if f.name != DAY])

    def files(self, *, start: int | None = None, end: int | None = None) -> list[DataFile]:
        """Return the files with rows in [start, end), by day and path."""
        actions = pa.table(self._delta.get_add_actions(flatten=True))
        if actions.num_rows == 0:
            return []
        names = ("path", f"partition.{DAY}", "num_records", "size_bytes", "min.time", "max.time")
        rows = zip(*(actions.column(name).to_pylist() for name in names), strict=True)
        found = [DataFile(p, str(day), n, size, low, high) for p, day, n, size, low, high in rows]
        chosen = [f for f in found if (end is None or f.first < end) and (start is None or f.last >= start)]
        return sorted(chosen, key=lambda file: (file.day, file.path))

    def absolute(self, file: DataFile) -> Path:
        """Return where a file of this table is."""
        return self.folder / file.path

    def read(
        self, files: Sequence[DataFile], *, start: int | None = None, end: int | None = None
    ) -> pa.Table:
        """Read the rows of some files in [start, end), in the table's schema, in no particular order."""
        bounds = [("time", ">=", start)] if start is not None else []
        bounds += [("time", "<", end)] if end is not None else []
        parts = [
            conform(
                pq.read_table(self.absolute(file), filters=bounds or None, partitioning=None), self.schema
            )
            for file in files
        ]
        return pa.concat_tables(parts) if parts else self.schema.empty_table()

    def column(self, path: str) -> Iterator[pa.Table]:
        """Yield one column, by its dotted path, file by file."""
        for file in self.files():
            yield pq.read_table(self.absolute(file), columns=[path], partitioning=None)

    def append(self, table: pa.Table, *, name: str, moved: int) -> None:
        """Add rows durably in one commit and note that the spool's segments up to ``moved`` are in it.

        Columns that the table lacks are added to it. ``name`` names the files; a file of that name that a
        crash left behind unnamed by the log is replaced.
        """
        self._evolve(table.schema)
        actions: list[AddAction | RemoveAction] = list(self._write(sort_events(table), name))
        self._commit(actions, CommitProperties(app_transactions=[Transaction(APP, moved)]))

    def compact(self, *, min_files: int, rows: int) -> int:
        """Rewrite each day of at least ``min_files`` files as few, sorted ones; return how many days.

        A new file holds up to ``rows`` rows. The files that are replaced stay for a week, for readers of
        older versions, and are then removed. Takes the memory of one day's rows.
        """
        by_day: dict[str, list[DataFile]] = {}
        for file in self.files():
            by_day.setdefault(file.day, []).append(file)
        days = 0
        for day, files in by_day.items():
            whole = sum(file.rows for file in files) // rows + 1
            if len(files) < max(min_files, whole + 1):
                continue
            table = sort_events(self.read(files))
            parts = (table.slice(first, rows) for first in range(0, table.num_rows, rows))
            added = [
                action
                for number, part in enumerate(parts)
                for action in self._write(part, f"compact-{self.version + 1:012}-{number:04}", changed=False)
            ]
            now = max(action.modification_time for action in added)
            gone = [RemoveAction(f.path, False, now, f.bytes, {DAY: day}) for f in files]
            self._commit([*added, *gone], None)
            days += 1
        if days:
            self._delta.create_checkpoint()
            self._delta.vacuum(
                retention_hours=_KEEP_HOURS, dry_run=False, post_commithook_properties=_HOOKS
            )
            self._delta.update_incremental()
            _sync_log(self.folder)
        return days

    def _evolve(self, schema: pa.Schema) -> None:
        """Give the table the columns that it lacks."""
        known = self.schema
        if conform(known.empty_table(), schema).schema.equals(known):
            return
        whole = schema.append(pa.field(DAY, pa.date32()))
        write_deltalake(
            self._delta, whole.empty_table(), mode="append", schema_mode="merge",
            post_commithook_properties=_HOOKS,
        )  # fmt: skip
        self._delta.update_incremental()

    def _commit(self, actions: list[AddAction | RemoveAction], properties: CommitProperties | None) -> None:
        self._delta.create_write_transaction(
            actions, "append", self._delta.schema(), [DAY],
            commit_properties=properties, post_commithook_properties=_HOOKS,
        )  # fmt: skip
        self._delta.update_incremental()
        _sync_log(self.folder)

    def _write(self, table: pa.Table, name: str, *, changed: bool = True) -> Iterator[AddAction]:
        """Write sorted rows as one synced file a day; yield what the log has to say of each."""
        days = np.floor_divide(table.column("time").to_numpy(), MS_A_DAY)
        starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
        for start, stop in zip(starts, [*starts[1:], len(days)], strict=True):
            part = table.slice(start, stop - start)
            day = (_EPOCH + timedelta(days=int(days[start]))).isoformat()
            path = self.folder / f"{DAY}={day}" / f"{name}.zstd.parquet"
            durable.make_folder(path.parent)
            with durable.replacing(path) as file:
                pq.write_table(part, file, compression="zstd", row_group_size=_ROW_GROUP)
            times = part.column("time")
            stats = {
                "numRecords": part.num_rows,
                "minValues": {"time": times[0].as_py()},
                "maxValues": {"time": times[-1].as_py()},
                "nullCount": {"time": 0},
            }
            about = path.stat()
            yield AddAction(
                str(path.relative_to(self.folder)), about.st_size, {DAY: day}, about.st_mtime_ns // 1_000_000,
                changed, orjson.dumps(stats).decode(),
            )  # fmt: skip


def open_table(folder: Path) -> Table | None:
    """Open the newest version of a table; None if there is none. Raises IntegrityError if its log is bad."""
    if not (folder / "_delta_log").is_dir():
        return None
    try:
        return Table(folder, DeltaTable(folder))
    except DeltaError as error:
        raise IntegrityError(
            f"this table's log cannot be read: {error}", at=Location(str(folder / "_delta_log"))
        ) from error


def create_table(folder: Path, schema: pa.Schema) -> Table:
    """Make a table for rows of this schema, which needs ``time`` (int64, ms) and ``metadata.uid``."""
    durable.make_folder(folder)
    whole = schema.append(pa.field(DAY, pa.date32()))
    delta = DeltaTable.create(folder, schema=whole, partition_by=[DAY], post_commithook_properties=_HOOKS)
    _sync_log(folder)
    return Table(folder, delta)


def recover(folder: Path, synced: int) -> int:
    """Bring a table's log onto the device, after a crash too; return its last whole version.

    Versions up to ``synced`` are known to be there. A later one that a power cut left torn is removed, and
    so are checkpoints, which only repeat the log, if the table does not open with them.
    """
    log = folder / "_delta_log"
    if not log.is_dir():
        return -1
    for version, path in _versions(log):
        if version > synced and not _whole(path):
            path.unlink()
    _sync_log(folder)
    try:
        open_table(folder)
    except IntegrityError:
        for path in [log / "_last_checkpoint", *log.glob("*.checkpoint*.parquet")]:
            path.unlink(missing_ok=True)
        _sync_log(folder)
    return max((version for version, _ in _versions(log)), default=-1)


def _versions(log: Path) -> list[tuple[int, Path]]:
    found = ((_LOG_FILE.fullmatch(path.name), path) for path in log.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def _whole(path: Path) -> bool:
    """Say whether a log entry is complete: lines of JSON, and at least one."""
    try:
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    except orjson.JSONDecodeError:
        return False
    return bool(lines)


def _sync_log(folder: Path) -> None:
    """Sync what the log holds of late, and the names in it and above."""
    log = folder / "_delta_log"
    newest = sorted(log.iterdir(), key=lambda path: path.stat().st_mtime_ns)[-8:]
    for path in newest:
        durable.sync(path)
    durable.sync(log)
    durable.sync(folder)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type with list elements named as Arrow names them, not as Delta does."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(child.name, _plain(child.type)) for child in kind])
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind


def size_of(files: Sequence[DataFile]) -> dict[str, Any]:
    """Add up files: how many, their rows and bytes, their last time."""
    return {
        "files": len(files),
        "rows": sum(file.rows for file in files),
        "bytes": sum(file.bytes for file in files),
        "last": max((file.last for file in files), default=None),
    }


def remove_stale(folder: Path) -> None:
    """Remove what a killed writer left half-written: files whose name begins with ``.new-``."""
    for path in folder.rglob(".new-*"):
        os.unlink(path)
