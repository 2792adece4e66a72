from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.clock import from_iso, span, to_iso
from lemnis.contracts.errors import InputError, Location
from lemnis.contracts.ids import stable_id, tree_digest


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_instants_survive_iso(instant):
    assert from_iso(to_iso(instant)) == instant


def test_a_duration_is_told_by_its_two_largest_units():
    told = [span(n) for n in (0, 12, 59_000, 60_000, 3_599_999, 3_660_000, 90_000_000, -61_000)]
    assert told == [
        "0 s", "0.012 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 1 min", "1 d 1 h", "-1 min 1 s",
    ]  # fmt: skip


def test_ids_frame_their_parts():
    assert stable_id("x", "ab", "c") != stable_id("x", "a", "bc")


@given(st.dictionaries(st.text(min_size=1), st.binary(), max_size=5))
def test_tree_digest_ignores_order(files):
    assert tree_digest(files.items()) == tree_digest(reversed(list(files.items())))


def test_errors_say_where_what_and_fix():
    error = InputError("unknown modifier", at=Location("a.yml", 3, 7), fix="remove it")
    assert str(error) == "a.yml:3:7: unknown modifier (remove it)"
