"""Webhooks that begin playbooks: who signs, until when, and that nothing begins twice."""

import asyncio
import base64
import hashlib
import hmac

import httpx
import pydantic
import pytest
from vendor import site

from lemnis.app.respond_service import Responder
from lemnis.app.respond_webhooks import Proof, application, proof
from lemnis.content.schemas.settings import Webhooks

SECRET = "whsec_" + base64.b64encode(b"a key of the tests").decode()
BODY = b'{"asset": {"name": "w"}}'
HEAD = 'triggers: [{by: webhook, entities: ["host:{asset.name}"]}]\n'
STEPS = '- {id: act, action: vendor.switch, for_each: host, with: {name: "{host}"}}'


@pytest.fixture
def place(tmp_path, monkeypatch):
    more = "roles: {lead: [ana]}\nplaybooks: {start: [book, other], webhooks: {secret_env: HOOK_SECRET}}\n"
    with site(tmp_path / "ws", monkeypatch, more=more) as made:
        made.playbook(STEPS, head=HEAD)
        book = made.workspace.content / "playbooks" / "book" / "playbook.yaml"
        made.write("playbooks/other/playbook.yaml", book.read_text(encoding="utf-8"))
        yield made


def ask(place, shown, *tries):
    """Post (playbook, body, headers) one after the other to a service of its own; return status and answers."""

    async def all_of_them(responder):
        transport = httpx.ASGITransport(application(responder, shown))
        async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
            return [
                await client.post(f"/playbooks/{name}", content=body, headers=h) for name, body, h in tries
            ]

    with Responder(place.workspace) as responder:
        return [(one.status_code, one.json()) for one in asyncio.run(all_of_them(responder))]


def standard(place, name="msg-1", body=BODY, *, late_s=0, key=b"a key of the tests"):
    at = str(place.workspace.clock.now() // 1000 - late_s)
    signed = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": name, "webhook-timestamp": at, "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }  # fmt: skip


def test_only_what_is_signed_and_fresh_begins_a_playbook(place):
    good = standard(place)
    answers = ask(
        place, Proof(secret=SECRET),
        ("book", BODY, {}), ("book", BODY + b" ", good), ("book", BODY, {**good, "webhook-id": "msg-2"}),
        ("book", BODY, standard(place, late_s=301)), ("book", BODY, standard(place, late_s=-301)),
        ("book", BODY, standard(place, "")), ("book", BODY, standard(place, key=b"another")),
        ("book", BODY, standard(place, late_s=290)),
    )  # fmt: skip
    assert [status for status, _ in answers] == [401] * 7 + [202]
    assert len(answers[-1][1]["plans"]) == 1
    assert len(list(place.journal().entries(kind="playbook.planned"))) == 1


def test_a_delivery_begins_a_playbook_once_and_no_other_also_after_a_restart(place):
    good = standard(place)
    (first,) = ask(place, Proof(secret=SECRET), ("book", BODY, good))
    assert (first[0], len(first[1]["plans"])) == (202, 1)
    again, elsewhere, nowhere, new = ask(
        place, Proof(secret=SECRET),
        ("book", BODY, good), ("other", BODY, good), ("none", BODY, standard(place, "msg-3")),
        ("book", BODY, standard(place, "msg-2")),
    )  # fmt: skip
    assert again == (202, {"plans": []})
    assert elsewhere == (409, {"error": "this delivery was for the playbook book"})
    assert nowhere == (404, {"error": "no webhook begins a playbook none here"})
    assert (new[0], len(new[1]["plans"])) == (202, 1)


def test_github_and_slack_sign_in_their_ways_and_replays_begin_nothing(place):
    key, at = b"shared", str(place.workspace.clock.now() // 1000)
    github = {"x-hub-signature-256": "sha256=" + hmac.new(key, BODY, hashlib.sha256).hexdigest()}
    over = b"v0:" + at.encode() + b":" + BODY
    slack = {
        "x-slack-request-timestamp": at,
        "x-slack-signature": "v0=" + hmac.new(key, over, hashlib.sha256).hexdigest(),
    }
    for signature, headers in (("github", github), ("slack", slack)):
        shown = Proof(secret="shared", signature=signature)
        answers = ask(
            place, shown, ("book", BODY, headers), ("book", BODY, headers), ("book", b"{}", headers)
        )
        assert [(status, len(said.get("plans", ()))) for status, said in answers] == [
            (202, 1),
            (202, 0),
            (401, 0),
        ]


def test_with_a_token_and_a_secret_both_are_needed(place):
    shown = Proof("hook-token", SECRET)
    bearer = {"Authorization": "Bearer hook-token"}
    answers = ask(
        place,
        shown,
        ("book", BODY, bearer),
        ("book", BODY, standard(place)),
        ("book", BODY, {**bearer, **standard(place)}),
    )
    assert [status for status, _ in answers] == [401, 401, 202]


def test_the_settings_name_at_least_one_and_an_empty_variable_takes_none(monkeypatch, caplog):
    with pytest.raises(pydantic.ValidationError, match="secret_env"):
        Webhooks()
    monkeypatch.setenv("HOOK_SECRET", " ")
    assert proof(Webhooks(secret_env="HOOK_SECRET")) is None
    assert "HOOK_SECRET is empty" in caplog.text
    monkeypatch.setenv("HOOK_SECRET", "x")
    assert proof(Webhooks(secret_env="HOOK_SECRET", signature="slack")) == Proof("", "x", "slack")
