"""Signatures of webhooks: that a body is of who has the secret, and not of long ago.

GitHub: X-Hub-Signature-256, HMAC-SHA256 of the body. Slack: X-Slack-Signature ``v0``, over the time and the
body. GitLab: X-Gitlab-Token (of streamed audit events X-Gitlab-Event-Streaming-Token), the secret itself, or
its signing token by Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature ``v1``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

WINDOW_S = 300
_PREFIX = "whsec_"


class SignatureError(Exception):
    """A body whose sender is not known to have the secret; the text says why."""


def github(headers: Mapping[str, str], body: bytes, secret: str) -> None:
    """Raise SignatureError unless GitHub's signature holds."""
    given = headers.get("x-hub-signature-256", "")
    wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    _same(given, wanted, "X-Hub-Signature-256")


def slack(headers: Mapping[str, str], body: bytes, secret: str, now_s: int) -> None:
    """Raise SignatureError unless Slack's signature holds and is of the last five minutes."""
    stamp = headers.get("x-slack-request-timestamp", "")
    signed = b"v0:" + stamp.encode() + b":" + body
    wanted = "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    _same(headers.get("x-slack-signature", ""), wanted, "X-Slack-Signature")
    _fresh(stamp, now_s)


def gitlab(headers: Mapping[str, str], body: bytes, secret: str, now_s: int) -> None:
    """Raise SignatureError unless GitLab's token is the secret; a ``whsec_…`` secret has to have signed."""
    if not secret.startswith(_PREFIX):
        given = headers.get("x-gitlab-token", "") or headers.get("x-gitlab-event-streaming-token", "")
        _same(given, secret, "X-Gitlab-Token")
        return
    standard(headers, body, secret, now_s)


def standard(headers: Mapping[str, str], body: bytes, secret: str, now_s: int) -> None:
    """Raise SignatureError unless a signature of Standard Webhooks holds and is of the last five minutes.

    The key is what ``whsec_…`` says in Base64, or the bytes of a secret that does not begin so.
    """
    key = _key(secret)
    stamp = headers.get("webhook-timestamp", "")
    name = headers.get("webhook-id", "")
    if not name:
        raise SignatureError("webhook-id is needed")
    signed = f"{name}.{stamp}.".encode() + body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    signatures = headers.get("webhook-signature", "").split()
    if not any(hmac.compare_digest(one.encode(), wanted.encode()) for one in signatures):
        raise SignatureError(
            "webhook-signature does not hold" if signatures else "webhook-signature is needed"
        )
    _fresh(stamp, now_s)


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise SignatureError("the secret in the settings is no signing token") from error


def _same(given: str, wanted: str, name: str) -> None:
    if not given:
        raise SignatureError(f"{name} is needed")
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode()):
        raise SignatureError(f"{name} does not hold")


def _fresh(stamp: str, now_s: int) -> None:
    if not stamp.isdecimal() or abs(now_s - int(stamp[:15])) > WINDOW_S:
        raise SignatureError(f"signed more than {WINDOW_S} s from now")
