"""Leases in the journal's database: shared limits that hold between processes, and survive a killed holder.

A place is a row with an end. Rows whose end is past count for nothing, so a killed holder's place is free
when its lease is over, and nobody has to notice that it is dead. On PostgreSQL the time is the server's: the
clocks of the machines need not agree. On SQLite all processes are on one machine and share its clock; a
lease need not survive a power cut, so its commits are not synced (the journal's are, on connections of its
own).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from lemnis.store.database import WRITE

SECONDS = 30.0
_MINUTE = 60_000
_LOCK = 0x1E3417  # the advisory lock of PostgreSQL under which places are counted and taken
_META = sa.MetaData()
_LEASE = sa.Table(
    "lease", _META, sa.Column("token", sa.Text(), primary_key=True), sa.Column("name", sa.Text()),
    sa.Column("holder", sa.Text()), sa.Column("until", sa.BigInteger()),
)  # fmt: skip
_TURN = sa.Table(
    "turn", _META, sa.Column("id", sa.BigInteger(), primary_key=True), sa.Column("name", sa.Text()),
    sa.Column("at", sa.BigInteger()),
)  # fmt: skip
_SERVER_NOW = sa.text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)")


class SqlLeases:
    """Implements ``contracts.leases.Leases``; threads may share it."""

    def __init__(
        self,
        engine: sa.Engine,
        now: Callable[[], int],
        *,
        seconds: float = SECONDS,
        fresh: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        """``engine`` is for leases alone; ``now`` gives ms on SQLite; ``fresh`` gives tokens."""
        self.seconds = seconds
        self._engine, self._now, self._fresh = engine, now, fresh
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _unsynced)
            engine.dispose()

    def take(self, name: str, places: int, holder: str) -> str | None:
        """Take one of a name's places; see ``Leases``."""
        with self._alone() as (connection, now):
            connection.execute(sa.delete(_LEASE).where(_LEASE.c.until <= now))
            taken = sa.select(sa.func.count()).select_from(_LEASE).where(_LEASE.c.name == name)
            if connection.execute(taken).scalar_one() >= places:
                return None
            token = self._fresh()
            connection.execute(
                sa.insert(_LEASE).values(token=token, name=name, holder=holder, until=now + self._span)
            )
        return token

    def renew(self, tokens: Collection[str]) -> set[str]:
        """Let leases stand from now on; see ``Leases``."""
        with self._alone() as (connection, now):
            mine = _LEASE.c.token.in_(list(tokens)) & (_LEASE.c.until > now)
            connection.execute(sa.update(_LEASE).where(mine).values(until=now + self._span))
            return {row[0] for row in connection.execute(sa.select(_LEASE.c.token).where(mine))}

    def give(self, token: str) -> None:
        """Give a place back."""
        with self._alone() as (connection, _):
            connection.execute(sa.delete(_LEASE).where(_LEASE.c.token == token))

    def forget(self, holder: str) -> None:
        """Give back all places of a holder."""
        with self._alone() as (connection, _):
            connection.execute(sa.delete(_LEASE).where(_LEASE.c.holder == holder))

    def turn(self, name: str, per_minute: int) -> float:
        """Take the next free moment of a name; see ``Leases``."""
        own = _TURN.c.name == name
        with self._alone() as (connection, now):
            connection.execute(sa.delete(_TURN).where(own & (_TURN.c.at <= now - _MINUTE)))
            newest = sa.select(_TURN.c.at).where(own).order_by(_TURN.c.at.desc())
            before = connection.execute(newest.offset(per_minute - 1).limit(1)).scalar()
            at = now if before is None else max(now, int(before) + _MINUTE)
            connection.execute(sa.insert(_TURN).values(name=name, at=at))
        return (at - now) / 1000

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()

    @property
    def _span(self) -> int:
        return round(self.seconds * 1000)

    @contextmanager
    def _alone(self) -> Iterator[tuple[sa.Connection, int]]:
        """Open a transaction beside which no other counts or takes places; give it, and the time (ms)."""
        options = {WRITE: True}
        with self._engine.connect().execution_options(**options) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
                yield connection, int(connection.execute(_SERVER_NOW).scalar_one())
            else:
                yield connection, self._now()


def _unsynced(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL").close()
