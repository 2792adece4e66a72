"""Between teams: under a rule, nothing of what another team's incidents are is told, counted, found or done."""

import asyncio
import re
import shutil
from contextlib import contextmanager

import marked
import pytest
import yaml
from besieged import API, Page, attacked, crawl

from lemnis import app
from lemnis.app import cases, incidents, lesson_report, loop, respond
from lemnis.app.access import accounts
from lemnis.app.access.seeing import Eyes
from lemnis.app.board import Board
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.interfaces.api import stream
from lemnis.interfaces.api.services import Services, Slots
from lemnis.respond import records

RULE = """\
package lemnis.grave_ones_are_of_soc

import rego.v1

deny contains reason if {
    startswith(input.permission, "incident.")
    input.about.severity == "high"
    not "soc" in input.person.teams
    reason := {"message": "grave incidents are of the team soc", "fix": "ask them"}
}

deny contains reason if {
    input.permission == "alert.read"
    input.about.severity == "high"
    not "soc" in input.person.teams
    reason := {"message": "grave alerts are of the team soc", "fix": "ask them"}
}

deny contains reason if {
    input.permission in {"playbook.approve", "playbook.run"}
    input.about.author == input.person.name
    reason := {"message": "four eyes: not by who planned it", "fix": "ask somebody else"}
}

deny contains reason if {
    input.permission == "playbook.plan"
    input.about.severity == "low"
    reason := {"message": "nothing is done about low ones", "fix": "none"}
}
"""
SECRET = "sekret"
"""Stands in all that the other team's incident is about."""
PLAYBOOK = {"title": "Ask", "steps": [{"id": "keep", "evidence": {"alerts": True, "events": False}},
                                      {"id": "sure", "ask": {"text": "Really?"}}]}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    soc = app.init(tmp_path_factory.mktemp("teams") / "soc", clock=ManualClock(marked.START + 3_600_000))
    folder = soc.content / "policies/grave_ones_are_of_soc"
    folder.mkdir(parents=True)
    (folder / "policy.rego").write_text(RULE)
    (folder / "policy.yaml").write_text("id: grave_ones_are_of_soc\ntitle: t\nstages: [access]\n")
    (soc.content / "playbooks/ask").mkdir(parents=True)
    (soc.content / "playbooks/ask/playbook.yaml").write_text(yaml.safe_dump(PLAYBOOK))
    marked._git(soc, "init", "-q")
    marked._git(soc, "add", "-A")
    marked._git(soc, "commit", "-q", "-m", "base")
    host = Entity(EntityKind.HOST, f"{SECRET}-host")
    theirs = marked.incident(
        soc,
        marked.alert(1, title=f"{SECRET} shell", entities=(host,), rule="rule-1", event={"class_uid": 1007}),
    )
    ours = marked.incident(
        soc, marked.alert(2, title="A door", entities=(Entity(EntityKind.HOST, "open-host"),), severity=Severity.LOW,
                         rule="rule-2", event={"class_uid": 1007}),
    )  # fmt: skip
    marked.lone(soc, marked.alert(3, title=f"{SECRET} alone", entities=(host,), event={"class_uid": 1007}))
    made = attacked(soc)
    every = sorted(made.access.rights.roles)
    made.join("inside", *every, teams=["soc"])
    made.join("outside", *every, teams=["shop"])
    planned = respond.plan(soc, "ask", theirs, actor="inside")
    respond.approve(soc, planned.plan.digest, actor="boss", reason="yes")
    respond.run(soc, planned.plan.digest, actor="inside")
    made.theirs, made.ours, made.plan = theirs, ours, planned.plan.digest
    made.ran = next(iter(respond.runs(soc))).id
    _lesson(soc, theirs)
    yield made
    made.end()


def _lesson(soc, name):
    folder = soc.content / "lessons" / marked.LESSON
    folder.mkdir(parents=True)
    cause = {"repository": SECRET, "commit": "a" * 40, "path": "a.py", "line": 3, "text": SECRET,
             "author": "Nia <nia@shop.example>", "owner": "x"}  # fmt: skip
    lesson = {"id": marked.LESSON, "incident": name, "title": f"{SECRET} lesson", "cause": cause, "gate": f"{SECRET}_gate",
              "detection": "a_shell", "threat": "a_shell", "old_digest": f"sha256:{'0' * 64}", "trace": []}  # fmt: skip
    (folder / "lesson.yaml").write_text(yaml.safe_dump(lesson))
    marked._git(soc, "add", "-A")
    marked._git(soc, "commit", "-q", "-m", "lesson")


def test_no_page_tells_of_another_teams_incidents(made):
    inside, outside = (crawl(made.browser(who), each=4) for who in ("inside", "outside"))
    assert any(SECRET in answer.text for answer in inside.values()), (
        "or it is nowhere, and this proves nothing"
    )
    told = [path for path, answer in outside.items() if answer.status_code == 200 and SECRET in answer.text]
    assert told == []


def test_no_address_of_a_page_leads_there_either(made):
    outside, inside = made.browser("outside"), made.browser("inside")
    own = {
        f"/incident/{made.theirs}", f"/incident/{made.theirs}/trace", f"/incident/{made.theirs}/trace?part=1", f"/incident/{made.theirs}/trace?whole=1",
        "/alert/al-0000000000000001", "/alert/al-0000000000000003", f"/plan/{made.plan.removeprefix('sha256:')}",
        f"/run/{made.ran}", f"/lesson/{marked.LESSON}",
    }  # fmt: skip
    for path in own:
        answer = outside.get(path)
        assert answer.status_code in {403, 404}, path
        assert SECRET not in answer.text, path
        assert inside.get(path).status_code == 200, path
    for path in (f"/queue?q={SECRET}", f"/queue?show=all&q={SECRET}", "/queue?show=alerts", "/queue?sort=title",
                 f"/entity?name=host:{SECRET}-host", "/detections?q=rule", f"/search?q={made.theirs}",
                 "/detections?sort=-alerts", "/playbook/ask", "/?stage=monitor", "/?stage=operate"):  # fmt: skip
        text = outside.get(path).text.replace(f"host:{SECRET}-host", "").replace(f"host%3A{SECRET}-host", "")
        text = text.replace(f'value="{SECRET}"', "").replace(f"q={SECRET}", "").replace(f"{SECRET}-host", "")
        assert SECRET not in text, path
        assert "in-0000000000000001" not in text.replace(f"/incident/{made.theirs}", "", 0), path


def test_nothing_is_done_with_another_teams_incidents(made):
    outside, journal = made.browser("outside"), app.journal(made.workspace)
    shown = f"/plan/{made.plan.removeprefix('sha256:')}"
    head = journal.head()
    for path, fields in (
        (f"/incident/{made.theirs}", {"do": "close", "verdict": "benign", "reason": "x"}),
        (f"/incident/{made.theirs}", {"do": "note", "text": "x"}),
        (f"/incident/{made.theirs}/plan", {"playbook": "ask"}),
        ("/incident/al-0000000000000001/plan", {"playbook": "ask"}), ("/incident/in/plan", {"playbook": "ask"}),
        (f"/incident/{made.theirs}/lesson", {}),
        (shown, {"do": "approve", "digest": made.plan, "reason": "x"}), (shown, {"do": "run"}),
        (f"/run/{made.ran}", {"do": "yes", "step": "sure", "reason": "x"}), (f"/run/{made.ran}", {"do": "cancel"}),
        (f"/run/{made.ran}", {"do": "undo"}), (f"/lesson/{marked.LESSON}", {"do": "merge"}),
        (f"/lesson/{marked.LESSON}", {"do": "prove"}),
    ):  # fmt: skip
        answer = outside.send(path, **fields)
        assert answer.status_code in {403, 404}, (path, fields, answer.status_code)
    answer = outside.send("/queue", do="close", id=[made.theirs], verdict="benign", reason="x")
    assert "0 of 1 done" in answer.headers["set-cookie"].replace("+", " ")
    assert journal.head() == head


def test_the_api_tells_and_does_nothing_of_it(made):
    outside, inside = made.browser("outside"), made.browser("inside")
    found = ["/incidents?state=all", "/alerts", "/plans", "/runs", "/questions", "/lessons", "/journal?limit=500",
             f"/incidents?state=all&entity=host:{SECRET}-host", "/incidents?state=all&rule=rule-1"]  # fmt: skip
    for path in found:
        answer = outside.get(f"{API}{path}")
        assert answer.status_code == 200, path
        assert SECRET not in answer.text.replace(f"host:{SECRET}-host", "", 0), path
        assert made.theirs not in answer.text, path
    assert any(SECRET in inside.get(f"{API}{path}").text for path in found)
    for path in (f"/incidents/{made.theirs}", f"/incidents/{made.theirs}/timeline", f"/incidents/{made.theirs}/alerts",
                 "/alerts/al-0000000000000001", f"/plans/{made.plan}", f"/runs/{made.ran}",
                 f"/lessons/{marked.LESSON}"):  # fmt: skip
        assert outside.get(f"{API}{path}").status_code == 403, path
    head = app.journal(made.workspace).head()
    for path, body in (
        (f"/incidents/{made.theirs}/assign", {"owner": "outside"}),
        (f"/incidents/{made.theirs}/acknowledge", {"reason": "x"}),
        (f"/incidents/{made.theirs}/close", {"verdict": "benign", "reason": "x"}),
        (f"/incidents/{made.theirs}/move", {"status": "in_progress", "reason": "x"}),
        (f"/incidents/{made.theirs}/notes", {"text": "x"}), ("/plans", {"playbook": "ask", "incident": made.theirs}),
        (f"/plans/{made.plan}/approve", {"digest": made.plan, "reason": "x"}), (f"/plans/{made.plan}/run", None),
        (f"/runs/{made.ran}/cancel", {"reason": "x"}), (f"/runs/{made.ran}/undo", None),
        (f"/runs/{made.ran}/answers", {"step": "sure", "answer": "yes", "reason": "x"}),
    ):  # fmt: skip
        answer = outside.call("POST", path, body)
        assert answer.status_code == 403, (path, answer.text)
    assert app.journal(made.workspace).head() == head


def test_counts_are_of_what_one_sees(made):
    """Loop, menu, lessons and coverage: facts about a team's incidents are not told by a number either."""
    outside, inside = made.browser("outside"), made.browser("inside")
    more, less = inside.get("/").text, outside.get("/").text
    assert more != less

    board = Board(made.workspace)
    person = made.access.person(accounts.find(made.access, "outside"))
    eyes = Eyes(person, board)
    found = loop.look(made.workspace, eyes.view(board.look()), eyes)
    whole = loop.look(made.workspace, board.look())
    assert (whole.stage("monitor").flow, found.stage("monitor").flow) == (3, 1)
    opened = [dict(one.stage("monitor").told)["incidents opened"] for one in (whole, found)]
    assert opened == [4, len(eyes.view(board.look()).standings)], "four: two were grouped of the same alerts"
    assert dict(whole.stage("operate").told)["runs begun"] == 1
    assert dict(found.stage("operate").told)["runs begun"] == 0
    assert (sum(one.count for one in whole.taught), sum(one.count for one in found.taught)) == (1, 0)


def test_a_report_of_lessons_is_without_what_one_does_not_see(made):

    whole = lesson_report.report(made.workspace)
    seen = lesson_report.without(whole, lambda name: name == made.theirs)
    assert (len(whole.rows), len(seen.rows)) == (1, 0)
    assert not [line for line in lesson_report.summary(seen) if SECRET in line]
    assert lesson_report.without(whole, lambda _: "") == whole


def test_what_is_kept_for_some_is_not_shown_to_others_or_for_ever(made):
    """A page's figures are kept for a while: for whoever sees the same, and as things stand then."""

    outside = made.browser("outside")

    def loop():
        """The page, without how far the journal was when it was made."""
        return re.sub(r"after=\d+", "after=", outside.get("/").text)

    before = loop()
    accounts.change(made.access, "outside", actor="root", teams=["soc"])
    try:
        assert loop() != before
        assert SECRET in outside.get("/queue").text
    finally:
        accounts.change(made.access, "outside", actor="root", teams=["shop"])
    assert SECRET not in outside.get("/queue").text
    assert loop() == before


def test_rules_hold_over_the_api_as_on_pages(made):
    """Four eyes, and what may be planned at all: the same thing is refused whichever way it is asked."""
    soc = made.workspace
    inside, digest = made.browser("inside"), made.plan
    place = f"/plan/{digest.removeprefix('sha256:')}"
    for answer in (
        inside.send(place, do="approve", digest=digest, reason="x"), inside.send(place, do="run"),
        inside.call("POST", f"/plans/{digest}/approve", {"digest": digest, "reason": "x"}),
        inside.call("POST", f"/plans/{digest}/run"),
        inside.send(f"/run/{made.ran}", do="cancel", reason="x"),
        inside.call("POST", f"/runs/{made.ran}/cancel", {"reason": "x"}),
    ):  # fmt: skip
        assert answer.status_code == 403
        assert "four eyes" in answer.text
    outside = made.browser("outside")
    for answer in (
        outside.send(f"/incident/{made.ours}/plan", playbook="ask"),
        outside.call("POST", "/plans", {"playbook": "ask", "incident": made.ours}),
    ):
        assert answer.status_code == 403
        assert "low ones" in answer.text
    assert not [one for one in app.journal(soc).entries(kind="playbook.planned") if one.subject == made.ours]


def test_completion_and_saved_views_are_not_of_others(made):
    inside, outside = made.browser("inside"), made.browser("outside")
    inside.send("/queue/views", name=f"{SECRET} view", query="show=closed")
    assert f"{SECRET} view" in inside.get("/queue").text
    assert f"{SECRET} view" not in outside.get("/queue").text
    assert not [one for one in Page(outside.get("/queue")).addresses if SECRET in one[2]]


def test_the_stream_tells_nothing_of_it(made):

    using = Services(made.workspace, made.access, _board(made), made.built.settings, Slots())
    entries = list(app.journal(made.workspace).entries())
    told = {}
    for who in ("inside", "outside"):
        person = made.access.person(accounts.find(made.access, who))
        events = [(one, event) for one in entries if (event := stream._event(one, person))]
        told[who] = b"".join(made.run(stream._seen(using, person, events)))
    assert made.theirs.encode() in told["inside"]
    assert made.theirs.encode() not in told["outside"]
    assert made.ours.encode() in told["outside"]
    assert b"al-0000000000000001" not in told["outside"]
    assert asyncio.iscoroutinefunction(stream.Hub.begin)
    assert records.find_run(app.journal(made.workspace), made.ran).incident_id == made.theirs


def _board(made):

    return Board(made.workspace)


def test_a_case_over_another_teams_incident_is_not_in_the_journal(made):
    case = cases.create(made.workspace, "Both", actor="inside")
    for name in (now(made, 1), now(made, 2)):
        cases.add(made.workspace, case.id, name, actor="inside")
    cases.note(made.workspace, case.id, f"{SECRET} note", actor="inside")
    inside, outside = made.browser("inside"), made.browser("outside")
    for path in (
        "/journal?limit=500",
        f"/journal?subject={case.id}",
        "/journal?kind=case.note&kind=case.opened",
    ):
        assert SECRET in inside.get(f"{API}{path}").text or "opened" in path, path
        told = outside.get(f"{API}{path}").json()["items"]
        assert not [one for one in told if one["subject"] == case.id or "note" in str(one)], path


def test_rules_over_lessons_and_evidence_hold_of_each_incident(made):
    """``lesson.change`` and ``evidence.read`` are asked about the incident at hand, on pages as over the API."""
    inside = made.browser("inside")
    with ruled(made, "lesson.change", "evidence.read"):
        for answer in (
            inside.send(f"/incident/{now(made, 1)}/lesson"), inside.send(f"/lesson/{marked.LESSON}", do="prove"),
            inside.send(f"/lesson/{marked.LESSON}", do="merge"),
            inside.get(f"{API}/incidents/{now(made, 1)}/evidence"),
        ):  # fmt: skip
            assert answer.status_code == 403, answer.text
            assert "frozen" in answer.text


def test_who_may_not_change_one_incident_of_a_case_puts_no_other_into_it(made):
    case = cases.create(made.workspace, "Two", actor="inside")
    cases.add(made.workspace, case.id, now(made, 1), actor="inside")
    inside = made.browser("inside")
    with ruled(made, "incident.change"):
        answer = inside.send(f"/incident/{now(made, 2)}", do="case", case=case.id, reason="x")
    assert answer.status_code == 403
    assert cases.get(made.workspace, case.id).incidents == (now(made, 1),)


def now(made, number):
    """Return the incident that an alert is in by now."""
    return incidents.get(made.workspace, f"al-{number:016x}").id


@contextmanager
def ruled(made, *permissions):
    """Let a rule take these permissions away over grave incidents, from everybody."""
    folder = made.workspace.content / "policies/frozen"
    folder.mkdir()
    named = ", ".join(f'"{one}"' for one in permissions)
    (folder / "policy.rego").write_text(FROZEN % named)
    (folder / "policy.yaml").write_text("id: frozen\ntitle: t\nstages: [access]\n")
    made.workspace.clock.advance(11_000)
    try:
        yield
    finally:
        shutil.rmtree(folder)
        made.workspace.clock.advance(11_000)


FROZEN = """\
package lemnis.frozen

import rego.v1

deny contains reason if {
    input.permission in {%s}
    input.about.severity == "high"
    reason := {"message": "grave incidents are frozen", "fix": "wait"}
}
"""
