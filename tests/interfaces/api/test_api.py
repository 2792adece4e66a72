import shutil
import time
from dataclasses import replace

import anyio
import guarding
import orjson
import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis import app
from lemnis.app import incidents as working
from lemnis.app.access import accounts
from lemnis.app.access.secret import csrf as csrf_of
from lemnis.contracts.errors import UsageError
from lemnis.incidents import entries as lifecycle
from lemnis.interfaces.api import events, paging, stream

API = "/api/v1"


def asking(built, role="analyst", scopes=(), **how):
    """Return a client with a token of this role; nobody's if there is no role."""
    key = guarding.token(built, role, *scopes) if role else ""
    return guarding.client(built, key=key, base=f"{guarding.BASE}{API}", **how)


def browsing(built, role="analyst"):
    cookie = built.access.cookies[role]
    return guarding.client(
        built, cookie=cookie, base=f"{guarding.BASE}{API}", **{"x-csrf-token": csrf_of(cookie)}
    )


def run(work):
    return anyio.run(work)


def problem(answer, status, word):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:lemnis:problem:{word}"
    assert answer.json()["status"] == status
    return answer.json()


def test_incidents_are_listed_and_shown(built, incident):
    async def work():
        async with asking(built) as ask:
            (one,) = (await ask.get("/incidents")).json()["items"]
            assert (one["id"], one["status"], one["alerts"]) == (incident.id, "new", 5)
            assert (await ask.get("/incidents", params={"severity": "critical"})).json()["items"] == []
            assert (await ask.get("/incidents", params={"state": "closed"})).json()["items"] == []
            assert len((await ask.get("/incidents", params={"owner": "me"})).json()["items"]) == 0
            assert (
                len(
                    (await ask.get("/incidents", params={"rule": incident.groups[0].rule_id})).json()["items"]
                )
                == 1
            )
            shown = await ask.get(f"/incidents/{incident.id}")
            assert shown.json()["title"] == incident.title
            assert len(shown.json()["alert_ids"]) == 5
            again = await ask.get(
                f"/incidents/{incident.id}", headers={"if-none-match": shown.headers["etag"]}
            )
            assert (again.status_code, again.content) == (304, b"")
            problem(await ask.get("/incidents/in-0000000000000000"), 404, "not-found")
            problem(await ask.get("/incidents/nonsense"), 422, "refused")

    run(work)


def test_an_incident_is_worked_on_from_new_to_closed(built, incident):
    async def work():
        async with asking(built) as ask:
            at = f"/incidents/{incident.id}"
            taken = await ask.post(f"{at}/acknowledge", json={"reason": "mine"})
            assert (taken.json()["status"], taken.json()["owner"]) == ("in_progress", "analyst")
            assert (await ask.post(f"{at}/assign", json={"owner": "ben"})).json()["owner"] == "ben"
            noted = await ask.post(f"{at}/notes", json={"text": "<script>alert(1)</script>"})
            assert noted.status_code == 201
            assert noted.json()["notes"][0]["text"] == "<script>alert(1)</script>"
            assert (
                await ask.post(f"{at}/move", json={"status": "on_hold", "reason": "waits"})
            ).status_code == 200
            done = await ask.post(f"{at}/close", json={"verdict": "benign", "reason": "an exercise"})
            assert (done.json()["status"], done.json()["verdict"]) == ("closed", "benign")
            problem(await ask.post(f"{at}/move", json={"status": "on_hold", "reason": "x"}), 409, "refused")
            told = (await ask.get(f"{at}/timeline", params={"kind": ["note", "status"], "limit": 2})).json()
            rest = (
                await ask.get(f"{at}/timeline", params={"kind": ["note", "status"], "after": told["next"]})
            ).json()
            assert [one["kind"] for one in told["items"] + rest["items"]].count("note") == 1
        changes = [one for one in built.access.journal.entries(subject=incident.id) if one.actor != "lemnis"]
        assert {one.actor for one in changes} == {"analyst"}

    run(work)


@pytest.mark.parametrize("body", [
    {}, {"verdict": "benign"}, {"verdict": "nothing", "reason": "x"}, {"verdict": "benign", "reason": "  "},
    {"verdict": "benign", "reason": "x", "actor": "admin"}, [], "x", {"verdict": 1, "reason": "x"},
])  # fmt: skip
def test_what_is_sent_wrongly_is_told(built, incident, body):
    async def work():
        async with asking(built) as ask:
            told = problem(await ask.post(f"/incidents/{incident.id}/close", json=body), 422, "refused")
            assert told["errors"]
        assert working.get(built.access.workspace, incident.id).open

    run(work)


def test_answers_with_a_secret_are_kept_for_no_key(built):
    key = {"idempotency-key": "k-9"}

    async def work():
        async with browsing(built, "admin") as ask:
            body = {"name": "ci", "scopes": ["alert.read"]}
            problem(await ask.post("/me/tokens", json=body, headers=key), 422, "bad-input")
            problem(
                await ask.post("/accounts", json={"name": "kim", "roles": []}, headers=key), 422, "bad-input"
            )
            password = {"password": guarding.PASSWORD}
            problem(await ask.post("/me/second", json=password, headers=key), 422, "bad-input")
            assert (await ask.get("/me/tokens")).json() == []
            made = await ask.post("/accounts", json={"name": "kim", "roles": ["viewer"]})
            named = f"/accounts/{made.json()['id']}"
            linked = await ask.post(f"{named}/link", json={"outside": "https://id.example/#7"}, headers=key)
            assert linked.json()["outside"] == "https://id.example#7"
            again = await ask.post(f"{named}/link", json={"outside": "https://id.example/#7"}, headers=key)
            assert again.headers["idempotency-replayed"] == "true"
            unlinked = await ask.post(f"{named}/unlink")
            assert (unlinked.json()["outside"], len(unlinked.json()["key"])) == (None, 43)
            problem(await ask.post(f"{named}/unlink"), 409, "refused")
        async with asking(built, "admin", ("access.change",)) as machine:
            problem(await machine.post(f"{named}/unlink"), 403, "not-allowed")

    run(work)


def test_oneself_over_the_api(built):
    async def work():
        async with browsing(built) as ask:
            assert (await ask.get("/me/second")).json() == {"on": False, "spare": 0, "used": None}
            password = {"password": guarding.PASSWORD}
            problem(await ask.post("/me/second/spare", json=password), 409, "refused")
            begun = (await ask.post("/me/second", json=password)).json()
            code = pyotp.TOTP(begun["secret"]).at(built.access.clock.now() // 1000)
            spare = await ask.post("/me/second/confirm", json={"key": begun["key"], "code": code})
            fresh = await ask.post("/me/second/spare", json=password)
            assert (spare.status_code, fresh.status_code, len(fresh.json()["codes"])) == (200, 201, 8)
            assert not set(spare.json()["codes"]) & set(fresh.json()["codes"])
            assert (await ask.get("/me/second")).json()["spare"] == 8
            assert fresh.headers["cache-control"] == "no-store"
            assert (await ask.delete("/me/sessions")).status_code == 204
            problem(await ask.get("/me/second"), 401, "stranger")

    run(work)


def test_changes_can_be_tied_to_what_was_seen(built, incident):
    async def work():
        async with asking(built) as ask:
            at = f"/incidents/{incident.id}"
            seen = (await ask.get(at)).headers["etag"]
            first = await ask.post(f"{at}/assign", json={"owner": "ben"}, headers={"if-match": seen})
            assert first.status_code == 200
            late = await ask.post(f"{at}/assign", json={"owner": "eve"}, headers={"if-match": seen})
            problem(late, 412, "changed-meanwhile")
            newer = first.headers["etag"]
            assert (
                await ask.post(f"{at}/assign", json={"owner": "ben2"}, headers={"if-match": newer})
            ).status_code == 200

    run(work)


def test_the_same_key_does_it_once(built, incident):
    async def work():
        async with asking(built) as ask:
            at, headers = f"/incidents/{incident.id}/notes", {"idempotency-key": "k-1"}
            first = await ask.post(at, json={"text": "once"}, headers=headers)
            again = await ask.post(at, json={"text": "once"}, headers=headers)
            assert (first.status_code, again.status_code) == (201, 201)
            assert first.json() == again.json()
            assert again.headers["idempotency-replayed"] == "true"
            problem(await ask.post(at, json={"text": "other"}, headers=headers), 422, "bad-input")
            problem(await ask.post(at, json={}, headers={"idempotency-key": "k-2"}), 422, "refused")
            assert (
                await ask.post(at, json={"text": "twice"}, headers={"idempotency-key": "k-2"})
            ).status_code == 201
            async with asking(built, "responder") as other:
                assert (await other.post(at, json={"text": "third"}, headers=headers)).status_code == 201
        notes = [one.text for one in working.get(built.access.workspace, incident.id).notes]
        assert notes == ["once", "twice", "third"]

    run(work)


def test_alerts(built, incident):
    async def work():
        async with asking(built) as ask:
            first = (await ask.get("/alerts", params={"limit": 3})).json()
            rest = (await ask.get("/alerts", params={"limit": 3, "after": first["next"]})).json()
            found = [one["id"] for one in first["items"] + rest["items"]]
            assert len(found) == len(set(found)) == 5
            assert rest["next"] is None
            one = (await ask.get(f"/alerts/{found[0]}")).json()
            assert one["incident"] == incident.id
            inside = (await ask.get(f"/incidents/{incident.id}/alerts")).json()["items"]
            assert {one["id"] for one in inside} == set(found)

    run(work)


# -- personal data -----------------------------------------------------------------------------------------


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


# -- events ------------------------------------------------------------------------------------------------


def test_searches_are_bounded_and_told(built):
    async def work():
        async with asking(built) as ask:
            since = {"since": "2020-01-01T00:00:00Z"}
            found = (await ask.get("/events", params=since | {"limit": 2})).json()
            assert len(found["events"]) == 2
            assert found["more"] is True
            whole = (await ask.get("/events", params=since)).json()
            assert whole["more"] is False
            bars = (await ask.get("/events/histogram", params=since)).json()["bars"]
            assert sum(one["count"] for one in bars) == len(whole["events"]) >= 15
            problem(await ask.get("/events", params=since | {"query": "AND AND ("}), 422, "bad-input")
            problem(await ask.get("/events", params={"limit": 100_000}), 422, "refused")
            problem(await ask.get("/events", params={"since": "yesterday-ish"}), 422, "bad-input")

    run(work)


def test_a_search_ends_when_its_asker_hangs_up(built, monkeypatch):
    cancelled = anyio.Event()
    key = guarding.token(built, "analyst", "event.search")

    def slow(workspace, text, *, handle, **how):
        until = time.monotonic() + 20
        while not handle.cancelled and time.monotonic() < until:
            time.sleep(0.01)
        if handle.cancelled:
            anyio.from_thread.run_sync(cancelled.set)
        raise UsageError("ended")

    monkeypatch.setattr(events.asking, "search", slow)
    scope = {"type": "http", "method": "GET", "path": "/api/v1/events", "raw_path": b"/api/v1/events",
             "query_string": b"", "client": ("10.0.0.7", 1), "scheme": "http", "root_path": "",
             "headers": [(b"host", b"localhost"), (b"authorization", f"Bearer {key}".encode())]}  # fmt: skip
    asked = []

    async def receive():
        asked.append(1)
        if len(asked) == 1:
            return {"type": "http.request", "body": b"", "more_body": False}
        if len(asked) < 4:
            await anyio.sleep(10)
        return {"type": "http.disconnect"}

    async def send(message):
        pass

    async def work():
        with anyio.fail_after(10):
            await built.application(scope, receive, send)
        assert cancelled.is_set()

    run(work)


# -- others ------------------------------------------------------------------------------------------------


def test_rules_sources_playbooks_lessons_findings_journal(built):
    async def work():
        async with asking(built) as ask:
            rules = (await ask.get("/rules", params={"limit": 5})).json()
            assert len(rules["items"]) == 5
            more = (await ask.get("/rules", params={"limit": 5, "after": rules["next"]})).json()["items"]
            assert more[0]["name"] > rules["items"][-1]["name"]
            name = rules["items"][0]["name"]
            assert "title:" in (await ask.get(f"/rules/{name}")).json()["text"]
            problem(await ask.get("/rules/nothing"), 404, "not-found")
            problem(await ask.get("/rules/..%2f..%2fetc"), 404, "not-found")
            sources = (await ask.get("/sources")).json()["items"]
            assert {"okta", "mysql_audit"} <= {one["name"] for one in sources}
            assert (await ask.get("/playbooks")).json()["items"]
            assert (await ask.get("/lessons")).json() == {"items": [], "next": None}
            assert (await ask.get("/findings")).json() == {"items": [], "next": None}
            assert (await ask.get("/runs")).json() == {"items": [], "next": None}
            assert (await ask.get("/plans")).json() == {"items": [], "next": None}
            assert (await ask.get("/questions")).json() == {"items": [], "next": None}
            journal = (await ask.get("/journal", params={"kind": "incident.opened"})).json()["items"]
            assert [one["kind"] for one in journal] == ["incident.opened"]
            page = (await ask.get("/journal", params={"limit": 4})).json()
            seqs = [one["seq"] for one in page["items"]]
            assert seqs == sorted(seqs, reverse=True)

    run(work)


def test_the_description_is_openapi_and_names_every_route(built):
    async def work():
        async with asking(built, "") as nobody:
            found = (await nobody.get("/openapi.json")).json()
            assert found["openapi"] == "3.1.0"
            assert "/incidents/{id}/close" in found["paths"]
            for path, methods in found["paths"].items():
                for method, one in methods.items():
                    assert one.get("summary"), (method, path)
                    assert one.get("description"), (method, path)
                    ids = [one["operationId"] for m in found["paths"].values() for one in m.values()]
            assert len(ids) == len(set(ids))

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


RULE = """\
package lemnis.grave_ones_are_of_soc

import rego.v1

deny contains reason if {
    startswith(input.permission, "incident.")
    input.about.severity in {"high", "critical"}
    not "soc" in input.person.teams
    reason := {"message": "grave incidents are for the team soc"}
}
"""


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
    for name, told in (("inside", len(entries)), ("outside", 0)):
        person = ruled.access.person(accounts.find(ruled.access, name))
        assert len(stream._events(using, person, entries)) == told


def services_of(made):
    return made.application._app.routes[0].app.state.services


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.text(max_size=5)), unique=True, max_size=30),
    st.integers(1, 7),
)
def test_pages_show_each_once(pairs, limit):
    shown, after = [], ""
    while True:
        page, following = paging.paged(pairs, list, like="is", after=after, limit=limit)
        shown += page
        if following is None:
            break
        after = following
    assert shown == sorted(pairs)


@given(st.text(max_size=60))
def test_cursors_that_are_none_are_told(text):
    try:
        place = paging.decode(text, "is")
    except UsageError:
        return
    assert orjson.loads(orjson.dumps(place)) == place
