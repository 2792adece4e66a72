"""Detections over the API: read, checked, tried, kept, proposed; searches that are ended by their name."""

import time

import anyio
import guarding
import pytest

from lemnis import app
from lemnis.app.shelf import repository
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.api import events
from lemnis.store.git import Repository

API = "/api/v1"
RULE = """\
title: Somebody asked Okta
id: 11111111-1111-4111-8111-111111111111
status: test
logsource:
  product: okta
  service: okta
detection:
  selection:
    eventType: "*"
  condition: selection
level: low
"""


def asking(built, role="detection_engineer", *scopes, **how):
    key = guarding.token(built, role, *scopes)
    return guarding.client(built, key=key, base=f"{guarding.BASE}{API}", **how)


def word(answer, status, kind):
    assert answer.status_code == status, answer.text
    assert answer.json()["type"] == f"urn:lemnis:problem:{kind}"


def test_a_rule_is_checked_tried_kept_and_changed(built):
    soc = built.access.workspace
    Repository.create(soc.root).commit_all("Begin", author=app.AUTHOR, at=soc.clock.now())

    async def work():
        async with asking(built) as ask:
            broken = (
                await ask.post(
                    "/rules/lint", json={"text": RULE.replace("condition: selection", "condition: x")}
                )
            ).json()
            assert broken["findings"][0]["line"] == 10
            word(await ask.post("/rules/lint", json={"text": "x" * 60_001}), 422, "refused")
            tried = (await ask.post("/rules/try", json={"text": RULE, "days": 366})).json()
            assert (tried["sound"], tried["whole"]) == (True, True)
            made = await ask.put("/rules/okta_asked", json={"text": RULE, "reason": "a try"})
            assert made.status_code == 200
            tag = made.headers["etag"]
            shown = await ask.get("/rules/okta_asked")
            assert (shown.headers["etag"], shown.json()["text"]) == (tag, RULE)
            assert (await ask.put("/rules/okta_asked", json={"text": RULE})).headers["etag"] == tag, (
                "nothing changed"
            )
            other = {"text": RULE.replace("low", "high"), "reason": "louder"}
            word(await ask.put("/rules/okta_asked", json=other), 409, "refused")
            word(
                await ask.put("/rules/okta_asked", json=other, headers={"if-match": '"x"'}),
                412,
                "changed-meanwhile",
            )
            changed = await ask.put("/rules/okta_asked", json=other, headers={"if-match": tag})
            assert changed.json()["level"] == "high"
            word(
                await ask.put(
                    "/rules/okta_asked",
                    json={"text": "title: x"},
                    headers={"if-match": changed.headers["etag"]},
                ),
                409,
                "refused",
            )
            word(await ask.put("/rules/okta_other", json={"text": RULE}), 409, "refused")
            known = (await ask.get("/rules/okta_asked/versions")).json()
            assert [(one["how"], one["why"], one["by"]) for one in known] == [
                ("kept", "louder", "detection_engineer"), ("kept", "a try", "detection_engineer"),
            ]  # fmt: skip
            again = {"idempotency-key": "one", "if-match": changed.headers["etag"]}
            proposed = [
                await ask.post("/rules/okta_asked/propose", json={"text": RULE}, headers=again)
                for _ in range(2)
            ]
            assert proposed[0].json() == proposed[1].json()
            assert proposed[1].headers["idempotency-replayed"] == "true"
            assert proposed[0].json()["branch"] in repository(soc).branches()
            for name in ("..%2fx_y", "UPPER", "a"):
                assert (await ask.put(f"/rules/{name}", json={"text": RULE})).status_code in {404, 422}

    anyio.run(work)
    kept = [entry.payload["before"] for entry in app.journal(soc).entries(kind="rule.changed")]
    assert len(kept) == 2


@pytest.mark.parametrize("role", ["viewer", "analyst", "admin"])
def test_who_may_not_write_rules_does_not(built, role):
    async def work():
        async with asking(built, role) as ask:
            for call in (ask.post("/rules/lint", json={"text": RULE}), ask.post("/rules/try", json={"text": RULE}),
                         ask.put("/rules/okta_asked", json={"text": RULE}),
                         ask.post("/rules/okta_asked/propose", json={"text": RULE})):  # fmt: skip
                answer = await call
                assert answer.status_code == 403
                word(answer, 403, "not-allowed")
        async with asking(built, "detection_engineer", "rule.read") as ask:
            word(await ask.put("/rules/okta_asked", json={"text": RULE}), 403, "not-allowed")

    anyio.run(work)


def test_words_do_not_confirm_who_is_hidden(built):
    (incident,) = app_incidents(built)
    names = {one.value for one in incident.entities if one.kind.value == "user"}
    assert names

    async def work():
        since = {"since": "2020-01-01T00:00:00Z"}
        async with asking(built, "analyst") as ask:
            for name in names:
                params = since | {"query": f'"{name}"'}
                hidden = (await ask.get("/events", params=params)).json()["events"]
                bars = (await ask.get("/events/histogram", params=params)).json()["bars"]
                purpose = {"x-purpose": "incident 1: whose account it was"}
                shown = (await ask.get("/events", params=params, headers=purpose)).json()["events"]
                mine = [one for one in shown if one["event"]["metadata"]["log_name"] == "okta"]
                assert mine
                assert not {one["uid"] for one in mine} & {one["uid"] for one in hidden}
                assert sum(one["count"] for one in bars) == len(hidden) < len(shown)

    anyio.run(work)


def app_incidents(built):
    from lemnis.app import incidents  # noqa: PLC0415

    return incidents.incidents(built.access.workspace)


def test_a_search_is_ended_by_the_name_that_its_asker_gave_it(built, monkeypatch):
    begun = anyio.Event()

    def slow(workspace, text, *, handle, **how):
        anyio.from_thread.run_sync(begun.set)
        until = time.monotonic() + 20
        while not handle.cancelled and time.monotonic() < until:
            time.sleep(0.01)
        raise UsageError("ended" if handle.cancelled else "never ended")

    monkeypatch.setattr(events.asking, "search", slow)

    async def work():
        async with asking(built, "analyst") as ana, asking(built, "viewer") as vic:
            word(await ana.delete("/events/searches/mine"), 404, "not-found")
            found = []

            async def search():
                found.append(await ana.get("/events", params={"name": "mine"}))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(search)
                await begun.wait()
                word(await vic.delete("/events/searches/mine"), 404, "not-found")
                word(await ana.get("/events", params={"name": "mine"}), 409, "refused")
                assert (await ana.delete("/events/searches/mine")).status_code == 204
            assert found[0].json()["title"] == "ended"

    anyio.run(work)
