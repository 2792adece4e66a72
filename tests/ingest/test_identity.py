import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_sources import batch, events, source

from lemnis.contracts import compiled
from lemnis.contracts.ids import stable_id
from lemnis.ingest import identity
from lemnis.ingest.identity import uids
from lemnis.ingest.mapping import Mapper

MAPPING = "events:\n  - {name: any, class: base_event, activity: 0, time: {from: ts}}\n"
TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=8)


def texts(*values):
    return pa.array(values, pa.string())


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_a_natural_name_gives_the_uid(pairs):
    columns = [texts(*(one for one, _ in pairs)), texts(*(two for _, two in pairs))]
    numbers = pa.array(range(len(pairs)), pa.int64())
    found = uids("acme", columns, "key", numbers, lambda: texts(*("raw" for _ in pairs)))
    assert found.to_pylist() == [stable_id("ev", "acme", *pair) for pair in pairs]


def test_without_one_origin_position_and_bytes_do():
    found = uids("acme", [texts("a", None)], "key", pa.array([7, 8], pa.int64()), lambda: texts("x", "y"))
    assert found.to_pylist() == [stable_id("ev", "acme", "a"), stable_id("ev", "acme", "key", "8", "y")]
    found = uids("acme", [], "key", pa.array([7], pa.int64()), lambda: texts("x"))
    assert found.to_pylist() == [stable_id("ev", "acme", "key", "7", "x")]


def test_the_same_record_has_the_same_uid_however_it_is_batched(tmp_path):
    mapper = Mapper(source(tmp_path, MAPPING))
    rows = [{"ts": "2026-01-02T03:04:05Z", "n": str(n)} for n in range(6)]
    whole = events(mapper.map(batch(*rows), origin_key="k"))
    parts = [
        event
        for start in (0, 3)
        for event in events(mapper.map(batch(*rows[start : start + 3], first=start + 1), origin_key="k"))
    ]
    assert [event["metadata"]["uid"] for event in whole] == [event["metadata"]["uid"] for event in parts]
    assert len({event["metadata"]["uid"] for event in whole}) == 6


def test_a_declared_identity_does_not_depend_on_where_the_record_lies(tmp_path):
    mapper = Mapper(source(tmp_path, MAPPING, "identity: [id]\n"))
    record = {"ts": "2026-01-02T03:04:05Z", "id": "e-1"}
    one = events(mapper.map(batch(record, origin="a"), origin_key="a"))
    two = events(mapper.map(batch(record, origin="b", first=9), origin_key="b"))
    assert one[0]["metadata"]["uid"] == two[0]["metadata"]["uid"] == stable_id("ev", "acme", "e-1")


def test_an_identity_field_may_have_several_names(tmp_path):
    mapper = Mapper(source(tmp_path, MAPPING, "identity: [[id, Id], ts]\n"))
    ts = "2026-01-02T03:04:05Z"
    rows = ({"ts": ts, "id": "e-1"}, {"ts": ts, "Id": "e-1"}, {"ts": ts, "id": "e-2", "Id": "x"}, {"ts": ts})
    found = [event["metadata"]["uid"] for event in events(mapper.map(batch(*rows), origin_key="k"))]
    assert found[:3] == [stable_id("ev", "acme", name, ts) for name in ("e-1", "e-1", "e-2")]
    assert found[3] != events(mapper.map(batch(rows[3]), origin_key="other"))[0]["metadata"]["uid"]


LONG = st.builds(lambda text, times: text * times, TEXT, st.integers(0, 40))


@pytest.mark.skipif(not compiled.available(), reason="needs the fast extra")
@given(
    st.lists(st.tuples(LONG, LONG, st.booleans()), min_size=1, max_size=50),
    st.text(max_size=70),
    st.integers(0, 3),
)
def test_many_rows_are_hashed_at_a_time_to_the_same(rows, source, first):
    one, other = (texts(*"." * first, *(row[n] for row in rows)).slice(first) for n in (0, 1))
    named = np.array([row[2] for row in rows])
    parts = [(np.flatnonzero(named), [one]), (np.flatnonzero(~named), [one, other])]
    found = identity._compiled(source, len(rows), parts).to_pylist()
    assert found == [stable_id("ev", source, *(row[:1] if row[2] else row[:2])) for row in rows]


@pytest.mark.skipif(not compiled.available(), reason="needs the fast extra")
def test_messages_of_every_length_are_hashed_to_the_same():
    rows = ["x" * size for size in (*range(260), identity._LONG - 40, identity._LONG, 3 * identity._LONG)]
    found = identity._compiled("acme", len(rows), [(np.arange(len(rows)), [texts(*rows)])]).to_pylist()
    assert found == [stable_id("ev", "acme", row) for row in rows]
