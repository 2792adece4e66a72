"""Conditions in Rego: decided or left as those in CEL are, refused with file and line, bounded, exact in CACAO."""

import json

import pytest
from vendor import outcomes, site

from lemnis.app import playbook_lint, respond
from lemnis.app.respond_service import Responder
from lemnis.content.library import Library
from lemnis.content.schemas.playbook import Playbook
from lemnis.contracts.errors import RefusedError
from lemnis.respond import cacao_export, cacao_import, rego
from lemnis.respond.expressions import ExpressionError

ACT = '- {id: act, action: vendor.switch, for_each: host, with: {name: "{host}"}, on_failure: continue}\n'
MORE = "then: [{id: more, action: vendor.switch, with: {name: more}}], else: [{id: less, action: vendor.switch, with: {name: less}}]"
QUIET = """\
id: quiet
title: Nothing failed
stages: [playbook]
"""
QUIET_REGO = """\
package lemnis.quiet

import rego.v1

deny contains {"message": "a step failed"} if {
	some step in input.steps.act
	step.outcome == "failed"
}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    with site(tmp_path / "ws", monkeypatch) as made:
        yield made


def policy(place, text=QUIET_REGO, manifest=QUIET):
    place.write("policies/quiet/policy.yaml", manifest)
    place.write("policies/quiet/policy.rego", text)


def branch(condition, more=MORE):
    return f"- {{id: go, if: {json.dumps(condition)}, {more}}}\n"


def problems(place):
    found = playbook_lint.lint(Library.open(place.workspace.content), ["book"])
    return [(one.error.what, one.error.at.file.rpartition("/")[2], one.error.at.line) for one in found]


@pytest.mark.parametrize(
    ("body", "holds"),
    [
        ("input.severity >= 4", True),
        ('"a" in input.entities.host', True),
        ("count(input.entities.user) == 0", True),
        ("input.entities.user[0]", False),
        ('some one in input.inputs.host; one.value == "a"', True),
        ('some one in input.inputs.host; startswith(one.value, "z")', False),
        ("input.trigger.whatever == 1", False),
        ('x := concat("-", ["a", input.incident.id]); startswith(x, "a-in-")', True),
    ],
)  # fmt: skip
def test_what_is_known_is_decided_while_planning(place, body, holds):
    place.playbook(branch({"rego": body}))
    assert problems(place) == []
    planned = place.plan()
    assert [one.step for one in planned.plan.actions] == ["more" if holds else "less"]
    assert "rego" not in planned.plan.terms


@pytest.mark.parametrize(("bad", "wanted"), [(set(), "more"), ({"b"}, "less")])
@pytest.mark.parametrize("how", ["rego", "policy", "all", "not"])
def test_what_depends_on_outcomes_is_left_to_the_run(place, bad, wanted, how):
    body = 'every one in input.steps.act { one.outcome == "done" }\ncount(input.steps.act) == 2'
    conditions = {
        "rego": {"rego": body}, "policy": {"policy": "quiet"},
        "all": {"all": ["severity >= 1", {"rego": body}, "act.all(a, a.error.size() < 1000)"]},
        "not": {"not": {"any": [{"rego": 'some a in input.steps.act; a.outcome == "failed"'}, "act.size() == 9"]}},
    }  # fmt: skip
    policy(place)
    place.playbook(ACT + branch(conditions[how]))
    assert problems(place) == []
    place.vendor.bad = bad
    done = place.go(hosts=("a", "b"))
    assert outcomes(done)[wanted] == "done"
    assert {"more": "less", "less": "more"}[wanted] not in outcomes(done)


def test_a_loop_turns_while_rego_holds(place):
    place.vendor.states["thing"] = ["busy", "busy", "idle"]
    steps = """\
    - id: until
      while:
        rego: |
          # before the first turn nothing was read
          not input.steps.look.said == "idle"
          input.turn < 9
      max_turns: 5
      do: [{id: look, action: vendor.read, with: {name: thing}, at: run}]
    """
    place.playbook(steps)
    assert problems(place) == []
    done = place.go()
    assert [one["output"]["said"] for one in done.results] == ["busy", "busy", "idle"]


def test_what_is_approved_is_what_is_asked(place):
    policy(place)
    place.playbook(ACT + branch({"policy": "quiet"}))
    planned = place.plan()
    ((name, asked),) = planned.plan.terms["rego"].items()
    assert rego.read(asked).name == name
    place.approve(planned)
    policy(place, QUIET_REGO.replace('"failed"', '"done"'))
    with pytest.raises(RefusedError, match="since the plan was made"):
        place.run(planned)
    assert place.vendor.changes == []


def test_rubbish_is_refused_with_file_and_line(place):
    text = """\
- id: go
  if:
    any:
      - rego: |
          input.severity > 1
          http.send({"url": "http://169.254.169.254"}).status == 200
      - rego: input.sverity > 3
  then:
    - {id: more, action: vendor.switch, with: {name: more}}
"""
    place.playbook(text)
    lines = (place.root / "content/playbooks/book/playbook.yaml").read_text().splitlines()
    line = {
        word: number
        for number, one in enumerate(lines, 1)
        for word in ("http.send", "sverity")
        if word in one
    }
    first, second = problems(place)
    assert "http.send is not evaluated here" in first[0]
    assert first[1:] == ("playbook.yaml", line["http.send"])
    assert "'sverity' is not in the document" in second[0]
    assert "severity?" in second[0]
    assert second[1:] == ("playbook.yaml", line["sverity"])


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ({"rego": 'input.steps.act[_].outcome == "faild"'}, "'faild' is none of done"),
        ({"rego": 'input.steps.later.outcome == "done"'}, "'later' is not in the document"),
        ({"rego": "input.inputs.hst"}, "'hst' is not in the document"),
        ({"rego": "x > 3"}, "x is not declared"),
        ({"rego": "input.severity >"}, ""),
        ({"rego": "false\n}\nholds if { true"}, "more than the body of a rule"),
        ({"rego": "}"}, ""),
        ({"rego": "data.lemnis.quiet.deny"}, "no such rule"),
        ({"rego": "opa.runtime().env.VENDOR_TOKEN"}, "is not evaluated here"),
        ({"rego": "input.severity >= 1 with input as {}"}, "`with` in a policy"),
        ({"policy": "none"}, "there is no policy none"),
        ({"policy": "elsewhere"}, "does not decide about playbooks"),
    ],
)  # fmt: skip
def test_more_rubbish(place, condition, said):
    policy(place)
    place.write(
        "policies/elsewhere/policy.yaml", QUIET.replace("playbook", "deploy").replace("quiet", "elsewhere")
    )
    text = 'package lemnis.elsewhere\n\nimport rego.v1\n\ndeny contains {"message": "x"} if input.stage != "deploy"\n'
    place.write("policies/elsewhere/policy.rego", text)
    place.playbook(ACT + branch(condition))
    ((what, file, line),) = problems(place)
    assert said in what
    assert (file, line) == ("playbook.yaml", 6)


def test_what_takes_too_long_is_a_failed_step(place):
    body = "some i in numbers.range(1, 3000)\nsome j in numbers.range(1, 3000)\ni * j == -1\ncount(input.steps.act) > 9"
    place.playbook(ACT + branch({"rego": body}))
    done = place.go()
    assert (done.outcome, outcomes(done)) == ("stopped", {"act": "done"})
    end = place.journal().get(f"playbook.finished:{done.id}")
    assert "not finished after" in end.payload["why"]


def test_a_policy_that_says_nonsense_has_no_value():
    question = rego.of_policy("x", "package lemnis.x\n\nimport rego.v1\n\ndeny := 3\n")
    with pytest.raises(ExpressionError, match="has no value"):
        rego.holds(question, {"severity": 1})


@pytest.mark.parametrize(
    "condition",
    [
        {"rego": "input.severity >= 4"},
        {"policy": "quiet"},
        {"any": [{"rego": "input.turn == 1"}, "severity > 1"]},
    ],
)
def test_cacao_carries_it_there_and_back(condition):
    raw = {
        "title": "T", "triggers": [{"by": "incident", "if": condition}],
        "steps": [{"id": "go", "if": condition, "then": [{"id": "end", "end": "done"}]}],
    }  # fmt: skip
    playbook = Playbook.model_validate(raw)
    document = cacao_export.write("t", playbook, {}, at=0)
    (step,) = [one for one in document["workflow"].values() if one["type"] == "if-condition"]
    assert isinstance(step["condition"], str)
    assert (step["condition"] == "input.severity >= 4") == ("rego" in condition)
    again = Playbook.model_validate(json.loads(json.dumps(cacao_import.read(document))))
    assert (again.steps, again.triggers) == (playbook.steps, playbook.triggers)


def test_a_trigger_may_be_in_rego(place):
    body = 'input.severity >= 4; "x" in input.entities.host; not startswith(input.incident.id, "al-")'
    place.playbook(ACT, head=f"triggers: [{{by: incident, if: {{rego: {json.dumps(body)}}}}}]\n")
    place.settings("playbooks: {start: [book]}\n")
    assert problems(place) == []
    with Responder(place.workspace) as responder:
        responder.step()
        place.incident("in-0000000000000001", ["host:x"])
        place.incident("in-0000000000000002", ["host:y"])
        responder.step()
    begun = [one.subject for one in place.journal().entries(kind="playbook.triggered")]
    assert begun == ["in-0000000000000001"]
    place.playbook(ACT, head='triggers: [{by: incident, if: {rego: "input.steps.act"}}]\n')
    ((what, _, line),) = problems(place)
    assert ("'act' is not in the document" in what, line) == (True, 4)


def test_a_trigger_has_no_inputs_to_ask_for():
    with pytest.raises(ValueError, match="has none yet"):
        Playbook.model_validate(
            {"title": "T", "triggers": [{"by": "incident", "if": {"has": "x"}}], "steps": []}
        )


def test_the_plan_is_asked_by_a_called_playbook_too(place):
    inner = ACT.replace("id: act", "id: inner") + branch(
        {"rego": 'some a in input.steps.inner; a.outcome == "failed"'}
    )
    place.playbook(inner, name="called")
    place.playbook('- {id: call, playbook: called, with: {host: "{host}"}}\n')
    place.vendor.bad = {"b"}
    done = place.go(hosts=("a", "b"))
    assert outcomes(done)["call/more"] == "done"
    assert respond.plan_undo(place.workspace, done.id).plan.actions
