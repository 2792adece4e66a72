"""The bucket, reached with the credentials that the node's metadata service hands out."""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import time

METADATA = os.environ.get("SHOP_METADATA", "169.254.169.254")
ENDPOINT = os.environ.get("SHOP_BUCKET_ENDPOINT", "")
REGION = "eu-central-1"
BUCKET = "shop-invoices"
ROLES = "/latest/meta-data/iam/security-credentials/"
WAIT = 5
RENEW = 60.0  # seconds
_kept: tuple[float, dict[str, str]] = (0.0, {})


def store(key: str, content: bytes) -> int:
    """Put an object into the bucket and return the status; 0 where no bucket is configured."""
    if not ENDPOINT:
        return 0
    connection = http.client.HTTPConnection(ENDPOINT, timeout=WAIT)
    headers = signed("PUT", ENDPOINT, f"/{BUCKET}/{key}", content, credentials())
    connection.request("PUT", f"/{BUCKET}/{key}", content, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def credentials() -> dict[str, str]:
    """Return the role's credentials; asked for again every minute."""
    global _kept
    since, kept = _kept
    if not kept or time.monotonic() - since > RENEW:
        role = _metadata(ROLES).splitlines()[0]
        kept = json.loads(_metadata(ROLES + role))
        _kept = (time.monotonic(), kept)
    return kept


def signed(method: str, host: str, path: str, content: bytes, keys: dict[str, str]) -> dict[str, str]:
    """Return the headers of a request signed with AWS Signature Version 4."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    body = hashlib.sha256(content).hexdigest()
    headers = {
        "host": host,
        "x-amz-content-sha256": body,
        "x-amz-date": now,
        "x-amz-security-token": keys["Token"],
    }
    names = ";".join(headers)
    request = "\n".join([method, path, "", *(f"{name}:{value}" for name, value in headers.items()), "", names, body])
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = b"AWS4" + keys["SecretAccessKey"].encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    headers["user-agent"] = "shop-stock"
    return headers


def _metadata(path: str) -> str:
    connection = http.client.HTTPConnection(METADATA, timeout=WAIT)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text
