"""The service: approvals, timers, triggers, and what a process that begins anew takes up."""

import asyncio

import httpx
import orjson
import pytest
from settling import APPROVAL, MINUTE, ROLES, STEPS, settle
from vendor import outcomes, site

from lemnis.app import pipeline, respond, respond_services, respond_triggers
from lemnis.app.respond_service import Responder
from lemnis.app.respond_webhooks import Proof, application
from lemnis.content.library import Library
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import RefusedError
from lemnis.contracts.findings import Finding, Kind, ScanReport
from lemnis.contracts.handling import Timer
from lemnis.contracts.ids import stable_id
from lemnis.incidents import handling
from lemnis.respond import records


@pytest.fixture
def place(tmp_path, monkeypatch):
    with site(tmp_path / "ws", monkeypatch, more=ROLES) as made:
        yield made


def state(place, run):
    return records.find_run(place.journal(), run).outcome


def test_approval_is_by_role_and_quorum(place):
    place.playbook(STEPS, head=APPROVAL)
    planned = place.plan()
    with pytest.raises(RefusedError, match="dan is no boss or lead"):
        place.approve(planned, "dan")
    place.approve(planned, "ana")
    place.approve(planned, "ana")
    with pytest.raises(RefusedError, match="approved by 1 of 2 people"):
        place.run(planned)
    place.approve(planned, "cleo")
    assert place.run(planned).outcome == "done"


def test_a_run_waits_for_its_approval_and_survives_the_process(place):
    place.playbook(STEPS, head=APPROVAL)
    planned = place.plan()
    run = respond.request(place.workspace, planned.plan.digest)
    assert respond.request(place.workspace, planned.plan.digest).id == run.id
    with Responder(place.workspace) as first:
        settle(first)
        assert (first.waiting, state(place, run.id)) == (1, "waiting for approval")
        place.approve(planned, "ana")
        settle(first)
        assert first.waiting == 1
    with Responder(place.workspace) as second:
        assert second.waiting == 1
        place.approve(planned, "ben")
        settle(second)
    assert (state(place, run.id), place.vendor.changes) == ("done", ["on a"])


def test_nobody_approves_so_others_are_asked_and_then_it_is_refused(place):
    place.playbook(STEPS, head=APPROVAL)
    run = respond.request(place.workspace, place.plan().plan.digest)
    with Responder(place.workspace) as responder:
        place.clock.advance(11 * MINUTE)
        settle(responder)
        (asked,) = place.journal().entries(kind="playbook.escalated")
        assert asked.payload["role"] == "boss"
        place.clock.advance(50 * MINUTE)
        settle(responder)
    assert (state(place, run.id), place.vendor.changes) == ("not approved", [])


def test_a_playbook_may_run_unless_somebody_says_no(place):
    place.playbook(STEPS, head="approval: {timeout_min: 5, on_timeout: run}\n")
    run = respond.request(place.workspace, place.plan().plan.digest)
    with Responder(place.workspace) as responder:
        settle(responder)
        assert place.vendor.changes == []
        place.clock.advance(6 * MINUTE)
        settle(responder)
    assert (state(place, run.id), place.vendor.changes) == ("done", ["on a"])


def test_what_changed_while_it_waited_ends_it(place):
    place.playbook(STEPS)
    planned = place.plan()
    run = respond.request(place.workspace, planned.plan.digest)
    place.vendor.things["a"] = {"mark": "somebody"}
    place.approve(planned)
    with Responder(place.workspace) as responder:
        settle(responder)
    entry = place.journal().get(f"playbook.finished:{run.id}")
    assert (entry.payload["outcome"], "not as it was" in entry.payload["why"]) == ("refused", True)
    assert place.vendor.changes == []


def test_cancelled_runs_do_nothing_more(place):
    place.playbook("- {id: ask, ask: {text: go?}}\n" + STEPS)
    planned = place.plan()
    waits = respond.request(place.workspace, planned.plan.digest)
    assert respond.cancel(place.workspace, waits.id, actor="ana", reason="not now").outcome == "cancelled"
    place.approve(planned)
    begun = place.run(planned)
    respond.cancel(place.workspace, begun.id, actor="ana", reason="not now")
    with Responder(place.workspace) as responder:
        settle(responder)
    assert (state(place, begun.id), place.vendor.changes) == ("cancelled", [])
    with pytest.raises(RefusedError, match="has ended"):
        respond.cancel(place.workspace, begun.id, actor="ana", reason="again")


def test_a_run_has_a_deadline(place):
    place.playbook("- {id: ask, ask: {text: go?}}\n" + STEPS, head="deadline_min: 30\n")
    planned = place.plan()
    place.approve(planned)
    begun = place.run(planned)
    place.clock.advance(31 * MINUTE)
    respond.answer(place.workspace, begun.id, "ask", "yes", actor="ana", reason="late")
    with Responder(place.workspace) as responder:
        settle(responder)
    assert (state(place, begun.id), place.vendor.changes) == ("out of time", [])


def test_containment_ends_by_itself(place):
    place.playbook('- {id: act, action: vendor.switch, for_each: host, with: {name: "{host}"}, ttl_min: 30}')
    done = place.go(hosts=("a", "b"))
    assert (done.outcome, place.vendor.changes) == ("done", ["on a", "on b"])
    with Responder(place.workspace) as responder:
        settle(responder)
        place.clock.advance(29 * MINUTE)
        settle(responder)
        assert len(place.vendor.changes) == 2
    place.clock.advance(2 * MINUTE)
    place.vendor.things["b"] = {"mark": "somebody else"}
    with Responder(place.workspace) as responder:
        settle(responder)
        settle(responder)
    assert place.vendor.changes[2:] == ["off a"]
    said = {one.payload["outcome"] for one in place.journal().entries(kind="playbook.expired")}
    assert said == {"done", "it is left to a person: what is there now is not what that run made"}


def test_an_alert_a_schedule_and_a_webhook_begin_playbooks_once(place):
    head = """\
triggers:
  - {by: incident, if: "severity >= 4 && entities.host.size() > 0"}
  - {by: schedule, cron: "0 * * * *", given: {host: [timer]}}
  - {by: webhook, if: "trigger.event == 'bad'", entities: ["host:{asset.name}"]}
"""
    place.playbook(STEPS, head=head)
    place.settings(ROLES + "playbooks: {start: [book]}\n")
    with Responder(place.workspace) as responder:
        settle(responder)
        place.incident("in-0000000000000001", ["host:x"])
        settle(responder)
        place.clock.advance(61 * MINUTE)
        settle(responder)
        body = {"event": "bad", "asset": {"name": "hooked"}}
        assert len(responder.webhook("book", body)) == 1
        assert responder.webhook("book", {**body, "event": "good"}) == []
        settle(responder)
    notes = list(place.journal().entries(kind="playbook.triggered"))
    begun = {one.payload["by"]: one.reason for one in notes}
    assert begun == dict.fromkeys(("incident", "schedule", "webhook"), "planned, waits for approval")
    with Responder(place.workspace) as responder:
        settle(responder)
        assert responder.waiting == len(notes)
        for request in list(responder.desk.requests.values()):
            respond.approve(place.workspace, request.plan, actor="ana", reason="test")
        settle(responder)
    assert sorted(place.vendor.changes) == ["on hooked", "on timer", "on x"]  # x once, whoever is about it


def found(place, *things):
    """Put findings into the lake: rule, and what it is about."""
    pipeline.into_lake(
        place.workspace,
        ScanReport(tuple(finding(*one) for one in things), ()), resource="shop", revision="1",
    )  # fmt: skip


def finding(rule, about):
    return Finding(
        stable_id("fp", rule, about),
        "tool",
        rule,
        rule,
        Severity.HIGH,
        "",
        0,
        0,
        kind=Kind.CONFIG,
        resource=about,
    )


def test_a_new_finding_and_an_alert_begin_playbooks_once(place):
    head = """\
triggers:
  - {by: finding, if: "trigger.rule_id == 'open'", entities: ["host:{about}", "user:{owner}"]}
  - {by: alert, if: "trigger.rule != 'x'"}
"""
    place.playbook(STEPS, head=head)
    place.settings(ROLES + "playbooks: {start: [book]}\n")
    found(place, ("open", "old"))
    with Responder(place.workspace) as responder:
        settle(responder)
        responder.findings()
        found(place, ("open", "old"), ("open", "new"), ("closed", "other"))
        responder.findings()
        responder.findings()
        place.incident("in-0000000000000001", ["host:x"])
        settle(responder)
    begun = [(one.payload["by"], one.reason) for one in place.journal().entries(kind="playbook.triggered")]
    said = "planned, waits for approval"
    assert begun == [("finding", said), ("alert", said)]
    planned = [one.payload for one in place.journal().entries(kind="playbook.planned")]
    assert '"new"' in str(orjson.dumps(planned))


def test_an_exposed_bucket_is_told_of_by_a_scanner(place):
    (trigger,) = [
        one
        for one in respond_triggers.armed(Library.open(), ["exposed_bucket"])
        if one.trigger.by == "finding"
    ]
    row = {"id": "fp-1", "resource": "cloud", "severity": "high", "rule_id": "s3_bucket_public_access", "title": "t",
           "about": "arn:aws:s3:::data", "suppressed": False}  # fmt: skip
    facts = respond_triggers.of_finding(trigger, row)
    assert [str(one) for one in facts.entities] == ["file:arn:aws:s3:::data"]
    assert respond_triggers.wants(trigger, "finding", facts, {})
    for other in (
        {"about": None},
        {"about": "arn:aws:iam::1:user/a"},
        {"suppressed": True},
        {"rule_id": "no_log"},
    ):
        assert not respond_triggers.wants(
            trigger, "finding", respond_triggers.of_finding(trigger, row | other), {}
        )


def test_an_incident_that_came_while_nothing_served_begins_a_playbook(place):
    place.playbook(STEPS)
    place.settings(ROLES + "playbooks: {start: [book]}\n")
    with Responder(place.workspace) as responder:
        settle(responder)
    place.incident("in-0000000000000001", ["host:x"])
    with Responder(place.workspace) as responder:
        settle(responder)
        assert responder.waiting >= 1
        subjects = {one.incident_id for one in responder.desk.requests.values()}
    assert "in-0000000000000001" in subjects


def test_a_vendor_that_is_down_is_tried_again_and_then_left_to_a_person(place):
    place.playbook(STEPS)
    planned = place.plan()
    place.approve(planned)
    place.vendor.down = True
    with pytest.raises(RefusedError, match="since the plan was made"):
        place.run(planned)
    place.vendor.down = False
    assert outcomes(place.run(planned)) == {"act": "done"}


def test_webhooks_need_their_token_and_json(place):
    head = 'triggers: [{by: webhook, entities: ["host:{asset.name}"]}]\n'
    place.playbook(STEPS, head=head)
    place.settings(ROLES + "playbooks: {start: [book], webhooks: {token_env: HOOK_TOKEN}}\n")
    key = {"Authorization": "Bearer hook-token"}
    tries = [
        ("book", b"{}", {}), ("book", b"[1]", key), ("book", b'{"asset": 3}', key), ("book", b"x" * 1_000_001, key),
        ("book", b'{"asset": {"name": "w"}}', key), ("none", b"{}", key),
    ]  # fmt: skip

    async def ask(responder):
        transport = httpx.ASGITransport(application(responder, Proof("hook-token")))
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            return [
                await client.post(f"/playbooks/{name}", content=body, headers=h) for name, body, h in tries
            ]

    with Responder(place.workspace) as responder:
        answers = asyncio.run(ask(responder))
    assert [one.status_code for one in answers] == [401, 400, 400, 413, 202, 404]
    assert len(answers[4].json()["plans"]) == 1


def test_what_becomes_protected_while_it_serves_is_not_touched(place, monkeypatch):
    monkeypatch.setattr(respond_services, "_FRESH_S", 0)
    place.playbook("- {id: ask, ask: {text: go?}}\n" + STEPS.replace("}}", "}, on_failure: continue}"))
    planned = place.plan(hosts=("crown-1", "b"))
    run = respond.request(place.workspace, planned.plan.digest)
    place.approve(planned)
    with Responder(place.workspace) as responder:
        settle(responder)
        place.write("protected/own.yaml", "title: Ours\nreason: it is ours\nentities: {host: [crown-*]}\n")
        respond.answer(place.workspace, run.id, "ask", "yes", actor="ana", reason="go")
        settle(responder)
    assert (state(place, run.id), place.vendor.changes) == ("done with failures", ["on b"])


def test_a_timer_that_ran_out_begins_a_playbook_once_each_time(place):
    head = "triggers: [{by: sla, if: \"trigger.state == 'breached' && trigger.timer == 'acknowledge'\"}]\n"
    place.playbook(STEPS, head=head)
    place.settings(ROLES + "playbooks: {start: [book]}\n")
    incident = place.incident("in-0000000000000001", ["host:x"])
    with Responder(place.workspace) as responder:
        settle(responder)
        for make, name, due in [
            (handling.nearing, "acknowledge", 5), (handling.breached, "contain", 6),
            (handling.breached, "acknowledge", 7), (handling.breached, "acknowledge", 9),
        ]:  # fmt: skip
            timer = Timer(name, due, None, "breached", -1, 0)
            place.journal().append(make(incident, timer, "high"))
        settle(responder)
    with Responder(place.workspace) as responder:  # nothing anew
        settle(responder)
    notes = list(place.journal().entries(kind="playbook.triggered"))
    assert [one.key.rpartition("in-0000000000000001")[2] for one in notes] == [
        ":acknowledge:breached:7", ":acknowledge:breached:9",
    ]  # fmt: skip
    assert {one.payload["by"] for one in notes} == {"sla"}
