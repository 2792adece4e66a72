"""Simulated interfaces that logs are pulled from: Okta, GitHub, Microsoft Graph, Google Workspace.

Each knows records with the time that they are of and the time that it learnt of them, pages as the real one
does, checks credentials, and can be told to limit or to fail the next requests.
"""

from __future__ import annotations

import base64
import re
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lemnis.contracts.clock import from_iso
from lemnis.testing.server import Asked, Reply, Simulator

TOKEN = "token-of-a-simulator"  # noqa: S105 - nobody's
_ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Known:
    """A record; ``at`` (ms) is its time, ``kept`` the order in which the interface learnt of it."""

    at: int
    kept: int
    record: Mapping[str, Any]


class Interface(Simulator):
    """Base: ``add`` records; the next ``limited`` requests are answered 429, the next ``failing`` 503."""

    def __init__(self, *, page: int = 100, port: int = 0) -> None:
        """``page`` records at most are on a page, whatever is asked for."""
        super().__init__(port=port)
        self.page = page
        self.limited = 0
        self.failing = 0
        self.retry_after = "0"
        self._records: list[Known] = []

    def add(self, at: int, record: Mapping[str, Any]) -> None:
        """Learn of a record of a time (ms)."""
        with self._lock:
            self._records.append(Known(at, len(self._records), record))

    def answer(self, asked: Asked) -> Reply:
        """Answer, or limit, or fail."""
        if self.limited:
            self.limited -= 1
            return Reply(429, b'{"message": "slow down"}', headers={"Retry-After": self.retry_after})
        if self.failing:
            self.failing -= 1
            return Reply(503, b"busy", "text/plain")
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        return self.reply(asked, query)

    @abstractmethod
    def reply(self, asked: Asked, query: Mapping[str, str]) -> Reply:
        """Answer a request that is neither limited nor failed."""

    def link(self, path: str, query: Mapping[str, Any]) -> str:
        """Return an address of this simulator."""
        return f"{self.url}{path}?{urlencode(query)}"


class OktaSimulator(Interface):
    """The System Log by polling: in the order it learnt of them, always with a next link."""

    def reply(self, asked: Asked, query: Mapping[str, str]) -> Reply:
        """Answer as Okta does."""
        if asked.headers.get("authorization") != f"SSWS {TOKEN}":
            return Reply(401, b'{"errorCode": "E0000011", "errorSummary": "Invalid token provided"}')
        if asked.path != "/api/v1/logs":
            return Reply(404, b"{}")
        first = int(query.get("after", "-1")) + 1
        since = from_iso(query["since"]) if "since" in query and "after" not in query else 0
        found = [one for one in self._records[first:] if one.at >= since][: self.page]
        last = found[-1].kept if found else first - 1
        following = self.link(asked.path, {"after": last, "limit": query.get("limit", "100")})
        links = {"Link": f'<{self.url}{asked.path}>; rel="self", <{following}>; rel="next"'}
        return Reply(200, orjson.dumps([one.record for one in found]), headers=links)


class GithubSimulator(Interface):
    """The audit log, oldest first by time, and events, newest first; a next link only where there is more.

    ``remaining`` queries are answered, then none for a second.
    """

    remaining = 1750
    _over = 0

    def reply(self, asked: Asked, query: Mapping[str, str]) -> Reply:
        """Answer as GitHub does."""
        if not self.remaining and time.time() >= self._over:
            self.remaining = 1750
        used_up = not self.remaining
        if not used_up:
            self.remaining -= 1
            self._over = int(time.time()) + 2
        limits = {"X-RateLimit-Remaining": str(self.remaining), "X-RateLimit-Reset": str(self._over)}
        if used_up:
            return Reply(403, b'{"message": "API rate limit exceeded"}', headers=limits)
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401, b'{"message": "Bad credentials"}', headers=limits)
        if asked.path.endswith("/events"):
            return self._events(asked, query, limits)
        since = re.search(r"created:>=(\S+)", query.get("phrase", ""))
        place = tuple(map(int, query.get("after", "-1.-1").split(".")))
        ordered = sorted(self._records, key=lambda one: (one.at, one.kept))
        rest = [
            one for one in ordered
            if (one.at, one.kept) > place and (since is None or one.at >= from_iso(since[1]))
        ]  # fmt: skip
        found = rest[: self.page]
        if len(rest) > len(found):
            after = f"{found[-1].at}.{found[-1].kept}"
            limits["Link"] = f'<{self.link(asked.path, {**query, "after": after})}>; rel="next"'
        return Reply(200, orjson.dumps([one.record for one in found]), headers=limits)

    def _events(self, asked: Asked, query: Mapping[str, str], headers: dict[str, str]) -> Reply:
        first = (int(query.get("page", "1")) - 1) * self.page
        found = sorted(self._records, key=lambda one: (-one.at, -one.kept))
        if len(found) > first + self.page:
            following = self.link(asked.path, {**query, "page": first // self.page + 2})
            headers["Link"] = f'<{following}>; rel="next"'
        body = orjson.dumps([one.record for one in found[first : first + self.page]])
        return Reply(200, body, headers=headers)


class GraphSimulator(Interface):
    """Microsoft Graph's sign-ins and directory audits, newest first, and the token endpoint."""

    issued = 0

    def reply(self, asked: Asked, query: Mapping[str, str]) -> Reply:
        """Answer as Graph and the login service do."""
        if asked.path.endswith("/oauth2/v2.0/token"):
            return self._token({name: values[0] for name, values in parse_qs(asked.body.decode()).items()})
        if asked.headers.get("authorization") != f"Bearer graph-{self.issued}":
            return Reply(401, b'{"error": {"code": "InvalidAuthenticationToken"}}')
        since, until = re.findall(r"(?:ge|lt) (\S+)", query["$filter"])
        found = [one for one in self._records if from_iso(since) <= one.at < from_iso(until)]
        found.sort(key=lambda one: -one.at)
        skip = int(query.get("$skiptoken", "0"))
        body: dict[str, Any] = {"@odata.context": f"{self.url}/v1.0/$metadata"}
        if len(found) > skip + self.page:
            more = {"$filter": query["$filter"], "$skiptoken": skip + self.page}
            body["@odata.nextLink"] = self.link(asked.path, more)
        body["value"] = [one.record for one in found[skip : skip + self.page]]
        return Reply(200, orjson.dumps(body))

    def expire(self) -> None:
        """Take no token any more that was given so far."""
        self.issued += 1

    def _token(self, form: Mapping[str, str]) -> Reply:
        if form.get("grant_type") != "client_credentials" or form.get("client_secret") != TOKEN:
            return Reply(401, b'{"error": "invalid_client"}')
        self.issued += 1
        said = {"token_type": "Bearer", "expires_in": 3599, "access_token": f"graph-{self.issued}"}
        return Reply(200, orjson.dumps(said))


class GoogleSimulator(Interface):
    """The Reports API's activities, newest first, for a service account whose statement is signed.

    ``key_file`` is what Google would give for the account.
    """

    account = "reader@project.iam.gserviceaccount.com"

    def __init__(self, *, page: int = 100, port: int = 0) -> None:
        """Make the account's key."""
        super().__init__(page=page, port=port)
        self._key = rsa.generate_private_key(65_537, 2048)
        self.subjects: list[str] = []

    @property
    def key_file(self) -> str:
        """The JSON key file."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        said = {
            "type": "service_account",
            "client_email": self.account,
            "private_key_id": "1",
            "private_key": pem,
        }
        return orjson.dumps(said).decode()

    def reply(self, asked: Asked, query: Mapping[str, str]) -> Reply:
        """Answer as Google does."""
        if asked.path == "/token":
            form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
            return self._token(form)
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401, b'{"error": {"code": 401}}')
        since, until = from_iso(query["startTime"]), from_iso(query["endTime"])
        found = sorted((one for one in self._records if since <= one.at < until), key=lambda one: -one.at)
        skip = int(query.get("pageToken", "0"))
        body: dict[str, Any] = {"kind": "admin#reports#activities"}
        if found:  # without any the member is not there
            body["items"] = [one.record for one in found[skip : skip + self.page]]
        if len(found) > skip + self.page:
            body["nextPageToken"] = str(skip + self.page)
        return Reply(200, orjson.dumps(body))

    def _token(self, form: Mapping[str, str]) -> Reply:
        text, _, signature = form.get("assertion", "").rpartition(".")
        try:
            self._key.public_key().verify(
                _decode(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            head, claims = (orjson.loads(_decode(part)) for part in text.split("."))
        except (InvalidSignature, ValueError):
            return Reply(400, b'{"error": "invalid_grant"}')
        good = (
            form.get("grant_type") == _ASSERTION
            and head["alg"] == "RS256"
            and (claims["iss"], claims["aud"]) == (self.account, f"{self.url}/token")
            and claims["iat"] <= time.time() + 1 < claims["exp"] <= claims["iat"] + 3600
        )
        if not good:
            return Reply(400, b'{"error": "invalid_grant"}')
        self.subjects.append(claims.get("sub", ""))
        return Reply(200, orjson.dumps({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}))


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
