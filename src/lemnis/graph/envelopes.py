"""DSSE envelopes as they come: alone, in Sigstore bundles, as PyPI writes them, many in a file. Pure.

Formats: DSSE v1.0.2, Sigstore bundle v0.1 to v0.3, PEP 740 (PyPI), in-toto attestation bundles (JSON lines);
the lists of npm, GitHub, PyPI and Google Cloud Build around them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lemnis.contracts.errors import InputError, Location
from lemnis.graph.builds import at, objects

PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BYTES = 16_000_000
"""Bytes of one envelope."""
MAX_FILE = 64_000_000
MAX_PIECES = 10_000
"""Envelopes and statements of one file."""
_DEEP = 3
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope: what is signed, the signatures, and the Sigstore bundle around it, if it came in one."""

    payload: bytes
    signatures: tuple[bytes, ...]
    bundle: bytes = b""


@dataclass(frozen=True, slots=True)
class Piece:
    """One envelope or bare statement of a file as JSON, or what is wrong with it; numbers count from 1."""

    number: int
    data: bytes = b""
    problem: str = ""


def read(data: bytes, where: Location) -> Envelope:
    """Read an envelope, alone or in a bundle; raises InputError if it is none, or too large."""
    document = parse(data, "envelope", where)
    if "_type" in document:
        raise InputError("a statement that nobody signed", at=where, fix="its envelope is needed")
    if "verification_material" in document:
        document = _from_pypi(document)
    inner = at(document, "dsseEnvelope")
    if not inner and "messageSignature" in document:
        raise InputError("this bundle signs a file, it holds no statement", at=where)
    envelope = inner or document
    try:
        payload = _base64(envelope["payload"])
        signatures = tuple(_base64(one["sig"]) for one in envelope["signatures"])
        kind = envelope["payloadType"]
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise InputError(
            "not a DSSE envelope: payload, payloadType or signatures missing", at=where
        ) from error
    if kind != PAYLOAD_TYPE:
        raise InputError(f"payload type {str(kind)[:100]!r} is not in-toto's", at=where)
    bundle = _alone(document, 1) if inner else Piece(1)
    if bundle.problem:
        raise InputError(f"the bundle is {bundle.problem}", at=where)
    return Envelope(payload, signatures, bundle.data)


def statement(data: bytes, where: Location) -> dict[str, Any]:
    """Return the statement of an envelope, or a bare one, without verifying anything."""
    document = parse(data, "statement", where)
    return document if "_type" in document else parse(read(data, where).payload, "payload", where)


def parse(data: bytes, what: str, where: Location) -> dict[str, Any]:
    """Return a JSON object; raises InputError if it is none, or larger than an envelope may be."""
    if len(data) > MAX_BYTES:
        raise InputError(f"the {what} is larger than {MAX_BYTES:,} bytes", at=where)
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the {what} is no JSON: {error}", at=where) from error
    if not isinstance(document, dict):
        raise InputError(f"the {what} is no JSON object", at=where)
    return document


def split(data: bytes, file: str = "") -> Iterator[Piece]:
    """Yield what a file holds: one envelope, a list of them in any of the known forms, or JSON lines.

    A line that is no JSON is told, and the others go on. Raises InputError where nothing is JSON.
    """
    where = Location(file)
    if len(data) > MAX_FILE:
        raise InputError(f"larger than {MAX_FILE:,} bytes", at=where, fix="split it into several files")
    number = 0
    for document, raw in _documents(data, where):
        for one in _inside(document) if raw else [document]:
            number += 1
            if number > MAX_PIECES:
                yield Piece(number, problem=f"more than {MAX_PIECES:,} in one file: the rest is not read")
                return
            if not isinstance(one, dict):
                yield Piece(number, problem=one if isinstance(one, str) and not raw else "no JSON object")
            else:
                yield Piece(number, raw) if one is document else _alone(one, number)


def _alone(one: Mapping[str, Any], number: int) -> Piece:
    try:
        return Piece(number, orjson.dumps(one))
    except TypeError:  # it reads deeper than it writes
        return Piece(number, problem="nested too deeply")


def _documents(data: bytes, where: Location) -> list[tuple[Any, bytes]]:
    """Return each JSON document with its bytes; of a line that is none the error, without bytes."""
    try:
        return [(orjson.loads(data), data)]
    except orjson.JSONDecodeError as error:
        lines = [line for line in data.split(b"\n") if line.strip()]
        read = list(map(_line, lines))
        if len(lines) < 2 or not any(raw for _, raw in read):  # noqa: PLR2004 - one line is no list of them
            raise InputError(f"no JSON, and no JSON lines: {error}", at=where) from error
        return read


def _line(line: bytes) -> tuple[Any, bytes]:
    try:
        return orjson.loads(line), line
    except orjson.JSONDecodeError as error:
        return f"no JSON: {error}", b""


def _inside(document: Any, deep: int = _DEEP) -> list[Any]:  # noqa: PLR0911 - one for each form
    """Return the envelopes in a list of them; what is no list stands for itself."""
    if not deep:
        return [document]
    if isinstance(document, list):
        return [inner for one in document for inner in _inside(one, deep - 1)]
    if not isinstance(document, dict):
        return [document]
    if isinstance(document.get("attestation_bundles"), list):  # PyPI
        return [one for some in objects(document, "attestation_bundles") for one in _inside(some, deep - 1)]
    if isinstance(document.get("attestations"), list):  # npm, GitHub: each has a ``bundle``
        return [
            one["bundle"] if isinstance(one, dict) and isinstance(one.get("bundle"), dict) else one
            for one in document["attestations"]
        ]
    if summary := at(document, "provenance_summary"):  # Google Cloud Build
        return [one.get("envelope", one) for one in objects(summary, "provenance")]
    return [document]


def _from_pypi(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Sigstore bundle that an attestation of PyPI (PEP 740) stands for."""
    material, envelope = at(document, "verification_material"), at(document, "envelope")
    return {
        "mediaType": _BUNDLE,
        "verificationMaterial": {
            "certificate": {"rawBytes": material.get("certificate")},
            "tlogEntries": material.get("transparency_entries"),
        },
        "dsseEnvelope": {
            "payload": envelope.get("statement"), "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": envelope.get("signature")}],
        },
    }  # fmt: skip


def _base64(text: str) -> bytes:
    """Decode either alphabet, with or without padding: DSSE lets signers choose."""
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
