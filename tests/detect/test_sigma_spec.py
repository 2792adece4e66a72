"""Sigma 2.1 case by case: what a rule matches, and for what is not supported, the error with its line."""

import base64

import pytest
from sigmaframes import HEAD, compiled, fires, frame

from lemnis.contracts.errors import ContentError, UnsupportedError
from lemnis.detect import Matcher
from lemnis.detect.rules import compile_files


def rows_of(item, values):
    """Return the places of the values that a single item on the field ``f`` takes."""
    return fires(f"detection:\n  s: {{{item}}}\n  condition: s\n", [{"f": value} for value in values])


def b64(text, encoding="utf-8", before=b""):
    return base64.b64encode(before + text.encode(encoding)).decode()


@pytest.mark.parametrize(
    ("item", "values", "want"),
    [
        # plain values: case counts not, the whole value counts
        ("f: abc", ["abc", "ABC", "abcd", "xabc", "", None], [0, 1]),
        ("f: [ab, cd]", ["AB", "CD", "abcd"], [0, 1]),
        ("f: ÄÖ", ["äö", "ÄÖ", "ao"], [0, 1]),
        ("f: BΣ", ["b\u03c2", "b\u03c3", "BΣ", "bΣ"], [0, 1, 2, 3]),
        ("f|contains: BΣ", ["BΣB", "xb\u03c2", "b"], [0, 1]),
        ("f: straße", ["STRAßE", "STRASSE"], [0]),
        # wildcards and what takes their meaning
        ("f: 'a*c'", ["ac", "abbc", "a\nc", "acd"], [0, 1, 2]),
        ("f: 'a?c'", ["abc", "ac", "abbc"], [0]),
        (r"f: 'a\*c'", ["a*c", "abc", r"a\*c"], [0]),
        (r"f: 'a\?c'", ["a?c", "abc"], [0]),
        (r"f: 'a\\*c'", ["a\\c", "a\\xc", "axc"], [0, 1]),
        (r"f: 'a\\\*c'", ["a\\*c", "a\\xc", "a*c"], [0]),
        (r"f: 'a\\c'", ["a\\c", "a\\\\c"], [0]),
        (r"f: 'a\c'", ["a\\c", "ac"], [0]),
        (r"f: 'a\'", ["a\\", "a"], [0]),
        (r"f: '\\\\a'", ["\\\\a", "\\a"], [0]),
        ("f: '*'", ["x", "", None], [0, 1]),
        ("f: '?*'", ["x", "", None, "xy"], [0, 3]),
        ("f: '**a'", ["xa", "a", "ab"], [0, 1]),
        # empty and missing
        ("f: ''", ["", "x", None], [0]),
        ("f: null", [None, "", "null", "x"], [0]),
        ("f: [null, a]", [None, "a", "b"], [0, 1]),
        # numbers and truth
        ("f: 4688", ["4688", "4688.0", "46880", "x4688", "+4688"], [0, 1, 4]),
        ("f: '4688'", ["4688", "4688.0"], [0]),
        ("f: -1", ["-1", "1", "-1.0", "-0x1"], [0, 2, 3]),
        ("f: 0x1F", ["31", "0x1f", "0x1F"], [0, 1, 2]),
        ("f: 1.5", ["1.5", "1.50", "15"], [0, 1]),
        ("f: true", ["true", "True", "1", "yes"], [0, 1]),
        ("f: 2024-01-02", ["2024-01-02", "2024-01-03"], [0]),
        ("'10': x", ["x"], []),
        # startswith, endswith, contains, all
        ("f|startswith: ab", ["abc", "AB", "cab"], [0, 1]),
        ("f|startswith: 'a*b'", ["axxbc", "ab", "b"], [0, 1]),
        (r"f|startswith: 'a\*'", ["a*b", "ab"], [0]),
        ("f|endswith: bc", ["abc", "BC", "bcd"], [0, 1]),
        (r"f|endswith: '\cmd.exe'", ["C:\\cmd.exe", "cmd.exe"], [0]),
        ("f|contains: b", ["abc", "B", "c", None], [0, 1]),
        ("f|contains: ''", ["", "x", None], [0, 1]),
        ("f|contains: [b, x]", ["abc", "xy", "c"], [0, 1]),
        ("f|contains|all: [b, x]", ["xb", "bx", "b", "x"], [0, 1]),
        ("f|all|contains: [b, x]", ["xb", "b"], [0]),
        ("f|startswith|all: [a, ab]", ["abc", "ac"], [0]),
        ("f|all: [a, b]", ["a", "b", ["a", "b"]], [2]),
        # cased, also where a modifier makes new texts of it
        ("f|cased: Ab", ["Ab", "ab"], [0]),
        ("f|cased|contains: Ab", ["xAbx", "xabx"], [0]),
        ("f|contains|cased: Ab", ["xAbx", "xabx"], [0]),
        ("f|cased|windash|contains: ' -Ab'", ["x /Ab", "x -Ab", "x /ab", "x -ab"], [0, 1]),
        ("f|cased|base64offset|contains: secret", [b64("secret"), b64("secret").lower()], [0]),
        ("f|cased|wide|base64|contains: In", [b64("In", "utf-16-le"), b64("In", "utf-16-le").lower()], [0]),
        # exists, neq
        ("f|exists: true", ["x", "", None], [0, 1]),
        ("f|exists: false", ["x", "", None], [2]),
        ("f|exists: yes", ["x", None], [0]),
        ("f|neq: a", ["a", "A", "b", None], [2, 3]),
        ("f|neq: [a, b]", ["a", "b", "c"], [2]),
        ("f|neq: 5", ["5", "5.0", "6", "x"], [2, 3]),
        ("f|neq: null", ["a", None], [0]),
        ("f|contains|neq: a", ["xax", "b"], [1]),
        ("f|contains|all|neq: [a, b]", ["ab", "a", "c"], [1, 2]),
        # windash
        ("f|windash: -a", ["-a", "/a", "\u2013a", "\u2014a", "\u2015a", "a", "+a"], [0, 1, 2, 3, 4]),
        ("f|windash|contains: ' -x -y'", ["c -x /y", "c /x \u2013y", "c x y"], [0, 1]),
        ("f|windash|contains|all: [' -x', ' -y']", ["c /y -x", "c /x"], [0]),
        ("f|contains|windash: ' /p'", ["c -p", "c /p"], [0, 1]),
        ("f|windash: a-b", ["a-b", "a/b"], [0]),
        # re
        ("f|re: 'a.c'", ["xabcx", "ABC", "a\nc"], [0]),
        ("f|re|i: 'a.c'", ["xABCx", "ac"], [0]),
        ("f|re|s: 'a.c'", ["a\nc", "ac"], [0]),
        ("f|re|m: '^c$'", ["a\nc", "ac"], [0]),
        ("f|re|i|m|s: '^A.C$'", ["x\na\nc\nx", "ac"], [0]),
        ("f|re: ['^a', 'b$']", ["ax", "xb", "x"], [0, 1]),
        ("f|re|all: ['^a', 'b$']", ["ab", "ax"], [0]),
        (r"f|re: '\d{2}\\x'", ["12\\x", "1\\x"], [0]),
        ("f|re: 12", ["x12", "1"], [0]),
        ("f|re: 0x1F", ["a0x1F", "31"], [0]),
        ("f|re|contains: 'a|b'", ["xbx", "c"], [0]),
        ("f|re|neq: '^a'", ["a", "b"], [1]),
        # base64 and its encodings
        ("f|base64: secret", [b64("secret"), "secret"], [0]),
        ("f|base64|contains: secret", [f"x{b64('secret')}x"], [0]),
        ("f|base64offset|contains: secret",
         [b64("secret"), b64("a secret b"), b64("ab secret b"), b64("abc secret b"), b64("secre")], [0, 1, 2, 3]),
        ("f|base64offset|contains|all: [secret, word]", [b64("a secret word"), b64("secret")], [0]),
        ("f|utf16le|base64offset|contains: Invoke", [b64("xInvokey", "utf-16-le"), b64("Invoke")], [0]),
        ("f|wide|base64offset|contains: Invoke", [b64("xInvokey", "utf-16-le"), b64("Invoke")], [0]),
        ("f|utf16be|base64offset|contains: Invoke", [b64("xInvokey", "utf-16-be"), b64("Invoke", "utf-16-le")], [0]),
        ("f|utf16|base64: In", [b64("In", "utf-16-le", b"\xff\xfe"), b64("In", "utf-16-le")], [0]),
        ("f|wide|contains: 'a*b'", ["xa\0zzb\0x", "axxb"], [0]),
        ("f|utf16le: ab", ["a\0b\0", "ab"], [0]),
        ("f|utf16be: ab", ["\0a\0b", "ab"], [0]),
        ("f|base64: 'a*b'", [], None),
        # numbers compared
        ("f|lt: 5", ["4", "4.9", "-3", "5", "x", "", None], [0, 1, 2]),
        ("f|lte: 5", ["5", "5.1"], [0]),
        ("f|gt: 5", ["6", "5", "0x10", "-0x10"], [0, 2]),
        ("f|gte: 5", ["5", "4.9"], [0]),
        ("f|gt: 1.5", ["1.6", "1.5"], [0]),
        ("f|gte: [5, 100]", ["7", "3"], [0]),
        ("f|gt|neq: 5", ["6", "5", "x", None], [1, 2, 3]),
        # parts of a time
        ("f|minute: 14", ["2026-03-02T07:14:05Z", "2026-03-02T07:15:00Z"], [0]),
        ("f|hour: 7", ["2026-03-02T07:14:05Z", "2026-03-02T09:14:05+02:00", "2026-03-02 08:00:00"], [0, 1]),
        ("f|day: 2", ["2026-03-02", "2026-03-03", "x", None], [0]),
        ("f|week: 10", ["2026-03-02", "2026-03-09"], [0]),
        ("f|month: 3", ["2026-03-02", "2026-04-02"], [0]),
        ("f|year: 2026", ["2026-03-02", "2025-03-02"], [0]),
        ("f|hour|gte: 22", ["2026-03-02T22:14:05Z", "2026-03-02T07:14:05Z"], [0]),
        ("f|hour|lt: 6", ["1767225600", "1767261600000"], [0]),
        ("f|month|neq: 3", ["2026-03-02", "2026-04-02", "x"], [1, 2]),
        # networks
        ("f|cidr: 10.1.0.0/16", ["10.1.2.3", "::ffff:10.1.2.3", "10.2.0.1", "10.1", "x"], [0, 1]),
        ("f|cidr: ['10.0.0.0/8', '192.168.0.0/16']", ["10.1.1.1", "192.168.1.1", "172.16.0.1"], [0, 1]),
        ("f|cidr: 2001:db8::/32", ["2001:db8::1", "2001:DB8:0:0:0:0:0:2", "2001:db9::1", "10.0.0.1"], [0, 1]),
        ("f|cidr|neq: 10.0.0.0/8", ["10.1.1.1", "11.1.1.1", None], [1, 2]),
    ],
)  # fmt: skip
def test_a_value_is_matched_as_sigma_says(item, values, want):
    if want is None:
        found = compile_files([("r.yml", f"{HEAD}detection:\n  s: {{{item}}}\n  condition: s\n".encode())])
        assert [problem.at.line for problem in found.problems] == [4]
        assert not found.rules
    else:
        assert rows_of(item, values) == want


@pytest.mark.parametrize(
    ("item", "pairs", "want"),
    [
        (
            "f|fieldref: g",
            [("a", "A"), ("a", "b"), ("a", None), (None, "a"), (None, None), ([None], [None])],
            [0],
        ),
        ("f|fieldref|startswith: g", [("abc", "AB"), ("ab", "abc")], [0]),
        ("f|fieldref|endswith: g", [("abc", "BC"), ("bc", "abc")], [0]),
        ("f|fieldref|contains: g", [("abcd", "BC"), ("bc", "abcd")], [0]),
        ("f|fieldref|neq: g", [("a", "a"), ("a", "b"), ("a", None)], [1, 2]),
        ("f|fieldref: [g, h]", [("a", "a"), ("a", "b")], [0]),
    ],
)
def test_fields_are_compared(item, pairs, want):
    rows = [{"f": one, "g": other} for one, other in pairs]
    assert fires(f"detection:\n  s: {{{item}}}\n  condition: s\n", rows) == want


ROWS = [
    {"f": "x"}, {"g": "y"}, {"h": "z"}, {"f": "x", "g": "y"}, {"f": "x", "h": "z"}, {"g": "y", "h": "z"},
    {"f": "x", "g": "y", "h": "z"}, {},
]  # fmt: skip
THREE = "detection:\n  sel_a: {f: x}\n  sel_b: {g: y}\n  other: {h: z}\n  _hidden: {f: never}\n"


@pytest.mark.parametrize(
    ("condition", "want"),
    [
        ("sel_a", [0, 3, 4, 6]),
        ("sel_a and sel_b", [3, 6]),
        ("sel_a or sel_b", [0, 1, 3, 4, 5, 6]),
        # or binds less than and, and less than not, not less than "of"
        ("sel_a or sel_b and other", [0, 3, 4, 5, 6]),
        ("sel_b and other or sel_a", [0, 3, 4, 5, 6]),
        ("(sel_a or sel_b) and other", [4, 5, 6]),
        ("not sel_a and sel_b", [1, 5]),
        ("not (sel_a and sel_b)", [0, 1, 2, 4, 5, 7]),
        ("not not sel_a", [0, 3, 4, 6]),
        ("not sel_a or sel_b", [1, 2, 3, 5, 6, 7]),
        ("not 1 of sel_*", [2, 7]),
        ("not all of sel_* and other", [2, 4, 5]),
        ("sel_a and not 1 of sel_b*", [0, 4]),
        ("((sel_a))", [0, 3, 4, 6]),
        # of
        ("1 of sel_*", [0, 1, 3, 4, 5, 6]),
        ("any of sel_*", [0, 1, 3, 4, 5, 6]),
        ("all of sel_*", [3, 6]),
        ("1 of *_b", [1, 3, 5, 6]),
        ("1 of them", [0, 1, 2, 3, 4, 5, 6]),
        ("all of them", [6]),
        ("not 1 of them", [7]),
        ("not _hidden", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("all of them and not _hidden", [6]),
        # several conditions are alternatives
        ("[sel_a and sel_b, other]", [2, 3, 4, 5, 6]),
    ],
)
def test_a_condition_is_read_as_sigma_says(condition, want):
    assert fires(f"{THREE}  condition: {condition}\n", ROWS) == want


def test_names_that_begin_like_operators_are_names():
    text = "detection:\n  notepad: {f: x}\n  order: {g: y}\n  android: {h: z}\n  condition: not notepad and order or android\n"
    assert fires(text, ROWS) == [1, 2, 4, 5, 6]


def test_a_condition_may_stand_over_several_lines():
    assert fires(f"{THREE}  condition: |\n    sel_a\n    and not sel_b\n", ROWS) == [0, 4]


RECORDS = ["Say EVIL now", "evil and worse", '{"path": "C:\\\\Temp\\\\evil.exe"}', "good", None]


@pytest.mark.parametrize(
    ("search", "want"),
    [
        ("[evil]", [0, 1, 2]),
        ("evil", [0, 1, 2]),
        ("[worse, say]", [0, 1]),
        ("{'|all': [evil, worse]}", [1]),
        ("{'|contains': evil}", [0, 1, 2]),
        ("{'|cased': EVIL}", [0]),
        ("{'|re': '^Say .*L'}", [0]),
        ("{'|neq': evil}", [3, 4]),
        ("['ev?l']", [0, 1, 2]),
        ("['e*w']", [0, 1]),
        (r"['\Temp\evil.exe']", [2]),
        ("[4625]", []),
        ("[evil, {f: x}]", [0, 1, 2, 3]),
        ("[{f: x}, {g: y}]", [3]),
        ("[[worse], {f: x, g: y}]", [1]),
    ],
)
def test_keywords_are_looked_for_in_the_whole_record(search, want):
    rows = [{}, {}, {}, {"f": "x"}, {}]
    assert fires(f"detection:\n  s: {search}\n  condition: s\n", rows, RECORDS) == want


def test_numbers_among_keywords_are_looked_for_as_they_are_written():
    texts = ["id 4625.", "id 0x1F", "id 31"]
    assert fires("detection:\n  s: [4625, 0x1F]\n  condition: s\n", [{}] * 3, texts) == [0, 1]


@pytest.mark.parametrize("word", ["Ärger", "ärger", "ÄRGER"])
def test_a_keyword_is_found_whatever_its_case_where_json_escapes_it(word):
    texts = ['{"a": "\\u00c4RGER"}', '{"a": "\\u00E4rger"}', "ÄRGER", "argel"]
    assert fires(f"detection:\n  s: ['{word}']\n  condition: s\n", [{}] * 4, texts) == [0, 1, 2]
    assert fires(
        "detection:\n  s: {'|cased': Ärger}\n  condition: s\n", [{}] * 2, ["\\u00c4rger", "\\u00e4rger"]
    ) == [0]


def test_of_several_values_one_has_to_match_and_all_may_differ():
    rows = [{"f": ["a", "b"]}, {"f": ["b"]}, {"f": []}, {}]
    assert fires("detection:\n  s: {f: a}\n  condition: s\n", rows) == [0]
    assert fires("detection:\n  s: {f: a}\n  condition: not s\n", rows) == [1, 2, 3]
    assert fires("detection:\n  s: {f|neq: a}\n  condition: s\n", rows) == [1, 2, 3]
    assert fires("detection:\n  s: {f: null}\n  condition: s\n", rows) == [2, 3]


def test_a_timeframe_is_no_search():
    text = "detection:\n  a: {f: x}\n  timeframe: 5m\n  condition: all of them\n"
    assert fires(text, ROWS[:2]) == [0]


# documents


def fired(text, rows):
    """Return the titles of the rules of a file that fire, by row."""
    found = compiled(text)
    matches = Matcher(found.rules, found.atoms).match(frame(rows))
    return sorted((row, found.rules[match.rule].title) for match in matches for row in match.rows)


def test_a_file_may_hold_several_rules():
    one = "title: {t}\nlogsource: {{product: test}}\ndetection: {{s: {{f: {t}}}, condition: s}}\n"
    text = f"---\n{one.format(t='x')}---\n---\n{one.format(t='y')}...\n"
    assert fired(text, [{"f": "x"}, {"f": "y"}]) == [(0, "x"), (1, "y")]


def test_a_global_document_holds_in_those_that_follow_until_reset():
    text = """
action: global
title: common
logsource: {product: test}
detection: {base: {f: x}, condition: base and own}
---
title: first
detection: {own: {g: y}}
---
detection: {own: {h: z}}
---
action: reset
---
title: last
logsource: {product: test}
detection: {own: {g: y}, condition: own}
"""
    rows = [{"f": "x", "g": "y"}, {"f": "x", "h": "z"}, {"g": "y"}]
    assert fired(text, rows) == [(0, "common"), (0, "last"), (1, "common"), (2, "last")]


def test_a_repeated_document_has_other_parts():
    text = """
title: one
logsource: {product: test}
detection: {s: {f: x}, condition: s}
---
action: repeat
title: two
detection: {s: {f: y}}
"""
    assert fired(text, [{"f": "x"}, {"f": "y"}]) == [(0, "one"), (1, "two")]


def test_a_filter_beside_rules_narrows_those_that_it_names():
    text = """
title: one
name: first
logsource: {product: test}
detection: {s: {f: x}, condition: s}
---
title: two
logsource: {product: test}
detection: {s: {f: x}, condition: s}
---
title: tuning
logsource: {product: test}
filter:
  rules: [first]
  admin: {g: ok}
  more: {h: ok}
  condition: not 1 of them
"""
    rows = [{"f": "x"}, {"f": "x", "g": "ok"}, {"f": "x", "h": "ok"}]
    assert fired(text, rows) == [(0, "one"), (0, "two"), (1, "two"), (2, "two")]


# what is refused

START = "title: t\nid: 00000000-0000-4000-8000-000000000001\nlogsource:\n  product: test\ndetection:\n"


@pytest.mark.parametrize(
    ("rest", "line", "says"),
    [
        ("  s:\n    f: x\n    g|frobnicate: y\n  condition: s\n", 8, "frobnicate"),
        ("  s:\n    f|expand: '%admins%'\n  condition: s\n", 7, "admins"),
        ("  s:\n    f|re|expand: 'a%tool%c'\n  condition: s\n", 7, "tool"),
        ("  s:\n    f: x\n  t:\n    g|re: '(?=a)b'\n  condition: s or t\n", 9, "linear"),
        ("  s:\n    g|re: '(a)\\1'\n  condition: s\n", 7, "linear"),
        ("  s:\n    g|re: '(a'\n  condition: s\n", 7, "'(a'"),
        ("  s:\n    f: on\n  condition: s\n", 7, "'on' for True"),
        ("  s:\n    f: No\n  condition: s\n", 7, "'No' for False"),
        ("  s:\n    f: 010\n  condition: s\n", 7, "'010' for 8"),
        ("  s:\n    - x\n    - 10:30\n  condition: s\n", 8, "'10:30' for 630"),
        ("  s:\n    f: 1_000\n  condition: s\n", 7, "1_000"),
        ("  s:\n    f: .nan\n  condition: s\n", 7, "nan"),
        ("  s:\n    f: []\n  condition: s\n", 7, "no value"),
        ("  s: []\n  condition: s\n", None, "Null"),
        ("  s: {}\n  condition: s\n", None, "empty"),
        ("  s:\n    f: {g: x}\n  condition: s\n", 7, "'f'"),
        ("  s:\n    f: [[x]]\n  condition: s\n", 7, "'f'"),
        ("  s:\n    ~: x\n  condition: s\n", 6, "no name"),
        ("  s: ['*']\n  condition: s\n", None, "keyword"),
        ("  s:\n    f|base64offset|contains: x\n  condition: s\n", 7, "too short"),
        ("  s: [null]\n  condition: s\n", None, "keyword"),
        ("  s:\n    '|cidr': 10.0.0.0/8\n  condition: s\n", None, "keyword"),
        ("  s:\n    f|cidr: 10.0.0.1/8\n  condition: s\n", 7, "10.0.0.1/8"),
        ("  s:\n    f|cidr: '10.0.*'\n  condition: s\n", 7, "10.0.*"),
        ("  s:\n    f|gt: abc\n  condition: s\n", 7, "abc"),
        ("  s:\n    f|exists: maybe\n  condition: s\n", 7, "maybe"),
        ("  s:\n    f|i: abc\n  condition: s\n", 7, "abc"),
        ("  s:\n    f|wide: äöü\n  condition: s\n", 7, "äöü"),
        ("  s:\n    f|windash: '-a -b -c -d'\n  condition: s\n", None, "windash"),
        ("  s:\n    f: x\n  condition: s and\n", 8, "Expected"),
        ("  s:\n    f: x\n  condition: t\n", 8, "'t'"),
        ("  s:\n    f: x\n  condition: 1 of t*\n", 8, "1 of t*"),
        ("  s:\n    f: x\n  condition: 2 of them\n", 8, "Expected"),
        ("  s:\n    f: x\n  condition: s | count() > 5\n", 8, "pipe"),
        ("  s:\n    f: x\n  condition:\n", 8, "condition"),
        ("  s:\n    f: x\n  condition: 5\n", 8, ""),
        ("  s:\n    f: x\n", None, "condition"),
        ("  s:\n    f: x\n    f: y\n  condition: s\n", 8, "twice"),
        ("  s:\n    f: x\n  condition: s\ntaxonomy: ecs\n", None, "ecs"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_line(rest, line, says):
    text = "---\ntitle: another\nlogsource: {product: test}\ndetection: {s: {f: x}, condition: s}\n---\n"
    found = compile_files([("some/rule.yml", (text + START + rest).encode())])
    assert found.problems
    problem = found.problems[0]
    assert says in problem.what
    assert problem.at.file == "some/rule.yml"
    assert problem.at.line == (line + 5 if line else problem.at.line)
    assert problem.at.line >= 6
    assert [rule.title for rule in found.rules] == (["another"] if "twice" not in problem.what else [])
    assert isinstance(problem, ContentError)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("action: global\ntitle: t\n", 1, "no rule"),
        ("---\n---\n", 1, "no rule"),
        ("# nothing\n", 1, "no rule"),
        ("title: a\naction: frobnicate\n", 2, "frobnicate"),
        ("title: a\nlogsource: {product: test}\n", 1, "detection"),
        ("title: a\ndetection: {s: {f: x}, condition: s}\n", 2, "log"),
        ("- a\n", 1, "mapping"),
        ("just text\n", 1, "mapping"),
        ("a: &x [*x]\n", 1, ""),
        ("title: t\nlogsource: {product: test}\nfilter:\n  s: {f: x}\n  condition: s\n", 3, "rules"),
        ("title: t\nlogsource: {product: test}\nfilter:\n  rules: any\n  s: {f|nope: x}\n  condition: s\n", 5, "nope"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_rule_is_told_with_its_line(text, line, says):
    found = compile_files([("rule.yml", text.encode())])
    assert not found.rules
    assert (found.problems[0].at.file, found.problems[0].at.line) == ("rule.yml", line), found.problems[0]
    assert says in found.problems[0].what


def test_an_alias_bomb_is_refused_at_once():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    text = "\n".join(
        [*lines, "title: t", "logsource: {product: test}", "detection: {s: {f: *a11}, condition: s}"]
    )
    found = compile_files([("bomb.yml", text.encode())])
    assert not found.rules
    assert found.problems


def test_only_what_is_valid_but_not_evaluated_is_unsupported():
    def kind(rest):
        return type(compile_files([("r.yml", (START + rest).encode())]).problems[0])

    assert kind("  s: {f|re: '(?=a)b'}\n  condition: s\n") is UnsupportedError
    assert kind("  s: {f|expand: '%a%'}\n  condition: s\n") is UnsupportedError
    assert kind("  s: {f|nope: x}\n  condition: s\n") is ContentError
