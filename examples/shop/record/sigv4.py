"""AWS Signature Version 4, both ways: what a client sends and what the simulated cloud expects."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping

CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


def signature(
    *,
    secret: str,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    names: str,
    body: bytes,
    day: str,
    region: str,
    service: str,
) -> str:
    """Return the signature of a request; ``headers`` by lower-case name, ``names`` as SignedHeaders."""
    digest = hashlib.sha256(body).hexdigest()
    lines = [f"{name}:{headers.get(name, '').strip()}" for name in names.split(";")]
    request = "\n".join([method, path, query, *lines, "", names, digest])
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            headers["x-amz-date"],
            scope,
            hashlib.sha256(request.encode()).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def sign(
    *,
    key: str,
    secret: str,
    token: str,
    method: str,
    host: str,
    path: str,
    query: str = "",
    body: bytes = b"",
    date: str,
    region: str,
    service: str,
) -> dict[str, str]:
    """Return the headers of a signed request; ``date`` as 20260131T235959Z."""
    headers = {"host": host, "x-amz-date": date}
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(headers)
    made = signature(
        secret=secret,
        method=method,
        path=path,
        query=query,
        headers=headers,
        names=names,
        body=body,
        day=date[:8],
        region=region,
        service=service,
    )
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={made}"
    )
    return headers
