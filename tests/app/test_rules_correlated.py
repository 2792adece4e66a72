"""Detections with correlations: tested on both paths, mutated, and explained where they nearly fired."""

import json

import pytest

from lemnis.app.rules_mutation import mutate_rules
from lemnis.content.library import Library
from lemnis.interfaces.cli import run

RULE = """\
title: {title}
id: {id}
name: {name}
status: test
level: low
logsource: {{category: webserver}}
detection:
  a: {{cs-uri-stem: {path}}}
  condition: a
---
"""
RULES = "".join(
    RULE.format(
        title=f"Asks for {name}", id=f"1111111{place}-1111-4111-8111-111111111111", name=name, path=f"/{name}"
    )
    for place, name in enumerate(("first", "second", "third"))
)
HEAD = """\
title: Together
id: 33333333-3333-4333-8333-333333333333
status: test
level: high
correlation:
"""
LINE = '{ip} - - [24/Nov/2025:{time} +0000] "GET /{path} HTTP/1.1" 200 {size} "-" "x"'


def lines(*asked):
    """Write requests: (address, time, path), and the bytes of the answer if they matter."""
    return [
        LINE.format(ip=ip, time=time, path=path, size=size[0] if size else 1)
        for ip, time, path, *size in asked
    ]


@pytest.fixture
def explained(tmp_path, capsys):
    """Explain a correlation over requests: the exit code, whether it fired, and every step as text."""

    def explain(correlation, *asked):
        (tmp_path / "rule.yml").write_text(
            RULES + HEAD + "".join(f"  {line}\n" for line in correlation.splitlines())
        )
        (tmp_path / "access.log").write_text("\n".join(lines(*asked)) + "\n")
        code = run(["rules", "explain", str(tmp_path / "rule.yml"), str(tmp_path / "access.log"), "--json"])
        said = json.loads(capsys.readouterr().out)
        return code, said["matches"], flat(said["why"])

    return explain


def flat(step):
    mark = "+" if step["holds"] else "-"
    return [
        f"{mark} {step['asks']}: {step['value']}",
        *(line for part in step["parts"] for line in flat(part)),
    ]


def has(said, *words):
    return any(all(word in line for word in words) for line in said)


COUNT = "type: event_count\nrules: [first]\ngroup-by: [c-ip]\ntimespan: 5m\ncondition: {gte: 3}"


def test_a_count_says_how_many_are_short_and_where(explained):
    code, fired, said = explained(
        COUNT, ("192.0.2.1", "18:00:00", "first"), ("192.0.2.2", "18:00:01", "first"),
        ("192.0.2.2", "18:01:00", "first"), ("192.0.2.2", "18:06:30", "first"), ("192.0.2.2", "18:07:00", "second"),
    )  # fmt: skip
    assert (code, fired) == (1, False)
    assert said[0] == "- at least 3 events within 5m, the same c-ip: "
    assert "+ first matched: 4 times: 1, 2, 3, 4" in said
    assert has(
        said, "- the nearest window: c-ip is 192.0.2.2: 2, 1 short: 2, 3; 2025-11-24T18:00:01", "18:01:00"
    )


def test_what_fired_is_told_with_its_records(explained):
    code, fired, said = explained(
        COUNT, *(("192.0.2.2", f"18:0{minute}:00", "first") for minute in (0, 1, 2))
    )
    assert (code, fired) == (0, True)
    assert has(said, "+ c-ip is 192.0.2.2: 3 1, 2, 3; 2025-11-24T18:00:00", "18:02:00")


def test_different_values_and_sums_are_measured(explained):
    kind = "type: value_count\nrules: [first]\ntimespan: 5m\ncondition: {gte: 3, field: c-ip}"
    asked = [
        (f"192.0.2.{number}", f"18:0{minute}:00", "first", 40) for minute, number in enumerate((1, 2, 2, 1))
    ]
    code, _, said = explained(kind, *asked)
    assert code == 1
    assert has(said, "- the nearest window: 2, 1 short: 1, 2")
    kind = "type: value_sum\nrules: [first]\ntimespan: 5m\ncondition: {gte: 200, field: sc-bytes}"
    assert has(explained(kind, *asked)[2], "- the nearest window: 160, 40 short: 1, 2, 3, 4")


def test_a_rule_that_never_matched_is_told(explained):
    _, _, said = explained(COUNT, ("192.0.2.1", "18:00:00", "second"))
    assert said[1:] == ["- first matched: never"]


ORDER = "type: temporal_ordered\nrules: [first, second]\ngroup-by: [c-ip]\ntimespan: 1m"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("192.0.2.1", "18:03:00", "second"), "2m too late: 2; 2025-11-24T18:03:00.000Z"),
        (("192.0.2.2", "18:00:20", "second"), "only where c-ip is 192.0.2.2: 2"),
        (("192.0.2.1", "17:59:50", "second"), "10s before that: 2"),
        (("192.0.2.1", "18:00:20", "third"), "never"),
    ],
)
def test_a_step_that_failed_is_told_with_how_near_it_was(explained, asked, words):
    code, fired, said = explained(ORDER, ("192.0.2.1", "18:00:00", "first"), asked)
    assert (code, fired) == (1, False)
    assert has(said, "- the nearest window: c-ip is 192.0.2.1: 1 of 2")
    assert has(said, "+ first: 1; 2025-11-24T18:00:00.000Z")
    assert has(said, f"- second: {words}")


def test_of_windows_with_as_many_steps_the_nearest_is_told(explained):
    _, _, said = explained(
        ORDER, ("192.0.2.1", "18:00:00", "first"), ("192.0.2.1", "18:10:00", "first"),
        ("192.0.2.1", "18:12:00", "second"),
    )  # fmt: skip
    assert has(said, "+ first: 2;")
    assert has(said, "- second: 1m too late: 3;")


def test_rules_of_any_order_are_told(explained):
    _, fired, said = explained(
        "type: temporal\nrules: [first, second, third]\ntimespan: 1m",
        ("192.0.2.1", "18:00:10", "second"), ("192.0.2.1", "18:00:20", "first"), ("192.0.2.1", "18:05:00", "third"),
    )  # fmt: skip
    assert not fired
    assert has(said, "- the nearest window: 2 of 3")
    assert has(said, "- third:", "too late: 3;")


def test_an_absence_says_what_answered_and_what_is_not_known_yet(explained):
    kind = "type: absence\nrules: [first]\nwithout: [second]\ngroup-by: [c-ip]\ntimespan: 5m"
    code, _, said = explained(
        kind, ("192.0.2.1", "18:00:00", "first"), ("192.0.2.1", "18:02:00", "second"), ("192.0.2.2", "18:02:30", "first"),
    )  # fmt: skip
    assert code == 1
    assert has(said, "c-ip is 192.0.2.1: answered 2m later: 2")
    assert has(
        said,
        "c-ip is 192.0.2.2: not known before 2025-11-24T18:07:30.000Z; the logs end at 2025-11-24T18:02:30",
    )
    code, _, _ = explained(
        kind,
        ("192.0.2.1", "18:00:00", "first"),
        ("192.0.2.2", "18:00:00", "second"),
        ("192.0.2.3", "18:07:30", "second"),
    )
    assert code == 0


def test_a_sequence_that_was_ended_has_not_fired(explained):
    kind = "type: sequence\nrules: [first, second]\nuntil: [third]\ngroup-by: [c-ip]\ntimespan: 5m"
    first, second = ("192.0.2.1", "18:00:00", "first"), ("192.0.2.1", "18:02:00", "second")
    assert explained(kind, first, second)[0] == 0
    code, _, said = explained(kind, first, ("192.0.2.1", "18:01:00", "third"), second)
    assert code == 1
    assert has(said, "+ third matched (ends it): 1 time: 2")
    assert has(said, "- ended by third: 2; 2025-11-24T18:01:00")


def test_new_terms_say_what_is_old_and_what_is_not_learnt(explained):
    kind = "type: new_terms\nrules: [first]\ngroup-by: [cs-method]\nfield: c-ip\ntimespan: 1d\nlearn: 2h"
    code, _, said = explained(
        kind, ("192.0.2.1", "18:00:00", "first"), ("192.0.2.1", "18:30:00", "first"), ("192.0.2.9", "19:00:00", "first"),
    )  # fmt: skip
    assert code == 1
    assert has(said, "'192.0.2.1': cs-method is GET: there 30m before: 2")
    assert has(said, "'192.0.2.9': cs-method is GET: new, but its group is only known for 1h: 3")


def test_risk_and_baseline_are_told(explained):
    kind = (
        "type: entity_risk\nrules: [first, second]\ngroup-by: [c-ip]\nhalf-life: 1h\ncondition: {gte: 100}\n"
    )
    asked = [
        ("192.0.2.1", "18:00:00", "first"),
        ("192.0.2.1", "19:00:00", "second"),
        ("192.0.2.2", "19:00:00", "first"),
    ]
    _, fired, said = explained(kind + "scores: {first: 40, second: 50}", *asked)
    assert not fired
    assert has(
        said, "- the highest risk: c-ip is 192.0.2.1: 70.0, 30.0 short at 2025-11-24T19:00:00.000Z: 1, 2"
    )
    kind = "type: baseline\nrules: [first]\ngroup-by: [c-ip]\ntimespan: 1h\nbuckets: 2\nsigma: 3\ncondition: {gte: 4}"
    _, fired, said = explained(
        kind, ("192.0.2.1", "10:00:00", "first"), ("192.0.2.1", "11:00:00", "first"), ("192.0.2.1", "12:01:00", "first"),
        ("192.0.2.1", "12:02:00", "first"),
    )  # fmt: skip
    assert not fired
    assert has(
        said, "- the nearest count: c-ip is 192.0.2.1: 2 at 2025-11-24T12:00:00.000Z, 4.0 is the limit"
    )


def test_a_correlation_over_another_is_told(explained, tmp_path, capsys):
    (tmp_path / "rule.yml").write_text(
        RULES + "title: Often\nid: 44444444-4444-4444-8444-444444444444\nname: often\nstatus: test\nlevel: low\n"
        "correlation:\n  " + COUNT.replace("\n", "\n  ") + "\n---\n" + HEAD
        + "  type: temporal_ordered\n  rules: [often, second]\n  group-by: [c-ip]\n  timespan: 1m\n"
    )  # fmt: skip
    asked = [("192.0.2.1", f"18:0{minute}:00", "first") for minute in (0, 1, 2)]
    (tmp_path / "access.log").write_text("\n".join(lines(*asked, ("192.0.2.1", "18:04:30", "second"))) + "\n")
    assert (
        run(["rules", "explain", str(tmp_path / "rule.yml"), f"{tmp_path / 'access.log'}:4", "--json"]) == 0
    )
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["matches"] for one in found] == [True, False, False, True, False]
    assert has(flat(found[1]["why"]), "- second: 1m30s too late: 4;") or has(
        flat(found[1]["why"]), "too late: 4;"
    )


def test_a_record_that_cannot_be_mapped_is_told(tmp_path, capsys):
    (tmp_path / "rule.yml").write_text(RULES + HEAD + "  " + COUNT.replace("\n", "\n  ") + "\n")
    good = lines(("192.0.2.1", "18:00:00", "first"))[0]
    (tmp_path / "access.log").write_text(f"{good}\n{good.replace('24/Nov/2025', '34/Nov/2025')}\n")
    assert run(["rules", "explain", str(tmp_path / "rule.yml"), str(tmp_path / "access.log"), "--json"]) == 1
    said = flat(json.loads(capsys.readouterr().out)["why"])
    assert has(said, "access.log#2 is mapped: ")


def test_a_rule_is_explained_on_a_record(tmp_path, capsys):
    (tmp_path / "access.log").write_text(lines(("192.0.2.1", "18:00:00", "first"))[0] + "\n")
    assert run(["rules", "explain", "web_scanner_user_agent", str(tmp_path / "access.log")]) == 2
    assert "say which" in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def own(tmp_path):
    """Write a detection with a correlation, and its cases."""

    def write(correlation, **cases):
        folder = tmp_path / "content/detections/mine"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rule.yml").write_text(RULES + HEAD + "  " + correlation.replace("\n", "\n  ") + "\n")
        said = [
            {"name": name, "source": "web_combined", "fires": bool(alerts), "records": lines(*asked)}
            | ({"matches": alerts} if alerts else {})
            for name, (alerts, asked) in cases.items()
        ]
        (folder / "tests.yml").write_text(json.dumps(said))
        (one,) = mutate_rules(Library.open(tmp_path / "content"), ["mine"])
        return one

    return write


def test_a_detection_with_a_correlation_counts_its_alerts_on_both_paths(own):
    asked = [("192.0.2.1", f"18:0{minute}:00", "first") for minute in (0, 2, 4)]
    one = own(COUNT, fires=(1, asked), silent=(0, asked[:2]))
    assert one.tested.passed, one.tested
    assert [(case.raw, case.ocsf) for case in one.tested.results] == [(1, 1), (0, 0)]
    assert not own(COUNT, fires=(2, asked)).tested.passed


def test_thresholds_spans_and_groups_are_mutated(own):
    asked = [("192.0.2.1", time, "first") for time in ("18:00:00", "18:02:00", "18:04:59")]
    weak = own(COUNT, fires=(1, asked), silent=(0, asked[:1]))
    said = [one.split(";")[0] for one in weak.survivors]
    assert {
        "Together: threshold 3 made 2", "Together: timespan doubled to 10m", "Together: group-by c-ip deleted",
    } <= set(said)  # fmt: skip
    other = [
        ("192.0.2.1", "18:00:00", "first"),
        ("192.0.2.2", "18:00:01", "first"),
        ("192.0.2.2", "18:01:00", "first"),
    ]
    late = [("192.0.2.1", time, "first") for time in ("18:00:00", "18:02:00", "18:05:00")]
    path = [("192.0.2.1", time, "elsewhere") for time in ("18:00:00", "18:02:00", "18:04:00")]
    strong = own(COUNT, fires=(1, asked), one_short=(0, other), late=(0, late), elsewhere=(0, path))
    assert strong.tested.passed, strong.tested
    assert not [one for one in strong.survivors if one.startswith(("Together", "Asks for first"))]


def test_the_order_and_the_steps_are_mutated(own):
    first, second = ("192.0.2.1", "18:00:00", "first"), ("192.0.2.1", "18:00:59", "second")
    weak = own(ORDER, fires=(1, [first, second]))
    said = [one.split(";")[0] for one in weak.survivors]
    assert "Together: any order allowed" in said
    assert "Together: rule first deleted" in said
    strong = own(
        ORDER, fires=(1, [first, second]),
        turned=(0, [("192.0.2.1", "18:00:00", "second"), ("192.0.2.1", "18:00:30", "first")]),
        late=(0, [first, ("192.0.2.1", "18:01:01", "second")]),
        others=(0, [first, ("192.0.2.2", "18:00:10", "second")]),
    )  # fmt: skip
    assert strong.tested.passed, strong.tested
    assert not [one for one in strong.survivors if one.startswith("Together")]


def test_a_detection_is_listed_by_the_correlation_that_fires(tmp_path, capsys):
    assert run(["init", str(tmp_path), "--json"]) == 0
    folder = tmp_path / "content/detections/mine"
    folder.mkdir(parents=True)
    (folder / "rule.yml").write_text(RULES + HEAD + "  " + COUNT.replace("\n", "\n  ") + "\n")
    capsys.readouterr()
    assert run(["rules", "list", "-w", str(tmp_path), "--json"]) == 0
    (mine,) = (one for one in map(json.loads, capsys.readouterr().out.splitlines()) if one["name"] == "mine")
    assert (mine["title"], mine["level"], mine["cases"], mine["own"]) == ("Together", "high", 0, True)
