"""What the loop does not reach is told: unfed detections, unmet gates, exceptions that end, blind lessons."""

import shutil

import orjson
import pytest
from speaking import World

from lemnis import app
from lemnis.app import attest, feedback
from lemnis.app.feedback import Decided, Point, detections, ending, gates, unasked
from lemnis.app.watching_blind import Blind
from lemnis.content import library
from lemnis.contracts.clock import from_iso, to_iso
from lemnis.contracts.journal import NewEntry
from lemnis.contracts.watching import DAY
from lemnis.interfaces.cli import run
from lemnis.policy.decide import Exempt, Policy
from lemnis.store.git import Repository

NOW = from_iso("2026-03-01")
RULE = """\
title: {name}
id: {id}
status: test
logsource: {{{logsource}}}
detection:
  selection: {{eventName: StopLogging}}
  condition: selection
level: high
"""
LESSON = f"""\
id: 2026-001
incident: in-0123456789abcdef
title: What was learnt
cause: {{repository: shop, commit: {"a" * 40}, path: app.py, line: 1}}
gate: gate
detection: trail_stopped
threat: threat
old_digest: sha256:{"0" * 64}
"""


def blind(name):
    return Blind(name, name, name, "high", ("T1562",))


def told(points):
    return [(one.name, one.state, one.why) for one in points]


def test_a_detection_needs_a_living_source_for_each_of_its_parts():
    trail, login = frozenset({"aws_cloudtrail"}), frozenset({"okta", "entra"})
    feeding = [
        (blind("fed"), (login,)), (blind("silent"), (trail,)), (blind("never"), (frozenset({"zeek"}),)),
        (blind("nowhere"), (frozenset(),)), (blind("half"), (login, trail)), (blind("both"), (login, login)),
    ]  # fmt: skip
    heard = {"aws_cloudtrail": "nothing for 5 h", "okta": "", "entra": "nothing for 9 d"}
    assert told(detections(feeding, heard)) == [
        ("silent", "silent", "aws_cloudtrail: nothing for 5 h"),
        ("never", "never fed", "nothing ever came of zeek"),
        ("nowhere", "never fed", "no source serves its log source"),
        ("half", "silent", "aws_cloudtrail: nothing for 5 h"),
    ]


def policy(name, *stages):
    return Policy(name, "", "", stages)


def test_a_gate_is_not_met_if_changes_came_and_none_was_decided_on():
    known = [policy("p", "pull_request", "build"), policy("q", "deploy")]
    changes = {"pull_request": ["c1", "c2"], "build": ["c1", "c2"], "deploy": [], "release": ["i"]}
    decided = [
        Decided(NOW - DAY, "build", "c1", frozenset()),
        Decided(NOW - 40 * DAY, "pull_request", "c0", frozenset()),
    ]
    assert told(gates(known, decided, changes, now=NOW, days=30)) == [
        ("pull_request", "not met", "no decision in 30 days, although 2 commits came"),
    ]
    assert told(gates(known, decided, changes, now=NOW, days=60)) == []
    assert told(gates(known, [], {"deploy": ["i"]}, now=NOW, days=7)) == [
        ("deploy", "not met", "no decision in 7 days, although 1 image came"),
    ]


def test_a_policy_is_told_that_never_decided_anything():
    known = [policy("p", "editor", "build"), policy("q", "release", "deploy"), policy("r", "playbook")]
    assert [one.name for one in unasked(known, [])] == ["p", "q"]
    decided = [Decided(0, "deploy", "i", frozenset({"q"}))]
    assert told(unasked(known, decided)) == [("p", "never evaluated", "there was never a decision at build")]


@pytest.mark.parametrize(
    ("expires", "void", "state", "why"),
    [
        ("2026-02-28", "", "expired", "exception expired: x on 2026-02-28"),
        (
            "2026-12-31",
            "alert al-1 touched shop on 2026-02-01",
            "void",
            "exception void: x, alert al-1 touched shop on 2026-02-01",
        ),
        ("2026-03-01", "", "ends soon", "its last day is 2026-03-01, today"),
        ("2026-03-02", "", "ends soon", "its last day is 2026-03-02, in 1 day"),
        ("2026-03-15", "", "ends soon", "its last day is 2026-03-15, in 14 days"),
        ("2026-03-16", "", None, ""),
    ],
)
def test_exceptions_are_told_before_they_end_and_when_they_are_void(expires, void, state, why):
    found = told(ending([Exempt("x", "p", "a.py:*", "", expires, void=void)], NOW, 14))
    assert found == ([("x", state, why)] if state else [])


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A workspace with two detections of its own and two sources, and none that ship."""
    shipped = tmp_path / "shipped"
    for name in ("sources/aws_cloudtrail", "sources/okta", "policies", "handling", "correlations"):
        shutil.copytree(library.builtin_root() / name, shipped / name)
    monkeypatch.setattr(library, "builtin_root", lambda: shipped)
    monkeypatch.setenv("COLUMNS", "200")
    made = World(tmp_path / "w")
    monkeypatch.setattr(app, "default_clock", lambda: made.clock)
    for number, (name, logsource) in enumerate(
        {
            "trail_stopped": "product: aws, service: cloudtrail",
            "okta_admin": "product: okta, service: okta",
        }.items()
    ):
        folder = made.workspace.content / "detections" / name
        folder.mkdir(parents=True)
        id_ = f"{number}1111111-1111-4111-8111-111111111111"
        (folder / "rule.yml").write_text(RULE.format(name=name, id=id_, logsource=logsource))
    return made


def states(workspace):
    return {(one.kind, one.name): one.state for one in feedback.report(workspace).points}


def test_all_of_a_workspace_is_told(world, capsys):
    workspace, clock = world.workspace, world.clock
    folder = workspace.content / "lessons" / "2026-001"
    folder.mkdir(parents=True)
    (folder / "lesson.yaml").write_text(LESSON)
    world.pass_hours(60, ("okta", "b"))
    found = states(workspace)
    assert found["detection", "trail_stopped"] == found["lesson", "2026-001"] == "never fed"
    assert ("detection", "okta_admin") not in found
    world.pass_hours(60, ("aws_cloudtrail", "a"), ("okta", "b"))
    assert "detection" not in {kind for kind, _ in states(workspace)}
    world.pass_hours(5, ("okta", "b"))
    assert states(workspace)["detection", "trail_stopped"] == "silent"

    shop = Repository.create(workspace.root.parent / "shop")
    (shop.path / "a.py").write_text("x\n")
    commit = shop.commit_all("Add a", author="Anna <a@example.org>", at=clock.now())
    settings = workspace.root / "lemnis.yaml"
    settings.write_text(
        settings.read_text()
        + f"repositories: [{{name: shop, path: {shop.path}}}, {{name: gone, path: gone}}]\n"
    )
    journal = app.journal(workspace)
    journal.append(NewEntry(attest.ATTESTATION, "image:sha256:4b", "a1", {"digest": "sha256:0"}))
    payload = {"stage": "build", "decision": "allow", "reasons": []}
    journal.append(NewEntry("decision", f"commit:{commit}", "d1", payload))
    until = to_iso(clock.now() + 3 * DAY)[:10]
    text = f"policy: new_findings_below_medium\nwhere: a.py:*\nreason: a fixed list of words\nowner: a@b.c\napproved_by: d@e.f\nexpires: {until}\n"
    (workspace.content / "exceptions").mkdir(exist_ok=True)
    (workspace.content / "exceptions" / "words.yaml").write_text(text)
    found = states(workspace)
    assert found["gate", "pull_request"] == found["gate", "deploy"] == found["gate", "release"] == "not met"
    assert ("gate", "build") not in found
    assert found["policy", "image_attested"] == "never evaluated"
    assert ("policy", "new_findings_below_medium") not in found
    assert found["exception", "words"] == "ends soon"

    at = ["-w", str(workspace.root)]
    assert run(["feedback", "--json", *at]) == 0
    said = capsys.readouterr()
    lines = [orjson.loads(line) for line in said.out.splitlines()]
    assert {(one["kind"], one["name"]): one["state"] for one in lines} == found
    assert "the changes of gone cannot be counted" in " ".join(said.err.split())
    assert run(["feedback", *at]) == 0
    assert "never evaluated" in capsys.readouterr().out


def test_a_point_is_told_with_its_facts():
    one = Point("gate", "build", "not met", "why", "fix", {"changes": 2})
    assert one.document() == {
        "kind": "gate", "name": "build", "state": "not met", "why": "why", "fix": "fix", "changes": 2,
    }  # fmt: skip
