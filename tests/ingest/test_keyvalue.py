"""Lines of key=value pairs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.contracts.errors import ContentError
from lemnis.ingest.parsers.keyvalue import pairs


def test_pairs_of_a_line():
    line = """fw1: time="2026-01-02T03:04:05Z", src=192.0.2.1, msg='it is \\'on\\'' note="say \\"no\\"" gone= x=1 x=2 stray (k=v)"""
    assert pairs(line) == {
        "head": "fw1:", "time": "2026-01-02T03:04:05Z", "src": "192.0.2.1", "msg": "it is 'on'",
        "note": 'say "no"', "gone": None, "x": ["1", "2"], "k": "v", "rest": "stray (",
    }  # fmt: skip


def test_a_value_may_hold_what_looks_like_a_pair():
    assert pairs("""q="a=1 b=2" u=/x?y=1&z=2""") == {"q": "a=1 b=2", "u": "/x?y=1&z=2"}


def test_a_long_line_of_what_only_closes_is_read_in_time():
    assert pairs("a=" + ")" * 200_000 + "x b=f(x);") == {"a": ")" * 200_000 + "x", "b": "f(x)"}


def test_a_line_without_a_pair_is_a_reject(parse):
    records, rejects = parse("keyvalue", "a=1 b=2\nhello = world\n\nc=3\n")
    assert records == [{"a": "1", "b": "2"}, {"c": "3"}]
    assert [(reject.at.record, reject.reason) for reject in rejects] == [(2, "no key=value pair in the line")]


def test_what_stands_before_the_pairs_is_read_by_a_pattern(parse):
    options = {"head": r"^(?P<time>\S+ \S+) (?P<level>[A-Z]+)(?P<none>x)?"}
    records, _ = parse("keyvalue", "2026-01-02 03:04:05 WARN a=1\nb=2\n", options=options)
    assert records == [
        {"time": "2026-01-02 03:04:05", "level": "WARN", "head": "2026-01-02 03:04:05 WARN", "a": "1"}, {"b": "2"},
    ]  # fmt: skip
    with pytest.raises(ContentError, match="cannot be used"):
        parse("keyvalue", "a=1\n", options={"head": "(?=x)"})


@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][a-z.]{0,8}", fullmatch=True),
        st.text(st.characters(codec="utf-8", exclude_characters='\\"\n\r'), min_size=1, max_size=20),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_written_in_quotes_comes_back(fields):
    line = " ".join(f'{key}="{value}"' for key, value in fields.items())
    assert {key: value for key, value in pairs(line).items() if key in fields} == fields


@given(st.text(max_size=200))
def test_no_line_breaks_it(line):
    for key, value in pairs(line).items():  # what is found stands in the line, escapes aside
        assert key in line
        assert value.replace('"', "").replace("\\", "") in line.replace('"', "").replace("\\", "")
