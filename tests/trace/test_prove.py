import re

import pytest
import yaml

from lemnis import app
from lemnis.app import lessons, shelf
from lemnis.app.proof import prove
from lemnis.contracts.errors import RefusedError


def nothing(text):
    return re.sub(r"cs-uri-stem: .*", "cs-uri-stem: /nowhere", text)


def everything(text):
    document = yaml.safe_load(text)
    return yaml.safe_dump({**document, "detection": {"any": {"cs-method": "GET"}, "condition": "any"}})


def benign(text):
    return re.sub(r"text=\S+", "text=Anna", text)


HOSTILE = {
    "rule matches nothing": ({"rule.yml": nothing}, "fires on the attack sample: raw silent, OCSF silent"),
    "rule matches everything": ({"rule.yml": everything}, "keeps silent on the benign sample"),
    "rule is broken": ({"rule.yml": lambda text: text.replace("condition: ", "condition: no_such_")}, "content is valid"),
    "gate is emptied": ({"policy.rego": lambda text: text.replace("{78}", "set()")}, "the new gate stops the cause"),
    "gate refuses everything": (
        {"policy.rego": lambda text: text + '\ndeny contains {"message": "no", "where": "", "fix": ""} if true\n'},
        "the fix passes",
    ),
    "gate is no Rego": ({"policy.rego": lambda text: text + "\n}"}, "content is valid"),
    "gate asks what there is not": (
        {"policy.rego": lambda text: text.replace("finding.new", "finding.fresh")}, "the new gate stops the cause"
    ),
    "gate has no test": ({"policy_test.rego": lambda text: text.partition("test_")[0]}, "policy's own test passes"),
    "gate only warns": ({"policy.yaml": lambda text: text.replace("effect: deny", "effect: warn")}, "stops the cause"),
    "sample is benign": ({"attack.log": benign}, "fires on the attack sample"),
    "sample is empty": ({"attack.log": lambda text: text[:0]}, "fires on the attack sample"),
    "sample is garbage": ({"attack.log": lambda text: text + "garbage\n"}, "samples/attack.log#6: not a line of an access log"),
    "sample holds an address": (
        {"attack.log": lambda text: text.replace("192.0.2.1 ", "198.51.100.7 ", 1)}, "hold no credentials or addresses"
    ),
    "benign sample attacks": ({"benign.log": lambda text: text + '192.0.2.9 - - [24/Nov/2025:15:00:00 +0000] "GET /labels/preview?text=a%3Bid HTTP/1.1" 200 1 "-" "x"\n'}, "keeps silent"),
    "threat is no threat": ({"threat.yaml": lambda text: text.replace("realised", "solved")}, "content is valid"),
    "another commit is blamed": (
        {"lesson.yaml": lambda text: re.sub(r"commit: [0-9a-f]{40}", "commit: " + "0a" * 20, text)}, "names the change"
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
def test_a_lesson_that_was_tampered_with_is_not_proven(proposed, how):
    world, written = proposed
    changes, word = HOSTILE[how]
    world.edit(written, changes)
    proof = prove(world.workspace, written.id)
    assert not proof.proven
    assert word in "\n".join(proof.reasons), proof.reasons
    assert lessons.show(world.workspace, written.id).state == "proposed"
    with pytest.raises(RefusedError, match="not proven"):
        lessons.merge(world.workspace, written.id)


def test_a_proof_does_not_outlive_an_edit(proposed):
    world, written = proposed
    assert prove(world.workspace, written.id).proven
    world.edit(written, {"rule.yml": nothing})
    assert not prove(world.workspace, written.id).proven
    assert lessons.show(world.workspace, written.id).state == "proposed"


def test_a_base_that_has_the_rule_under_another_name_proves_nothing(proposed):
    world, written = proposed
    git = shelf.repository(world.workspace)
    files = shelf.lesson_files(world.workspace, written)
    [rule] = [data for path, data in files.items() if path.endswith("rule.yml")]
    folder = world.workspace.content / "detections" / "an_older_one"
    folder.mkdir(parents=True)
    (folder / "rule.yml").write_bytes(
        re.sub(rb"id: .*", b"id: 11111111-2222-4333-8444-555555555555", rule, count=1)
    )
    git.commit_all("an older rule", author=app.AUTHOR, at=2_000)
    git.run("branch", "-D", written.branch)
    again = lessons.propose(world.workspace, written.lesson.incident).written
    assert again.base != written.base
    reasons = prove(world.workspace, again.id).reasons
    assert "the old content lacks the detection: an_older_one was there already" in reasons
    assert "the test fails on the old content: it passes there" in reasons


def test_a_lesson_that_weakens_other_content_is_not_proven(proposed):
    world, written = proposed
    git = shelf.repository(world.workspace)
    files = {
        "content/policies/new_findings_below_medium/policy.yaml": b"x",
        "content/detections/service_shell_runs_discovery/rule.yml": b"title: quiet\nid: 5a7d0a9e-5b8f-4f0e-9a29-0d2b7e1c9f11\n"
        b"logsource: {category: webserver}\ndetection: {a: {x: y}, condition: a}\nlevel: low\n",
    }  # fmt: skip
    commit = git.write_branch("weak", written.commit, files, "weaken", author=app.AUTHOR, at=1_000)
    git.run("update-ref", f"refs/heads/{written.branch}", commit)
    reasons = "\n".join(prove(world.workspace, written.id).reasons)
    assert (
        "the branch changes nothing besides: content/detections/service_shell_runs_discovery/rule.yml"
        in reasons
    )
    assert "no alert is lost: 3 of 6 are not there" in reasons
    assert "content is valid: content/policies/new_findings_below_medium/policy.yaml" in reasons


def test_an_incident_that_is_not_in_the_lake_any_more_is_not_proven(proposed, tmp_path):
    world, written = proposed
    (world.workspace.state / "lake").rename(tmp_path / "gone")
    with pytest.raises(Exception, match="about a process"):
        prove(world.workspace, written.id)
