"""Playbooks over the API: planned, approved by the exact digest, asked for; and things of other people."""

from functools import partial

import anyio
import guarding
import pytest
from asking_api import RULE, asking, browsing, problem

from lemnis import app
from lemnis.app import respond, respond_presence
from lemnis.app.access import accounts
from lemnis.app.access.secret import csrf as csrf_of
from lemnis.testing.switches import SWITCH, TOKEN, Switches

BOOK = """\
title: Switch what is named
inputs:
  host: {select: host, many: true, required: false}
steps:
  - {id: switch, action: vendor.switch, for_each: host, with: {name: "{host}"}}
"""


@pytest.fixture
def vendor(built, monkeypatch):
    monkeypatch.setenv("VENDOR_TOKEN", TOKEN)
    workspace = built.access.workspace
    for path, text in (("actions/vendor/switch.yaml", SWITCH), ("playbooks/book/playbook.yaml", BOOK)):
        file = workspace.content / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with Switches() as made:
        settings = workspace.root / app.SETTINGS
        settings.write_text(
            f'name: soc\nconnections:\n  vendor: {{url: "{made.url}", token_env: VENDOR_TOKEN}}\n'
        )
        yield made


def run(work):
    return anyio.run(work)


def test_a_plan_is_approved_by_its_digest_and_begun_once(built, incident, vendor):
    async def work():
        body = {"playbook": "book", "incident": incident.id, "inputs": {"host": ["web-1"]}}
        async with asking(built, "analyst") as ask:
            made = await ask.post("/plans", json=body)
            assert made.status_code == 201, made.text
            plan = made.json()
            assert [one["target"] for one in plan["actions"]] == ["web-1"]
            assert plan["approvable"]
            at = f"/plans/{plan['digest']}"
            answer = await ask.post(f"{at}/approve", json={"digest": plan["digest"], "reason": "x"})
            problem(answer, 403, "not-allowed")
        async with asking(built, "responder") as ask:
            other = f"sha256:{'0' * 64}"
            problem(await ask.post(f"{at}/approve", json={"digest": other, "reason": "x"}), 422, "bad-input")
            problem(
                await ask.post(f"/plans/{other}/approve", json={"digest": other, "reason": "x"}),
                404,
                "not-found",
            )
            assert (await ask.get(at)).json()["missing"] == 1
            early = (await ask.post(f"{at}/run")).json()
            assert early["state"] == "waits_for_approval"
            assert early["says"] == "it waits for one approval; no `lemnis serve` runs that would begin it"
            granted = await ask.post(
                f"{at}/approve", json={"digest": plan["digest"], "reason": "customers wait"}
            )
            assert granted.status_code == 200, granted.text
            assert (granted.json()["actor"], granted.json()["missing"]) == ("responder", 0)
            asked = await ask.post(f"{at}/run")
            assert asked.status_code == 202, asked.text
            assert asked.json()["plan"] == plan["digest"]
            assert asked.json()["state"] == "waits_for_serve"
            with respond_presence.present(built.access.workspace):
                there = (await ask.post(f"{at}/run")).json()
            assert (there["id"], there["state"]) == (early["id"], "begins")
            assert not respond_presence.attended(built.access.workspace)
            assert vendor.things == {}, "serve begins it, nobody else"
        begin = partial(respond.run, built.access.workspace, plan["digest"], actor="responder")
        done = await anyio.to_thread.run_sync(begin)
        assert done.outcome == "done"
        assert list(vendor.things) == ["web-1"]
        async with asking(built, "viewer") as ask:
            (one,) = [r for r in (await ask.get("/runs")).json()["items"] if r["outcome"] == "done"]
            assert (await ask.get(f"/runs/{one['id']}")).json()["results"][0]["outcome"] == "done"
            listed = (await ask.get("/plans", params={"incident": incident.id})).json()["items"]
            assert [p["digest"] for p in listed] == [plan["digest"]]
            problem(await ask.post(f"/runs/{one['id']}/undo"), 403, "not-allowed")
        async with asking(built, "analyst") as ask:
            back = await ask.post(f"/runs/{one['id']}/undo")
            assert back.status_code == 201, back.text
            assert back.json()["undoes"] == one["id"]

    run(work)


def test_plans_and_runs_are_seen_by_who_sees_their_incident(built, incident, vendor):
    async def work():
        body = {"playbook": "book", "incident": incident.id, "inputs": {"host": ["web-1"]}}
        async with asking(built, "responder") as ask:
            plan = (await ask.post("/plans", json=body)).json()["digest"]
            approval = {"digest": plan, "reason": "x"}
            assert (await ask.post(f"/plans/{plan}/approve", json=approval)).status_code == 200
            begun = (await ask.post(f"/plans/{plan}/run")).json()["id"]
            assert len((await ask.get("/plans")).json()["items"]) == 1
            assert len((await ask.get("/runs")).json()["items"]) == 1
            folder = built.access.workspace.content / "policies/grave_ones_are_of_soc"
            folder.mkdir(parents=True)
            (folder / "policy.rego").write_text(RULE)
            (folder / "policy.yaml").write_text("id: grave_ones_are_of_soc\ntitle: t\nstages: [access]\n")
            built.access._looked = 0
            assert (await ask.get("/plans")).json()["items"] == []
            assert (await ask.get("/runs")).json()["items"] == []
            for path in (f"/plans/{plan}", f"/runs/{begun}"):
                told = problem(await ask.get(path), 403, "not-allowed")
                assert told["title"] == "grave incidents are for the team soc"
            problem(await ask.post("/plans", json=body), 403, "not-allowed")
            problem(await ask.post(f"/plans/{plan}/approve", json=approval), 403, "not-allowed")
            problem(await ask.post(f"/plans/{plan}/run"), 403, "not-allowed")
            problem(await ask.post(f"/runs/{begun}/cancel", json={"reason": "x"}), 403, "not-allowed")

    run(work)


# -- what is other people's --------------------------------------------------------------------------------


def test_tokens_and_sessions_of_others_are_out_of_reach(built):
    access = built.access
    guarding.token(built, "responder", "alert.read")
    theirs = accounts.find(access, "responder")
    (token,) = access.tables.tokens(theirs.id)
    (session,) = access.tables.sessions(theirs.id)

    async def work():
        async with browsing(built, "analyst") as ask:
            assert (await ask.get("/me/tokens")).json() == []
            assert len((await ask.get("/me/sessions")).json()) == 1
            problem(await ask.delete(f"/me/tokens/{token.id}"), 404, "not-found")
            problem(await ask.delete(f"/me/sessions/{session.id[:16]}"), 404, "not-found")
            problem(await ask.get(f"/accounts/{theirs.id}"), 403, "not-allowed")
            problem(await ask.post(f"/accounts/{theirs.id}/reset"), 403, "not-allowed")
            problem(await ask.delete(f"/accounts/{theirs.id}/sessions"), 403, "not-allowed")
        assert access.tables.tokens(theirs.id) == [token]

    run(work)


def test_nobody_raises_themselves(built):
    me = accounts.find(built.access, "analyst")

    async def work():
        async with browsing(built, "analyst") as ask:
            problem(
                await ask.post(f"/accounts/{me.id}/change", json={"roles": ["admin"]}), 403, "not-allowed"
            )
            body = {"name": "all", "scopes": ["access.change"]}
            problem(await ask.post("/me/tokens", json=body), 422, "bad-input")
            made = (await ask.post("/me/tokens", json={"name": "t", "scopes": ["alert.read"]})).json()
        async with guarding.client(built, key=made["key"], base=f"{guarding.BASE}/api/v1") as machine:
            problem(await machine.get("/incidents"), 403, "not-allowed")
            problem(
                await machine.post("/me/tokens", json={"name": "u", "scopes": ["alert.read"]}),
                403,
                "not-allowed",
            )
            problem(await machine.get("/me/sessions"), 403, "not-allowed")
            assert (await machine.get("/me")).json()["permissions"] == ["alert.read"]
        async with asking(built, "admin", ["access.change", "access.read"]) as machine:
            problem(
                await machine.post("/accounts", json={"name": "eve", "roles": ["responder"]}),
                403,
                "not-allowed",
            )
        async with browsing(built, "admin") as ask:
            made = await ask.post("/accounts", json={"name": "eve", "roles": ["viewer"]})
            assert made.status_code == 201, made.text
            assert made.json()["key"]

    run(work)


def test_a_second_factor_and_a_password_take_the_password(built):
    async def work():
        async with browsing(built, "viewer") as ask:
            problem(await ask.post("/me/second", json={"password": "wrong"}), 403, "not-allowed")
            begun = await ask.post("/me/second", json={"password": guarding.PASSWORD})
            assert begun.json()["uri"].startswith("otpauth://totp/")
            body = {"old": "wrong", "new": "a new sentence of mine"}
            problem(await ask.post("/me/password", json=body), 403, "not-allowed")
            body = {"old": guarding.PASSWORD, "new": "short"}
            problem(await ask.post("/me/password", json=body), 422, "bad-input")
            body = {"old": guarding.PASSWORD, "new": "a new sentence of mine"}
            assert (await ask.post("/me/password", json=body)).status_code == 204

    run(work)


def test_signing_in_and_out_over_the_api(built):
    async def work():
        async with guarding.client(built, base=f"{guarding.BASE}/api/v1", accept="text/html") as browser:
            await browser.get("/me")
            browser.headers["x-csrf-token"] = csrf_of(browser.cookies["lemnis-visit"])
            problem(await browser.post("/session", json={"name": "ana", "password": "x"}), 403, "not-allowed")
            body = {"name": "analyst", "password": guarding.PASSWORD}
            me = (await browser.post("/session", json=body)).json()
            browser.headers["x-csrf-token"] = me["csrf"]
            assert (await browser.get("/me")).json()["name"] == "analyst"
            assert (await browser.delete("/session")).status_code == 204
            assert (await browser.get("/me")).status_code == 401

    run(work)
