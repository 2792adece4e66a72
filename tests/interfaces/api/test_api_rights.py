"""Who sees and does what over the API: personal data, roles, and rules of the workspace."""

import shutil
from dataclasses import replace
from functools import partial

import guarding
import pytest
from asking_api import RULE, asking, problem, run

from lemnis import app
from lemnis.app import incidents as working
from lemnis.app.access import accounts
from lemnis.incidents import entries as lifecycle
from lemnis.interfaces.api import stream


def people(workspace):
    found = [working.alert(workspace, one) for one in working.incidents(workspace)[0].alert_ids]
    return {entity.value for alert in found for entity in alert.entities if entity.kind.value == "user"}


LISTS = ("/incidents", "/incidents/{id}", "/incidents/{id}/timeline", "/incidents/{id}/alerts", "/alerts", "/journal",
         "/events?since=2020-01-01T00:00:00Z&query=source:okta")  # fmt: skip


def test_personal_data_is_masked_unless_there_is_a_purpose(built, incident):
    names = people(built.access.workspace)
    assert names

    async def work():
        async with asking(built) as ask:
            for path in LISTS:
                at = path.format(id=incident.id)
                masked = await ask.get(at)
                assert masked.status_code == 200, masked.text
                for name in names:
                    assert name.casefold() not in masked.text.casefold(), (path, name)
                shown = await ask.get(at, headers={"x-purpose": "incident 1: whose account it was"})
                assert shown.status_code == 200
                if path != "/incidents":
                    assert any(name.casefold() in shown.text.casefold() for name in names), path
        read = list(built.access.journal.entries(kind="access.personal_read"))
        assert len(read) == len(LISTS)
        assert {one.actor for one in read} == {"analyst"}
        assert {one.reason for one in read} == {"incident 1: whose account it was"}
        async with asking(built, "viewer") as ask:
            problem(await ask.get("/alerts", headers={"x-purpose": "I would like to"}), 403, "not-allowed")
        async with asking(built) as ask:
            problem(await ask.get("/alerts", headers={"x-purpose": "why"}), 422, "bad-input")

    run(work)


def test_queries_do_not_tell_what_is_masked(built):
    async def work():
        async with asking(built, "viewer") as ask:
            for query in ("* | stats count by actor.user.name", "actor.user.name:a*", "* | table raw_data"):
                params = {"query": query, "since": "2020-01-01T00:00:00Z"}
                problem(await ask.get("/events", params=params), 403, "not-allowed")
                problem(await ask.get("/events/histogram", params=params), 403, "not-allowed")
            params = {"query": "* | stats count by metadata.log_name", "since": "2020-01-01T00:00:00Z"}
            rows = (await ask.get("/events", params=params)).json()["rows"]
            assert {one["metadata.log_name"] for one in rows} == {"okta", "mysql_audit", "lemnis"}
            problem(await ask.get("/incidents", params={"entity": "user:x"}), 422, "bad-input")

    run(work)


@pytest.mark.parametrize(
    "role", ["", "viewer", "developer", "admin", "detection_engineer", "privacy_officer"]
)
def test_nobody_does_what_their_role_may_not(built, incident, role):
    """Whatever is not given is refused: asked with each role, over every route that changes something."""
    reason = {"reason": "because"}
    changes = [
        ("POST", f"/incidents/{incident.id}/close", {"verdict": "benign", **reason}, "incident.close"),
        ("POST", f"/incidents/{incident.id}/assign", {"owner": "me"}, "incident.change"),
        ("POST", f"/incidents/{incident.id}/notes", {"text": "x"}, "incident.change"),
        ("POST", "/plans", {"playbook": "x", "incident": incident.id}, "playbook.plan"),
        ("POST", f"/plans/sha256:{'0' * 64}/approve", {"digest": f"sha256:{'0' * 64}", **reason}, "playbook.approve"),
        ("POST", f"/plans/sha256:{'0' * 64}/run", None, "playbook.run"),
        ("POST", "/runs/run-0000000000000000/cancel", reason, "playbook.run"),
        ("POST", "/accounts", {"name": "eve", "roles": ["admin"]}, "access.change"),
        ("GET", "/accounts", None, "access.read"), ("GET", "/journal", None, "journal.read"),
    ]  # fmt: skip

    async def work():
        async with asking(built, role) as ask:
            person = built.access.rights.of([role]) if role else frozenset()
            for method, path, body, permission in changes:
                answer = await ask.request(method, path, json=body)
                if not role:
                    assert answer.status_code in {401, 403}, (path, answer.text)
                elif permission not in person:
                    problem(answer, 403, "not-allowed")
                else:
                    assert answer.status_code != 403, (path, answer.text)

    run(work)


@pytest.fixture
def ruled(okta, tmp_path):
    """A console where a rule keeps grave incidents for the team soc, with somebody inside and one outside."""
    root = shutil.copytree(okta, tmp_path / "ruled")
    folder = root / "content/policies/grave_ones_are_of_soc"
    folder.mkdir(parents=True)
    (folder / "policy.rego").write_text(RULE)
    (folder / "policy.yaml").write_text("id: grave_ones_are_of_soc\ntitle: t\nstages: [access]\n")
    made = guarding.console_of(app.open_workspace(root))
    guarding.joined(made, "inside", "analyst", teams=["soc"])
    guarding.joined(made, "outside", "analyst", teams=["shop"])
    return made


def test_rules_of_the_workspace_decide_who_sees_what(ruled, incident):
    async def work():
        async with asking(ruled, "inside") as ask:
            assert len((await ask.get("/incidents")).json()["items"]) == 1
            assert (await ask.post(f"/incidents/{incident.id}/notes", json={"text": "x"})).status_code == 201
        async with asking(ruled, "outside") as ask:
            assert (await ask.get("/incidents")).json() == {"items": [], "next": None}
            for path in ("", "/timeline", "/alerts"):
                told = problem(await ask.get(f"/incidents/{incident.id}{path}"), 403, "not-allowed")
                assert told["title"] == "grave incidents are for the team soc"
            answer = await ask.post(f"/incidents/{incident.id}/notes", json={"text": "x"})
            problem(answer, 403, "not-allowed")

    run(work)


def test_what_belongs_to_an_incident_is_seen_by_who_sees_the_incident(ruled, incident):
    alert = incident.groups[0].alerts[0][0]
    elsewhere = lifecycle.alert_entry(
        replace(working.alert(ruled.access.workspace, alert), id="al-00000000000000aa")
    )
    ruled.access.journal.append(elsewhere)

    async def seen(ask):
        listed = (await ask.get("/alerts")).json()["items"]
        entries = (await ask.get("/journal", params={"limit": 500})).json()["items"]
        about = await ask.get("/journal", params={"subject": incident.id})
        return {one["id"] for one in listed}, {one["subject"] for one in entries}, about.json()["items"]

    async def work():
        async with asking(ruled, "inside") as ask:
            alerts, subjects, about = await seen(ask)
            assert alerts == {*incident.alert_ids, "al-00000000000000aa"}
            assert {incident.id, alert} <= subjects
            assert about
        async with asking(ruled, "outside") as ask:
            alerts, subjects, about = await seen(ask)
            assert alerts == {"al-00000000000000aa"}, "an alert that is in no incident stands for itself"
            assert not {incident.id, *incident.alert_ids} & subjects
            assert "al-00000000000000aa" in subjects
            assert about == []
            problem(await ask.get(f"/alerts/{alert}"), 403, "not-allowed")
            assert (await ask.get("/alerts/al-00000000000000aa")).json()["incident"] is None
        async with asking(ruled, "inside", ["alert.read"]) as ask:
            answer = await ask.get(f"/alerts/{alert}")
            assert answer.json()["incident"] == incident.id, "rules take away; scopes are another matter"

    run(work)


def test_the_stream_names_nothing_that_may_not_be_seen(ruled, incident):
    using = services_of(ruled)
    entries = [*ruled.access.journal.entries(subject=incident.id)]
    assert entries
    for name, seen in (("inside", len(entries)), ("outside", 0)):
        person = ruled.access.person(accounts.find(ruled.access, name))
        told = [(one, stream._event(one, person)) for one in entries]
        assert all(event for _, event in told)
        assert len(run(partial(stream._seen, using, person, told))) == seen


def services_of(made):
    return made.application._app.routes[0].app.state.services
