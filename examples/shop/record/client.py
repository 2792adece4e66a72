"""Calls to the simulated cloud as its command-line tools make them, from an address of one's choice."""

from __future__ import annotations

import datetime as dt
import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlencode

import plan
import sigv4

VERSION = {"sts": "2011-06-15", "iam": "2010-05-08", "ec2": "2016-11-15"}
TARGET = {"ecr": "AmazonEC2ContainerRegistry_V20150921", "secretsmanager": "secretsmanager", "eks": "Eks",
          "monitoring": "GraniteServiceVersion20100801", "ssm": "AmazonSSM"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cloud:
    """A caller: key, secret, token, address and what it says it is."""

    key: str
    token: str
    source: str
    agent: str
    secret: str = plan.EXAMPLE_SECRET

    def call(self, service: str, action: str, **parameters: str) -> tuple[int, bytes]:
        """Call an operation and return status and answer."""
        if service in VERSION:
            body = urlencode({"Action": action, "Version": VERSION[service], **parameters}).encode()
            return self._send(service, "POST", "/", body, {})
        return self._send(
            service,
            "POST",
            "/",
            json.dumps(parameters).encode(),
            {"x-amz-target": f"{TARGET[service]}.{action}"},
        )

    def s3(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Ask for a bucket, an object or the list of buckets."""
        return self._send("s3", method, path, body, {})

    def _send(
        self, service: str, method: str, path: str, body: bytes, more: dict[str, str]
    ) -> tuple[int, bytes]:
        host = f"{service}.{plan.REGION}.cloud.example"
        now = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
        headers = sigv4.sign(
            key=self.key, secret=self.secret, token=self.token, method=method, host=host, path=path,
            body=body,            date=now, region=plan.REGION, service=service,
        )  # fmt: skip
        connection = http.client.HTTPConnection(plan.API, timeout=10, source_address=(self.source, 0))
        try:
            connection.request(method, path, body, {**headers, **more, "User-Agent": self.agent})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
