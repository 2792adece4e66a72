"""EC2's query API and S3's REST API, as far as actions use them; part of ``lemnis.testing.aws``."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from lemnis.testing.server import Asked, Reply

_FLAGS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_XMLNS = "http://ec2.amazonaws.com/doc/2016-11-15/"
_S3 = "http://s3.amazonaws.com/doc/2006-03-01/"
_Said = tuple[Reply, str]


class Service(Protocol):
    """Answers one service's requests."""

    def answer(self, asked: Asked) -> _Said:
        """Return the answer, and what was changed, if anything."""
        ...


class Compute:
    """EC2: instances with their security groups, volumes and their snapshots."""

    def __init__(self, instances: Mapping[str, Iterable[str]], volumes: Iterable[str]) -> None:
        """``instances`` are ids with the ids of their groups."""
        self._instances = {name: list(groups) for name, groups in instances.items()}
        self._volumes = set(volumes)
        self._snapshots: dict[str, dict[str, str]] = {}

    def answer(self, asked: Asked) -> _Said:
        """Answer as EC2 does."""
        fields = dict(parse_qsl(asked.body.decode("utf-8", "replace"), keep_blank_values=True))
        known: Mapping[str, Callable[[dict[str, str]], _Said]] = {
            "DescribeInstances": self._instance, "ModifyInstanceAttribute": self._modify,
            "CreateSnapshot": self._snapshot, "DescribeSnapshots": self._list,
        }  # fmt: skip
        action = fields.get("Action", "")
        if action not in known or fields.get("Version") != "2016-11-15":
            return _wrong("InvalidAction", f"The action {action} is not valid for this web service."), ""
        return known[action](fields)

    def _instance(self, fields: dict[str, str]) -> _Said:
        name = fields.get("InstanceId.1", "")
        if name not in self._instances:
            return _gone(name), ""
        groups = "".join(
            f"<item><groupId>{group}</groupId><groupName>{group}</groupName></item>"
            for group in self._instances[name]
        )
        inner = (
            f"<reservationSet><item><instancesSet><item><instanceId>{escape(name)}</instanceId>"
            f"<groupSet>{groups}</groupSet></item></instancesSet></item></reservationSet>"
        )
        return _response("DescribeInstances", inner), ""

    def _modify(self, fields: dict[str, str]) -> _Said:
        name = fields.get("InstanceId", "")
        groups = [text for key, text in sorted(fields.items()) if key.startswith("GroupId.")]
        if name not in self._instances:
            return _gone(name), ""
        if not groups:
            return _wrong("InvalidParameterCombination", "No attributes specified."), ""
        self._instances[name] = groups
        done = _response("ModifyInstanceAttribute", "<return>true</return>")
        return done, f"groups {name} {','.join(groups)}"

    def _snapshot(self, fields: dict[str, str]) -> _Said:
        volume = fields.get("VolumeId", "")
        if volume not in self._volumes:
            return _wrong("InvalidVolume.NotFound", f"The volume '{volume}' does not exist."), ""
        name = f"snap-{len(self._snapshots) + 1:017x}"
        head = "TagSpecification.1.Tag."
        tags = {
            fields[f"{head}{number}.Key"]: fields.get(f"{head}{number}.Value", "")
            for number in range(1, 51)
            if f"{head}{number}.Key" in fields
        }
        self._snapshots[name] = {"volumeId": volume, **{f"tag:{key}": text for key, text in tags.items()}}
        inner = f"<snapshotId>{name}</snapshotId><volumeId>{volume}</volumeId><status>pending</status>"
        return _response("CreateSnapshot", inner), f"snapshot {volume}"

    def _list(self, fields: dict[str, str]) -> _Said:
        name, wanted = fields.get("Filter.1.Name", ""), fields.get("Filter.1.Value.1", "")
        items = "".join(
            f"<item><snapshotId>{key}</snapshotId><volumeId>{one['volumeId']}</volumeId><tagSet>"
            + "".join(
                f"<item><key>{escape(tag[4:])}</key><value>{escape(text)}</value></item>"
                for tag, text in one.items() if tag.startswith("tag:")
            )
            + "</tagSet></item>"
            for key, one in self._snapshots.items() if one.get(name) == wanted
        )  # fmt: skip
        return _response("DescribeSnapshots", f"<snapshotSet>{items}</snapshotSet>"), ""


class Storage:
    """S3, by path: the public access block of buckets."""

    def __init__(self, buckets: Iterable[str]) -> None:
        """``buckets`` are their names; none of them blocks anything."""
        self._buckets: dict[str, dict[str, str] | None] = dict.fromkeys(buckets)

    def answer(self, asked: Asked) -> _Said:
        """Answer as S3 does."""
        bucket = asked.path.strip("/")
        if bucket not in self._buckets:
            return _failed(404, "NoSuchBucket", "The specified bucket does not exist"), ""
        if dict(parse_qsl(asked.query, keep_blank_values=True)) != {"publicAccessBlock": ""}:
            return _failed(501, "NotImplemented", "this is not simulated"), ""
        if asked.method == "PUT":
            return self._put(asked, bucket)
        block = self._buckets[bucket]
        if block is None or asked.method != "GET":
            text = "The public access block configuration was not found"
            return _failed(404, "NoSuchPublicAccessBlockConfiguration", text), ""
        inner = "".join(f"<{name}>{text}</{name}>" for name, text in block.items())
        name = "PublicAccessBlockConfiguration"
        return Reply(200, f'<{name} xmlns="{_S3}">{inner}</{name}>'.encode(), "application/xml"), ""

    def _put(self, asked: Asked, bucket: str) -> _Said:
        md5 = base64.b64encode(hashlib.md5(asked.body, usedforsecurity=False).digest()).decode()
        if asked.headers.get("content-md5") != md5:
            return _failed(400, "InvalidRequest", "Missing required header for this request: Content-MD5"), ""
        try:
            root = ET.fromstring(asked.body)  # noqa: S314 - what a test sends
        except ET.ParseError:
            return _failed(400, "MalformedXML", "The XML you provided was not well-formed"), ""
        given = {node.tag.rpartition("}")[2]: node.text or "" for node in root}
        block = {name: given.get(name, "false") for name in _FLAGS}
        self._buckets[bucket] = block
        return Reply(200), f"block {bucket} {','.join(block.values())}"


def _response(action: str, inner: str) -> Reply:
    text = f'<{action}Response xmlns="{_XMLNS}"><requestId>0</requestId>{inner}</{action}Response>'
    return Reply(200, text.encode(), "text/xml;charset=UTF-8")


def _gone(name: str) -> Reply:
    return _wrong("InvalidInstanceID.NotFound", f"The instance ID '{name}' does not exist")


def _wrong(code: str, message: str) -> Reply:
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    text = f"<Response><Errors>{error}</Errors><RequestID>0</RequestID></Response>"
    return Reply(400, text.encode(), "text/xml;charset=UTF-8")


def _failed(status: int, code: str, message: str) -> Reply:
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return Reply(status, text.encode(), "application/xml")
