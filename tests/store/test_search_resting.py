"""A search that rests has found all down to where it is, and goes on from there; how much is looked at first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import START, batch, lake

from lemnis.store import query
from lemnis.store.search import Limits, Search
from lemnis.store.searching import pipes, streaming, windows

STEP = 100_000


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = lake(tmp_path_factory.mktemp("resting"))
    store.append([batch(range(3000), step=STEP)])
    store.flush()
    store.append([batch(range(3000, 4000), 3002, step=STEP)])
    store.flush()
    store.append([batch(range(4000, 4100), step=STEP)])
    return store


def uids(search):
    return [hit.uid for some in search.found() for hit in some]


QUERIES = ["", "message", "raw", "message:*7*", "class:authentication", "severity:3 message", "nowhere", "| where severity > 4"]  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(QUERIES), st.integers(1, 5000), st.integers(50, 3000),
    st.none() | st.integers(0, 4200), st.none() | st.integers(0, 4200),
)  # fmt: skip
def test_what_rests_and_goes_on_finds_what_one_finds(store, text, most, first, start, end):  # noqa: PLR0917
    low = None if start is None else START + start * STEP
    high = None if end is None else START + end * STEP
    plain = Search(store, f"{text} | sort -time", now=START, start=low, end=high, limits=Limits(most))
    expected = uids(plain)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streaming, "FIRST_ROWS", first)
        patch.setattr(streaming, "_OF_TEXTS", first)
        patch.setattr(streaming, "_NEWEST", first)
        found, until = [], high
        for _ in range(200):
            limits = Limits(most - len(found), patience=0)
            search = Search(store, text, now=START, start=low, end=until, limits=limits)
            found += uids(search)
            if not search.rested:
                break
            assert len(found) < most
            until = search.reached
        assert found == expected
        assert search.more == (len(expected) == most and _there_is_more(store, text, low, high, most))


def _there_is_more(store, text, low, high, most):
    """Say what a search says that does not rest: it may say so where nothing more is."""
    search = Search(store, text, now=START, start=low, end=high, limits=Limits(most))
    uids(search)
    return search.more


def test_with_patience_it_does_not_rest(store, monkeypatch):
    monkeypatch.setattr(streaming, "FIRST_ROWS", 100)
    search = Search(store, "message:*7*", now=START, limits=Limits(10_000, patience=60))
    assert len(uids(search)) > 1000
    assert not search.rested


@pytest.mark.parametrize(
    "text", ["message | stats count by class", "message | head 50", "message | sort time"]
)
def test_what_cannot_go_on_does_not_rest(store, text, monkeypatch):
    monkeypatch.setattr(streaming, "_OF_TEXTS", 50)
    search = Search(store, text, now=START, limits=Limits(10_000, patience=0))
    rows = uids(search) if search.finds_events else [table for table in search.tables() if table.num_rows]
    assert rows
    assert not search.rested


@pytest.mark.parametrize(("text", "most", "rows"), [
    ("", 100, 2_000), ("", 10_000, 40_000), ("", 10**6, windows.FIRST_ROWS), ("word", 100, 50_000),
    ("user:a -word", 100, 50_000), ("user:a", 100, windows.FIRST_ROWS), ("| where n > 1", 100, windows.FIRST_ROWS),
])  # fmt: skip
def test_how_much_is_looked_at_first(text, most, rows):
    asked = pipes.parse(text)
    assert streaming.first_rows(asked.filter, asked.stages, most) == rows


def test_of_everything_only_the_newest_rows_are_looked_at(store, monkeypatch):
    seen, run = [], query.run

    def counted(relations, sql, **more):
        seen.append(more["parameters"])
        return run(relations, sql, **more)

    monkeypatch.setattr(query, "run", counted)
    monkeypatch.setattr(streaming, "_NEWEST", 50)
    assert len(uids(Search(store, "", now=START, limits=Limits(10)))) == 10
    assert min(seen[0]) > START + 4000 * STEP


def test_a_class_without_rows_in_that_time_is_no_error(store):
    search = Search(store, "class:authentication | sort time", now=START, end=START + 5 * STEP)
    assert uids(search) == []
    search = Search(store, "class:authentication | stats count", now=START, end=START + 5 * STEP)
    assert [row for table in search.tables() for row in table.to_pylist()] == [{"count": 0}]
