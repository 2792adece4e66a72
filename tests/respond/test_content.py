"""The built-in playbooks and actions hold, and mistakes in one's own are shown where they are."""

from itertools import takewhile
from pathlib import Path
from urllib.parse import quote

import orjson
import pytest

from lemnis.app import playbook_lint, playbook_tests, respond
from lemnis.content.library import Library
from lemnis.contracts.errors import ContentError
from lemnis.interfaces.cli import run as cli
from lemnis.respond.answers import Answer, judge


def test_the_built_in_playbooks_pass_their_tests():
    tested = list(playbook_tests.run(Library.open()))
    assert len(tested) >= 9
    assert [one for one in tested if one.problems] == []
    assert playbook_lint.lint(Library.open()) == []


def test_a_test_that_expects_something_else_fails(tmp_path):
    built = Library.open().get("playbooks", "contain_compromised_workload")
    folder = tmp_path / "playbooks/contain_compromised_workload"
    folder.mkdir(parents=True)
    for path in built.files():
        (folder / path.name).write_text(path.read_text().replace("aws put shop-node", "aws put other"))
    name = ["contain_compromised_workload"]
    problems = [one.problems for one in playbook_tests.run(Library.open(tmp_path), name)]
    assert [bool(one) for one in problems] == [True, True, False, False, False]
    (folder / "tests.yaml").unlink()
    assert "has no tests.yaml" in next(playbook_tests.run(Library.open(tmp_path), name)).problems[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("/networkpolicies/lemnis", "/networkpolicies/x-lemnis"), "asks"),
        (("absent: {status: [404]}", "absent: {status: [410]}"), "reads the answer as unknown"),
        (("policyTypes: [Ingress, Egress]", "policyTypes: [Egress]"), "recorded was"),
        (("expect: [201]", "expect: [200]"), "does not expect 201"),
    ],
)
def test_an_action_that_no_longer_fits_its_recording_fails(tmp_path, change, said):
    item = Library.open().get("actions", "kubernetes.quarantine_workload")
    folder = tmp_path / "actions/kubernetes"
    folder.mkdir(parents=True)
    text = item.manifest.read_text()
    assert change[0] in text
    (folder / item.manifest.name).write_text(text.replace(*change))
    missing = recordings(Library.open(tmp_path))
    assert [one.playbook for one in missing if "there is no" in "".join(one.problems)] == [item.name]
    recorded = item.manifest.with_suffix(".exchange.json")
    (folder / recorded.name).write_bytes(recorded.read_bytes())
    tested = [one for one in recordings(Library.open(tmp_path)) if one.playbook == item.name]
    assert any(said in problem for problem in tested[0].problems)


def recordings(library):
    """Check the recorded exchanges, and leave the playbooks alone that come after."""
    return list(takewhile(lambda one: one.name == "recorded exchange", playbook_tests.run(library)))


PLAYBOOK = """\
title: Broken
inputs:
  workload: {select: workload, many: true, pattern: "(?P<space>.+)/.+"}
steps:
  - id: one
    action: kubernetes.read_workload
    for_each: workload
    with: {namespace: "{workload.spade}", workload: "{gone}"}
  - id: two
    action: kubernetes.nothing
  - id: three
    action: kubernetes.read_workload
    with: {namespace: "{workload.space}", name: "{one.labels}"}
"""


def test_lint_says_everything_that_is_wrong(tmp_path, capsys):
    folder = tmp_path / "content/playbooks/broken"
    folder.mkdir(parents=True)
    (folder / "playbook.yaml").write_text(PLAYBOOK)
    (tmp_path / "lemnis.yaml").write_text("name: x\n")
    assert cli(["playbook", "lint", "--workspace", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    for wanted in (
        "step one: input workload has no group spade", "step one: nothing gives {gone}",
        "there is no action kubernetes.nothing", "step three: kubernetes.read_workload needs workload",
        "takes no name", "use `for_each: workload`", "step one has another for_each",
    ):  # fmt: skip
        assert wanted in said.replace("\n", " "), wanted


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("effect: reversible", "effect: irreversible"), "reversible action has an `undo`"),
        (("{labels}", "{lables}"), "is no input"),
        (("name: lemnis-quarantine-{workload}", "name: lemnis-{"), "stray brace"),
        (("[a-z0-9]([-a-z0-9]{0,61}", "[a-z0-9](("), "not a pattern"),
        (('path: "/apis', 'path: "http://evil/apis'), "path"),
        (("    method: GET", "    headers: {Authorization: x}\n    method: GET"), "headers"),
    ],
)  # fmt: skip
def test_a_wrong_action_is_shown_where_it_is(tmp_path, change, said):
    text = Library.open().get("actions", "kubernetes.quarantine_workload").manifest.read_text()
    assert change[0] in text
    folder = tmp_path / "actions/kubernetes"
    folder.mkdir(parents=True)
    (folder / "quarantine_workload.yaml").write_text(text.replace(*change))
    with pytest.raises(ContentError, match=said) as caught:
        respond.actions(Library.open(tmp_path))
    assert caught.value.at.line is not None


def quarantine(**spec):
    shut = {"podSelector": {"matchLabels": {"app": "shop"}}, "policyTypes": ["Ingress", "Egress"]}
    return Answer(
        200, "application/json", orjson.dumps({"metadata": {"name": "q"}, "spec": {**shut, **spec}})
    )


def test_a_policy_that_lets_something_through_is_no_quarantine():
    probe = respond.actions(Library.open())["kubernetes.quarantine_workload"].probe
    labels = {"labels": {"app": "shop"}, "effect.key": "ef-1"}
    assert judge(probe, quarantine(), labels).name == "present"
    for hole in (
        {"ingress": [{}]}, {"egress": [{"to": []}]}, {"policyTypes": ["Ingress"]},
        {"podSelector": {"matchLabels": {"app": "shop"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}},
    ):  # fmt: skip
        assert judge(probe, quarantine(**hole), labels).name == "unknown"


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "present"),
        ({"Action": ["s3:GetObject"]}, "unknown"),
        ({"Resource": ["arn:aws:s3:::x"]}, "unknown"),
    ],
)
def test_a_policy_that_denies_little_denies_no_sessions(change, state):
    probe = respond.actions(Library.open())["aws.deny_role_sessions"].probe
    statement = {"Sid": "x", "Effect": "Deny", "Action": ["*"], "Resource": ["*"], **change}
    text = quote(orjson.dumps({"Statement": [statement]}).decode())
    body = (
        "<GetRolePolicyResponse><GetRolePolicyResult><RoleName>r</RoleName>"
        f"<PolicyDocument>{text}</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>"
    )
    answer = Answer(200, "text/xml", body.encode())
    assert judge(probe, answer, {"role": "r", "effect.key": "ef-1"}).name == state


def test_the_example_of_the_documentation_has_nothing_wrong(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "playbooks.md").read_text(encoding="utf-8")
    (example,) = (part.partition("```")[0] for part in text.split("```yaml\n") if part.startswith("title:"))
    place = tmp_path / "content" / "playbooks" / "cut_off_node"
    place.mkdir(parents=True)
    (place / "playbook.yaml").write_text(example, encoding="utf-8")
    assert [str(one.error) for one in playbook_lint.lint(Library.open(tmp_path / "content"))] == []
