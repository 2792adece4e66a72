"""The compiler and the batch matcher against a slow and obvious reading of the same rules.

A case is one rule on one event. An ordinary run makes some thousands of them; the nightly one is
``SIGMA_CASES=50000 pytest tests/detect/test_reference.py`` (docs/adr/0012).
"""

import base64
import json
import os
from collections import Counter

import reference
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sigmaframes import HEAD, frame

from lemnis.detect import Matcher
from lemnis.detect.rules import compile_files

CASES = int(os.environ.get("SIGMA_CASES", "2000"))
MANY = 20_000
RULES, EVENTS = 4, 10

FIELDS = ("f", "g", "h")
WORDS = (
    "ab",
    "Ab",
    "a-b",
    " -a",
    "/b",
    "aB1",
    "*",
    "a*b",
    "a\\*",
    "\\\\a",
    "\\?",
    "?",
    "",
    "1",
    "b c",
    "-a /b",
    "B\u03a3",
    "\u00c9\u03a3B",
    'a"\\b',
    "\u00e9",
    "a -B",
)
LETTERS = "abAB1 -/\\*?.\n" + '\u00df\u0130\u03a3\u03c3\u03c2\u00e9\u00c9\u212a_"\u2013'
PLAIN = st.text(alphabet="abAB1 -/", min_size=2, max_size=4)  # what is encoded: ASCII without wildcards
TEXT = st.sampled_from(WORDS) | st.text(alphabet=LETTERS, max_size=5)
NUMBERS = st.sampled_from([0, 1, -1, 2, 10, 31, 1.5, -0.5, 4688])
WRITTEN = st.sampled_from(
    ["0", "1", "-1", "+1", "01", "1.0", "1.", ".5", "-.5", "1e0", "1E+1", "0x1f", "-0x1", "0X1F", "31", "1_0", "nan",
     "inf", "1e999", "x1", "1 ", "4688", "\u0661", "1.5", "2", "10"]
)  # fmt: skip
TIMES = st.sampled_from(
    ["2026-03-02T07:14:05Z", "2026-03-02T09:14:05+02:00", "2026-03-02 07:14:05", "2026-03-02", "1767261600",
     "1767261600000", "1767261600000000", "1767261600000000000", "2024-12-30", "20260302", "07:14", "2026-13-01"]
)  # fmt: skip
NETWORKS = st.sampled_from(
    ["10.0.0.0/8", "10.1.0.0/16", "192.168.1.1/32", "0.0.0.0/0", "2001:db8::/32", "::/0"]
)
ADDRESSES = st.sampled_from(
    ["10.1.2.3", "10.2.0.1", "192.168.1.1", "::ffff:10.1.2.3", "2001:db8::1", "2001:DB8::2%eth0", "10.1.2", "010.1.2.3",
     "::", "10.1.2.3/32"]
)  # fmt: skip
SEARCHES = st.sampled_from(
    [
        "a",
        "A.?b",
        "^a",
        "b$",
        "[aB]-",
        "a|b",
        "^$",
        "a+b*",
        "(a|b)1",
        r"\d",
        r"\ba",
        "\u00e9",
        ".",
        "a{2,}",
        "^a.b$",
        "^b$",
    ]
)


def several(values):
    return values | st.lists(values, min_size=1, max_size=3)


@st.composite
def shuffled(draw, must, may):
    """Return modifiers: those that must stand in their order, and among them some of those that may."""
    found = list(must)
    for one in draw(st.lists(st.sampled_from(may), unique=True, max_size=2)) if may else ():
        found.insert(draw(st.integers(0, len(found))), one)
    return found


ENCODINGS = ([], ["wide"], ["utf16le"], ["utf16be"], ["utf16"])
PLACED = ([], ["contains"], ["startswith"], ["endswith"])


@st.composite
def texts(draw):
    place = draw(st.sampled_from(PLACED))
    dashed = draw(st.booleans())
    must = draw(st.permutations([*place, *(["windash"] if dashed else [])]))
    return draw(shuffled(must, ["cased", "all", "neq"])), draw(several(TEXT))


@st.composite
def encoded(draw):
    must = [*draw(st.sampled_from(ENCODINGS)), *draw(st.sampled_from([[], ["base64"], ["base64offset"]]))]
    must += draw(st.sampled_from([["contains"], ["contains"], [], ["startswith"], ["endswith"]]))
    return [*must, *draw(st.sampled_from([[], ["cased"], ["cased", "all"], ["all"], ["neq"]]))], draw(
        several(PLAIN)
    )


@st.composite
def regexes(draw):
    flags = draw(st.lists(st.sampled_from("ims"), unique=True))
    place = draw(st.sampled_from([[], [], ["contains"]]))
    end = draw(st.lists(st.sampled_from(["all", "neq"]), unique=True))
    return ["re", *flags, *place, *end], draw(several(SEARCHES))


NEGATED = st.sampled_from([[], [], ["neq"]])
JOINED = st.sampled_from([[], [], ["neq"], ["all"]])
SIGNS, TIME_PARTS = st.sampled_from(sorted(reference.OPERATORS)), st.sampled_from(reference.PARTS)
MOMENTS = st.sampled_from([1, 2, 3, 7, 10, 14, 30, 2026])
QUESTIONS = (
    st.tuples(JOINED, several(NUMBERS)),
    st.tuples(JOINED, several(NUMBERS | st.none() | st.booleans() | TEXT)),
    st.tuples(st.tuples(SIGNS).map(list) | st.tuples(SIGNS, st.just("neq")).map(list), several(NUMBERS)),
    st.tuples(st.tuples(TIME_PARTS).map(list) | st.tuples(TIME_PARTS, SIGNS).map(list), several(MOMENTS)),
    st.tuples(st.builds(lambda end: ["cidr", *end], JOINED), several(NETWORKS)),
    st.tuples(st.builds(lambda end: ["exists", *end], NEGATED), st.booleans()),
    st.tuples(
        st.builds(lambda place, end: ["fieldref", *place, *end], st.sampled_from(PLACED), JOINED),
        several(st.sampled_from(FIELDS)),
    ),
)
"""Lines of a search other than of texts: modifiers and values."""


@st.composite
def lines(draw):
    """Return a line of a search on a field."""
    modifiers, values = draw(
        st.one_of(texts(), texts(), texts(), encoded(), encoded(), regexes(), *QUESTIONS)
    )
    return "|".join([draw(st.sampled_from(FIELDS)), *modifiers]), values


def telling(value):
    """Say whether a keyword has a letter to look for: without one it is refused."""
    return any(isinstance(token, str) for token in reference.read_pattern(str(value)))


WORD = TEXT.filter(telling) | st.sampled_from([1, 4688])


@st.composite
def keywords(draw):
    """Return a search for keywords: a value, a list, or with modifiers."""
    kind = draw(st.sampled_from(["one", "list", "modified", "re", "encoded"]))
    if kind == "one":
        return draw(WORD)
    if kind == "list":
        return draw(st.lists(WORD | mappings(), min_size=1, max_size=3))
    if kind == "re":
        modifiers, values = draw(regexes())
    elif kind == "encoded":
        modifiers, values = draw(encoded())
    else:
        modifiers = draw(shuffled(draw(st.sampled_from(PLACED)), ["cased", "all", "neq", "windash"]))
        values = draw(several(TEXT.filter(telling)))
    return {"|".join(["", *modifiers]): values} if modifiers else values


def mappings():
    return st.lists(lines(), min_size=1, max_size=3).map(dict)


NAMES = ("sel_a", "sel_b", "other", "_hid", "notepad", "all_x")
PATTERNS = ("them", "sel_*", "*_a", "_*", "*", "s*b", "other")


@st.composite
def conditions(draw, names):
    patterns = [
        p for p in PATTERNS
        if reference.Condition("", names, None).chosen(p)
    ]  # fmt: skip
    leaf = st.sampled_from(names)
    if patterns:
        leaf |= st.builds("{} of {}".format, st.sampled_from(["1", "any", "all"]), st.sampled_from(patterns))
    return draw(
        st.recursive(
            leaf,
            lambda inner: (
                st.builds("{} and {}".format, inner, inner)
                | st.builds("{} or {}".format, inner, inner)
                | st.builds("not {}".format, inner)
                | st.builds("({})".format, inner)
            ),
            max_leaves=5,
        )
    )


@st.composite
def detections(draw):
    """Return a detection; one search with one line is the half of them: there nothing hides what it says."""
    if draw(st.booleans()):
        search = draw(
            lines().map(lambda line: dict([line])) | lines().map(lambda line: dict([line])) | keywords()
        )
        return {"sel_a": search, "condition": draw(st.sampled_from(["sel_a", "sel_a", "not sel_a"]))}
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    searches = {
        name: draw(mappings() | mappings() | st.lists(mappings(), min_size=1, max_size=2) | keywords())
        for name in names
    }
    condition = draw(conditions(names) | st.lists(conditions(names), min_size=1, max_size=2))
    return {**searches, "condition": condition}


@st.composite
def coded(draw):
    """Return a text as attackers encode it, with something around it."""
    text = draw(PLAIN)
    encoding = draw(st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]))
    data = draw(st.sampled_from([b"", b"x", b"xy", b"\xff\xfe"])) + text.encode(encoding)
    if draw(st.booleans()):
        return base64.b64encode(data + draw(st.sampled_from([b"", b"z"]))).decode()
    return text.encode(encoding).decode()


VALUE = TEXT | coded() | WRITTEN | TIMES | ADDRESSES


def items_of(definition):
    """Yield the lines of a search: field (empty for keywords), modifiers, value."""
    if isinstance(definition, dict):
        for key, given in definition.items():
            field, *modifiers = key.split("|")
            for value in given if isinstance(given, list) else [given]:
                yield field, modifiers, value
    elif isinstance(definition, list):
        for one in definition:
            yield from items_of(one)
    else:
        yield "", [], definition


CASES_OF = (str, str.upper, str.lower, str.swapcase)
CODES = {"wide": "utf-16-le", "utf16le": "utf-16-le", "utf16be": "utf-16-be", "utf16": "utf-16-le"}


@st.composite
def near(draw, modifiers, value):
    """Return a text that a line of a rule takes, or nearly."""
    names = set(modifiers)
    if names & {*reference.PARTS}:
        return draw(TIMES)
    if "cidr" in names:
        return draw(ADDRESSES)
    if isinstance(value, int | float) and not isinstance(value, bool):
        whole = int(value)
        near_by = [
            str(value),
            f"{value}.0",
            f"+{value}",
            hex(whole),
            str(whole + 1),
            str(whole - 1),
            f"0{value}",
            f"x{value}",
        ]
        return draw(st.sampled_from(near_by) | WRITTEN)
    if not isinstance(value, str) or names & {"exists", "fieldref"}:
        return draw(VALUE)
    if "re" in names:
        return draw(st.text(alphabet="abAB1-\n\u00e9", max_size=4))
    made = "".join(
        draw(st.sampled_from(["", "x", "ab", "\n"])) if token is reference.MANY
        else draw(st.sampled_from(["x", "?", "\u00df"])) if token is reference.ONE
        else draw(st.sampled_from("-/\u2013\u2014\u2015")) if token in ("-", "/") and draw(st.booleans())
        else token
        for token in reference.read_pattern(value)
    )  # fmt: skip
    encoding = next((CODES[name] for name in modifiers if name in CODES), "utf-8")
    if names & {"base64", "base64offset"}:
        before = b"\xff\xfe" if "utf16" in names else draw(st.sampled_from([b"", b"x", b"xy", b"xyz"]))
        made = base64.b64encode(before + made.encode(encoding) + draw(st.sampled_from([b"", b"z"]))).decode()
    elif encoding != "utf-8":
        made = draw(st.sampled_from(["", "\ufeff"])) + made.encode(encoding).decode("utf-8", "replace")
    made = draw(st.sampled_from(CASES_OF))(made)
    if draw(st.booleans()):
        made = (
            draw(st.sampled_from(["", "x", "xx", "B\u03a3"]))
            + made
            + draw(st.sampled_from(["", "y", "\u03a3"]))
        )
    return made


@st.composite
def events_for(draw, rules):
    """Return an event, and its record, with values that the rules look for among others."""
    lines_ = [
        line
        for rule in rules
        for name, search in rule.items()
        if name != "condition"
        for line in items_of(search)
    ]
    event = {}
    for field in FIELDS:
        asked = [near(modifiers, value) for name, modifiers, value in lines_ if name == field]
        value = st.one_of(*asked, *asked, VALUE) if asked else VALUE
        if draw(st.integers(0, 7)):
            event[field] = draw(value | value | value | st.none() | st.lists(st.none() | value, max_size=3))
    words = st.one_of(VALUE, *(near(modifiers, value) for name, modifiers, value in lines_ if not name))
    text = st.lists(words, max_size=3).map(" ".join)
    return event, draw(st.none() | text | text | text.map(lambda made: '{"a": ' + json.dumps(made) + "}"))


@st.composite
def batches(draw):
    """Return rules, and events for them."""
    rules = draw(st.lists(detections(), min_size=RULES, max_size=RULES))
    return rules, draw(st.lists(events_for(rules), min_size=EVENTS, max_size=EVENTS))


KINDS = {**dict.fromkeys(reference.PARTS, "part"), **dict.fromkeys(reference.OPERATORS, "compared")}


def modifiers_in(definition):
    """Return the modifiers that a search uses."""
    if isinstance(definition, dict):
        return {KINDS.get(name, name) for key in definition for name in (key.split("|")[1:] or ["plain"])}
    if isinstance(definition, list):
        return {name for one in definition for name in modifiers_in(one)}
    return {"keyword"}


def test_the_matcher_says_what_a_plain_reading_says():
    seen = Counter()

    @settings(
        max_examples=max(1, -(-CASES // (RULES * EVENTS))),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(batches())
    def run(batch):
        rules, events = batch
        files = [
            (
                f"{number}.yml",
                HEAD.replace("0001", f"{number:04}", 1).encode()
                + yaml.safe_dump({"detection": rule}, allow_unicode=True, sort_keys=False).encode(),
            )
            for number, rule in enumerate(rules)
        ]
        found = compile_files(files)
        assert not found.problems, (found.problems, rules)
        matched = Matcher(found.rules, found.atoms).match(
            frame([event for event, _ in events], [text for _, text in events])
        )
        got = {(found.rules[match.rule].path, row) for match in matched for row in match.rows}
        for number, rule in enumerate(rules):
            used = {
                name for key, search in rule.items() if key != "condition" for name in modifiers_in(search)
            }
            for row, (event, record) in enumerate(events):
                want = reference.matches(rule, event, record)
                assert ((f"{number}.yml", row) in got) is want, (rule, event, record, want)
                seen["cases"] += 1
                seen.update((name, want) for name in used)

    run()
    assert seen["cases"] >= CASES
    every = {
        "plain", "keyword", "contains", "startswith", "endswith", "all", "cased", "neq", "windash", "re", "i", "m", "s",
        "base64", "base64offset", "wide", "utf16le", "utf16be", "utf16", "compared", "part", "cidr", "exists", "fieldref",
    }  # fmt: skip
    # of a few cases not every modifier need have matched; of many it has
    both = CASES >= MANY
    assert {
        name for name in every if not (all if both else any)(seen[name, held] for held in (True, False))
    } == set()
