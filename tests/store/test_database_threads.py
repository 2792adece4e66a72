"""Threads that open new databases at once each get theirs, whole."""

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from lemnis.store import database


def test_threads_that_open_new_databases_at_once_get_them_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(
        database, "_migrate", database._migrate.__wrapped__
    )  # what conftest puts in its place

    def opened(number):
        engine = database.open_engine(tmp_path / f"{number % 4}.db")
        with engine.connect() as connection:
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(opened, range(16))) == {database.revisions()[-1]}


def test_tests_have_the_tables_that_the_migrations_make(tmp_path, monkeypatch):
    def schema(engine):
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT type, name, tbl_name, sql FROM sqlite_master"))
            return sorted(map(str, rows)), list(connection.execute(sa.text("SELECT * FROM alembic_version")))

    remembered = schema(database.open_engine(tmp_path / "a.db"))
    monkeypatch.setattr(database, "_migrate", database._migrate.__wrapped__)
    assert schema(database.open_engine(tmp_path / "b.db")) == remembered
