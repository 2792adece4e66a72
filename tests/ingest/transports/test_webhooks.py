"""Webhooks: taken if their signature holds, as records of the source that fits."""

import asyncio
import base64
import hashlib
import hmac

import orjson
import pytest
from listening import ENVIRONMENT, NOW, http

HOOKS = {"webhooks": [
    {"name": "hub", "kind": "github", "secret_env": "HOOK"},
    {"name": "lab", "kind": "gitlab", "secret_env": "HOOK"},
    {"name": "signed", "kind": "gitlab", "secret_env": "SIGNING", "source": "x", "envelope": True},
    {"name": "chat", "kind": "slack", "secret_env": "HOOK", "source": "slack_events"},
]}  # fmt: skip


def sign(body, key=b"fake-secret"):
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def hooked(tmp_path, path, body, headers):
    async def talk():
        async with http(tmp_path, **HOOKS) as (client, receiver):
            answer = await client.post(path, content=body, headers=headers)
        return answer, receiver.deliveries

    return asyncio.run(talk())


def test_github_signs_the_body(tmp_path):
    body = b'{\n "action": "publicized"}'
    headers = {
        "X-Hub-Signature-256": f"sha256={sign(body)}",
        "X-GitHub-Event": "repository",
        "X-GitHub-Delivery": "d-1",
    }
    answer, deliveries = hooked(tmp_path, "/webhook/hub", body, headers)
    assert answer.status_code == 200
    (one,) = deliveries
    assert (one.source, one.origin) == ("github_webhook", "webhook hub")
    assert orjson.loads(one.data) == {
        "event": "repository", "delivery": "d-1", "received_at": "2025-11-03T20:00:00.000Z",
        "body_sha256": hashlib.sha256(body).hexdigest(), "payload": {"action": "publicized"},
    }  # fmt: skip
    form = b"payload=%7B%22action%22%3A%22x%22%7D"
    headers = {
        "X-Hub-Signature-256": f"sha256={sign(form)}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    _, (one,) = hooked(tmp_path, "/webhook/hub", form, headers)
    assert orjson.loads(one.data)["payload"] == {"action": "x"}


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Hub-Signature-256": "sha256=" + "0" * 64}, {"X-Hub-Signature-256": "sha1=" + sign(b"{}")},
     {"X-Hub-Signature-256": "sha256=" + sign(b"{}", b"other")}, {"X-Hub-Signature-256": "sha256=\xe9"}],
)  # fmt: skip
def test_what_github_did_not_sign_is_refused(tmp_path, headers):
    raw = {key: value.encode("latin-1") for key, value in headers.items()}
    answer, deliveries = hooked(tmp_path, "/webhook/hub", b"{}", raw)
    assert (answer.status_code, deliveries) == (401, [])


def test_gitlab_has_a_token_or_signs(tmp_path):
    answer, (one,) = hooked(tmp_path, "/webhook/lab", b'{"id":"1"}', {"X-Gitlab-Token": "fake-secret"})
    assert (one.source, one.data) == ("gitlab_audit", b'{"id":"1"}\n')
    headers = {"X-Gitlab-Event-Streaming-Token": "fake-secret"}
    assert hooked(tmp_path, "/webhook/lab", b"{}", headers)[0].status_code == 200
    headers = {"X-Gitlab-Token": "fake-secret", "X-Gitlab-Event": "Push Hook"}
    answer, (one,) = hooked(tmp_path, "/webhook/lab", b'{"object_kind":"push"}', headers)
    assert (one.source, orjson.loads(one.data)["payload"]) == ("gitlab_webhook", {"object_kind": "push"})
    answer, deliveries = hooked(tmp_path, "/webhook/lab", b"{}", {"X-Gitlab-Token": "other"})
    assert (answer.status_code, deliveries) == (401, [])
    key = base64.b64decode(ENVIRONMENT["SIGNING"].removeprefix("whsec_"))
    body = b'{"object_kind":"push"}'
    for stamp, status in ((NOW // 1000, 200), (NOW // 1000 - 301, 401), (NOW // 1000 + 299, 200)):
        mac = hmac.new(key, b"m-1.%d." % stamp + body, hashlib.sha256).digest()
        headers = {
            "webhook-id": "m-1", "webhook-timestamp": str(stamp), "X-Gitlab-Event": "Push Hook",
            "webhook-signature": "v1,AAAA v1," + base64.b64encode(mac).decode(),
        }  # fmt: skip
        answer, deliveries = hooked(tmp_path, "/webhook/signed", body, headers)
        assert answer.status_code == status
        if status == 200:
            said = orjson.loads(deliveries[0].data)
            assert (said["event"], said["delivery"]) == ("Push Hook", "m-1")
    del headers["webhook-signature"]
    assert hooked(tmp_path, "/webhook/signed", body, headers)[0].status_code == 401


def test_slack_signs_with_the_time(tmp_path):
    body = b'{"type":"event_callback","event_id":"Ev1","event":{"type":"message"}}'

    def headers(stamp, of=body):
        return {
            "X-Slack-Request-Timestamp": str(stamp),
            "X-Slack-Signature": "v0=" + sign(b"v0:%d:" % stamp + of),
        }

    now = NOW // 1000
    answer, (one,) = hooked(tmp_path, "/webhook/chat", body, headers(now))
    said = orjson.loads(one.data)
    assert (one.source, said["event"], said["delivery"]) == ("slack_events", "message", "Ev1")
    assert hooked(tmp_path, "/webhook/chat", body, headers(now - 301))[0].status_code == 401
    assert hooked(tmp_path, "/webhook/chat", body + b" ", headers(now))[0].status_code == 401
    asked = b'{"type":"url_verification","challenge":"c-1"}'
    answer, deliveries = hooked(tmp_path, "/webhook/chat", asked, headers(now, asked))
    assert (answer.text, deliveries) == ("c-1", [])


def test_other_webhooks_and_other_bodies_are_refused(tmp_path):
    assert hooked(tmp_path, "/webhook/none", b"{}", {})[0].status_code == 404
    body = b"no json"
    headers = {"X-Hub-Signature-256": f"sha256={sign(body)}"}
    assert hooked(tmp_path, "/webhook/hub", body, headers)[0].status_code == 400
