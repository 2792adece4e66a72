"""Correlations out of rule files: Sigma's, those beyond, and every refusal with its line."""

import numpy as np
import pyarrow as pa
import pytest
from sigmaframes import frame

from lemnis.contracts.correlations import Correlation, join, split
from lemnis.contracts.detection import Match
from lemnis.detect import load_rules
from lemnis.detect.correlations import silenced
from lemnis.detect.rules import compile_files
from lemnis.detect.signals import LISTS, ONE_LIST, Events, Extractor, together

BASE = """\
title: A
name: a
id: 00000000-0000-4000-8000-00000000000a
logsource: {product: test}
detection: {s: {EventID: 1}, condition: s}
level: low
---
title: B
name: b
logsource: {product: test}
detection: {s: {EventID: 2}, condition: s}
level: high
---
"""
LINE = BASE.count("\n")


def linked(*sections, base=BASE):
    """Compile correlations over the two rules; the section may bring its own head."""
    documents = [
        one if one.startswith("title") else f"title: C{n}\nlevel: high\ncorrelation:\n{one}"
        for n, one in enumerate(sections)
    ]
    return compile_files([("rules.yml", (base + "\n---\n".join(documents)).encode())])


def one(section, **given):
    found = linked(section, **given)
    assert [str(problem) for problem in found.problems] == []
    return found.correlations[0]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("  type: event_count\n  rules: [a]\n  group-by: [User]\n  timespan: 5m\n  condition: {gt: 3}",
         {"kind": "event_count", "op": "gt", "threshold": 3, "timespan": 300_000, "groups": (("User",),)}),
        ("  type: value_count\n  rules: a\n  timespan: 1d\n  condition: {lte: 3, field: [x, y]}",
         {"fields": ("x", "y"), "values": (("x", "y"),), "op": "lte", "group_by": ()}),
        ("  type: value_avg\n  rules: [a]\n  timespan: 1h\n  condition: {gte: 2.5, field: size}", {"threshold": 2.5}),
        ("  type: value_percentile\n  rules: [a]\n  timespan: 1h\n  condition: {gte: 9, field: size, percentile: 95}", {"percentile": 95}),
        ("  type: value_median\n  rules: [a]\n  timespan: 1h\n  condition: {gte: 9, field: size}", {"percentile": 50}),
        ("  type: temporal\n  rules: [a, b]\n  timespan: 1h", {"op": "gte", "threshold": 2}),
        ("  type: temporal\n  timespan: 1h\n  condition: a and not b", {"expression": ["and", 0, ["not", 1]]}),
        ("  type: temporal_ordered\n  rules: [b, a]\n  timespan: 1h\n  condition: a or b", {"expression": ["or", 1, 0]}),
        ("  type: event_count\n  rules: [a, b]\n  group-by: [who]\n  timespan: 5m\n  condition: {gte: 2}\n  aliases: {who: {a: User, b: Account}}",
         {"groups": (("User",), ("Account",)), "group_by": ("who",)}),
        ("  type: absence\n  rules: a\n  without: b\n  timespan: 5m", {"others": 1, "generate": False}),
        ("  type: sequence\n  rules: [a, b]\n  until: [a2]\n  timespan: 5m", None),
        ("  type: new_terms\n  rules: a\n  field: Ip\n  timespan: 30d\n  learn: 7d", {"learn": 7 * 86_400_000}),
        ("  type: baseline\n  rules: a\n  timespan: 1h\n  buckets: 24\n  sigma: 3\n  condition: {gte: 10}", {"horizon": 49 * 3_600_000, "threshold": 10}),
        ("  type: entity_risk\n  rules: [a, b]\n  half-life: 1h\n  condition: {gte: 50}\n  scores: {b: 7}", {"scores": (10.0, 7.0), "timespan": 36_000_000}),
    ],
)  # fmt: skip
def test_what_a_correlation_says_is_what_is_compiled(section, said):
    if said is None:
        assert "there is no rule 'a2'" in str(linked(section).problems[0])
        return
    made = one(section)
    assert {name: getattr(made, name) for name in said} == said
    assert Correlation.read(made.document()) == made


@pytest.mark.parametrize(
    ("section", "what", "line"),
    [
        ("  type: event_count\n  rules: [a, nope]\n  timespan: 5m\n  condition: {gte: 3}", "no rule 'nope'", 5),
        ("  type: event_count\n  rules: [a]\n  timespan: 5x\n  condition: {gte: 3}", "Timespan", 6),
        ("  type: event_count\n  rules: [a]\n  timespan: 5m", "without condition", 4),
        ("  type: event_count\n  rules: [a]\n  timespan: 5m\n  condition: {gte: 3, lte: 5}", "exactly one", 7),
        ("  type: event_count\n  rules: [a]\n  timespan: 5m\n  condition: {gte: 3, field: x}", "looks at no field", 7),
        ("  type: event_count\n  rules: [a, a]\n  timespan: 5m\n  condition: {gte: 3}", "named twice", 5),
        ("  type: event_count\n  rules: [a]\n  timespan: 5m\n  window: tumbling\n  condition: {gte: 3}", "'window' means nothing", 7),
        ("  type: value_count\n  rules: [a]\n  timespan: 5m\n  condition: {gte: 3}", "without field", 4),
        ("  type: value_sum\n  rules: [a]\n  timespan: 5m\n  condition: {gte: 3, field: [x, y]}", "one field", 7),
        ("  type: value_percentile\n  rules: [a]\n  timespan: 5m\n  condition: {gte: 3, field: x}", "needs a percentile", 7),
        ("  type: value_percentile\n  rules: [a]\n  timespan: 5m\n  condition: {gte: 3, field: x, percentile: 101}", "0 to 100", 7),
        ("  type: temporal\n  rules: [a, b]\n  timespan: 5m\n  condition: a and", "parse", 4),
        ("  type: temporal\n  rules: [a, b]\n  timespan: 5m\n  condition: a and a", "not referenced", 4),
        ("  type: temporal\n  timespan: 5m\n  condition: not a", "nothing matched", 6),
        ("  type: temporal_ordered\n  rules: [a, b]\n  timespan: 5m\n  condition: {gte: 1}", "not said by a count", 7),
        ("  type: frequency\n  rules: [a]\n  timespan: 5m", "no type of correlation 'frequency'", 4),
        ("  type: event_count\n  rules: [a, b]\n  group-by: [who]\n  timespan: 5m\n  condition: {gte: 2}\n  aliases: {who: {a: User}}", "names no field for 'b'", 9),
        ("  type: event_count\n  rules: [a]\n  group-by: [who]\n  timespan: 5m\n  condition: {gte: 2}\n  aliases: {who: {b: User}}", "no rule of this", 9),
        ("  type: absence\n  rules: a\n  timespan: 5m", "without: Field required", 4),
        ("  type: absence\n  rules: a\n  without: a\n  timespan: 5m", "on both sides", 5),
        ("  type: new_terms\n  rules: a\n  field: Ip\n  timespan: 1d\n  learn: 2d", "shorter than the timespan", 4),
        ("  type: new_terms\n  rules: a\n  field: Ip\n  timespan: soon", "not a span of time", 7),
        ("  type: baseline\n  rules: a\n  timespan: 1h\n  buckets: 1\n  sigma: 3", "greater than or equal to 2", 7),
        ("  type: baseline\n  rules: a\n  timespan: 1h\n  buckets: 2\n  sigma: .inf", "finite", 8),
        ("  type: sequence\n  rules: [a]\n  timespan: 1h", "at least two", 4),
        ("  type: entity_risk\n  rules: all\n  half-life: 1h\n  condition: {gte: 5}\n  scores: {nope: 3}", "no level and none", 8),
        ("  type: absence\n  rules: all\n  without: a\n  timespan: 5m", "for entity_risk", 5),
        ("  type: entity_risk\n  rules: a\n  half-life: 1h\n  condition: {lt: 5}", "condition", 7),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(section, what, line):
    found = linked(section)
    assert found.correlations == ()
    (problem,) = found.problems
    assert what in str(problem)
    assert problem.at.line - LINE == line


def test_correlations_draw_on_others_whatever_file_comes_first():
    outer = "title: Outer\ncorrelation: {type: temporal_ordered, rules: [many, b], group-by: [User], timespan: 5m}"
    inner = "title: Inner\nname: many\ncorrelation: {type: event_count, rules: [a], group-by: [User, Ip], timespan: 5m, condition: {gte: 2}}"
    found = compile_files(
        [("1.yml", outer.encode()), ("2.yml", inner.encode()), ("3.yml", BASE.removesuffix("---\n").encode())]
    )
    assert not found.problems
    assert [c.title for c in found.correlations] == ["Inner", "Outer"]
    assert found.correlations[1].references[0].chained
    assert silenced(found.correlations) == {"Inner", "B", "00000000-0000-4000-8000-00000000000a"}
    other = outer.replace("[User]", "[Host]")
    found = compile_files(
        [("1.yml", other.encode()), ("2.yml", inner.encode()), ("3.yml", BASE.removesuffix("---\n").encode())]
    )
    assert "'many' does not group by 'Host'" in str(found.problems[0])
    assert found.problems[0].at.file == "1.yml"


def test_correlations_that_draw_on_each_other_are_refused():
    head = "title: {0}\nname: {0}\ncorrelation: {{type: event_count, rules: [{1}], timespan: 5m, condition: {{gte: 2}}}}"
    found = linked(head.format("x", "y"), head.format("y", "x"))
    assert found.correlations == ()
    assert all("draw on each other" in str(problem) for problem in found.problems)
    assert len(found.problems) == 2


def test_what_is_kept_compiled_has_the_correlations(tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yml").write_text(
        BASE + "title: C\ncorrelation: {type: temporal, rules: [a, b], timespan: 5m}\n"
    )
    fresh, kept = (load_rules([tmp_path / "rules"], cache=tmp_path / "cache") for _ in range(2))
    assert fresh.correlations == kept.correlations != ()


@pytest.mark.parametrize(
    "texts", [(), ("",), ("a", "b"), ("a\x1fb", "c"), ("a", "b\x1fc"), ("\x1e", "\x1e0\x1f1", "")]
)
def test_groups_are_told_apart_whatever_is_in_them(texts):
    assert split(join(texts), len(texts)) == texts


def extracted(correlation, rows, matches, rules):
    def at(places):
        uids = pa.array([f"ev-{place:016x}" for place in places])
        return Events(np.asarray(places) * 1000, np.ones(len(places), bool), uids)

    extractor = Extractor([correlation], rules)
    table = together(extractor.of(frame(rows), matches, at, source="s", class_uid=7))
    return extractor, [] if table is None else table.to_pylist()


def test_an_event_is_in_the_group_of_each_of_its_values_and_in_none_without():
    found = linked(
        "  type: value_sum\n  rules: [a]\n  group-by: [User, Role]\n  timespan: 5m\n  condition: {gte: 1, field: size}"
    )
    rows = [
        {"User": "u", "Role": ["x", "y"], "size": "0x10"}, {"User": None, "Role": ["x"], "size": "1"},
        {"User": "u", "Role": [], "size": "2"}, {"User": "v\x1f", "Role": ["x"], "size": "many"},
        {"User": "w", "Role": ["x"], "size": None},
    ]  # fmt: skip
    _, signals = extracted(found.correlations[0], rows, [Match(0, [0, 1, 2, 3, 4])], found.rules)
    assert [(split(s["group"], 2), s["value"], s["time"], s["uid"], s["class_uid"]) for s in signals] == [
        (("u", "x"), "16.0", 0, "ev-" + "0" * 16, 7), (("u", "y"), "16.0", 0, "ev-" + "0" * 16, 7),
        (("v\x1f", "x"), None, 3000, "ev-" + "0" * 15 + "3", 7),
    ]  # fmt: skip


def test_hostile_records_are_bounded_and_counted():
    found = linked(
        "  type: event_count\n  rules: [a]\n  group-by: [x, y]\n  timespan: 5m\n  condition: {gte: 1}"
    )
    many = [str(n) for n in range(5000)]
    extractor, signals = extracted(
        found.correlations[0], [{"x": many, "y": many}], [Match(0, [0])], found.rules
    )
    assert len(signals) == LISTS * LISTS
    assert extractor.cut["C0"] == 1 + LISTS
    _, signals = extracted(
        found.correlations[0], [{"x": many, "y": "long" * 10_000}], [Match(0, [0])], found.rules
    )
    assert len(signals) == ONE_LIST
    assert all(len(s["group"]) < 700 for s in signals)
