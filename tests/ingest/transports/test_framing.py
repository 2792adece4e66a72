"""RFC 6587's framings: whatever the pieces, the same messages; hostile bytes cost themselves."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lemnis.ingest.transports._framing import MAX_SKIP, Framer, joined

TEXT = st.binary(max_size=60).map(lambda raw: b"<13>" + bytes(b for b in raw if b not in b"\0\r\n"))


def fed(data: bytes, cuts: list[int], *, limit: int = 1000) -> tuple[list[bytes], Framer]:
    framer = Framer(limit)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    out = b"".join(framer.feed(data[a:b]) for a, b in pairwise(places))
    return (out + framer.end()).split(b"\n")[:-1], framer


@given(st.lists(TEXT, min_size=1, max_size=20), st.lists(st.integers(0, 10_000), max_size=12))
def test_counted_messages_come_out_whatever_the_pieces(messages: list[bytes], cuts: list[int]) -> None:
    data = b"".join(b"%d %s" % (len(one), one) for one in messages)
    assert fed(data, cuts)[0] == messages


@given(
    st.lists(TEXT, min_size=1, max_size=20),
    st.lists(st.integers(0, 10_000), max_size=12),
    st.sampled_from([b"\n", b"\0"]),
)
def test_lines_come_out_whatever_the_pieces(messages: list[bytes], cuts: list[int], end: bytes) -> None:
    assert fed(end.join(messages), cuts)[0] == messages


@given(
    data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 10_000), max_size=12), counted=st.booleans()
)
def test_any_bytes_end_without_an_error_and_within_the_limit(
    data: bytes, cuts: list[int], *, counted: bool
) -> None:
    data = b"8 <1>hello" * counted + data
    found, _ = fed(data, cuts, limit=500)
    assert all(len(line) <= 500 * 4 for line in found)  # NUL and line ends take four bytes each
    assert not counted or found[0] == b"<1>hello"


def test_lines_that_begin_with_digits_are_no_counts() -> None:
    lines = [b"2026-11-29T12:00:00Z host app: one", b"17 apples", b"12"]
    assert fed(b"\n".join(lines), [1, 3])[0] == lines


def test_what_a_counted_message_holds_of_line_ends_stays_in_it() -> None:
    data = b"12 <13>one\ntwo\0\n" + b"8 <13>next"
    assert fed(data, [])[0] == [b"<13>one#012two", b"<13>next"]
    assert joined([b"a\0b", b"c\n"]) == b"a#000b\nc\n"


def test_a_line_end_after_a_counted_message_is_none_of_the_next() -> None:
    assert fed(b"5 <1>ab\n5 <1>cd\r\n5 <1>ef\0", [7, 8])[0] == [b"<1>ab", b"<1>cd", b"<1>ef"]


def test_a_counted_message_that_is_too_long_costs_only_itself() -> None:
    huge = b"<13>" + b"x" * 50_000
    data = b"7 <13>abc" + b"%d " % len(huge) + huge + b"7 <13>def"
    found, framer = fed(data, [100, 3000, 40_000])
    assert found == [b"<13>abc", b"<13>def"]
    assert [one.reason for one in framer.refused] == [
        "longer than the 1,000 bytes that a message may have here"
    ]


def test_a_line_that_never_ends_is_refused_once_and_its_end_is_found() -> None:
    data = b"<13>abc\n" + b"y" * 50_000 + b"\n<13>def\n"
    found, framer = fed(data, list(range(0, 50_000, 700)))
    assert found == [b"<13>abc", b"<13>def"]
    assert len(framer.refused) == 1


def test_a_long_line_among_others_in_one_piece_costs_only_itself() -> None:
    data = b"".join(b"<13>%d\n" % n for n in range(300)) + b"z" * 2000 + b"\n<13>end\n"
    found, framer = fed(data, [])
    assert found == [*(b"<13>%d" % n for n in range(300)), b"<13>end"]
    assert len(framer.refused) == 1


def test_a_count_that_nothing_can_have_ends_the_framing_but_not_what_was_before() -> None:
    found, framer = fed(b"5 <1>ab" + b"%d <1>" % (MAX_SKIP + 1) + b"q" * 100, [])
    assert found == [b"<1>ab"]
    assert framer.lost
    assert framer.feed(b"5 <1>cd") == b""
    assert len(framer.refused) == 1


def test_a_line_between_counted_messages_is_a_message() -> None:
    assert fed(b"5 <1>ab<1>line\n5 <1>cd", [])[0] == [b"<1>ab", b"<1>line", b"<1>cd"]


def test_half_a_counted_message_at_the_end_is_refused_and_half_a_line_is_a_line() -> None:
    found, framer = fed(b"5 <1>ab50 <1>half", [])
    assert found == [b"<1>ab"]
    assert [one.reason for one in framer.refused] == ["the connection ended within this message"]
    assert fed(b"<1>ab\n<1>half", [])[0] == [b"<1>ab", b"<1>half"]


def test_nothing_but_nul_bytes_is_nothing() -> None:
    found, framer = fed(b"\0" * 100_000, [10])
    assert [line for line in found if line] == []
    assert not framer.refused
