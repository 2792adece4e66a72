"""What is learnt does not depend on the order in which it is seen, nor on what is written down between."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.reference import RECORDS
from lemnis.enrich import learn
from lemnis.enrich.learn import KEEP_MS, Names, learnt

HOUR = 3_600_000
SEEN = st.builds(
    lambda address, name, hours: (address, name, "dns", hours * HOUR, hours * HOUR + KEEP_MS),
    st.sampled_from(["10.0.0.1", "10.0.0.2"]), st.sampled_from(["a.example", "b.example"]), st.integers(0, 60),
)  # fmt: skip


def all_of(names, keys):
    return sorted((row["id"], row["from"], row["until"]) for key in keys for row in names.rows(key))


@given(st.lists(SEEN, max_size=12), st.randoms(use_true_random=False), st.integers(0, 12))
def test_the_order_does_not_matter(pairs, random, middle):
    keys = {f"{address} {name}" for address, name, *_ in pairs}
    once = Names(RECORDS.empty_table())
    once.learn(pairs)
    mixed = list(pairs)
    random.shuffle(mixed)
    first = learnt(RECORDS.empty_table(), mixed[:middle])
    again = Names(first)
    again.learn(mixed[middle:])
    assert all_of(again, keys) == all_of(once, keys)
    hours = {
        (key, hour)
        for key, since, until in all_of(once, keys)
        for hour in range(since // HOUR, until // HOUR)
    }
    assert hours == {
        (f"{address} {name}", hour)
        for address, name, _, since, until in pairs
        for hour in range(since // HOUR, until // HOUR)
    }


def test_a_pair_that_is_seen_all_the_time_is_written_once_an_hour():
    names = Names(RECORDS.empty_table())
    for minute in range(0, 180, 5):
        at = minute * 60_000
        names.learn({("10.0.0.1", "a.example", "dns", at, at + KEEP_MS)})
    assert len(names.pending) == 3


def test_those_that_ended_first_are_forgotten(monkeypatch):
    monkeypatch.setattr(learn, "MOST", 10)
    pairs = [(f"10.0.0.{n}", "a.example", "dns", n * HOUR, n * HOUR + KEEP_MS) for n in range(12)]
    rows = learnt(RECORDS.empty_table(), pairs).to_pylist()
    gone = [row["id"] for row in rows if row["until"] == row["from"]]
    assert gone == [f"10.0.0.{n} a.example" for n in range(3)]
    assert pa.Table.from_pylist(rows, schema=RECORDS).num_rows == 15
