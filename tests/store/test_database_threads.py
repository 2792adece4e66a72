"""Threads that open new databases at once each get theirs, whole."""

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from lemnis.store import database


def test_threads_that_open_new_databases_at_once_get_them_whole(tmp_path):
    def opened(number):
        engine = database.open_engine(tmp_path / f"{number % 4}.db")
        with engine.connect() as connection:
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(opened, range(16))) == {database.revisions()[-1]}
