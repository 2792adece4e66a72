"""Answers that are kept: what files said is not asked again, and nothing is told that is not so any more."""

import pyarrow as pa
import pytest
from lakes import START, batch, lake

from lemnis.store import answers, query
from lemnis.store.answers import Answers
from lemnis.store.query import Handle
from lemnis.store.search import Limits, Search
from lemnis.store.searching import filters
from lemnis.store.searching.veils import Veil


@pytest.fixture
def asked(monkeypatch):
    seen, run = [], query.run

    def counted(relations, sql, **more):
        seen.append(sql)
        return run(relations, sql, **more)

    monkeypatch.setattr(query, "run", counted)
    monkeypatch.setattr(answers, "KEPT", Answers(64 << 20))
    return seen


@pytest.fixture
def store(tmp_path):
    found = lake(tmp_path)
    found.append([batch(range(300))])
    found.flush()
    return found


def found(store, text="message", **more):
    search = Search(store, text, now=START, limits=Limits(20), **more)
    return [one.event["message"] for some in search.found() for one in some]


def test_what_was_asked_before_is_not_asked_of_files_again(store, asked):
    first = found(store)
    count = len(asked)
    assert count >= 2
    assert found(store) == first
    assert len(asked) == count
    assert all(int(one.split()[1]) % 6 == 3 for one in found(store, "message severity_id:3"))
    assert len(asked) > count, "another question is asked"


def test_rows_that_came_since_are_found(store, asked):
    before = found(store)
    store.append([batch(range(300, 302))])
    now = found(store)
    assert now[2:] == before[:18]
    assert len({*now} - {*before}) == 2
    store.flush()
    assert found(store) == now
    store.compact(min_files=2)
    assert found(store) == now


def test_a_span_that_is_past_is_kept_while_events_come(store, asked):
    span = {"start": START, "end": START + 100 * 60_000}
    first, count = found(store, **span), len(asked)
    store.append([batch(range(5_000, 5_010))])
    assert found(store, **span) == first
    assert len(asked) == count


def test_who_sees_less_is_not_given_what_others_were_told(store, asked):
    everything = found(store)
    less = found(store, veil=Veil(only=filters.parse("severity_id:3")))
    assert less
    assert all(int(one.split()[1]) % 6 == 3 for one in less)
    assert found(store) == everything


def test_who_ended_a_search_is_given_nothing_that_is_kept(store, asked):
    found(store)
    handle = Handle()
    search = Search(store, "message", now=START, limits=Limits(20), handle=handle)
    handle.cancel()
    assert list(search.found()) == []
    assert search.cancelled


def test_little_is_kept_and_not_for_long():
    now = 0.0
    kept = Answers(16_000, clock=lambda: now)
    one = pa.table({"a": pa.array(range(100), pa.int64())})
    for number in range(30):
        kept.keep(number, one)
    there = [number for number in range(30) if kept.get(number) is not None]
    assert there == list(range(10, 30)), "twenty of 800 bytes"
    kept.get(10)
    kept.keep(30, one)
    assert kept.get(10) is one
    assert kept.get(11) is None, "what was asked for longest ago went"
    kept.keep("large", pa.table({"a": pa.array(range(1_000), pa.int64())}))
    assert kept.get("large") is None
    now = 600.0
    assert kept.get(10) is None
    kept.keep(10, one)
    assert kept.get(10) is one
