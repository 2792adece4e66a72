"""Who is waited for is told: by whom an approval is missing, and once each when it escalates, nears its end, is over."""

import pytest
from settling import APPROVAL, MINUTE, ROLES, STEPS, settle
from simulated import cli
from vendor import site

from lemnis.app import playbook_lint, respond, respond_notices
from lemnis.app.respond_service import Responder
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import RefusedError
from lemnis.contracts.ids import stable_id
from lemnis.contracts.journal import Entry
from lemnis.respond import waiting
from lemnis.respond.notices import Notices

TELL = """\
title: Tell
connection: vendor
effect: irreversible
blind: "a bell cannot be asked whether it rang"
inputs: {text: {pattern: "(?s).+"}, to: {pattern: "[a-z-]*"}}
target: "bell"
do: {request: {method: POST, path: "/things/{to}", json: {mark: "{text}"}}, expect: [201]}
"""
NOTIFY = (
    'playbooks: {notify: {action: vendor.tell, with: {text: "{moment}: {text}", to: "{role}-{moment}"}}}\n'
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    with site(tmp_path / "ws", monkeypatch, more=ROLES + NOTIFY) as made:
        made.write("actions/vendor/tell.yaml", TELL)
        yield made


def noticed(place):
    return [
        (one.payload["moment"], one.payload["outcome"])
        for one in place.journal().entries(kind="playbook.noticed")
    ]


def test_approve_says_how_many_are_missing_and_whose(place, capsys):
    place.playbook(STEPS, head=APPROVAL)
    planned = place.plan()
    digest = planned.plan.digest
    with pytest.raises(RefusedError, match="is not approved: by 2 of boss or lead"):
        place.run(planned)
    words = ["playbook", "approve", digest, "--reason", "test", "--as", "ana", "--workspace", str(place.root)]
    assert cli(words) == 0
    assert "1 of 2 have; 1 more of boss or lead must: ben, cleo" in " ".join(capsys.readouterr().out.split())
    place.approve(planned, "ana")  # by the clock of this place
    with pytest.raises(RefusedError, match="by 1 of 2 people: 1 more of boss or lead"):
        place.run(planned)
    place.approve(planned, "ben")
    found = respond.lacking(place.workspace, digest)
    assert (found.standing.missing, found.standing.given, found.people) == (0, ("ana", "ben"), ("cleo",))
    place.clock.advance(61 * MINUTE)  # what has expired does not count
    assert respond.lacking(place.workspace, digest).standing.missing == 2


def test_an_approval_that_is_waited_for_is_told_three_times_at_most(place):
    place.playbook(STEPS, head=APPROVAL)
    respond.request(place.workspace, place.plan().plan.digest)
    with Responder(place.workspace) as responder:
        for wait, expected in [(5, 0), (6, 1), (5, 1), (30, 2), (20, 3), (60, 3)]:
            place.clock.advance(wait * MINUTE)
            settle(responder)
            settle(responder)
            assert len(noticed(place)) == expected, (wait, noticed(place))
    assert [moment for moment, _ in noticed(place)] == ["escalated", "near", "over"]
    assert {outcome for _, outcome in noticed(place)} == {"done"}
    assert place.vendor.changes == ["on boss-escalated", "on lead-near", "on lead-over"]
    said = place.vendor.things["boss-escalated"]["mark"]
    assert said.startswith("escalated: run-")
    assert "waits for approval by 2 of lead. Nobody has yet, so boss is asked too. Until 20" in said
    with Responder(place.workspace) as again:
        settle(again)
    assert len(noticed(place)) == 3


def test_a_question_is_told_too_and_what_was_answered_is_not(place):
    asks = "- {id: go, ask: {text: 'go {{text}} on?', role: lead, timeout_min: 100, escalate: {after_min: 10, role: boss}}}\n"
    place.playbook(asks + STEPS)
    planned = place.plan()
    place.approve(planned)
    run = place.run(planned)
    with Responder(place.workspace) as responder:
        place.clock.advance(11 * MINUTE)
        settle(responder)
        settle(responder)
        assert "go {text} on?" in place.vendor.things["boss-escalated"]["mark"]  # a text is no template
        (entry,) = place.journal().entries(kind="playbook.escalated")
        assert (entry.payload["role"], entry.payload["run"]) == ("boss", run.id)
        respond.answer(place.workspace, run.id, "go", "yes", actor="cleo", reason="go")
        settle(responder)
        place.clock.advance(200 * MINUTE)
        settle(responder)
    assert noticed(place) == [("escalated", "done")]


def test_a_silence_that_began_while_nothing_served_is_told_once_as_over(place):
    place.playbook(STEPS, head=APPROVAL)
    respond.request(place.workspace, place.plan().plan.digest)
    place.clock.advance(70 * MINUTE)
    with Responder(place.workspace) as responder:
        settle(responder)
        settle(responder)
    assert noticed(place) == [("over", "done")]
    assert "Nobody did by" in place.vendor.things["lead-over"]["mark"]


def test_a_notice_that_fails_is_written_down_and_stops_nothing(place):
    place.playbook(STEPS, head=APPROVAL)
    run = respond.request(place.workspace, place.plan().plan.digest)
    place.vendor.down = True
    with Responder(place.workspace) as responder:
        place.clock.advance(70 * MINUTE)
        settle(responder)
        settle(responder)
    ((moment, outcome),) = noticed(place)
    assert (moment, outcome.startswith("failed")) == ("over", True)
    assert [one.outcome for one in respond.runs(place.workspace) if one.id == run.id] == ["not approved"]


def test_lint_finds_what_is_wrong_with_it(place):
    for text, wrong in [
        (NOTIFY, []),
        (NOTIFY.replace("vendor.tell", "vendor.yell"), ["there is no action vendor.yell"]),
        (
            NOTIFY.replace('to: "{role}-{moment}"', "unto: x"),
            ["vendor.tell needs to", "vendor.tell takes no unto"],
        ),
        (NOTIFY.replace("{role}", "{rolle}"), ["nothing gives {rolle}"]),
    ]:
        place.settings(ROLES + text)
        library = Library.open(place.workspace.content)
        found = playbook_lint.lint(library, ["brute_force"], workspace=place.workspace)
        said = [one.error for one in found if one.name == "notify"]
        assert [one.what.removeprefix("step notify: ") for one in said] == wrong
        assert all(one.at.file.endswith("lemnis.yaml") and one.at.line > 1 for one in said)


def test_a_death_between_telling_and_writing_it_down_tells_nothing_twice(place, monkeypatch):
    place.playbook(STEPS, head=APPROVAL)
    respond.request(place.workspace, place.plan().plan.digest)
    place.clock.advance(11 * MINUTE)
    entry = respond_notices.Notice.entry
    monkeypatch.setattr(respond_notices.Notice, "entry", lambda *_: 1 / 0)
    with Responder(place.workspace) as responder:
        settle(responder)
    assert (noticed(place), place.vendor.changes) == ([], ["on boss-escalated"])
    monkeypatch.setattr(respond_notices.Notice, "entry", entry)
    with Responder(place.workspace) as responder:
        settle(responder)
    assert (noticed(place), place.vendor.changes) == ([("escalated", "done")], ["on boss-escalated"])
    key = stable_id("notice", next(iter(responder.notices.waits)), "escalated")
    assert any(one.payload["run"] == key for one in place.journal().entries(kind="action.result"))


def test_what_is_long_over_is_no_news():
    clock = ManualClock(0)
    payload = {"run": "run-1", "key": "k", "text": "?", "role": "", "timeout_min": 60, "escalate": None}
    notices = Notices()
    notices.read([Entry(1, 0, waiting.ASKED, "in-1", "x", "", "", payload, "", "")])
    assert [one.moment for one in notices.due(46 * MINUTE)] == ["near"]
    assert [one.moment for one in notices.due(61 * MINUTE)] == ["over"]
    clock.advance(26 * 60 * MINUTE)
    assert notices.due(clock.now()) == []
