"""How far the workers of a cluster have come, in PostgreSQL: who has a lane, what is done, what claims what.

A lane is a sequence of messages that one worker at a time turns into events. It has a *batch* in hand: the
messages after ``done`` up to ``planned``. A batch is written down before it is worked on and only grows, so
whoever takes a lane over does the same batch again, and nothing else.

What names a record (its delivery, or its identity fields) is claimed by the batch that has it first; any
other that has it, in whatever lane, has a duplicate. A claim stands though its worker was killed, because
that batch is done again.

Holding a lane is a lock of a PostgreSQL session, which ends with the worker's process; taking it raises its
``epoch``, after which a worker that only seemed dead can neither plan nor finish anything in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import sqlalchemy as sa

from lemnis.contracts.errors import ServiceError, UsageError
from lemnis.store.columns import Keys

_SPACE = 0x1E34
"""The first half of the keys of our session locks."""
_PRESENT = 0x1E35
_META = sa.MetaData()
_LANE = sa.Table(
    "lane", _META, sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.Text()),
    *(sa.Column(name, sa.BigInteger()) for name in ("epoch", "done", "planned")),
)  # fmt: skip
_CHECKPOINT = sa.Table(
    "checkpoint", _META, sa.Column("name", sa.Text(), primary_key=True),
    sa.Column("data", sa.LargeBinary()), sa.Column("at", sa.BigInteger()),
)  # fmt: skip
_CLAIM = sa.text(
    "INSERT INTO claim (key, lane, batch, day) SELECT key, :lane, :batch, :day "
    "FROM unnest(CAST(:keys AS bigint[])) AS k(key) ON CONFLICT (key) DO NOTHING"
)
_FOREIGN = sa.text(
    "SELECT key FROM claim WHERE key = ANY(CAST(:keys AS bigint[])) AND NOT (lane = :lane AND batch = :batch)"
)
_SAVE = sa.text(
    "INSERT INTO checkpoint (name, data, at) VALUES (:name, :data, :at) "
    "ON CONFLICT (name) DO UPDATE SET data = excluded.data, at = excluded.at"
)
_SHARES = sa.text(
    "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = :space "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_HELD = sa.text(
    "SELECT name FROM unnest(CAST(:names AS text[])) AS n(name) JOIN pg_locks ON locktype = 'advisory' "
    "AND classid = :space AND granted "
    "AND CAST(objid AS bigint) = (CAST(hashtext(name) AS bigint) & 4294967295) "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class LostLaneError(ServiceError):
    """Another worker has taken the lane over: what is in hand of it is that one's now."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane that is held: what is done of it, and how far its batch in hand was planned."""

    id: int
    name: str
    epoch: int
    done: int
    planned: int


class Lanes:
    """The lanes of a cluster. One object holds lanes for one worker; its calls come from one thread a time.

    ``engine`` is of PostgreSQL: raises UsageError for another.
    """

    def __init__(self, engine: sa.Engine) -> None:
        if engine.dialect.name != "postgresql":
            raise UsageError(
                "workers of a cluster share a PostgreSQL database",
                fix="set LEMNIS_DATABASE_URL to postgresql+psycopg://USER@HOST/NAME",
            )
        self._engine = engine
        self._session: sa.Connection | None = None

    # -- holding -------------------------------------------------------------------------------------------

    def take(self, name: str) -> Lane | None:
        """Hold a lane, and make it if there is none; None if another worker has it."""
        with self._errors():
            if not self._locked(_SPACE, name):
                return None
            with self._engine.begin() as connection:
                connection.execute(
                    sa.text(
                        "INSERT INTO lane (id, name, epoch, done, planned) "
                        "SELECT coalesce(max(id), 0) + 1, :name, 0, 0, 0 FROM lane "
                        "ON CONFLICT (name) DO NOTHING"
                    ),
                    {"name": name},
                )
                row = connection.execute(
                    sa.update(_LANE).where(_LANE.c.name == name)
                    .values(epoch=_LANE.c.epoch + 1).returning(*_LANE.columns)
                ).one()  # fmt: skip
        return Lane(row.id, row.name, row.epoch, row.done, row.planned)

    def release(self, name: str) -> None:
        """Let go of a lane; with a session that is lost, it is let go of already."""
        if self._session is None:
            return
        with self._errors():
            lock = sa.func.pg_advisory_unlock(_SPACE, sa.func.hashtext(name))
            self._connection().execute(sa.select(lock))

    def present(self) -> int:
        """Say that this worker takes part, and return how many do."""
        with self._errors():
            session = self._connection()
            session.execute(sa.text(
                "SELECT pg_advisory_lock_shared(:space, 0) WHERE NOT EXISTS (SELECT 1 FROM pg_locks "
                "WHERE locktype = 'advisory' AND classid = :space AND pid = pg_backend_pid())"
            ), {"space": _PRESENT})  # fmt: skip
            return int(session.execute(_SHARES, {"space": _PRESENT}).scalar_one())

    def holds(self) -> bool:
        """Say whether the session that holds everything still lives."""
        if self._session is None:
            return False
        try:
            self._session.execute(sa.text("SELECT 1"))
        except (sa.exc.SQLAlchemyError, ServiceError):
            self.close()
            return False
        return True

    def close(self) -> None:
        """Let go of everything that is held."""
        session, self._session = self._session, None
        if session is not None:
            session.invalidate()
            session.close()

    # -- a batch -------------------------------------------------------------------------------------------

    def plan(self, lane: Lane, planned: int, keys: Keys, *, day: int) -> tuple[Lane, Keys]:
        """Add messages up to ``planned`` to the batch in hand, and claim ``keys`` for it.

        Returns the lane as it is now, and those of the keys that another batch has. ``day`` (since 1970) is
        when, for ``forget``. On the device when it returns. Raises LostLaneError where another worker has
        the lane.
        """
        planned = max(planned, lane.planned)
        ordered = np.unique(keys).tolist()
        with self._errors(), self._engine.begin() as connection:
            self._change(connection, lane, planned=planned)
            if not ordered:
                return replace(lane, planned=planned), keys[:0]
            given = {"keys": ordered, "lane": lane.id, "batch": lane.done, "day": day}
            connection.execute(_CLAIM, given)
            foreign = connection.execute(_FOREIGN, given).scalars().all()
        return replace(lane, planned=planned), np.array(foreign, dtype=np.int64)

    def finish(self, lane: Lane) -> Lane:
        """Note that the batch in hand is in the lake; raises LostLaneError as ``plan`` does."""
        with self._errors(), self._engine.begin() as connection:
            self._change(connection, lane, done=lane.planned)
        return replace(lane, done=lane.planned)

    def forget(self, before: int) -> int:
        """Let go of claims that were made before a day (since 1970); return how many."""
        with self._errors(), self._engine.begin() as connection:
            gone = connection.execute(sa.text("DELETE FROM claim WHERE day < :day"), {"day": before})
            return int(gone.rowcount)

    def known(self) -> list[Lane]:
        """Return every lane as it is, by name."""
        with self._errors(), self._engine.connect() as connection:
            rows = connection.execute(sa.select(_LANE).order_by(_LANE.c.name)).all()
        return [Lane(row.id, row.name, row.epoch, row.done, row.planned) for row in rows]

    def held(self, names: Sequence[str]) -> frozenset[str]:
        """Return those of the lanes that some worker has."""
        with self._errors(), self._engine.connect() as connection:
            found = connection.execute(_HELD, {"names": list(names), "space": _SPACE}).scalars()
            return frozenset(found)

    # -- checkpoints ---------------------------------------------------------------------------------------

    def checkpoint(self, lane: Lane) -> bytes | None:
        """Return what was saved last of a lane; None if nothing was."""
        with self._errors(), self._engine.connect() as connection:
            row = connection.execute(sa.select(_CHECKPOINT).where(_CHECKPOINT.c.name == lane.name)).first()
        return bytes(row.data) if row is not None else None

    def save(self, lane: Lane, data: bytes, at: int, *, done: int) -> Lane:
        """Save a lane's checkpoint instead of the one before, which covers its messages up to ``done``.

        On the device when it returns. Raises LostLaneError where another worker has the lane.
        """
        with self._errors(), self._engine.begin() as connection:
            self._change(connection, lane, done=done, planned=done)
            connection.execute(_SAVE, {"name": lane.name, "data": data, "at": at})
        return replace(lane, done=done, planned=done)

    def mark(self, key: str) -> str:
        """Return what was noted last under a key; an empty text if nothing was."""
        with self._errors(), self._engine.connect() as connection:
            row = connection.execute(sa.select(_CHECKPOINT).where(_CHECKPOINT.c.name == key)).first()
        return bytes(row.data).decode() if row is not None else ""

    def note(self, key: str, value: str, at: int) -> None:
        """Note something under a key; it is on the device when this returns."""
        with self._errors(), self._engine.begin() as connection:
            connection.execute(_SAVE, {"name": key, "data": value.encode(), "at": at})

    # -- inside --------------------------------------------------------------------------------------------

    def _change(self, connection: sa.Connection, lane: Lane, **values: int) -> None:
        mine = sa.and_(_LANE.c.id == lane.id, _LANE.c.epoch == lane.epoch)
        changed = connection.execute(sa.update(_LANE).where(mine).values(**values))
        if not changed.rowcount:
            raise LostLaneError(f"another worker has {lane.name}")

    def _connection(self) -> sa.Connection:
        if self._session is None:
            self._session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        return self._session

    def _locked(self, space: int, name: str) -> bool:
        lock = sa.func.pg_try_advisory_lock(space, sa.func.hashtext(name))
        return bool(self._connection().execute(sa.select(lock)).scalar_one())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Tell of a database that fails in our words; its session is made anew then."""
        try:
            yield
        except LostLaneError:
            raise
        except sa.exc.SQLAlchemyError as error:
            self.close()
            raise ServiceError(
                f"the database fails: {getattr(error, 'orig', None) or error}",
                fix="check the server at LEMNIS_DATABASE_URL",
            ) from error
        except ServiceError:  # as open_engine tells of one that is gone
            self.close()
            raise
