"""A simulated AWS: IAM's roles, users and keys; EC2 and S3 through ``aws_more``. Signatures are checked."""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote
from xml.sax.saxutils import escape

import orjson

from lemnis.respond.sigv4 import Keys, sign
from lemnis.testing.aws_more import Compute, Service, Storage
from lemnis.testing.server import Asked, Reply, Simulator

ACCOUNT = "123456789012"
EXAMPLE_KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
"""The keys of AWS's documentation, which are nobody's."""
_XMLNS = "https://iam.amazonaws.com/doc/2010-05-08/"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_SKEW_SECONDS = 900


class AwsSimulator(Simulator):
    """Knows some roles. A request must be signed with ``keys``, within a quarter of an hour."""

    def __init__(
        self,
        roles: Iterable[str] = (),
        *,
        users: Mapping[str, Iterable[str]] | None = None,
        instances: Mapping[str, Iterable[str]] | None = None,
        volumes: Iterable[str] = (),
        buckets: Iterable[str] = (),
        keys: Keys = EXAMPLE_KEYS,
        port: int = 0,
        delay: float = 0,
    ) -> None:
        """Names: of roles; of users, with their keys; of instances, with their security groups; and so on."""
        super().__init__(port=port, delay=delay)
        self._keys = keys
        self._roles = set(roles)
        self._users = {name: dict.fromkeys(many, "Active") for name, many in (users or {}).items()}
        owners = (*self._roles, *(f"user/{name}" for name in self._users))
        self._policies: dict[str, dict[str, str]] = {owner: {} for owner in owners}
        self._more: Mapping[str, Service] = {"ec2": Compute(instances or {}, volumes), "s3": Storage(buckets)}

    def policies(self, role: str) -> dict[str, str]:
        """Return a role's inline policies: documents by name."""
        with self._lock:
            return dict(self._policies[role])

    def answer(self, asked: Asked) -> Reply:
        """Answer as the service does that the signature names: IAM, EC2 or S3."""
        problem = self._unsigned(asked)
        if problem:
            return _error(403, *problem)
        found = _AUTHORIZATION.fullmatch(asked.headers["authorization"])
        service = found[4] if found else ""
        if service in self._more:
            reply, changed = self._more[service].answer(asked)
            self.changed(changed)
            return reply
        fields = dict(parse_qsl(asked.body.decode("utf-8", "replace"), keep_blank_values=True))
        action, role, user = (fields.get(name, "") for name in ("Action", "RoleName", "UserName"))
        known = {
            "GetRole": self._get_role, "PutRolePolicy": self._put, "GetRolePolicy": self._get,
            "DeleteRolePolicy": self._delete, "PutUserPolicy": self._put, "GetUserPolicy": self._get,
            "DeleteUserPolicy": self._delete, "ListAccessKeys": self._keys_of, "UpdateAccessKey": self._key,
            "GetAccessKeyLastUsed": self._keys_of,
        }  # fmt: skip
        if asked.method != "POST" or action not in known or fields.get("Version") != "2010-05-08":
            return _error(400, "InvalidAction", f"Could not find operation {action} for version 2010-05-08")
        if action == "GetAccessKeyLastUsed":
            return self._owner(fields.get("AccessKeyId", ""))
        kind, name = ("user", user) if "User" in action or "AccessKey" in action else ("role", role)
        if name not in (self._users if kind == "user" else self._roles):
            return _error(404, "NoSuchEntity", f"The {kind} with name {name} cannot be found.")
        return known[action](f"user/{name}" if kind == "user" else name, fields)

    def _owner(self, key: str) -> Reply:
        owner = next((name for name, keys in self._users.items() if key in keys), None)
        if owner is None:
            return _error(404, "NoSuchEntity", f"The Access Key with id {key} cannot be found")
        used = "<AccessKeyLastUsed><Region>N/A</Region><ServiceName>N/A</ServiceName></AccessKeyLastUsed>"
        return _result("GetAccessKeyLastUsed", f"<UserName>{escape(owner)}</UserName>{used}")

    def _keys_of(self, user: str, fields: dict[str, str]) -> Reply:
        del fields
        name = user.removeprefix("user/")
        members = "".join(
            f"<member><UserName>{escape(name)}</UserName><AccessKeyId>{key}</AccessKeyId>"
            f"<Status>{status}</Status></member>"
            for key, status in self._users[name].items()
        )
        inner = f"<IsTruncated>false</IsTruncated><AccessKeyMetadata>{members}</AccessKeyMetadata>"
        return _result("ListAccessKeys", inner)

    def _key(self, user: str, fields: dict[str, str]) -> Reply:
        name, key = user.removeprefix("user/"), fields.get("AccessKeyId", "")
        status = fields.get("Status", "")
        if key not in self._users[name]:
            return _error(404, "NoSuchEntity", f"The Access Key with id {key} cannot be found")
        if status not in {"Active", "Inactive"}:
            return _error(400, "ValidationError", "Value at 'status' failed to satisfy constraint")
        self._users[name][key] = status
        self.changed(f"{status} {name}/{key}")
        return _empty("UpdateAccessKey")

    def _get_role(self, role: str, fields: dict[str, str]) -> Reply:
        del fields
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        inner = f"<Role><Path>/</Path><RoleName>{escape(role)}</RoleName><Arn>{escape(arn)}</Arn></Role>"
        return _result("GetRole", inner)

    def _put(self, role: str, fields: dict[str, str]) -> Reply:
        name, document = fields.get("PolicyName", ""), fields.get("PolicyDocument", "")
        if not re.fullmatch(r"[\w+=,.@-]{1,128}", name):
            return _error(400, "ValidationError", "policyName failed to satisfy constraint")
        try:
            policy = orjson.loads(document)
        except orjson.JSONDecodeError:
            policy = None
        if not isinstance(policy, dict) or not isinstance(policy.get("Statement"), list):
            return _error(400, "MalformedPolicyDocument", "Syntax errors in policy.")
        if any(not re.fullmatch(r"[A-Za-z0-9]*", str(one.get("Sid", ""))) for one in policy["Statement"]):
            return _error(400, "MalformedPolicyDocument", "Statement IDs (SID) must be alpha numeric.")
        self._policies[role][name] = document
        self.changed(f"put {role}/{name}")
        return _empty(fields["Action"])

    def _get(self, role: str, fields: dict[str, str]) -> Reply:
        name = fields.get("PolicyName", "")
        document = self._policies[role].get(name)
        if document is None:
            return _error(404, "NoSuchEntity", f"The role policy with name {name} cannot be found.")
        kind, owner = ("User", role[5:]) if role.startswith("user/") else ("Role", role)
        inner = (
            f"<{kind}Name>{escape(owner)}</{kind}Name><PolicyName>{escape(name)}</PolicyName>"
            f"<PolicyDocument>{quote(document, safe='')}</PolicyDocument>"
        )
        return _result(fields["Action"], inner)

    def _delete(self, role: str, fields: dict[str, str]) -> Reply:
        name = fields.get("PolicyName", "")
        if self._policies[role].pop(name, None) is None:
            return _error(404, "NoSuchEntity", f"The role policy with name {name} cannot be found.")
        self.changed(f"delete {role}/{name}")
        return _empty(fields["Action"])

    def _unsigned(self, asked: Asked) -> tuple[str, str] | None:
        """Say why a request is not believed."""
        found = _AUTHORIZATION.fullmatch(asked.headers.get("authorization", ""))
        if found is None:
            return "MissingAuthenticationToken", "Request is missing Authentication Token"
        access, day, region, service, names = found.groups()
        if access != self._keys.access:
            return "InvalidClientTokenId", "The security token included in the request is invalid."
        stamp = asked.headers.get("x-amz-date", "")
        try:
            at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            return "IncompleteSignature", "the date is no date"
        if abs((datetime.now(UTC) - at).total_seconds()) > _SKEW_SECONDS or not stamp.startswith(day):
            return "SignatureDoesNotMatch", f"Signature expired: {stamp}"
        own = {"host", "x-amz-date", "x-amz-security-token"}
        wanted = sign(
            self._keys, method=asked.method, host=asked.headers.get("host", ""), path=asked.path,
            query=asked.query, body=asked.body, region=region, service=service, at=int(at.timestamp() * 1000),
            headers={name: asked.headers.get(name, "") for name in names.split(";") if name not in own},
        )["Authorization"]  # fmt: skip
        if not hmac.compare_digest(wanted, asked.headers["authorization"]):
            return "SignatureDoesNotMatch", "The request signature we calculated does not match."
        return None


def _result(action: str, inner: str) -> Reply:
    text = (
        f'<{action}Response xmlns="{_XMLNS}"><{action}Result>{inner}</{action}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>"
    )
    return Reply(200, text.encode(), "text/xml")


def _empty(action: str) -> Reply:
    text = (
        f'<{action}Response xmlns="{_XMLNS}"><ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId>'
        f"</ResponseMetadata></{action}Response>"
    )
    return Reply(200, text.encode(), "text/xml")


def _error(status: int, code: str, message: str) -> Reply:
    text = (
        f'<ErrorResponse xmlns="{_XMLNS}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return Reply(status, text.encode(), "text/xml")
