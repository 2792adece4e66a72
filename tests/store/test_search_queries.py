"""How many queries a search asks of DuckDB: each costs some hundredths of a second, so more are a regression."""

import pytest
from lakes import DAY, START, batch, lake

from lemnis.store import query
from lemnis.store.search import Limits, Search

NOW = START + 20 * DAY


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = lake(tmp_path_factory.mktemp("queries"))
    for first in range(0, 8_000, 2_000):  # 34 hours each
        some = range(first, first + 2_000)
        store.append([batch(some[::2]), batch(some[1::2], class_uid=3002)])
        store.flush()
    store.compact(min_files=2)
    return store


@pytest.mark.parametrize(("text", "rows", "queries", "found"), [
    ("message", 100, 3, 100), ("class:authentication", 100, 2, 100), ("nowhere", 100, 1, 0),
    ('message:"message 7" OR message:"message 4444"', 100, 3, 2), ("message | head 5", 100, 3, 5),
    ("class:authentication message", 5_000, 4, 4_000), ("| stats count by class", 100, 1, 2),
])  # fmt: skip
def test_no_more_queries_than_it_takes(store, monkeypatch, text, rows, queries, found):  # noqa: PLR0917
    real, asked = query.run, []

    def run(relations, sql, **more):
        asked.append(sql)
        return real(relations, sql, **more)

    monkeypatch.setattr(query, "run", run)
    search = Search(store, text, now=NOW, limits=Limits(rows))
    got = search.found() if search.finds_events else (table.to_pylist() for table in search.tables())
    assert (sum(len(some) for some in got), len(asked)) == (found, queries)
