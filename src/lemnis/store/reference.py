"""Reference tables in the workspace's database, with their history: as of event time, and as of a change.

A change replaces the timelines of the ids that it names, each by all of its records; nothing is ever
overwritten. So the tables at revision N are, of each id, the records of the last change up to N. Each
change's digest covers the one before: the same digest is the same tables, on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from lemnis.contracts.clock import Clock
from lemnis.contracts.errors import IntegrityError, Location
from lemnis.contracts.reference import RECORDS
from lemnis.store.database import writing

NOTHING = "sha256:" + "0" * 64
"""The digest of tables without a change."""
_WRITTEN = pa.schema([field for field in RECORDS if field.name != "table"])
_CHANGE = "change"
_TABLE = sa.table(
    "reference",
    *(sa.column(n, sa.BigInteger()) for n in ("revision", "at", "records")),
    *(sa.column(n, sa.Text()) for n in ("table", "origin", "digest")),
    sa.column("data", sa.LargeBinary()),
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a table: its number, when it was made, by which file, and how many records it brought.

    ``digest`` names the state of all tables after it.
    """

    revision: int
    at: int
    table: str
    origin: str
    records: int
    digest: str


class Reference:
    """The imported and learnt records of a workspace. Any number of processes may use them at once."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        """``clock`` dates the changes."""
        self._engine = engine
        self._clock = clock

    def head(self) -> tuple[int, str]:
        """Return the number of the last change and the digest of the tables after it."""
        with self._engine.connect() as connection:
            return _head(connection)

    def changes(self) -> list[Change]:
        """Return all changes, oldest first."""
        columns = [column for column in _TABLE.columns if column.name != "data"]
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(_TABLE.c.revision)).mappings().all()
        return [Change(**row) for row in rows]

    def records(self, *, at: int | None = None, table: str | None = None) -> pa.Table:
        """Return the records (``contracts.reference.RECORDS``) after a change; after the last unless named.

        By change, and within one as they were given. Raises IntegrityError for data that cannot be read.
        """
        return _latest(_numbered(RECORDS.empty_table(), 0), self._read(0, at, table))

    def newer(self, known: pa.Table, after: int) -> pa.Table:
        """Return the records as they are, given those after some change."""
        return _latest(_numbered(known, 0), self._read(after, None, None))

    def change(self, table: str, origin: str, make: Callable[[pa.Table], pa.Table | None]) -> Change | None:
        """Change a table: ``make`` is given its records, and returns all records of the ids that change.

        It is given them with all other writers shut out. An id that shall have none has one that ends as it
        begins; what has no origin is of this change. Returns None, and writes nothing, if there is nothing.
        """
        with writing(self._engine) as connection:
            nothing = _numbered(RECORDS.empty_table(), 0)
            made = make(_latest(nothing, _pages(connection, 0, None, table)))
            if made is None or not made.num_rows:
                return None
            data = _packed(made.select(_WRITTEN.names))
            last, digest = _head(connection)
            now = self._clock.now()
            said = f"{digest}\n{table}\n{origin}\n".encode() + _meaning(made)
            change = Change(
                last + 1, now, table, origin, made.num_rows, "sha256:" + hashlib.sha256(said).hexdigest()
            )
            row = {
                "revision": change.revision, "at": now, "table": table, "origin": origin,
                "records": change.records, "digest": change.digest, "data": data,
            }  # fmt: skip
            connection.execute(sa.insert(_TABLE), [row])
            return change

    def fold(self, table: str, *, most: int = 64) -> bool:
        """Make one change of those of a table, once there are more than ``most``; say whether that was so.

        For what is learnt all the time: its records keep their times, only what was known when is forgotten.
        """
        count = sa.select(sa.func.count()).select_from(_TABLE).where(_TABLE.c.table == table)
        with writing(self._engine) as connection:
            if connection.execute(count).scalar_one() <= most:
                return False
            pages = _pages(connection, 0, None, table)
            records = _latest(_numbered(RECORDS.empty_table(), 0), pages, ended=True)
            last = connection.execute(
                sa.select(sa.func.max(_TABLE.c.revision)).where(_TABLE.c.table == table)
            ).scalar_one()
            connection.execute(sa.delete(_TABLE).where(_TABLE.c.table == table, _TABLE.c.revision < last))
            changed = {"records": records.num_rows, "data": _packed(records.select(_WRITTEN.names))}
            connection.execute(sa.update(_TABLE).where(_TABLE.c.revision == last).values(changed))
            return True

    def _read(self, after: int, up_to: int | None, table: str | None) -> Iterator[pa.Table]:
        with self._engine.connect() as connection:
            yield from _pages(connection, after, up_to, table)


def _pages(connection: sa.Connection, after: int, up_to: int | None, table: str | None) -> Iterator[pa.Table]:
    query = sa.select(_TABLE).where(_TABLE.c.revision > after).order_by(_TABLE.c.revision)
    if up_to is not None:
        query = query.where(_TABLE.c.revision <= up_to)
    if table is not None:
        query = query.where(_TABLE.c.table == table)
    with closing(connection.execute(query).mappings()) as rows:
        for row in rows:
            try:
                with pa.ipc.open_stream(row["data"]) as stream:
                    records = stream.read_all()
            except pa.ArrowInvalid as error:
                raise IntegrityError(
                    "the records of this change were altered",
                    at=Location("reference", record=row["revision"]), fix="restore it from a copy",
                ) from error  # fmt: skip
            own: dict[str, object] = {
                "origin": row["origin"], "revision": row["revision"], "recorded": row["at"],
            }  # fmt: skip
            columns: Any = [
                pa.repeat(pa.scalar(row["table"], pa.string()), records.num_rows)
                if field.name == "table"
                else pc.fill_null(records.column(field.name), pa.scalar(own[field.name], field.type))
                if field.name in own
                else records.column(field.name)
                for field in RECORDS
            ]
            yield _numbered(pa.table(columns, schema=RECORDS), int(row["revision"]))


def _numbered(records: pa.Table, change: int) -> pa.Table:
    """Return records with the number of the change that they were read from."""
    number: Any = pa.repeat(pa.scalar(change, pa.int64()), records.num_rows)
    return records.append_column(_CHANGE, number)


def _latest(known: pa.Table, newer: Iterable[pa.Table], *, ended: bool = False) -> pa.Table:
    """Return of each table and id the records of its last change, those that hold at no time if asked for."""
    records = pa.concat_tables([known, *newer])
    if records.num_rows:
        parts: Any = (records.column("table"), records.column("id"), pa.scalar("\x1f"))
        keys: Any = pc.binary_join_element_wise(*parts)
        codes = keys.combine_chunks().dictionary_encode().indices.to_numpy()
        changes = records.column(_CHANGE).to_numpy()
        last = np.zeros(int(codes.max()) + 1, np.int64)
        np.maximum.at(last, codes, changes)
        holds = ended | (records.column("until").to_numpy() > records.column("from").to_numpy())
        kept: Any = pa.array((changes == last[codes]) & holds)
        records = records.filter(kept)
    return records.drop_columns([_CHANGE])


def _packed(records: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _WRITTEN, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(records.cast(_WRITTEN))
    return sink.getvalue().to_pybytes()


def _meaning(records: pa.Table) -> bytes:
    """Return what a change says, in bytes that do not depend on how Arrow or zstd write it."""
    columns = [records.column(name).to_pylist() for name in _WRITTEN.names]
    return "\n".join("\x1f".join(map(str, row)) for row in zip(*columns, strict=True)).encode()


def _head(connection: sa.Connection) -> tuple[int, str]:
    query = sa.select(_TABLE.c.revision, _TABLE.c.digest).order_by(_TABLE.c.revision.desc()).limit(1)
    row = connection.execute(query).first()
    return (int(row[0]), str(row[1])) if row else (0, NOTHING)
