"""A body that GitHub signed counts once, under whichever id it comes again; what is not stored is not remembered."""

import asyncio
import hashlib
import hmac
import logging

import orjson
from listening import http

from lemnis.contracts.errors import BusyError
from lemnis.ingest.transports import _dialect_webhooks

HOOKS = {"webhooks": [
    {"name": "hub", "kind": "github", "secret_env": "HOOK"},
    {"name": "second", "kind": "github", "secret_env": "HOOK"},
    {"name": "lab", "kind": "gitlab", "secret_env": "HOOK"},
]}  # fmt: skip
BODY = b'{"action":"created","key":{"id":55,"read_only":false}}'


def headers(body, delivery, event="deploy_key"):
    signature = hmac.new(b"fake-secret", body, hashlib.sha256).hexdigest()
    return {
        "X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Event": event, "X-GitHub-Delivery": delivery,
    }  # fmt: skip


def talked(tmp_path, *said, before=lambda _receiver: None):
    async def talk():
        async with http(tmp_path, **HOOKS) as (client, receiver):
            before(receiver)
            answers = []
            for hook, body, head in said:
                answers.append(await client.post(f"/webhook/{hook}", content=body, headers=head))
                receiver.against = None
        return answers, receiver.deliveries

    return asyncio.run(talk())


def test_a_delivery_that_comes_again_is_answered_and_not_stored(tmp_path, caplog):
    once = ("hub", BODY, headers(BODY, "d-1"))
    with caplog.at_level(logging.WARNING):
        answers, deliveries = talked(tmp_path, once, once)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[1].json() == {"taken": 0, "duplicate": True}
    assert len(deliveries) == 1
    assert "came again" not in caplog.text


def test_the_same_body_under_another_id_or_event_is_a_replay_and_is_told(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        answers, deliveries = talked(
            tmp_path, ("hub", BODY, headers(BODY, "d-1")), ("hub", BODY, headers(BODY, "d-9", "push"))
        )
    assert answers[1].json()["duplicate"] is True
    assert len(deliveries) == 1
    assert "webhook hub: the body of delivery d-1 came again as d-9" in caplog.text


def test_other_bodies_and_other_webhooks_are_no_replay(tmp_path):
    other = b'{"action":"deleted"}'
    _, deliveries = talked(
        tmp_path, ("hub", BODY, headers(BODY, "d-1")), ("hub", other, headers(other, "d-1")),
        ("second", BODY, headers(BODY, "d-1")),
    )  # fmt: skip
    assert [one.origin for one in deliveries] == ["webhook hub", "webhook hub", "webhook second"]
    digests = [orjson.loads(one.data)["body_sha256"] for one in deliveries]
    assert digests == [hashlib.sha256(body).hexdigest() for body in (BODY, other, BODY)]


def test_gitlab_tells_no_digest_and_is_not_held_back(tmp_path):
    token = {"X-Gitlab-Token": "fake-secret", "X-Gitlab-Event": "Push Hook"}
    _, deliveries = talked(tmp_path, ("lab", b"{}", token), ("lab", b"{}", token))
    assert len(deliveries) == 2
    assert "body_sha256" not in orjson.loads(deliveries[0].data)


def test_what_could_not_be_stored_may_come_again(tmp_path):
    def full(receiver):
        receiver.against = BusyError("full", retry_after_s=1)

    once = ("hub", BODY, headers(BODY, "d-1"))
    answers, deliveries = talked(tmp_path, once, once, before=full)
    assert [answer.status_code for answer in answers] == [503, 200]
    assert len(deliveries) == 1


def test_a_replay_with_a_wrong_signature_is_refused_before_it_is_looked_up(tmp_path):
    answers, deliveries = talked(
        tmp_path, ("hub", BODY, headers(BODY, "d-1")),
        ("hub", BODY, {**headers(BODY, "d-1"), "X-Hub-Signature-256": "sha256=" + "0" * 64}),
    )  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 401]
    assert len(deliveries) == 1


def test_what_is_remembered_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(_dialect_webhooks, "_SEEN", 2)
    bodies = [b'{"n":1}', b'{"n":2}', b'{"n":3}', b'{"n":3}', b'{"n":1}']
    _, deliveries = talked(tmp_path, *(("hub", body, headers(body, "d")) for body in bodies))
    assert [orjson.loads(one.data)["payload"]["n"] for one in deliveries] == [1, 2, 3, 1]
