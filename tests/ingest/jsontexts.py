"""JSON texts of all kinds: objects, what is nearly one, and what is none."""

import orjson
from hypothesis import strategies as st

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.sampled_from(["", "x", 'quo"te', "back\\slash", "new\nline", "\x00", "\U0001f600", "x" * 1500]),
)
names = st.sampled_from(["a", "b", "c", "a.b", "é", "n", "other", 'k"', "k\\"])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)
records = st.dictionaries(names, values, max_size=6)


@st.composite
def texts(draw):  # noqa: PLR0911 - a kind of text each
    """Make texts that are JSON objects, nearly, or not at all."""
    made = orjson.dumps(draw(records)).decode()
    kind = draw(st.integers(0, 9))
    if kind == 0:
        cut = draw(st.integers(0, len(made)))
        return made[:cut]
    if kind == 1:
        place = draw(st.integers(0, len(made)))
        return (
            made[:place]
            + draw(st.sampled_from(["}", "]", ",", ":", '"', "\\", "0", " ", "\t", "x", "\x01"]))
            + made[place:]
        )
    if kind == 2:
        return made.encode().decode("latin-1").encode("ascii", "backslashreplace").decode()
    if kind == 3:
        return made + draw(st.sampled_from([" ", "{}", "x", "\r"]))
    if kind == 4:
        return '{"a":' + draw(st.sampled_from(
            ["01", "-0", "1.0", "1e3", "-", "1.", ".5", "+1", "tru", "null", "nul", "9223372036854775807",
             "-9223372036854775808", "-9223372036854775809", "18446744073709551616", "1" * 400, '"\\ud800"',
             '"\\ud83d\\ude00"', '"\\u00e9"', '"\\x"', '"\\/"', "[1]", "[]", "{}", '{"b":1}', "0.5", "1.50", "0.05",
             "0.00001", "-0.0", "0.0", "-123456.789", "100000000000000.5", "1234567890123.4567", "0.1e1", "[0.50, 1e5]",
             '[ {"b" : "c"} ,null]', '[null,"x",7]', "[[1]]"])) + "}"  # fmt: skip
    if kind == 5:
        return '{"a":1,"a":2}' if draw(st.booleans()) else '{"a":{"b":1},"a":{"c":2},"a.b":3}'
    return made
