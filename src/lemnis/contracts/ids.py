"""Deterministic identifiers and canonical bytes: the same input gives the same id on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import orjson

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def canonical(value: object) -> bytes:
    """Serialise ``value`` as JSON with sorted keys and no spaces: the form that is hashed and signed."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(data: bytes) -> str:
    """Return ``sha256:`` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def stable_id(kind: str, *parts: str) -> str:
    """Return ``kind-`` and 16 hex digits (64 bits) of the SHA-256 over the length-framed parts."""
    framed = []
    for part in (kind, *parts):
        raw = part.encode("utf-8", "surrogatepass")
        framed += [len(raw).to_bytes(8, "big"), raw]
    return f"{kind}-{hashlib.sha256(b''.join(framed)).hexdigest()[:16]}"


def tree_digest(files: Iterable[tuple[str, bytes]]) -> str:
    """Digest a set of (relative path, bytes): the content digest. Order does not matter."""
    lines = sorted(f"{path}\0{_hex(data)}\n" for path, data in files)
    return digest("".join(lines).encode())


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
