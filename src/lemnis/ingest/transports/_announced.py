"""Objects that a message announces: S3's notifications, also through SNS and EventBridge, CloudTrail's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import orjson

_SNS_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Object:
    """An object that has come; ``size`` in bytes as announced, 0 if it was not."""

    bucket: str
    key: str
    size: int = 0


def objects(body: str) -> list[Object]:
    """Return what a message announces: nothing for test events and for what was removed.

    S3 writes keys in its own notifications as forms do (``+`` for a space), elsewhere as they are. Raises
    ValueError, saying why, for a message that is none of these.
    """
    return _objects(body, 0)


def _objects(body: str, depth: int) -> list[Object]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the message is no JSON: {error}") from error
    if not isinstance(said, dict):
        raise ValueError("the message is no JSON object")  # noqa: TRY004 - what was sent is at fault
    if said.get("Event") == "s3:TestEvent":
        return []
    if said.get("Type") == "Notification" and isinstance(said.get("Message"), str) and depth < _SNS_DEPTH:
        if said["Message"].startswith("CloudTrail validation message"):
            return []
        return _objects(said["Message"], depth + 1)
    if isinstance(said.get("Records"), list):
        return [one for record in said["Records"] for one in _record(record)]
    if said.get("source") == "aws.s3" and isinstance(said.get("detail"), dict):
        return _event(said)
    if isinstance(said.get("s3Bucket"), str) and isinstance(said.get("s3ObjectKey"), list):
        return [Object(said["s3Bucket"], _text(key)) for key in said["s3ObjectKey"]]
    raise ValueError("the message announces no object: neither S3, SNS, EventBridge nor CloudTrail wrote it")


def _record(record: Any) -> list[Object]:
    """Read a record of S3's own notifications (event version 2)."""
    if not isinstance(record, dict) or record.get("eventSource") != "aws:s3":
        raise ValueError("a record of the message is none of S3")
    if not _text(record.get("eventName")).startswith(("ObjectCreated:", "s3:ObjectCreated:")):
        return []
    entity = _member(record, "s3")
    found = _member(entity, "object")
    key = unquote_plus(_text(found.get("key")))
    return [Object(_text(_member(entity, "bucket").get("name")), key, _size(found))]


def _event(said: Mapping[str, Any]) -> list[Object]:
    """Read an EventBridge event of S3."""
    if said.get("detail-type") != "Object Created":
        return []
    found = _member(said["detail"], "object")
    bucket = _text(_member(said["detail"], "bucket").get("name"))
    return [Object(bucket, _text(found.get("key")), _size(found))]


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    if not isinstance(found, dict):
        raise ValueError(f"the message has no {name!r} where S3 writes one")  # noqa: TRY004 - the same
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("the message lacks a name, a key or a bucket where S3 writes one")
    return value


def _size(found: Mapping[str, Any]) -> int:
    size = found.get("size")
    return size if isinstance(size, int) else 0
