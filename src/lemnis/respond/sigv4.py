"""AWS Signature Version 4, for requests whose body is in memory."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

_ALGORITHM = "AWS4-HMAC-SHA256"
_SAFE = "-_.~"


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials; they never show in a representation."""

    access: str
    secret: str = field(repr=False)
    session: str = field(default="", repr=False)


def sign(
    keys: Keys,
    *,
    method: str,
    host: str,
    path: str,
    query: str = "",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    region: str,
    service: str,
    at: int,
) -> dict[str, str]:
    """Return the headers that sign a request made at an instant: X-Amz-Date, Authorization, and the token.

    ``path`` is the path as it goes out, quoted once; ``headers`` are signed along with host and date.
    """
    stamp = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    signed = {name.lower(): " ".join(value.split()) for name, value in (headers or {}).items()}
    signed |= {"host": host, "x-amz-date": stamp}
    if keys.session:
        signed["x-amz-security-token"] = keys.session
    payload = hashlib.sha256(body).hexdigest()
    own: dict[str, str] = {}
    if service == "s3":  # it wants the body's digest said aloud, and for some requests MD5's too
        own["X-Amz-Content-Sha256"] = payload
        if body:
            own["Content-MD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        signed |= {name.lower(): value for name, value in own.items()}
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        [
            method,
            quote(path or "/", safe="/" + _SAFE),
            _query(query),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            payload,
        ]
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    credential = f"Credential={keys.access}/{scope}"
    result = own | {
        "X-Amz-Date": stamp,
        "Authorization": f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}",
    }
    if keys.session:
        result["X-Amz-Security-Token"] = keys.session
    return result


def _query(query: str) -> str:
    pairs = sorted(
        (quote(key, safe=_SAFE), quote(value, safe=_SAFE))
        for key, value in parse_qsl(query, keep_blank_values=True)
    )
    return "&".join(f"{key}={value}" for key, value in pairs)
