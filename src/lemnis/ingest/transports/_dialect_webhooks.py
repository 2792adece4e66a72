"""Webhooks: ``POST /webhook/{name}`` of GitHub, GitLab and Slack, taken if their signature holds.

A delivery becomes one line, ``{"event", "delivery", "received_at", "payload"}``. GitLab's audit events, which
it streams to the same kind of address, are the payload alone; ``envelope`` says it for all.

GitHub signs the body and nothing else, neither a time nor the delivery's id: who has a body may send it again
under any id. So its line also has ``body_sha256``, by which the source names the record: what comes again is
the same event, whenever that is. What comes again soon is answered, and not stored.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

import orjson
import pydantic
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lemnis.content.schemas import Model
from lemnis.content.schemas.settings import Name, Variable
from lemnis.contracts.clock import to_iso
from lemnis.contracts.receiving import Delivery
from lemnis.ingest import signatures
from lemnis.ingest.transports import Setup
from lemnis.ingest.transports._desk import Desk, RefusedError
from lemnis.ingest.transports._dialect_hec import dumped
from lemnis.ingest.transports._dialect_ndjson import refusal

_SEEN = 50_000
"""So many bodies that came are remembered by their digests, for each webhook."""
_LONGEST_ID = 128
_log = logging.getLogger(__name__)
_SOURCES = {"github": "github_webhook", "gitlab": "gitlab_webhook", "slack": "auto"}
_STREAMED = "gitlab_audit"
_EVENT = {"github": "x-github-event", "gitlab": "x-gitlab-event", "slack": ""}
_DELIVERY = {"github": "x-github-delivery", "gitlab": "webhook-id", "slack": ""}


class Webhook(Model):
    """One webhook: whose it is, its secret (in a variable or a file), the source of what it brings."""

    name: Name
    kind: Literal["github", "gitlab", "slack"]
    secret_env: Variable = ""
    secret_file: str = ""
    source: str = ""
    envelope: bool | None = None

    @pydantic.model_validator(mode="after")
    def _from_one_place(self) -> Webhook:
        if bool(self.secret_env) == bool(self.secret_file):
            raise ValueError("give `secret_env` or `secret_file`")
        return self


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook with its secret."""

    settings: Webhook
    secret: str

    @classmethod
    def of(cls, settings: Webhook, setup: Setup) -> Hook:
        """Read the secret; raises UsageError where it is not there."""
        return cls(settings, setup.secret(env=settings.secret_env, file=settings.secret_file))

    def source(self, headers: Mapping[str, str]) -> str:
        """Return the source of what it brings."""
        return self.settings.source or (
            _STREAMED if self._streamed(headers) else _SOURCES[self.settings.kind]
        )

    def _streamed(self, headers: Mapping[str, str]) -> bool:
        """Say whether it is an audit event that GitLab streams: those name no event of a webhook."""
        return self.settings.kind == "gitlab" and _EVENT["gitlab"] not in headers

    def check(self, headers: Mapping[str, str], body: bytes, now_s: int) -> None:
        """Raise SignatureError unless who sent it has the secret."""
        if self.settings.kind == "github":
            signatures.github(headers, body, self.secret)
        elif self.settings.kind == "gitlab":
            signatures.gitlab(headers, body, self.secret, now_s)
        else:
            signatures.slack(headers, body, self.secret, now_s)

    def line(self, headers: Mapping[str, str], payload: Mapping[str, Any], now: int, body: str = "") -> bytes:
        """Return a delivery as a record; ``body`` is the digest of what was signed."""
        kind, envelope = self.settings.kind, self.settings.envelope
        if not (not self._streamed(headers) if envelope is None else envelope):
            return dumped(payload)
        inner = payload.get("event")
        event = headers.get(_EVENT[kind], "") or (inner.get("type", "") if isinstance(inner, dict) else "")
        delivery = headers.get(_DELIVERY[kind], "") or str(payload.get("event_id", ""))
        around = {"event": event or str(payload.get("type", "")), "delivery": delivery}
        if kind == "github":
            around["body_sha256"] = body
        return dumped({**around, "received_at": to_iso(now), "payload": payload})


@dataclass(slots=True)
class _Seen:
    """The bodies that came last, by digest, with their deliveries' ids."""

    known: OrderedDict[str, str] = field(default_factory=OrderedDict)

    def again(self, hook: str, body: str, delivery: str) -> bool:
        """Say whether a body came before; under another id that is told, for it may be a replay."""
        before = self.known.get(body)
        if before is not None and before != delivery:
            _log.warning("webhook %s: the body of delivery %s came again as %s", hook, before, delivery)
        return before is not None

    def add(self, body: str, delivery: str) -> None:
        """Remember a body that is stored."""
        self.known[body] = delivery
        while len(self.known) > _SEEN:
            self.known.popitem(last=False)


def routes(desk: Desk, hooks: Sequence[Hook]) -> list[Route]:
    """Return the dialect's routes."""
    by_name = {hook.settings.name: hook for hook in hooks}
    seen = {hook.settings.name: _Seen() for hook in hooks if hook.settings.kind == "github"}

    async def webhook(request: Request) -> Response:
        hook = by_name.get(request.path_params["name"])
        if hook is None:
            raise RefusedError("data", "no such webhook", status=404)
        sender = desk.stranger(request)  # until its signature was checked
        now = desk.clock.now()
        async with desk.body(request, sender) as body:
            try:
                hook.check(request.headers, body, now // 1000)
            except signatures.SignatureError as error:
                raise RefusedError("unknown_token", str(error), status=401) from error
            payload = _payload(request, body)
            if hook.settings.kind == "slack" and payload.get("type") == "url_verification":
                return PlainTextResponse(str(payload.get("challenge", "")))
            name, digest = hook.settings.name, hashlib.sha256(body).hexdigest()
            delivery = request.headers.get(_DELIVERY["github"], "")[:_LONGEST_ID]
            if name in seen and seen[name].again(name, digest, delivery):
                return JSONResponse({"taken": 0, "duplicate": True})
            line = hook.line(request.headers, payload, now, digest)
            await desk.take(sender, [Delivery(hook.source(request.headers), f"webhook {name}", line)])
            if name in seen:
                seen[name].add(digest, delivery)
        return JSONResponse({"taken": len(line)})

    return [Route("/webhook/{name}", desk.endpoint("webhook", refusal, webhook), methods=["POST"])]


def _payload(request: Request, body: bytes) -> Mapping[str, Any]:
    """Return what was sent: JSON, or JSON in the member ``payload`` of a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            form = parse_qs(body.decode(), max_num_fields=64)
            found = orjson.loads(form["payload"][0])
        else:
            found = orjson.loads(body)
    except (ValueError, KeyError) as error:
        raise RefusedError("data", f"the payload is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise RefusedError("data", "the payload is no object")
    return found
