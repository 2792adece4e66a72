"""What AWS' CloudTrail writes of a made-up account, and what Terraform keeps of it: for stories that begin in a cloud."""

import hashlib
import json
import uuid
from base64 import b32encode, b64encode
from datetime import UTC, datetime

ACCOUNT = "111122223333"
REGION = "eu-central-1"
OFFICE, PIPELINE = "203.0.113.10", "203.0.113.40"
"""Where people and pipelines call from."""
CLI, BOTO, TERRAFORM = "aws-cli/2.30.1", "Boto3/1.40.2", "APN/1.0 HashiCorp/1.0 Terraform/1.9.2"
_IDS = uuid.UUID("5b0c3c49-9a0c-4d54-8f0e-0c7d1f5a2f10")


def _digest(name):
    return hashlib.sha512(name.encode()).digest()


def key_id(name, kind="AKIA"):
    """Return an access key's id, made up from a name: written nowhere, so that no scanner takes it for real."""
    return kind + b32encode(_digest(name)).decode()[:16]


def secret_key(name):
    """Return the secret that would belong to it."""
    return b64encode(_digest(f"{name}, secret")).decode()[:40]


def _unique(kind, name):
    return kind + b32encode(_digest(f"{kind} {name}")).decode()[:17]


def user(name, *, key=""):
    """A user of the account, with a long-lived key."""
    return {
        "type": "IAMUser", "principalId": _unique("AIDA", name), "arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
        "accountId": ACCOUNT, "accessKeyId": key or key_id(name), "userName": name,
    }  # fmt: skip


def session(role, name, *, began="2025-11-24T12:00:00Z"):
    """A session of a role, with temporary credentials."""
    issuer = {
        "type": "Role", "principalId": _unique("AROA", role), "arn": f"arn:aws:iam::{ACCOUNT}:role/{role}",
        "accountId": ACCOUNT, "userName": role,
    }  # fmt: skip
    return {
        "type": "AssumedRole", "principalId": f"{issuer['principalId']}:{name}",
        "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}", "accountId": ACCOUNT,
        "accessKeyId": key_id(f"{role}/{name}/{began}", "ASIA"),
        "sessionContext": {
            "sessionIssuer": issuer, "attributes": {"creationDate": began, "mfaAuthenticated": "false"},
        },
    }  # fmt: skip


ANYBODY = {"type": "AWSAccount", "principalId": "", "accountId": "anonymous"}
"""Who signs no request at all."""


class Trail:
    """Gathers records and writes them as CloudTrail delivers them."""

    def __init__(self):
        self.records = []

    def call(self, at, who, action, *, source=OFFICE, agent=CLI, request=None, response=None, error=""):
        """Somebody calls ``service:Operation`` at an instant (ms), from an address, with a program."""
        service, _, name = action.partition(":")
        number = len(self.records)
        record = {
            "eventVersion": "1.11", "userIdentity": who, "eventTime": _time(at), "eventSource": f"{service}.amazonaws.com",
            "eventName": name, "awsRegion": "us-east-1" if service == "iam" else REGION, "sourceIPAddress": source,
            "userAgent": agent, "requestParameters": request, "responseElements": response,
            "requestID": uuid.uuid5(_IDS, f"request {at} {number} {name}").hex[:16].upper(),
            "eventID": str(uuid.uuid5(_IDS, f"event {at} {number} {name} {source}")),
            "readOnly": name.startswith(("Get", "List", "Describe", "Head")), "eventType": "AwsApiCall",
            "managementEvent": True, "recipientAccountId": ACCOUNT, "eventCategory": "Management",
        }  # fmt: skip
        if error:
            record |= {"errorCode": error, "errorMessage": f"not authorized to perform: {action}"}
        self.records.append(record)

    def data(self, at, who, name, bucket, key="", *, source=OFFICE, agent=CLI, error=""):
        """Somebody reads or writes in a bucket (a data event): an object, or without a ``key`` the bucket itself."""
        arn = f"arn:aws:s3:::{bucket}"
        self.call(
            at, who, f"s3:{name}", source=source, agent=f"[{agent}]", error=error,
            request={"bucketName": bucket, "Host": f"{bucket}.s3.{REGION}.amazonaws.com"} | ({"key": key} if key else {}),
        )  # fmt: skip
        whole = {"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": arn}
        part = (
            {"type": "AWS::S3::Object", "ARN": f"{arn}/{key}"}
            if key
            else {"type": "AWS::S3::Object", "ARNPrefix": f"{arn}/"}
        )
        self.records[-1] |= {
            "managementEvent": False, "eventCategory": "Data", "resources": [part, whole],
            "additionalEventData": {"SignatureVersion": "SigV4", "AuthenticationMethod": "AuthHeader"} if "arn" in who else {},
        }  # fmt: skip

    def write(self, folder, name="trail.json"):
        """Write the file that CloudTrail would deliver; return it as logs are given."""
        ordered = sorted(self.records, key=lambda one: (one["eventTime"], one["eventID"]))
        path = folder / name
        path.write_text(json.dumps({"Records": ordered}), encoding="utf-8")
        return [("aws_cloudtrail", path)]


def _time(at):
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def state(*resources, serial=7):
    """Return a Terraform state (version 4) of resources: (type, name, attributes, what they depend on, module)."""
    made = []
    for kind, name, attributes, depends, *module in resources:
        one = {"mode": "managed", "type": kind, "name": name}
        one |= {"provider": 'provider["registry.example/hashicorp/aws"]'} | (
            {"module": module[0]} if module else {}
        )
        instance = {"schema_version": 0, "attributes": attributes, "dependencies": list(depends)}
        made.append({**one, "instances": [instance]})
    return json.dumps(
        {
            "version": 4, "terraform_version": "1.9.2", "serial": serial,
            "lineage": str(uuid.uuid5(_IDS, "lineage")), "outputs": {}, "resources": made,
        }
    )  # fmt: skip
