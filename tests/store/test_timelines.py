"""Timelines lie ready to be paged; what pages say together is the whole, in its order, whatever the size."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.errors import UsageError
from lemnis.contracts.incidents import TimelineItem
from lemnis.store.timelines import BOTH, BRIEF, WHOLE, Placed, Timelines

ITEMS = st.lists(
    st.tuples(
        st.integers(-5, 40), st.integers(0, 40), st.sampled_from(["alert", "note", "event"]),
        st.sampled_from([BOTH, BRIEF, WHOLE]),
    ),
    max_size=40,
)  # fmt: skip


def placed(rows):
    return [
        Placed(f"{kind}:{n:03}", reading, TimelineItem(time, recorded, kind, f"{n}"))
        for n, (time, recorded, kind, reading) in enumerate(rows)
    ]


def walk(kept, **asked):
    found, after = [], ""
    while True:
        page = kept.page("in-1", after=after, **asked)
        found += page.items
        after = page.after
        if not after:
            return found, page.total


@pytest.fixture
def kept(tmp_path):
    made = Timelines(tmp_path / "t" / "timelines.db")
    yield made
    made.close()


@settings(max_examples=60, deadline=None)
@given(
    ITEMS,
    st.integers(1, 7),
    st.tuples(st.booleans(), st.booleans()),
    st.sets(st.sampled_from(["alert", "note"])),
)
def test_pages_together_are_the_whole_in_order(tmp_path_factory, rows, limit, ways, kinds):
    whole, newest = ways
    kept = Timelines(tmp_path_factory.mktemp("t") / "timelines.db")
    every = placed(rows)
    kept.add("in-1", every)
    kept.add("in-2", every)
    wanted = sorted(
        (one for one in every if one.reading in (BOTH, WHOLE if whole else BRIEF) and (not kinds or one.item.kind in kinds)),
        key=lambda one: (one.item.time, one.item.recorded, one.ident), reverse=newest,
    )  # fmt: skip
    found, total = walk(kept, limit=limit, whole=whole, newest=newest, kinds=kinds)
    kept.close()
    assert found == [one.item for one in wanted]
    assert total == len(wanted)


def test_what_is_there_already_is_left_and_what_is_dropped_is_made_anew(kept):
    rows = placed([(1, 1, "note", BOTH), (2, 2, "deploy", BOTH)])
    kept.add("in-1", rows)
    kept.add("in-1", rows)
    assert kept.page("in-1", limit=10).total == 2
    kept.drop("in-1", BOTH, ["deploy"])
    assert [one.kind for one in kept.every("in-1")] == ["note"]
    assert kept.kinds("in-1") == {"note": 1}
    kept.forget("in-1")
    assert kept.page("in-1", limit=10).items == ()


def test_from_a_time_on_and_back_from_it(kept):
    kept.add("in-1", placed([(time, 0, "note", BOTH) for time in range(5)]))
    assert [one.time for one in kept.page("in-1", limit=9, since=3).items] == [3, 4]
    assert [one.time for one in kept.page("in-1", limit=9, since=3, newest=True).items] == [3, 2, 1, 0]


@pytest.mark.parametrize("place", ["x", "ä", "bm90aGluZw", "WzEsMl0", "W251bGwsMSwieCJd"])
def test_a_place_that_is_none_is_refused(kept, place):
    with pytest.raises(UsageError, match="no place"):
        kept.page("in-1", limit=1, after=place)


def test_a_file_that_is_damaged_or_of_another_version_is_begun_anew(tmp_path):
    path = tmp_path / "timelines.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    made = Timelines(path)
    made.add("in-1", placed([(1, 1, "note", BOTH)]))
    made._connection.execute("PRAGMA user_version=99")
    made.close()
    again = Timelines(path)
    assert again.page("in-1", limit=1).total == 0
    assert path.stat().st_mode & 0o777 == 0o600
    again.close()
