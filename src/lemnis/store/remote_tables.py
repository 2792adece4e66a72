"""Tables in a bucket: where it is, how workers write to them, how they are kept. See ``store.remote``."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction
from pyarrow import fs

from lemnis.contracts.errors import Location, ServiceError
from lemnis.store import delta, deltalog, durable
from lemnis.store.columns import MS_A_DAY, conform, merge_schemas, sort_events
from lemnis.store.delta import DAY
from lemnis.store.objects import Bucket, ObjectSpot

NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
SETTINGS: dict[str, str | None] = {"delta.dataSkippingNumIndexedCols": "1", "delta.checkpointInterval": "20"}
COMMIT = "commit"
"""What the log calls a batch of a lane."""
_EPOCH = date(1970, 1, 1)
_TRIES = 30
_PAUSE_S = (0.02, 1.0)
_WRITERS = 8
_OLD_S = 600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster's lake is: ``s3://BUCKET/PREFIX``, the storage's address unless it is AWS, the keys.

    ``address`` over http is for the loopback, or for a network that nobody else is on. ``ca`` is a file of
    the certificates that the storage's has to lead to, where it is of no known authority.
    """

    uri: str
    address: str = ""
    region: str = ""
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    ca: str = ""

    @property
    def prefix(self) -> str:
        """The bucket and the prefix in it."""
        parts = urlsplit(self.uri)
        return f"{parts.netloc}{parts.path}".rstrip("/")

    def bucket(self) -> Bucket:
        """Return it as a place for files."""
        return Bucket(f"s3://{self.prefix}", self.files(), self.options(), self.ca)

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
            connect_timeout=10, request_timeout=60, allow_delayed_open=True, tls_ca_file_path=self.ca or None,  # type: ignore[call-arg]  # newer than the stubs
        )  # fmt: skip
        return fs.SubTreeFileSystem(self.prefix, whole)


class RemoteTable(delta.Table):
    """One Delta table on the storage, as workers write it; an object is used by one thread at a time."""

    def __init__(self, folder: ObjectSpot, table: DeltaTable) -> None:
        """Wrap an open table; see ``RemoteLake.table``."""
        super().__init__(folder, table)
        self.name, self._bucket = folder.name, folder.bucket
        self._seen = time.monotonic()

    def refresh(self) -> None:
        """Look at what others have committed.

        After a long time it is opened anew: entries that follow on what it has seen may have been cut off.
        """
        now = time.monotonic()
        if now - self._seen > _OLD_S:
            with self._bucket.trusted():
                self._delta = DeltaTable(str(self.folder), storage_options=self._bucket.options)
        else:
            self._delta.update_incremental()
        self._seen = now

    def has(self, lane: str) -> int:
        """Return up to which message of a lane the table holds the events; 0 if none."""
        return int(self._delta.transaction_version(lane) or 0)

    def dataset(self, *, start: int | None = None, end: int | None = None) -> ds.Dataset | pa.Table:
        """Return the files with rows in [start, end) as one data set of the table's schema."""
        paths = [f"tables/{self.name}/{file.path}" for file in self.files(start=start, end=end)]
        if not paths:
            return self.schema.empty_table()
        return ds.dataset(paths, schema=self.schema, format="parquet", filesystem=self._bucket.files)

    def add(self, table: pa.Table, *, lane: str, up_to: int) -> bool:
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
                self._grow(table.schema)
                if actions is None:
                    actions = list(self._put(sort_events(conform(table, self.schema))))
                self._name(actions, _saying(COMMIT, Transaction(lane, up_to)))
            except CommitFailedError:  # another worker was first; what it wrote is looked at, then again
                time.sleep(pause)
                pause = min(2 * pause, _PAUSE_S[1])
            else:
                return True
        raise ServiceError(
            f"{self.name} could not be committed to in {_TRIES} tries: others always were first",
            at=Location(str(self.folder)),
            fix="let workers commit less often: a larger commit_s",
        )

    def _grow(self, schema: pa.Schema) -> None:
        known = self.schema
        merged = merge_schemas(known, schema, widen=False)
        if not merged.equals(known):
            whole = merged.append(pa.field(DAY, pa.date32()))
            write_deltalake(
                self._delta, whole.empty_table(), mode="append", schema_mode="merge",
                storage_options=self._bucket.options, post_commithook_properties=NO_HOOKS,
                commit_properties=_saying(delta.SCHEMA),
            )  # fmt: skip
            self.refresh()

    def _name(self, actions: Sequence[AddAction], properties: CommitProperties) -> None:
        """Make written files part of the table."""
        self._delta.create_write_transaction(
            [*actions], "append", self._delta.schema(), [DAY], commit_properties=properties
        )

    def _put(self, table: pa.Table) -> Iterator[AddAction]:
        """Write sorted rows as one file a day, of a name that no other attempt has; yield what to say."""
        days = np.floor_divide(table.column("time").to_numpy(), MS_A_DAY)
        starts = np.flatnonzero(np.diff(days, prepend=days[:1] - 1))
        for start, stop in pairwise([*starts.tolist(), len(days)]):
            part = table.slice(start, stop - start)
            day = (_EPOCH + timedelta(days=int(days[start]))).isoformat()
            sink = pa.BufferOutputStream()
            delta.write_rows(sink, [part])
            data = sink.getvalue()
            digest = hashlib.sha256(data).hexdigest()
            path = f"{DAY}={day}/{delta.file_name(f'batch-{uuid.uuid4().hex}', digest)}"
            with self._bucket.files.open_output_stream(f"tables/{self.name}/{path}") as file:
                file.write(data)
            times = part.column("time")
            stats = {
                "numRecords": part.num_rows, "minValues": {"time": times[0].as_py()},
                "maxValues": {"time": times[-1].as_py()}, "nullCount": {"time": 0},
            }  # fmt: skip
            yield AddAction(path, data.size, {DAY: day}, deltalog.now(), True, orjson.dumps(stats).decode())


class RemoteTables:
    """The tables of a bucket, for whoever keeps them (``store.lakes.TableSet``).

    Anyone may write to them at any time: who rewrites a file that another has rewritten is refused by the
    log. What is being rewritten is on this machine, in ``beside``, until it is whole.
    """

    spool = None

    def __init__(self, bucket: Bucket, beside: Path) -> None:
        """Nothing is read yet."""
        self.root, self._beside = bucket.spot(), beside

    def beside(self, name: str) -> Path:
        """Return a folder of this machine for what is being rewritten of a table."""
        return self._beside / name

    def folder(self, name: str) -> ObjectSpot:
        """Return where a table is, or would be."""
        return self.root / "tables" / name

    def folders(self) -> list[ObjectSpot]:
        """Return the folders of all tables, by name."""
        with failing(self.root.bucket):
            return sorted((self.root / "tables").iterdir())

    def open(self) -> Iterator[tuple[str, delta.Table]]:
        """Yield the tables as they are now."""
        folders = self.folders()
        with ThreadPoolExecutor(_WRITERS) as pool:
            for folder, table in zip(folders, pool.map(delta.open_table, folders), strict=True):
                if table is not None:
                    yield folder.name, table

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say it in our words if the storage fails meanwhile."""
        with failing(self.root.bucket):
            yield

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Be the only one of this machine that rewrites what is in the tables."""
        durable.make_folder(self._beside)
        with durable.exclusive(self._beside / "keeping.lock"), failing(self.root.bucket):
            yield

    def settled(self, name: str, version: int) -> None:
        """Do nothing: the storage has what it answered for."""


def _saying(done: str, *transactions: Transaction) -> CommitProperties:
    """Return what the log is to say of a commit."""
    return CommitProperties(
        custom_metadata={deltalog.OPERATION: done}, app_transactions=list(transactions) or None
    )


@contextmanager
def failing(bucket: Bucket) -> Iterator[None]:
    """Tell of a storage that fails in our words."""
    try:
        yield
    except (OSError, DeltaError) as error:
        raise ServiceError(
            f"the lake's storage fails: {error}",
            at=Location(bucket.uri),
            fix="check its address, the bucket, and the credentials' rights to it",
        ) from error
