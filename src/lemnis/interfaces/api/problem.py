"""Errors as problem documents (RFC 9457): what is wrong, where, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.responses import Response

from lemnis.contracts.errors import (
    AccessError,
    BusyError,
    InputError,
    IntegrityError,
    LemnisError,
    NotFoundError,
    RefusedError,
    StaleError,
    StrangerError,
)

LOG = logging.getLogger("lemnis.api")
MEDIA = "application/problem+json"
_STATUS: tuple[tuple[type[LemnisError], int, str], ...] = (
    (StrangerError, 401, "stranger"),
    (AccessError, 403, "not-allowed"),
    (NotFoundError, 404, "not-found"),
    (StaleError, 412, "changed-meanwhile"),
    (RefusedError, 409, "refused"),
    (InputError, 422, "bad-input"),
    (IntegrityError, 500, "broken"),
    (BusyError, 429, "busy"),
)
"""In the order in which they are looked for."""


def problem(
    error: LemnisError | None = None,
    *,
    status: int = 503,
    title: str = "",
    fix: str = "",
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
    hide: Callable[[str], str] | None = None,
) -> Response:
    """Return an error as a response: of an error of ours, or of a status and a title.

    ``type`` is a word that stays; ``title`` and ``fix`` are for people. ``hide`` takes names out of both.
    """
    kind, sent = "failed", dict(headers or {})
    document: dict[str, Any] = dict(more or {})
    if error is not None:
        status, kind = next(((s, k) for type_, s, k in _STATUS if isinstance(error, type_)), (503, "failed"))
        title, fix = (hide(text) if hide is not None else text for text in (error.what, error.fix))
        if error.at is not None and isinstance(error, InputError):
            document["where"] = str(error.at)
        if isinstance(error, BusyError):
            sent["retry-after"] = str(max(1, round(error.retry_after_s)))
        if isinstance(error, StrangerError):
            sent["www-authenticate"] = 'Bearer realm="lemnis"'
        if status >= 500:  # noqa: PLR2004 - of HTTP
            LOG.error("a request failed: %s", error)
    else:
        kind = {400: "bad-request", 404: "not-found", 405: "bad-method", 412: "changed-meanwhile"}.get(
            status, kind if status >= 500 else "refused"  # noqa: PLR2004 - of HTTP
        )  # fmt: skip
    document = {
        "type": f"urn:lemnis:problem:{kind}",
        "title": title,
        "status": status,
        "fix": fix,
        **document,
    }
    return Response(orjson.dumps(document), status, sent, MEDIA)
