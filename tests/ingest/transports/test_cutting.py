"""Large objects in pieces: together they are the object, and each can be read for itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.ingest.streams import BrokenStreamError
from lemnis.ingest.transports._cutting import TooLargeError, pieces


def blocks(data: bytes, size: int) -> list[bytes]:
    return [data[first : first + size] for first in range(0, len(data), size)]


@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=120),
    size=st.integers(1000, 200_000),
    end=st.booleans(),
)
def test_pieces_are_whole_lines_and_together_the_object(sizes: list[int], size: int, *, end: bool) -> None:
    data = b"\n".join(b"%d" % n * s for n, s in enumerate(sizes)) + b"\n" * end
    found = list(pieces(blocks(data, 7000), size=size))
    assert b"".join(piece for _, piece in found) == data
    assert all(piece.endswith(b"\n") for _, piece in found[:-1])
    assert [offset for offset, _ in found] == [sum(len(p) for _, p in found[:n]) for n in range(len(found))]


@pytest.mark.parametrize("head", [b"#Version: 2.0\n#Fields: a b\n", b"version account-id action\n"])
def test_what_names_the_columns_stands_above_each_piece(head: bytes) -> None:
    rows = b"".join(b"2 1234567890 ACCEPT %d\n" % n for n in range(20_000))
    found = list(pieces(blocks(head + rows, 70_000), size=100_000))
    assert len(found) > 2
    assert all(piece.startswith(head) for _, piece in found)
    assert b"".join(piece.removeprefix(head) for _, piece in found) == rows


@pytest.mark.parametrize("start", [b'[{"a": 1},\n', b'{\n"Records": [{"a": 1},\n', b'{"Records":[{"a":1},'])
def test_a_document_stays_whole(start: bytes) -> None:
    data = start + b'{"a": 2},\n' * 20_000
    data = data.replace(b"\n", b"") if b"\n" not in start else data
    assert [piece for _, piece in pieces(blocks(data, 70_000), size=100_000)] == [data]


def test_json_lines_are_cut_and_nothing_is_repeated() -> None:
    data = b'{"a": "b"}\n' * 20_000
    found = list(pieces(blocks(data, 70_000), size=100_000))
    assert len(found) > 1
    assert b"".join(piece for _, piece in found) == data


def test_what_has_no_place_to_cut_is_too_large() -> None:
    with pytest.raises(TooLargeError, match="more than 200,000 bytes"):
        list(pieces(blocks(b"x" * 300_000, 70_000), size=100_000, largest=200_000))


def test_what_was_there_before_a_break_comes_first() -> None:
    def broken():
        yield b"one\ntwo\n"
        raise BrokenStreamError("cut off")

    found = pieces(broken())
    assert next(found) == (0, b"one\ntwo\n")
    with pytest.raises(BrokenStreamError, match="cut off"):
        next(found)
