"""The simulated cloud: an instance metadata service, and an API that logs each call as CloudTrail does.

Calls are really made: the address is the socket's, the caller is whose key signed the request (AWS Signature
Version 4, verified), and whether it may is decided by the policies below, before anything is written.

    python3 cloud.py LOG        (in the namespace that has the addresses)
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import plan
import sigv4

STARTED = dt.datetime.now(dt.UTC).replace(microsecond=0)
TOKEN = "EXAMPLETOKEN" * 6
READS = ("Get", "List", "Describe", "Head", "BatchGet", "BatchCheck")


def _role(name: str, number: str, session: str, key: str, **more: Any) -> dict[str, Any]:
    principal = f"AROAEXAMPLE{number}"
    return {
        "type": "AssumedRole",
        "principalId": f"{principal}:{session}",
        "arn": f"arn:aws:sts::{plan.ACCOUNT}:assumed-role/{name}/{session}",
        "accountId": plan.ACCOUNT,
        "accessKeyId": key,
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": principal,
                "arn": f"arn:aws:iam::{plan.ACCOUNT}:role/{name}",
                "accountId": plan.ACCOUNT,
                "userName": name,
            },
            "attributes": {"creationDate": _iso(STARTED), "mfaAuthenticated": "false"},
            **more,
        },
    }


def _user(name: str, key: str) -> dict[str, Any]:
    return {
        "type": "IAMUser",
        "principalId": f"AIDAEXAMPLE{name.upper()}",
        "arn": f"arn:aws:iam::{plan.ACCOUNT}:user/{name}",
        "accountId": plan.ACCOUNT,
        "accessKeyId": key,
        "userName": name,
    }


def _iso(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


# Whose key it is: the identity, what it may do (service:Action, * at the end), and whether a token is needed.
CALLERS: dict[str, tuple[dict[str, Any], tuple[str, ...], bool]] = {
    plan.NODE_KEY: (
        _role(plan.ROLE, "NODE00000", plan.INSTANCE, plan.NODE_KEY, ec2RoleDelivery="1.0"),
        ("s3:PutObject", "s3:GetObject", "s3:ListObjects", "s3:ListBuckets", "sts:GetCallerIdentity"),
        True,
    ),
    plan.DEPLOY_KEY: (
        _role("shop-deploy", "DEPLOY000", "release-job", plan.DEPLOY_KEY),
        ("ecr:*", "eks:DescribeCluster", "sts:GetCallerIdentity"),
        True,
    ),
    plan.TERRAFORM_KEY: (
        _role("shop-terraform", "TERRAFORM", "plan-job", plan.TERRAFORM_KEY),
        ("iam:Get*", "iam:List*", "s3:Get*", "s3:List*", "ec2:Describe*", "sts:GetCallerIdentity"),
        True,
    ),
    **{
        key: (
            _user(name, key),
            ("ec2:Describe*", "s3:List*", "monitoring:*", "eks:*", "sts:GetCallerIdentity"),
            False,
        )
        for name, key in plan.OPERATOR_KEYS.items()
    },
}
S3_CALLS = {
    ("GET", 0): "ListBuckets",
    ("GET", 1): "ListObjects",
    ("PUT", 2): "PutObject",
    ("GET", 2): "GetObject",
}


class Trail:
    """The log: one record a line, as CloudTrail writes it into the Records of its files."""

    def __init__(self, path: Path) -> None:
        """Open the log for appending."""
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, record: dict[str, Any]) -> None:
        """Append a record."""
        with self._lock:
            self._file.write(json.dumps(record, separators=(",", ":")) + "\n")
            self._file.flush()


class Metadata(BaseHTTPRequestHandler):
    """The instance metadata service (version 1, which answers whoever asks)."""

    server_version, sys_version = "EC2ws", ""

    def do_GET(self) -> None:
        """Answer with a value or a list of names."""
        roles = "/latest/meta-data/iam/security-credentials/"
        expires = STARTED + dt.timedelta(hours=6)
        text = {
            "/latest/meta-data/": "hostname\niam/\ninstance-id\nlocal-ipv4",
            "/latest/meta-data/instance-id": plan.INSTANCE,
            "/latest/meta-data/hostname": plan.NODE,
            "/latest/meta-data/local-ipv4": plan.NODE_ADDRESS,
            "/latest/meta-data/iam/": "info\nsecurity-credentials/",
            roles: plan.ROLE,
            roles + plan.ROLE: json.dumps(
                {
                    "Code": "Success",
                    "LastUpdated": _iso(STARTED),
                    "Type": "AWS-HMAC",
                    "AccessKeyId": plan.NODE_KEY,
                    "SecretAccessKey": plan.EXAMPLE_SECRET,
                    "Token": TOKEN,
                    "Expiration": _iso(expires),
                },
                indent=2,
            ),
        }.get(self.path)
        _answer(self, 404 if text is None else 200, (text or "Not Found").encode(), "text/plain")

    def log_message(self, *_: object) -> None:
        """Nothing is logged: no cloud logs its metadata service."""


class Api(BaseHTTPRequestHandler):
    """The cloud API: S3 by path, the others by their Action or target."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Server", ""
    timeout = 20
    trail: Trail
    objects: dict[str, bytes]

    def do_GET(self) -> None:
        """Answer a call."""
        self._call()

    def do_PUT(self) -> None:
        """Answer a call."""
        self._call()

    def do_POST(self) -> None:
        """Answer a call."""
        self._call()

    def log_message(self, *_: object) -> None:
        """The trail is the log."""

    def _call(self) -> None:
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 1_000_000))
        headers = {name.lower(): value for name, value in self.headers.items()}
        signed = sigv4.CREDENTIAL.fullmatch(headers.get("authorization", ""))
        if signed is None or signed[1] not in CALLERS:
            _answer(self, 403, b"InvalidClientTokenId", "text/plain")
            return
        key, day, region, service, names, made = signed.groups()
        identity, allowed, with_token = CALLERS[key]
        url = urlsplit(self.path)
        expected = sigv4.signature(
            secret=plan.EXAMPLE_SECRET, method=self.command, path=url.path, query=url.query, headers=headers,
            names=names, body=body, day=day, region=region, service=service,
        )  # fmt: skip
        if made != expected or (with_token and headers.get("x-amz-security-token") != TOKEN):
            _answer(self, 403, b"SignatureDoesNotMatch", "text/plain")
            return
        action, parameters = _action(service, self.command, url.path, body, headers)
        may = any(_covers(one, f"{service}:{action}") for one in allowed)
        self.trail.write(self._record(identity, service, action, parameters, may=may))
        if may:
            _answer(self, 200, self._result(identity, service, action, url.path, body), "application/json")
        else:
            _answer(self, 403, b'{"__type":"AccessDenied"}', "application/json")

    def _record(
        self, identity: dict[str, Any], service: str, action: str, parameters: dict[str, str], *, may: bool
    ) -> dict[str, Any]:
        data = service == "s3" and action in {"PutObject", "GetObject"}
        denied = {
            "errorCode": "AccessDenied",
            "errorMessage": f"User: {identity['arn']} is not authorized to perform: {service}:{action} "
            f"because no identity-based policy allows the {service}:{action} action",
        }
        return {
            "eventVersion": "1.11",
            "userIdentity": identity,
            "eventTime": _iso(dt.datetime.now(dt.UTC)),
            "eventSource": f"{service}.amazonaws.com",
            "eventName": action,
            "awsRegion": plan.REGION if service != "iam" else "us-east-1",
            "sourceIPAddress": self.client_address[0],
            "userAgent": self.headers.get("User-Agent", "-"),
            **({} if may else denied),
            "requestParameters": parameters or None,
            "responseElements": None,
            "requestID": str(uuid.uuid4()),
            "eventID": str(uuid.uuid4()),
            "readOnly": action.startswith(READS),
            "eventType": "AwsApiCall",
            "managementEvent": not data,
            "recipientAccountId": plan.ACCOUNT,
            "eventCategory": "Data" if data else "Management",
        }

    def _result(self, identity: dict[str, Any], service: str, action: str, path: str, body: bytes) -> bytes:
        if service == "s3" and action == "PutObject":
            self.objects[path] = body
        if service == "s3" and action == "GetObject":
            return self.objects.get(path, b"")
        result: dict[str, Any] = {"Action": action}
        if action == "GetCallerIdentity":
            result |= {"Account": plan.ACCOUNT, "Arn": identity["arn"], "UserId": identity["principalId"]}
        if action == "ListBuckets":
            result |= {"Buckets": [plan.BUCKET]}
        if action == "ListObjects":
            result |= {"Keys": sorted(self.objects)[:50]}
        return json.dumps(result).encode()


def _action(
    service: str, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[str, dict[str, str]]:
    """Return the operation's name and its parameters."""
    if service == "s3":
        parts = [part for part in path.split("/") if part]
        names = dict(
            zip(("bucketName", "key"), [parts[0], "/".join(parts[1:])] if parts else [], strict=False)
        )
        return S3_CALLS.get((method, min(len(parts), 2)), "Unknown"), {k: v for k, v in names.items() if v}
    if "x-amz-target" in headers:
        return headers["x-amz-target"].rpartition(".")[2], json.loads(body or b"{}")
    fields = dict(parse_qsl(body.decode()))
    action = fields.pop("Action", "Unknown")
    fields.pop("Version", None)
    return action, {name[:1].lower() + name[1:]: value for name, value in fields.items()}


def _covers(pattern: str, action: str) -> bool:
    return action == pattern or (pattern.endswith("*") and action.startswith(pattern[:-1]))


def _answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Threads that end with the program; a queue for bursts."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up without having read the answer; the shop does."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve both until the program is ended."""
    Api.trail, Api.objects = Trail(Path(sys.argv[1])), {}
    threading.Thread(target=Server((plan.METADATA, 80), Metadata).serve_forever, daemon=True).start()
    Server((plan.API, 80), Api).serve_forever()


if __name__ == "__main__":
    main()
