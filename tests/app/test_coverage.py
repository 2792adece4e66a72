"""ATT&CK coverage: each step is earned, the Navigator layer is what its format says, the bundle is read."""

import json
import subprocess
from pathlib import Path

import lived
import pytest
from lived import DAY

from lemnis import app
from lemnis.app import coverage, lessons
from lemnis.app.coverage import Covering, gathered
from lemnis.app.coverage_attack import Known, order, read_attack, shipped, tags
from lemnis.content.library import Library, builtin_root
from lemnis.contracts.errors import InputError
from lemnis.contracts.journal import NewEntry
from lemnis.detect.rules import Rule, load_rules

BUNDLE = Path(__file__).parents[3] / "shared/data/threat-intel/attack-enterprise/enterprise-attack.tar.zst"
TESTS = """\
- name: fires
  source: web_combined
  fires: true
  records: |
    {fires}
- name: silent
  source: web_combined
  fires: false
  records: |
    {silent}
"""


LESSON = f"""\
id: 2025-001
incident: in-0123456789abcdef
title: What was learnt
cause: {{repository: shop, commit: {"a" * 40}, path: app.py, line: 1}}
gate: gate
detection: login_page
threat: threat
old_digest: sha256:{"0" * 64}
"""


@pytest.fixture
def workspace(tmp_path, two_weeks):
    return lived.copied(two_weeks, tmp_path)


def add_tests(workspace, name, path):
    text = TESTS.format(
        fires=lived.request(lived.START, "192.0.2.1", path).strip(),
        silent=lived.request(lived.START, "192.0.2.1", "/other").strip(),
    )
    (workspace.content / "detections" / name / "tests.yml").write_text(text)


def of(workspace, **options):
    """The workspace's own rules: name to the steps that hold; of the built-in content, only the sources."""
    builtin = workspace.root / "builtin"
    if not builtin.exists():
        builtin.mkdir()
        (builtin / "sources").symlink_to(builtin_root() / "sources")
        (builtin / "correlations").symlink_to(builtin_root() / "correlations")
    library = Library.open(workspace.content, builtin=builtin)
    found = coverage.coverage(workspace, library=library, **options)
    rules = {rule.name: rule for one in found.techniques for rule in one.rules}
    return {name: sorted(rules[name].holds) for name in ("admin_page", "login_page")}


def test_each_step_is_earned(workspace):
    workspace.clock.instant -= DAY // 4  # as if the last events had just come
    assert of(workspace) == {"admin_page": ["fed", "proven", "written"], "login_page": ["fed", "written"]}
    add_tests(workspace, "admin_page", "/admin")
    add_tests(workspace, "login_page", "/wrong")
    assert of(workspace) == {
        "admin_page": ["fed", "proven", "tested", "written"],
        "login_page": ["fed", "written"],
    }
    workspace.clock.advance(2 * DAY)  # then the source falls silent
    assert of(workspace) == {"admin_page": ["proven", "tested", "written"], "login_page": ["written"]}
    assert of(workspace, lately=3 * DAY)["login_page"] == ["fed", "written"]
    assert of(workspace, start=workspace.clock.now())["admin_page"] == ["tested", "written"]


def test_a_source_of_the_future_is_no_living_one(tmp_path):
    made = lived.workspace(tmp_path)
    log = tmp_path / "access.log"
    log.write_text(lived.request(made.clock.now() + 5 * DAY, "192.0.2.1", "/x"))
    lived.Ingest(made, "web_combined", lived.Watch(made)).run([log])
    assert of(made)["admin_page"] == ["written"]


def test_what_an_exception_holds_back_does_not_prove(workspace):
    text = lived.EXCEPTION.replace("2025-11-09", "2025-12-31").replace(
        "192.0.2.10", "[192.0.2.10, 198.51.100.23]"
    )
    lived.exception(workspace, text)
    assert of(workspace, lately=30 * DAY)["admin_page"] == ["fed", "written"]


def test_a_proven_lesson_proves_its_detection_until_it_is_not(workspace):
    folder = workspace.content / "lessons" / "2025-001"
    folder.mkdir(parents=True)
    (folder / "lesson.yaml").write_text(LESSON)
    journal = app.journal(workspace)
    for number, proven in enumerate((True, False)):
        payload = {"proven": proven}
        journal.append(NewEntry(lessons.PROVED, "2025-001", f"lesson.proved:{number}", payload, reason="x"))
        names = coverage.of_lessons(workspace, app.library(workspace))
        assert names == ({"login_page"} if proven else set())


def rule(*of):
    return Rule("i", "t", "low", of, (None, None, None), "p.yml", 0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("attack.t1059.004", "attack.execution"), (("T1059.004",), ("execution",))),
        (("attack.command_and_control", "attack.T1105"), (("T1105",), ("command-and-control",))),
        (("attack.g0016", "attack.s0002", "cve.2024-1", "attack.t10"), ((), ())),
        (("attack.t1190", "attack.t1190", "tlp.amber"), (("T1190",), ())),
    ],
)
def test_tags_are_read_as_attack_writes_them(given, expected):
    assert tags(rule(*given)) == expected


def covering(name, techniques, *holds, tactics=("execution",)):
    return Covering(name, f"id-{name}", f"Title {name}", techniques, tactics, frozenset(("written", *holds)))


def test_a_gap_ends_the_ladder_and_the_best_rule_counts():
    assert [
        covering("a", (), *holds).reached
        for holds in ((), ("tested",), ("fed", "proven"), ("tested", "fed"), ("tested", "fed", "proven"))
    ] == [1, 2, 1, 3, 4]
    found = gathered([covering("a", ("T1",), "proven"), covering("b", ("T1", "T2"), "tested")], Known())
    assert [(one.id, one.state, [r.name for r in one.rules]) for one in found.techniques] == [
        ("T1", "tested", ["b", "a"]), ("T2", "tested", ["b"]),
    ]  # fmt: skip
    assert [one.id for one in found.below("tested")] == []
    assert [one.id for one in found.below("fed")] == ["T1", "T2"]
    assert found.untagged == ()


def test_tactics_stand_in_the_order_of_the_matrix():
    assert sorted(["own-tactic", "impact", "execution", "reconnaissance"], key=order) == [
        "reconnaissance", "execution", "impact", "own-tactic",
    ]  # fmt: skip
    found = gathered([covering("a", ("T1",), tactics=()), covering("b", (), tactics=("impact",))], Known())
    assert (found.tactics, found.untagged) == (("unknown",), ("b",))


def test_the_layer_has_the_names_of_format_4_5():
    known = Known({"T1059": "Shell"}, {"T1059": ("execution",)})
    made = coverage.layer(gathered([covering("a", ("T1059", "T1059.004"), "tested")], known), name="mine")
    assert made["versions"]["layer"] == "4.5"
    assert made["domain"] == "enterprise-attack"
    assert [(one["techniqueID"], one["score"], one["color"]) for one in made["techniques"]] == [
        ("T1059", 2, coverage.COLOURS["tested"]), ("T1059.004", 2, coverage.COLOURS["tested"]),
    ]  # fmt: skip
    technique = {"techniqueID", "score", "color", "comment", "enabled", "metadata", "showSubtechniques"}
    assert all(one.keys() == technique for one in made["techniques"])
    assert all(row.keys() == {"name", "value"} for one in made["techniques"] for row in one["metadata"])
    assert made["gradient"].keys() == {"colors", "minValue", "maxValue"}
    assert [one.keys() for one in made["legendItems"]] == [{"label", "color"}] * 4
    layout = {
        "layout", "showID", "showName", "showAggregateScores", "countUnscored", "aggregateFunction",
        "expandedSubtechniques",
    }  # fmt: skip
    assert made["layout"].keys() <= layout
    assert made.keys() <= {
        "name", "versions", "domain", "description", "customDataURL", "filters", "sorting", "layout", "hideDisabled",
        "techniques", "gradient", "legendItems", "showTacticRowBackground", "tacticRowBackground",
        "selectTechniquesAcrossTactics", "selectSubtechniquesWithParent", "selectVisibleTechniques", "metadata", "links",
    }  # fmt: skip
    assert json.loads(json.dumps(made)) == made


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"objects": 1}', '{"objects": ["x"]}', '{"objects": []}'])
def test_what_is_no_bundle_is_told(tmp_path, text):
    path = tmp_path / "attack.json"
    path.write_text(text)
    with pytest.raises(InputError, match="bundle"):
        read_attack(path)


def pattern(number, **more):
    known = {"type": "attack-pattern", "name": f"Name of {number}", "kill_chain_phases": [
        {"kill_chain_name": "mitre-attack", "phase_name": "execution"}, {"kill_chain_name": "other", "phase_name": "x"},
    ]}  # fmt: skip
    return known | {"external_references": [{"source_name": "mitre-attack", "external_id": number}]} | more


def test_names_tactics_and_what_was_withdrawn_come_from_the_bundle(tmp_path):
    path = tmp_path / "attack.json"
    objects = [pattern("T1"), pattern("T2", revoked=True), pattern("T3", revoked=True), pattern("T3", name="New"),
               pattern("T3", revoked=True), {"type": "tool"}, {"type": "attack-pattern"}]  # fmt: skip
    path.write_text(json.dumps({"type": "bundle", "objects": objects}))
    known = read_attack(path)
    assert known.names == {"T1": "Name of T1", "T2": "Name of T2", "T3": "New"}
    assert known.withdrawn == {"T2"}
    found = gathered([covering("a", ("T1", "T2"), tactics=("impact",))], known)
    assert [(one.name, one.tactics, one.withdrawn) for one in found.techniques] == [
        ("Name of T1", ("execution",), False), ("Name of T2", ("execution",), True),
    ]  # fmt: skip
    assert found.total == {"execution": 2}


def test_the_real_bundle_knows_the_built_in_rules_techniques(tmp_path):
    if not BUNDLE.is_file():
        pytest.skip("no shared/data beside this checkout")
    subprocess.run(["tar", "--zstd", "-xf", BUNDLE, "-C", tmp_path, "enterprise-attack.json"], check=True)
    known = read_attack(tmp_path / "enterprise-attack.json")
    assert known.names["T1059.004"] == "Unix Shell"
    assert set(known.tactics["T1059.004"]) == {"execution"}
    assert len(known.names) > 500
    rules = load_rules([item.manifest for item in Library.open().items("detections").values()]).rules
    found = gathered(
        [Covering(one.path, one.id, one.title, *tags(one), frozenset({"written"})) for one in rules], known
    )
    assert len(found.techniques) > 3
    assert [one.id for one in found.techniques if not one.name] == []


def test_what_is_known_without_a_bundle_is_what_attack_says(tmp_path):
    if not BUNDLE.is_file():
        pytest.skip("no shared/data beside this checkout")
    subprocess.run(["tar", "--zstd", "-xf", BUNDLE, "-C", tmp_path, "enterprise-attack.json"], check=True)
    whole = read_attack(tmp_path / "enterprise-attack.json")
    known = shipped()
    assert known.names == {one: name for one, name in whole.names.items() if one not in whole.withdrawn}
    assert {one: set(tactics) for one, tactics in known.tactics.items()} == {
        one: set(tactics) for one, tactics in whole.tactics.items() if one not in whole.withdrawn
    }


def test_a_technique_stands_where_attack_has_it_and_not_under_each_tactic_of_a_rule():
    rule = Covering(
        "r", "1", "R", ("T1033", "T1190", "T9999"), ("execution", "initial-access"), frozenset({"written"})
    )
    found = gathered([rule], shipped())
    assert [one.id for one in found.under("discovery")] == ["T1033"]
    assert [one.id for one in found.under("initial-access")] == ["T1190", "T9999"], (
        "one that is not known, by its rule"
    )
    assert [one.id for one in found.under("execution")] == ["T9999"]
    assert found.total["initial-access"] == 22
