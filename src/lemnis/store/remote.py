"""The lake of a cluster: Delta tables by class and day on S3-compatible storage, written by many workers.

What ``store.lake`` gets from its spool, tables here get from who writes them. Each commit names, as an
application transaction of its own for each lane, up to which message of the lane the table holds the events;
files become part of a table by one entry in its log, which the storage lets only one writer make
(``If-None-Match``). So a worker that does a batch again adds nothing to a table that has it, and of two that
do the same batch at once one is refused by the log: their transactions are the same one.

Other engines read ``tables/NAME`` as the Delta tables they are.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction
from pyarrow import fs

from lemnis.contracts.errors import Location, NotFoundError, ServiceError
from lemnis.store import query
from lemnis.store.columns import MS_A_DAY, conform, merge_schemas, sort_events

DAY = "day"
_EPOCH = date(1970, 1, 1)
_ROW_GROUP = 65_536
_TRIES = 30
_PAUSE_S = (0.02, 1.0)
_WRITERS = 8
_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_SETTINGS: dict[str, str | None] = {"delta.dataSkippingNumIndexedCols": "1", "delta.checkpointInterval": "50"}
_FAR = 2**62


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster's lake is: ``s3://BUCKET/PREFIX``, the storage's address unless it is AWS, the keys.

    ``address`` over http is for the loopback, or for a network that nobody else is on.
    """

    uri: str
    address: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = ""
    session_token: str = ""

    @property
    def bucket(self) -> str:
        """The bucket and the prefix in it."""
        parts = urlsplit(self.uri)
        return f"{parts.netloc}{parts.path}".rstrip("/")

    def options(self) -> dict[str, str]:
        """Return it as delta-rs is told."""
        said = {
            "AWS_CONDITIONAL_PUT": "etag", "AWS_REGION": self.region or "us-east-1",
            "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.session_token, "AWS_ENDPOINT_URL": self.address,
            "AWS_ALLOW_HTTP": "true" if self.address.startswith("http://") else "",
        }  # fmt: skip
        return {name: value for name, value in said.items() if value}

    def files(self) -> fs.FileSystem:
        """Return its bucket and prefix as a file system."""
        parts = urlsplit(self.address)
        whole = fs.S3FileSystem(
            access_key=self.access_key or None, secret_key=self.secret_key or None,
            session_token=self.session_token or None, region=self.region or "us-east-1",
            scheme="http" if parts.scheme == "http" else "https", endpoint_override=parts.netloc or None,
            connect_timeout=10, request_timeout=60,
        )  # fmt: skip
        return fs.SubTreeFileSystem(self.bucket, whole)


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """What a table holds; ``last`` is its newest ``time`` (ms)."""

    name: str
    files: int
    rows: int
    bytes: int
    last: int | None


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    rows: int
    bytes: int
    first: int
    last: int


class RemoteTable:
    """One Delta table on the storage; an object is used by one thread at a time."""

    def __init__(self, place: Place, files: fs.FileSystem, name: str, delta: DeltaTable) -> None:
        """Wrap an open table; see ``RemoteLake.table``."""
        self.name = name
        self._place, self._files, self._delta = place, files, delta

    @property
    def schema(self) -> pa.Schema:
        """The schema of the rows, without the partition column ``day``."""
        schema: Any = self._delta.schema()
        return pa.schema([pa.field(f.name, _plain(f.type)) for f in pa.schema(schema) if f.name != DAY])

    def refresh(self) -> None:
        """Look at what others have committed."""
        self._delta.update_incremental()

    def has(self, lane: str) -> int:
        """Return up to which message of a lane the table holds the events; 0 if none."""
        return int(self._delta.transaction_version(lane) or 0)

    def files(self, *, start: int | None = None, end: int | None = None) -> list[_File]:
        """Return the files with rows in [start, end), by path."""
        actions = pa.table(self._delta.get_add_actions(flatten=True))
        names = ("path", "num_records", "size_bytes", "min.time", "max.time")
        there, nothing = set(actions.column_names), [None] * actions.num_rows
        columns = [actions.column(name).to_pylist() if name in there else nothing for name in names]
        found = [
            _File(path, count or 0, size, -_FAR if low is None else low, _FAR if high is None else high)
            for path, count, size, low, high in zip(*columns, strict=True)
        ]
        chosen = [f for f in found if (end is None or f.first < end) and (start is None or f.last >= start)]
        return sorted(chosen, key=lambda file: file.path)

    def dataset(self, *, start: int | None = None, end: int | None = None) -> ds.Dataset | pa.Table:
        """Return the files with rows in [start, end) as one data set of the table's schema."""
        paths = [f"tables/{self.name}/{file.path}" for file in self.files(start=start, end=end)]
        if not paths:
            return self.schema.empty_table()
        return ds.dataset(paths, schema=self.schema, format="parquet", filesystem=self._files)

    def append(self, table: pa.Table, *, lane: str, up_to: int) -> bool:
        """Add a batch of a lane, which is done with message ``up_to``; say whether it was not there yet.

        Columns that the table lacks are added to it. Raises ServiceError where the storage fails.
        """
        actions: list[AddAction] | None = None
        pause = _PAUSE_S[0]
        for _ in range(_TRIES):
            self.refresh()
            if self.has(lane) >= up_to:
                return False
            try:
                self._evolve(table.schema)
                if actions is None:
                    actions = list(self._write(sort_events(conform(table, self.schema))))
                self._commit(actions, CommitProperties(app_transactions=[Transaction(lane, up_to)]))
            except CommitFailedError:  # another worker was first; what it wrote is looked at, then again
                time.sleep(pause)
                pause = min(2 * pause, _PAUSE_S[1])
            else:
                return True
        raise ServiceError(
            f"{self.name} could not be committed to in {_TRIES} tries: others always were first",
            at=Location(f"{self._place.uri}/tables/{self.name}"),
            fix="let workers commit less often: a larger commit_s",
        )

    def _evolve(self, schema: pa.Schema) -> None:
        known = self.schema
        merged = merge_schemas(known, schema, widen=False)
        if not merged.equals(known):
            whole = merged.append(pa.field(DAY, pa.date32()))
            write_deltalake(
                self._delta, whole.empty_table(), mode="append", schema_mode="merge",
                storage_options=self._place.options(), post_commithook_properties=_NO_HOOKS,
            )  # fmt: skip
            self.refresh()

    def _commit(self, actions: Sequence[AddAction], properties: CommitProperties) -> None:
        self._delta.create_write_transaction(
            [*actions], "append", self._delta.schema(), [DAY], commit_properties=properties
        )

    def _write(self, table: pa.Table) -> Iterator[AddAction]:
        """Write sorted rows as one file a day, of a name that no other attempt has; yield what to say."""
        days = np.floor_divide(table.column("time").to_numpy(), MS_A_DAY)
        starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
        for start, stop in pairwise([*starts.tolist(), len(days)]):
            part = table.slice(start, stop - start)
            day = (_EPOCH + timedelta(days=int(days[start]))).isoformat()
            path = f"{DAY}={day}/{uuid.uuid4().hex}.zstd.parquet"
            sink = pa.BufferOutputStream()
            pq.write_table(part, sink, compression="zstd", row_group_size=_ROW_GROUP)
            data = sink.getvalue()
            with self._files.open_output_stream(f"tables/{self.name}/{path}") as file:
                file.write(data)
            times = part.column("time")
            stats = {
                "numRecords": part.num_rows, "minValues": {"time": times[0].as_py()},
                "maxValues": {"time": times[-1].as_py()}, "nullCount": {"time": 0},
            }  # fmt: skip
            now = time.time_ns() // 1_000_000
            yield AddAction(path, data.size, {DAY: day}, now, True, orjson.dumps(stats).decode())


class RemoteLake:
    """The lake of a cluster. Any number of processes may use it; an object has one thread at a time."""

    def __init__(self, place: Place) -> None:
        """``place`` is where it is; nothing is made or read yet."""
        self.place = place
        self._files = place.files()
        self._open: dict[str, RemoteTable] = {}

    # -- writing -------------------------------------------------------------------------------------------

    def commit(self, lane: str, up_to: int, tables: Mapping[str, pa.Table]) -> int:
        """Add a batch of a lane, by table; return how many rows were new. Exactly once, however often.

        A batch is done with message ``up_to``, and has the same events whenever it is done.
        """

        def one(item: tuple[str, pa.Table]) -> int:
            name, table = item
            return (
                table.num_rows if self.table(name, table.schema).append(table, lane=lane, up_to=up_to) else 0
            )

        there = sorted((name, table) for name, table in tables.items() if table.num_rows)
        if not there:
            return 0
        with self._errors(), ThreadPoolExecutor(min(_WRITERS, len(there))) as pool:
            return sum(pool.map(one, there))

    def done(self, lane: str) -> list[int]:
        """Return up to which messages of a lane tables hold its events, ascending."""
        found = set()
        with self._errors():
            for table in self.tables().values():
                found.add(table.has(lane))
        return sorted(found - {0})

    def put(self, path: str, data: bytes) -> None:
        """Put bytes at a path beside the tables; it is durable when this returns."""
        with self._errors(), self._files.open_output_stream(path) as file:
            file.write(data)

    def get(self, path: str) -> bytes:
        """Return the bytes at a path; raises NotFoundError where there are none."""
        with self._errors():
            try:
                with self._files.open_input_file(path) as file:
                    return bytes(file.read())
            except FileNotFoundError as error:
                raise NotFoundError("this object is not there", at=Location(path)) from error

    def drop(self, path: str) -> None:
        """Remove what is at a path, if anything is."""
        with self._errors():
            try:
                self._files.delete_file(path)
            except FileNotFoundError:
                return

    # -- reading -------------------------------------------------------------------------------------------

    def tables(self) -> dict[str, RemoteTable]:
        """Return all tables, as they are now, by name."""
        with self._errors():
            there = self._files.get_file_info(fs.FileSelector("tables", allow_not_found=True))
            names = sorted(one.base_name for one in there if one.type == fs.FileType.Directory)
            found = {name: table for name in names if (table := self._opened(name)) is not None}
            for table in found.values():
                table.refresh()
        return found

    def table(self, name: str, schema: pa.Schema) -> RemoteTable:
        """Return a table; made for rows of this schema if there is none."""
        found = self._opened(name)
        if found is not None:
            return found
        others = [field for field in schema if field.name != "time"]
        whole = pa.schema([schema.field("time"), *others, pa.field(DAY, pa.date32())])
        try:
            DeltaTable.create(
                self._uri(name), schema=whole, partition_by=[DAY], configuration=_SETTINGS,
                storage_options=self.place.options(), post_commithook_properties=_NO_HOOKS,
            )  # fmt: skip
        except DeltaError:  # another worker has made it meanwhile
            if self._opened(name) is None:
                raise
        made = self._opened(name)
        if made is None:
            raise ServiceError(f"the table {name} was made and is not there", at=Location(self._uri(name)))
        return made

    def schemas(self) -> dict[str, pa.Schema]:
        """Return the schema of each table."""
        return {name: table.schema for name, table in self.tables().items()}

    def status(self) -> list[RemoteStatus]:
        """Return what each table holds."""
        found = []
        for name, table in self.tables().items():
            files = table.files()
            last = max((file.last for file in files), default=None)
            count, size = sum(file.rows for file in files), sum(file.bytes for file in files)
            found.append(RemoteStatus(name, len(files), count, size, last))
        return found

    def query(
        self, sql: str, *, parameters: Sequence[object] = (), limit: int = 1000, timeout: float = 60,
        start: int | None = None, end: int | None = None,
    ) -> pa.Table:  # fmt: skip
        """Run one SELECT over what is committed; as ``Lake.query`` does, which see."""
        tables = self.tables()
        wanted = query.needed(sql, list(tables))
        with self._errors():
            found = {
                name: table.dataset(start=start, end=end) for name, table in tables.items() if name in wanted
            }
            relations = {name: query.Relation(data.schema, [], data) for name, data in found.items()}
            return query.run(relations, sql, parameters=parameters, limit=limit, timeout=timeout)

    # -- inside --------------------------------------------------------------------------------------------

    def _uri(self, name: str) -> str:
        return f"s3://{self.place.bucket}/tables/{name}"

    def _opened(self, name: str) -> RemoteTable | None:
        known = self._open.get(name)
        if known is None:
            try:
                delta = DeltaTable(self._uri(name), storage_options=self.place.options())
            except TableNotFoundError:
                return None
            known = self._open[name] = RemoteTable(self.place, self._files, name, delta)
        return known

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Tell of a storage that fails in our words."""
        try:
            yield
        except (OSError, DeltaError) as error:
            raise ServiceError(
                f"the lake's storage fails: {error}",
                at=Location(self.place.uri),
                fix="check its address, the bucket, and the credentials' rights to it",
            ) from error


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type with list elements named as Arrow names them, not as Delta does."""
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(child.name, _plain(child.type)) for child in kind])
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    return kind
