"""A word in a text is found as DuckDB's ``lower`` and ``contains`` find it, by what is quicker."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lemnis.contracts.errors import InputError
from lemnis.store.searching import terms
from lemnis.store.searching.tree import Term

ODD = "kK\u212aiI\u0130\u0131sS\u017f\u00e4\u00c4\u00df\u1e9e.\\[]()*+?^$|{}-%_\"'\n\t\x00 9\U0001f600"
TEXTS = st.text(alphabet=st.sampled_from(ODD + "ab") | st.characters(codec="utf-8"), max_size=12)


@pytest.fixture(scope="module")
def connection():
    return duckdb.connect()


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=8), TEXTS.filter(bool), st.booleans())
def test_it_finds_what_lower_finds(connection, texts, word, field):
    term = Term("message" if field else "", ":", word, f"%{_like(word)}%" if field else None, 1, quoted=True)
    test, values = terms.on("t", pa.string(), [term], 0)
    # a text may have the word in the middle, in another case
    texts = [*texts, *(before + word.swapcase() + before for before in texts)]
    connection.register("texts", pa.table({"t": texts}))
    found = connection.execute(f"SELECT {test} FROM texts", values).fetchall()
    plain = connection.execute("SELECT contains(lower(t), ?) FROM texts", [word.lower()]).fetchall()
    assert found == plain


def _like(word):
    return "".join(f"\\{letter}" if letter in "%_\\" else letter for letter in word)


def test_every_letter_that_becomes_one_of_ascii_is_found(connection):
    every = [chr(n) for n in range(1, 0x110000) if not 0xD800 <= n <= 0xDFFF]
    connection.register("letters", pa.table({"t": every}))
    for letter in "abcdefghijklmnopqrstuvwxyz.":
        test, values = terms.on("t", pa.string(), [Term("", ":", letter, None, 1)], 0)
        found = connection.execute(f"SELECT t FROM letters WHERE {test} ORDER BY t", values).fetchall()
        plain = "SELECT t FROM letters WHERE contains(lower(t), ?) ORDER BY t"
        assert found == connection.execute(plain, [letter]).fetchall()


@pytest.mark.parametrize("word", ["a" * 256, "a" * 257, "k" * 4_000, "\u00e4b"])
def test_long_and_foreign_words_are_found_too(connection, word):
    test, values = terms.on("t", pa.string(), [Term("", ":", word, None, 1)], 0)
    connection.register("texts", pa.table({"t": [f"x{word.upper()}", word[:-1]]}))
    assert connection.execute(f"SELECT {test} FROM texts", values).fetchall() == [(True,), (False,)]


def test_a_word_that_is_no_number_is_still_refused():
    with pytest.raises(InputError):
        terms.on("n", pa.int64(), [Term("count", ":", "word", None, 1)], 0)
