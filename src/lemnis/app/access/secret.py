"""Secrets of 256 bits that are shown once, and the hashes under which they are known."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable

Random = Callable[[int], bytes]
"""Gives so many random bytes."""
_BYTES = 32
_ID_BYTES = 8
_LONGEST = 200


def new(random: Random) -> str:
    """Return a new secret, in base64url."""
    return base64.urlsafe_b64encode(random(_BYTES)).rstrip(b"=").decode()


def new_id(kind: str, random: Random) -> str:
    """Return ``kind-`` and 16 hex digits."""
    return f"{kind}-{random(_ID_BYTES).hex()}"


def known_as(secret: str, purpose: str) -> str:
    """Return the hash under which a secret is kept: a secret for one purpose is none for another.

    These have 256 random bits, so that a fast hash is enough; what people choose is hashed by Argon2.
    """
    raw = secret.encode("utf-8", "surrogatepass")[:_LONGEST]
    return hashlib.sha256(f"lemnis {purpose}\0".encode() + raw).hexdigest()


def csrf(cookie: str) -> str:
    """Return what forms of the visitor with this cookie carry: nobody can work it out without the cookie."""
    return known_as(cookie, "form")


def same(one: str, other: str) -> bool:
    """Say whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
