"""What events say of a cause: the permission that a call used, the way that a connection took.

Rows are events as rules see them (``lessons.shapes``). What says nothing for sure gives nothing.
"""

from __future__ import annotations

import ipaddress
import re

from lemnis.lessons.derive import Row
from lemnis.lessons.places import destination
from lemnis.lessons.prevent.base import Flow, Grant

_DATED = re.compile(r"\d{8}(?:v\d+)?$")  # Lambda's calls carry the date of their interface
_CALLED = {
    ("s3", "HeadObject"): "GetObject",
    ("s3", "CopyObject"): "PutObject",
    ("s3", "DeleteObjects"): "DeleteObject",
    ("s3", "HeadBucket"): "ListBucket",
    ("s3", "ListObjects"): "ListBucket",
    ("s3", "ListObjectsV2"): "ListBucket",
    ("s3", "ListObjectVersions"): "ListBucketVersions",
    ("s3", "ListBuckets"): "ListAllMyBuckets",
    ("lambda", "Invoke"): "InvokeFunction",
}
"""Operations whose permission is called otherwise (AWS Service Authorization Reference)."""
_SERVICES = {"monitoring": "cloudwatch", "email": "ses"}
"""Endpoints whose service prefix is another (the same)."""
_NO_PERMISSION = frozenset({"signin", "sts:GetCallerIdentity"})
"""What nobody needs a permission for."""
_EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


def grant(row: Row) -> Grant | None:
    """Return the permission that a call of AWS used; None where it was refused, or needs none.

    Rows have CloudTrail's ``eventSource``, ``eventName``, ``errorCode`` and ``userIdentity.arn``.
    """
    endpoint, called = (row.get("eventSource") or "").partition(".")[0], row.get("eventName") or ""
    if not endpoint or not called or row.get("errorCode"):
        return None
    service, name = _SERVICES.get(endpoint, endpoint), _DATED.sub("", called)
    action = f"{service}:{_CALLED.get((service, name), name)}"
    if service in _NO_PERMISSION or action in _NO_PERMISSION:
        return None
    return Grant(row.get("userIdentity.arn") or "", action)


def flow(row: Row, where: str) -> Flow | None:
    """Return the way that a connection took out of a ``cloud`` or ``cluster``; None for what has no address.

    Rows have ``DestinationIp`` and ``DestinationPort``. To the internet any address would have done, so the
    way is the one to everywhere; within, and to a metadata service, it is the one to the address.
    """
    address, port = row.get("DestinationIp") or "", row.get("DestinationPort") or ""
    kind = destination(address)
    if not kind or not port.isdecimal():
        return None
    one = ipaddress.ip_address(address)
    peer = _EVERYWHERE[one.version] if kind == "public" else str(ipaddress.ip_network(one))
    return Flow(where, "egress", peer, int(port))
