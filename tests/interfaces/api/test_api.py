"""Incidents, alerts, oneself and lists over the API."""

import guarding
import pyotp
import pytest
from asking_api import asking, browsing, problem, run

from lemnis.app import incidents as working


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
