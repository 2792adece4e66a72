import re

import pytest
import yaml
from telemetry import ATTACKER, Logs, read_in, the_incident
from world import AT

from lemnis import app
from lemnis.app import gates, lessons, shelf
from lemnis.app.proof import document, prove
from lemnis.app.trace import trace
from lemnis.contracts.errors import IntegrityError, RefusedError
from lemnis.contracts.findings import Effect
from lemnis.contracts.journal import NewEntry
from lemnis.contracts.provenance import Strength


def test_a_lesson_is_proven_merged_and_closed(proposed):
    world, written = proposed
    proof = prove(world.workspace, written.id)
    assert proof.reasons == ()
    said = document(proof)
    assert said["proven"] is True
    assert said["old"]["as_proposed"] is True
    assert (said["old"]["cause"], said["new"]["cause"]) == ("allow", "deny")
    assert said["old"]["fires_on_attack"] == {"raw": False, "ocsf": False}
    assert said["new"]["fires_on_attack"] == {"raw": True, "ocsf": True}
    assert said["new"]["earlier_by"] == 10_050
    counts = ("changes", "stopped", "stopped_wrongly", "alerts_added")
    assert [said["history"][name] for name in counts] == [5, 1, 0, 0]
    assert proof.stopped == (world.commits["hole"],)
    assert lessons.show(world.workspace, written.id).state == "proven"
    head = lessons.merge(world.workspace, written.id, actor="ana")
    assert lessons.show(world.workspace, written.id).state == "merged"
    [entry] = app.journal(world.workspace).entries(kind=lessons.MERGED)
    assert (entry.actor, entry.payload) == ("ana", {"commit": head})
    assert lessons.merge(world.workspace, written.id, actor="ana") == head
    assert (world.workspace.content / "lessons" / written.id / "lesson.yaml").is_file()
    decided = {
        name: gates.code(world.workspace, "build", world.shop, commit).effect
        for name, commit in world.commits.items()
    }
    assert decided == {**dict.fromkeys(world.commits, Effect.ALLOW), "hole": Effect.DENY}
    again = prove(world.workspace, written.id)
    assert (again.reasons, again.history) == ((), proof.history)
    shelf.repository(world.workspace).run("branch", "-D", written.branch)
    closed = lessons.show(world.workspace, written.id)
    assert (closed.state, closed.proven, closed.written.branch) == ("merged", True, "")
    assert prove(world.workspace, written.id).proven


def test_what_comes_after_a_merged_lesson_leaves_it_closed(proposed, tmp_path):
    world, written = proposed
    prove(world.workspace, written.id)
    head = lessons.merge(world.workspace, written.id, actor="ana")
    more = Logs(tmp_path / "more")
    more.serial, more.pid = 5_000, 9_000
    more.preview(AT + 20_000, ATTACKER, "x;env", ("/usr/bin/env", "env"))
    read_in(world.workspace, more.write())
    again = lessons.propose(world.workspace, written.lesson.incident)
    assert (again.state, again.written.id) == ("merged", written.id)
    assert shelf.repository(world.workspace).resolve("HEAD") == head


def test_proving_again_says_the_same_and_is_written_down_once(proposed):
    world, written = proposed
    first, second = prove(world.workspace, written.id), prove(world.workspace, written.id)
    assert first == second
    [entry] = app.journal(world.workspace).entries(kind=lessons.PROVED, subject=written.id)
    assert entry.payload["proven"] is True
    assert entry.payload["commit"] == written.commit


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
        lessons.merge(world.workspace, written.id, actor="ana")


def test_a_proof_that_is_only_in_the_journal_merges_nothing(proposed):
    world, written = proposed
    payload = {
        "commit": written.commit,
        "files": shelf.files_digest(world.workspace, written),
        "proven": True,
    }
    journal = app.journal(world.workspace)
    journal.append(NewEntry(lessons.PROVED, written.id, "forged", payload, reason="proven"))
    with pytest.raises(IntegrityError, match="is not signed"):
        lessons.merge(world.workspace, written.id, actor="mallory")
    assert prove(world.workspace, written.id).proven
    signed = dict(lessons.show(world.workspace, written.id).proved.payload)
    journal.append(
        NewEntry(lessons.PROVED, written.id, "forged too", {**signed, "reasons": ["none"]}, reason="x")
    )
    with pytest.raises(IntegrityError, match="something else than the journal"):
        lessons.merge(world.workspace, written.id, actor="mallory")


def test_a_lesson_that_git_merged_is_closed_by_its_proof_only(proposed):
    world, written = proposed
    git = shelf.repository(world.workspace)
    git.merge(written.branch, author=app.AUTHOR, at=AT)
    found = lessons.show(world.workspace, written.id)
    assert (found.state, found.proven) == ("merged", False)
    assert prove(world.workspace, written.id).proven
    assert lessons.show(world.workspace, written.id).proven
    gate = world.workspace.content / "policies" / written.lesson.gate / "policy.rego"
    gate.write_text(gate.read_text().replace("{78}", "{79}"))
    git.commit_all("weaken", author=app.AUTHOR, at=AT)
    git.run("branch", "-D", written.branch)
    assert not lessons.show(world.workspace, written.id).proven


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


def test_where_requests_show_nothing_the_processes_do(world, tmp_path):
    read_in(world.workspace, Logs(tmp_path / "logs", bodies=True).story())
    world.attest()
    incident = the_incident(world)
    [chain] = trace(world.workspace, incident).chains
    assert {one.method for one in chain.behind} == {"time"}
    line = next(hop.edge for hop in chain.hops if hop.edge.relation == "has_line")
    assert (str(line.target), line.strength) == ("source_line:shop:shop/labels.py:4", Strength.LABEL)
    written = lessons.propose(world.workspace, incident).written
    files = shelf.lesson_files(world.workspace, written)
    rule = yaml.safe_load(next(data for path, data in files.items() if path.endswith("rule.yml")))
    assert rule["logsource"] == {"product": "linux", "category": "process_creation"}
    assert rule["detection"]["child"] == {"Image|endswith": ["/curl", "/id", "/uname", "/whoami"]}
    proof = prove(world.workspace, written.id)
    assert proof.reasons == ()
    assert proof.new["earlier_by"] == 0
