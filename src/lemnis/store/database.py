"""The relational database: SQLite by default, PostgreSQL by URL, kept up to date by Alembic migrations.

A room that needs a table adds one file ``rNNNN_name.py`` to ``store/migrations/versions``: its name is its
revision id, and ``down_revision`` is the file before it. Nothing else changes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from lemnis.contracts.errors import Location, ServiceError, UsageError
from lemnis.store import durable

WRITE = "lemnis_write"
_BUSY_SECONDS = 60
_LOCK = 0x1E3415  # the advisory lock that serialises writers on PostgreSQL


def open_engine(place: str | Path) -> sa.Engine:
    """Open the database at a path (a SQLite file) or URL and bring its tables up to date.

    SQLite runs in WAL mode with ``synchronous=FULL``: a commit that returned survives a power cut. Any
    number of processes may open the same file. Raises UsageError for a URL that is none, ServiceError when
    the database cannot be reached or was written by a newer Lemnis.
    """
    if isinstance(place, Path):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(mode=0o600)
        url = sa.URL.create("sqlite", database=str(place))
    else:
        try:
            url = sa.make_url(place)
        except sa.exc.ArgumentError as error:
            raise UsageError(
                "this is no database URL", fix="write postgresql+psycopg://USER@HOST/NAME"
            ) from error
    try:
        engine = sa.create_engine(url, max_overflow=-1)  # a connection for each thread that works
        if url.get_backend_name() == "sqlite":
            sa.event.listen(engine, "connect", _sqlite_connect)
            sa.event.listen(engine, "begin", _sqlite_begin)
        _migrate(engine)
    except (sa.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        reason = getattr(error, "orig", None) or error
        raise ServiceError(
            f"the database does not open: {reason}",
            at=Location(url.render_as_string(hide_password=True)),
            fix="check the path or URL, and that the server runs",
        ) from error
    sa.event.listen(engine, "handle_error", _told)
    return engine


def _told(context: sa.engine.ExceptionContext) -> None:
    """Tell of a database that is damaged, full or gone in the words of ours, and not with its SQL."""
    error = context.sqlalchemy_exception
    if isinstance(error, sa.exc.OperationalError) or type(error) is sa.exc.DatabaseError:
        place = context.engine.url.render_as_string(hide_password=True) if context.engine else ""
        raise ServiceError(
            f"the database fails: {error.orig}", at=Location(place),
            fix="check the disk or server that it is on; restore a damaged one from a copy",
        ) from error  # fmt: skip


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Open a transaction that excludes all other writers, here and in other processes, until it ends.

    It commits when the block ends and rolls back when the block raises.
    """
    with engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield connection


def _sqlite_connect(connection: sqlite3.Connection, _record: Any) -> None:
    """Set up one SQLite connection; transactions are begun by us, not by the driver."""
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}").close()
    durable.write_ahead(connection, _BUSY_SECONDS)
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}").close()


def _sqlite_begin(connection: sa.Connection) -> None:
    """Writers take the lock at the start: a lock taken halfway could not be waited for."""
    write = connection.get_execution_options().get(WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def filled(engine: sa.Engine, table: str) -> bool:
    """Say whether a table has a row."""
    with engine.connect() as connection:
        return connection.execute(sa.select(1).select_from(sa.table(table)).limit(1)).first() is not None


def revisions() -> list[str]:
    """Return the revisions that this version ships, in the order in which they apply."""
    folder = files("lemnis.store.migrations").joinpath("versions")
    names = (item.name.removesuffix(".py") for item in folder.iterdir() if item.name.endswith(".py"))
    return sorted(name for name in names if name.startswith("r"))


_MIGRATING = threading.Lock()
"""Alembic keeps what it works on for the whole process: two threads would work on one another's."""


def _migrate(engine: sa.Engine) -> None:
    """Run the migrations that this database lacks, all in one transaction."""
    with engine.connect() as connection:
        if _applied(connection) == {revisions()[-1]}:
            return
    from alembic import command  # noqa: PLC0415 - a quarter of a second that a ready database does not need
    from alembic.config import Config  # noqa: PLC0415 - the same
    from alembic.util import CommandError  # noqa: PLC0415 - the same

    config = Config()
    config.set_main_option("script_location", "lemnis.store:migrations")
    config.set_main_option("path_separator", "os")
    with _MIGRATING, writing(engine) as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ServiceError(
                f"the database was written by another version: {error}",
                at=Location(engine.url.render_as_string(hide_password=True)),
                fix="use the newer Lemnis, or a copy of the database from before",
            ) from error


def _applied(connection: sa.Connection) -> set[str]:
    """Return the revisions that the database says it has."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return set()
    return {row[0] for row in connection.execute(sa.text("SELECT version_num FROM alembic_version"))}
