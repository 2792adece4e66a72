"""Accounts of NATS as its operators make them with ``nsc``: signed tokens, and a file of credentials.

Format: JSON Web Tokens that are signed with Ed25519 keys in NATS's own encoding (nats-io/jwt, version 2).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import Any

import nkeys

_WITHOUT_LIMITS = {
    "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1,
    "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
}  # fmt: skip


class Operator:
    """An operator with one account, in which JetStream has no limits; ``config`` is for the servers."""

    def __init__(self) -> None:
        """Make the keys of all."""
        self._own = _key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account, system = _key(nkeys.PREFIX_BYTE_ACCOUNT), _key(nkeys.PREFIX_BYTE_ACCOUNT)
        about = {"type": "account", "version": 2, "limits": _WITHOUT_LIMITS}
        plain = {"type": "account", "version": 2, "limits": {**_WITHOUT_LIMITS, "disk_storage": 0}}
        known = {
            _name(self._account): _token(self._own, self._account, about),
            _name(system): _token(self._own, system, {**plain, "limits": _plain()}),
        }
        accounts = "\n".join(f"  {name}: {token}" for name, token in known.items())
        own = _token(self._own, self._own, {"type": "operator", "version": 2})
        self.config = (
            f"operator: {own}\nsystem_account: {_name(system)}\nresolver: MEMORY\n"
            f"resolver_preload: {{\n{accounts}\n}}\n"
        )

    def credentials(self) -> str:
        """Return the file of credentials of a new user."""
        user = _key(nkeys.PREFIX_BYTE_USER)
        token = _token(
            self._account, user, {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}
        )
        seed = user.seed.decode()
        return (
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )


def _plain() -> dict[str, Any]:
    kept = ("subs", "data", "payload", "imports", "exports", "wildcards", "conn", "leaf")
    return {name: _WITHOUT_LIMITS[name] for name in kept}


def _key(prefix: int) -> Any:
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), prefix))


def _name(key: Any) -> str:
    return bytes(key.public_key).decode()


def _token(issuer: Any, subject: Any, about: dict[str, Any]) -> str:
    claims = {
        "jti": "", "iat": 1_767_225_600, "iss": _name(issuer), "name": about["type"], "sub": _name(subject),
        "nats": about,
    }  # fmt: skip
    digest = hashlib.new("sha512_256", json.dumps(claims).encode()).digest()
    claims["jti"] = base64.b32encode(digest).decode().rstrip("=")
    head = _coded(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    signed = f"{head}.{_coded(json.dumps(claims).encode())}"
    return f"{signed}.{_coded(issuer.sign(signed.encode()))}"


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
