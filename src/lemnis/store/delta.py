"""One Delta table on the local disk, written so that a power cut at any point loses nothing.

Neither Delta writer calls fsync, so the order is ours: data files are written and synced, then named in one
log entry, then that entry is synced; only then may the spool forget the rows. Until it has, a log entry that
a power cut left torn is taken away, because the spool still holds its rows.

The log entry also says, as the application transaction ``lemnis-spool``, up to which spool segment the table
holds the rows, so the two can be compared after a crash. Format: the Delta protocol's reader version 1,
writer version 2; partitioned by ``day``; Parquet with zstd, or Snappy for a flush of few rows
(``store.layout``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Schema,
    Transaction,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from lemnis.contracts.errors import InputError, IntegrityError, LemnisError, Location
from lemnis.store import deltalog, durable, layout, spots
from lemnis.store.columns import MS_A_DAY, conform, merge_schemas, narrowed, sort_events
from lemnis.store.spots import Spot

APP = "lemnis-spool"
REWRITES = "lemnis-rewrites"
DAY = "day"
SCHEMA = "schema"
"""What the log calls a change of a table's columns."""
DIGEST = 16
"""How many hex digits of a data file's SHA-256 are in its name."""
_NAME = re.compile(rf"-([0-9a-f]{{{DIGEST}}})\.zstd\.parquet$")
_EPOCH = date(1970, 1, 1)
_SETTINGS: dict[str, str | None] = {"delta.dataSkippingNumIndexedCols": "1"}
"""Of the first column, which is ``time``, the log has statistics; the default, 32, may end before it."""
_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
FAR = 2**62
"""Beyond any time: the bounds of a file of which another writer kept no statistics."""


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

    def __init__(self, folder: Spot, delta: DeltaTable) -> None:
        """Wrap an open table; use ``open_table`` or ``create_table``."""
        self.folder = folder
        self._delta = delta
        self._listed: tuple[int, tuple[DataFile, ...]] = -1, ()
        self._moved = -1, 0

    @property
    def _disk(self) -> Path:
        """The folder, of a table that is on this machine's disk."""
        if not isinstance(self.folder, Path):
            raise LemnisError("a table in a bucket is written by workers", at=Location(str(self.folder)))
        return self.folder

    @property
    def version(self) -> int:
        """The snapshot's version."""
        return int(self._delta.version())

    @property
    def moved(self) -> int:
        """Up to which spool segment this table holds the rows; 0 if none."""
        version, moved = self._moved
        if version != self.version:
            version, moved = self.version, int(self._delta.transaction_version(APP) or 0)
            self._moved = version, moved
        return moved

    @property
    def schema(self) -> pa.Schema:
        """The schema of the rows, without the partition column ``day``."""
        schema: Any = self._delta.schema()  # Arrow reads it by its C interface
        fields = pa.schema(schema)
        return pa.schema([pa.field(f.name, _plain(f.type)) for f in fields if f.name != DAY])

    def files(self, *, start: int | None = None, end: int | None = None) -> list[DataFile]:
        """Return the files with rows in [start, end), by day and path."""
        version, found = self._listed
        if version != self.version:
            version, found = self.version, tuple(self._files())
            self._listed = version, found
        return [f for f in found if (end is None or f.first < end) and (start is None or f.last >= start)]

    def _files(self) -> list[DataFile]:
        """Return all files, as the log has them."""
        actions = pa.table(self._delta.get_add_actions(flatten=True))
        if actions.num_rows == 0:
            return []
        names = ("path", f"partition.{DAY}", "num_records", "size_bytes", "min.time", "max.time")
        nothing = [None] * actions.num_rows
        kept = set(actions.column_names)
        rows = zip(*(actions.column(n).to_pylist() if n in kept else nothing for n in names), strict=True)
        found = [
            DataFile(
                path, str(day), count or 0, size,
                low if low is not None else -FAR, high if high is not None else FAR,
            )
            for path, day, count, size, low, high in rows
        ]  # fmt: skip
        return sorted(found, key=lambda file: (file.day, file.path))

    def absolute(self, file: DataFile) -> Spot:
        """Return where a file of this table is."""
        return self.folder / file.path

    def read(
        self,
        files: Sequence[DataFile],
        *,
        start: int | None = None,
        end: int | None = None,
        columns: Collection[str] | None = None,
    ) -> pa.Table:
        """Read the rows of some files in [start, end), in the table's schema, in no particular order.

        Of ``columns``, if they are given, only those that the table has are read.
        """
        low, high = (-FAR if start is None else start), (FAR if end is None else end)
        schema = narrowed(self.schema, columns)
        names = None if columns is None else frozenset(schema.names)
        parts = [conform(self._rows(file, low, high, names), schema) for file in files]
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def _rows(self, file: DataFile, low: int, high: int, names: Collection[str] | None) -> pa.Table:
        """Read the rows of one file in [low, high); to look for them is slow where they are all of it."""
        with spots.parquet(self.absolute(file)) as whole:
            there = None if names is None else [one for one in whole.schema_arrow.names if one in names]
            if low <= file.first and file.last < high:
                return whole.read(columns=there)
        bounds = (pc.field("time") >= low) & (pc.field("time") < high)
        return spots.read_table(self.absolute(file), filters=bounds, partitioning=None, columns=there)

    def column(self, path: str) -> Iterator[pa.Table]:
        """Yield one column, by its dotted path, file by file."""
        for file in self.files():
            yield spots.parquet(self.absolute(file)).read(columns=[path])

    def append(self, table: pa.Table, *, name: str, moved: int) -> None:
        """Add rows durably in one commit and note that the spool's segments up to ``moved`` are in it.

        Columns that the table lacks are added to it. The files' names begin with ``name``; what a crash left
        behind unnamed by the log is replaced, or swept.
        """
        before = self.version
        self._evolve(table.schema)
        rows = sort_events(conform(table, self.schema))
        actions: list[AddAction | RemoveAction] = list(self._write(rows, name))
        self._commit(actions, "flush", transaction=Transaction(APP, moved))
        _sync_log(self.folder, before)

    def replace(
        self,
        gone: Sequence[DataFile],
        added: Sequence[Spot],
        *,
        done: str,
        changed: bool = False,
        facts: Mapping[str, str] | None = None,
    ) -> bool:
        """Put files in the place of others, in one commit that is on the device when this returns.

        False, and nothing is done, where another has rewritten the table meanwhile, which can only be in a
        bucket. There each rewrite is the next transaction of ``REWRITES``, of which the log takes one: that
        two take the same files away is no conflict to it, if the first said that rows are as before.

        ``added`` are written whole, in this table's folders, and synced. ``done`` names the operation,
        ``facts`` what else the log shall say of it; ``changed`` says that rows are others than before. The
        files that are replaced stay on the disk, for readers of older versions.
        """
        before = self.version
        actions: list[AddAction | RemoveAction] = [self._described(path, changed=changed) for path in added]
        now = deltalog.now()
        actions += [RemoveAction(file.path, changed, now, file.bytes, {DAY: file.day}) for file in gone]
        try:
            if isinstance(self.folder, Path):
                self._commit(actions, done, facts=facts)
            else:
                number = int(self._delta.transaction_version(REWRITES) or 0) + 1
                self._commit(actions, done, facts=facts, transaction=Transaction(REWRITES, number))
        except CommitFailedError:
            return False
        _sync_log(self.folder, before)
        return True

    def checkpoint(self) -> None:
        """Sum up the log in a checkpoint that is on the device when this returns."""
        self._delta.create_checkpoint()
        _sync_log(self.folder, self.version - 1)

    def _evolve(self, schema: pa.Schema) -> None:
        """Give the table the columns that it lacks, and the wider types that it needs."""
        known = self.schema
        merged = merge_schemas(known, schema)
        if merged.equals(known):
            return
        if _wider(known, merged):
            self._widen(merged)
            return
        whole = merged.append(pa.field(DAY, pa.date32()))
        write_deltalake(
            self._delta, whole.empty_table(), mode="append", schema_mode="merge",
            commit_properties=CommitProperties(custom_metadata={deltalog.OPERATION: SCHEMA}),
            post_commithook_properties=_HOOKS,
        )  # fmt: skip
        self._delta.update_incremental()

    def _widen(self, schema: pa.Schema) -> None:
        """Write every file anew with wider types, and put them in the place of the others, in one commit.

        Without that, files and log would differ about a column's type, which readers of Delta need a feature
        of the protocol for. Takes the memory of one row group.
        """
        before, added = self.version, []
        for number, file in enumerate(self.files()):
            source = pq.ParquetFile(self._disk / file.path)
            parts = (conform(source.read_row_group(group), schema) for group in range(source.num_row_groups))
            path = write_file(
                (self._disk / file.path).parent, f"{SCHEMA}-{before + 1:012}-{number:06}", parts
            )
            added.append(self._described(path, changed=True))
        whole = pa.schema([*schema, pa.field(DAY, pa.date32())])
        self._delta.create_write_transaction(
            [*added], "overwrite", Schema.from_arrow(whole), [DAY],
            commit_properties=CommitProperties(custom_metadata={deltalog.OPERATION: SCHEMA}),
            post_commithook_properties=_HOOKS,
        )  # fmt: skip
        self._delta.update_incremental()
        _sync_log(self.folder, before)

    def _commit(
        self,
        actions: list[AddAction | RemoveAction],
        done: str,
        *,
        transaction: Transaction | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Write one log entry, not synced yet."""
        said = {deltalog.OPERATION: done, **(facts or {})}
        transactions = None if transaction is None else [transaction]
        self._delta.create_write_transaction(
            actions, "append", self._delta.schema(), [DAY],
            commit_properties=CommitProperties(custom_metadata=said, app_transactions=transactions),
            post_commithook_properties=_HOOKS,
        )  # fmt: skip
        self._delta.update_incremental()

    def _write(self, table: pa.Table, name: str) -> Iterator[AddAction]:
        """Write sorted rows as one synced file a day; yield what the log has to say of each."""
        days = np.floor_divide(table.column("time").to_numpy(), MS_A_DAY)
        starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
        for start, stop in pairwise([*starts.tolist(), len(days)]):
            day = (_EPOCH + timedelta(days=int(days[start]))).isoformat()
            folder = self._disk / f"{DAY}={day}"
            durable.make_folder(folder)
            path = write_file(folder, name, [table.slice(start, stop - start)], final=False)
            yield self._described(path, changed=True)

    def _described(self, path: Spot, *, changed: bool) -> AddAction:
        """Return what the log has to say of a file that is written, from the file's own account of it."""
        meta, about = spots.parquet(path).metadata, path.stat()
        ranges = time_ranges(meta)
        stats = {
            "numRecords": meta.num_rows,
            "minValues": {"time": min(first for first, _ in ranges)},
            "maxValues": {"time": max(last for _, last in ranges)},
            "nullCount": {"time": 0},
        }
        day = path.parent.name.removeprefix(f"{DAY}=")
        return AddAction(
            spots.below(path, self.folder), about.st_size, {DAY: day}, about.st_mtime_ns // 1_000_000,
            changed, orjson.dumps(stats).decode(),
        )  # fmt: skip


def time_ranges(meta: pq.FileMetaData) -> list[tuple[int, int]]:
    """Return the first and last ``time`` (ms) of each row group; beyond any where a file does not say."""
    place = next(n for n in range(meta.num_columns) if meta.schema.column(n).path == "time")
    told: list[Any] = [meta.row_group(n).column(place).statistics for n in range(meta.num_row_groups)]
    return [(one.min, one.max) if one is not None and one.has_min_max else (-FAR, FAR) for one in told]


def write_rows(file: Any, parts: Iterable[pa.Table], *, final: bool = False) -> int:
    """Write sorted tables of one schema, at least one, as one Parquet file; return how many rows.

    ``final`` says that it is to stay, and worth some effort (``store.layout``).
    """
    rows = 0
    stream = iter(parts)
    ready = [next(stream)]
    with pq.ParquetWriter(file, ready[0].schema, **layout.options(ready[0], final=final)) as writer:
        while ready:
            writer.write_table(ready[0], row_group_size=layout.row_group_size(ready[0].num_rows))
            rows += ready.pop().num_rows  # while the next one is made, it is not held
            ready += islice(stream, 1)
    return rows


def write_file(folder: Path, name: str, parts: Iterable[pa.Table], *, final: bool = True) -> Path:
    """Write sorted tables of one schema as one synced file; return where it is. See ``write_rows``."""
    path = folder
    sink = hashlib.sha256()

    def called() -> str:
        nonlocal path
        path = folder / file_name(name, sink.hexdigest())
        return path.name

    with durable.named_last(folder, called) as file:
        write_rows(_Hashed(file, sink), parts, final=final)
    return path


class _Hashed:
    """A file that is written through a digest."""

    def __init__(self, file: BinaryIO, digest: Any) -> None:
        self._file, self._digest, self.closed = file, digest, False

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def file_name(name: str, digest: str) -> str:
    """Return the name of a data file; a part of its SHA-256 (hex) is in it, so that a flipped bit shows."""
    return f"{name}-{digest[:DIGEST]}.zstd.parquet"


def day_number(day: str) -> int:
    """Return a day's number, from 1970 on."""
    return (date.fromisoformat(day) - _EPOCH).days


def digest_in(path: str) -> str:
    """Return the part of the SHA-256 that a data file's name holds; empty where it holds none."""
    match = _NAME.search(path)
    return match[1] if match else ""


def check(schema: pa.Schema) -> None:
    """Raise InputError if a table cannot have this schema."""
    try:
        Schema.from_arrow(schema)
    except Exception as error:
        raise InputError(f"the lake cannot keep these columns: {error}") from error


def open_table(folder: Spot, version: int | None = None) -> Table | None:
    """Open a version of a table, the newest unless given; None if there is no table.

    Raises IntegrityError if its log is bad.
    """
    if newest(folder) < 0:  # none, or one that was killed before its first entry
        return None
    try:
        where, options = spots.address(folder)
        with spots.trusting(folder):
            return Table(folder, DeltaTable(where, version=version, storage_options=options))
    except DeltaError as error:
        raise IntegrityError(
            f"this table's log cannot be read: {error}", at=Location(str(folder / "_delta_log"))
        ) from error


def create_table(folder: Path, schema: pa.Schema) -> Table:
    """Make a table for rows of this schema, which needs ``time`` (int64, ms) and ``metadata.uid``."""
    durable.make_folder(folder)
    others = [field for field in schema if field.name != "time"]
    whole = pa.schema([schema.field("time"), *others, pa.field(DAY, pa.date32())])
    delta = DeltaTable.create(
        folder, schema=whole, partition_by=[DAY], configuration=_SETTINGS, post_commithook_properties=_HOOKS
    )
    _sync_log(folder, -1)
    return Table(folder, delta)


def newest(folder: Spot) -> int:
    """Return the number of the last entry in a table's log, whole or not; -1 if there is none."""
    return deltalog.newest(folder)


def recover(folder: Path, synced: int) -> tuple[int, Table | None]:
    """Bring a table's log onto the device, after a crash too.

    Return its last whole version, -1 if none, and the table, if there is one; raises IntegrityError if its
    log is bad all the same.

    Versions up to ``synced`` are known to be there. From the first later one that a power cut left torn or
    missing, versions are removed: their rows are still in the spool. So are checkpoints, which only repeat
    the log, if the table does not open with them.
    """
    log = folder / "_delta_log"
    if not log.is_dir():
        return -1, None
    last = synced
    for version, path in deltalog.versions(folder):
        if version <= synced:
            continue
        if version == last + 1 and _whole(path):
            last = version
        else:
            path.unlink()
    _sync_log(folder, synced)
    for path in folder.rglob(f"{durable.UNFINISHED}*"):
        path.unlink()
    try:
        return last, open_table(folder)
    except IntegrityError:
        for path in [log / "_last_checkpoint", *log.glob("*.checkpoint*.parquet")]:
            path.unlink(missing_ok=True)
        durable.sync(log)
    return last, open_table(folder)


def _whole(path: Spot) -> bool:
    """Say whether a log entry is complete: lines of JSON, and at least one."""
    try:
        return bool([orjson.loads(line) for line in path.read_bytes().splitlines()])
    except orjson.JSONDecodeError:
        return False


def _sync_log(folder: Spot, after: int) -> None:
    """Sync the log's entries and checkpoints later than a version, and the names of all of them."""
    if not isinstance(folder, Path):
        return
    log = folder / "_delta_log"
    for path in log.iterdir():
        number = path.name[:20]
        if path.name == "_last_checkpoint" or (number.isdigit() and int(number) > after):
            durable.sync(path)
    durable.sync(log)
    durable.sync(folder)


def _wider(old: Any, new: Any) -> bool:
    """Say whether a type or schema has another type somewhere, and not only more fields."""
    if isinstance(old, pa.Schema) or pa.types.is_struct(old):
        return any(_wider(field.type, new.field(field.name).type) for field in old)
    if pa.types.is_list(old):
        return _wider(old.value_type, new.value_type)
    return not old.equals(new)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type with list elements named as Arrow names them, not as Delta does."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(child.name, _plain(child.type)) for child in kind])
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind
