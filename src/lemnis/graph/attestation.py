"""Build attestations: in-toto Statement v1 with SLSA provenance v1, in a DSSE envelope, signed with Ed25519.

Formats: in-toto attestation framework v1 (Statement), SLSA v1.0 provenance (predicate), DSSE v1.0.2
(envelope; PAE, the bytes that are signed). Reading takes an envelope alone or a Sigstore bundle around one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import InputError, IntegrityError, Location
from lemnis.contracts.ids import Json, canonical, digest

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MAX_BYTES = 16_000_000


@dataclass(frozen=True, slots=True)
class Trusted:
    """A key that is trusted to speak for a builder.

    ``repositories`` are those that it may build from (any, if none is named); ``parameters`` are what it must
    have been asked for: then no other parameter beside the source may be there.
    """

    builder: str
    key: Ed25519PublicKey
    repositories: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def keyid(self) -> str:
        """The digest of the raw public key."""
        return key_id(self.key)


@dataclass(frozen=True, slots=True)
class Build:
    """What a verified provenance says: which builder made what, from which commit of which repository."""

    subject: str
    subject_digest: str
    builder: str
    invocation: str
    repository: str
    commit: str
    started: str
    finished: str
    keyid: str


def build_statement(
    *,
    subject: str,
    subject_digest: str,
    builder: str,
    invocation: str,
    repository: str,
    commit: str,
    started: int,
    finished: int,
    parameters: Mapping[str, str] | None = None,
) -> dict[str, Json]:
    """Return the Statement of a build; instants in ms, the digest as ``sha256:…``.

    ``parameters`` are what the build was asked for beside its source.
    """
    algorithm, _, value = subject_digest.partition(":")
    return {
        "_type": STATEMENT,
        "subject": [{"name": subject, "digest": {algorithm: value}}],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": "https://lemnis.invalid/build/oci-layer/v1",
                "externalParameters": {
                    **(parameters or {}), "source": {"repository": repository, "ref": commit},
                },
                "internalParameters": {},
                "resolvedDependencies": [{"uri": f"git+{repository}", "digest": {"gitCommit": commit}}],
            },
            "runDetails": {
                "builder": {"id": builder},
                "metadata": {
                    "invocationId": invocation, "startedOn": to_iso(started), "finishedOn": to_iso(finished),
                },
            },
        },
    }  # fmt: skip


def sign(statement: Mapping[str, Json], key: Ed25519PrivateKey) -> bytes:
    """Return the DSSE envelope of a statement as JSON."""
    payload = canonical(statement)
    signature = key.sign(pae(PAYLOAD_TYPE, payload))
    return orjson.dumps(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}],
        },
        option=orjson.OPT_INDENT_2,
    )


def verify(data: bytes, trusted: list[Trusted], *, subject_digest: str, file: str = "") -> Build:
    """Verify an envelope for one artefact and return what it says of the build.

    Checks, in this order: that it is an envelope, a signature by a trusted key, that the payload is a
    provenance statement, the subject's digest, the builder whose key it is, that source and resolved
    dependency name the same commit, of a repository that the builder may build from, and that it was asked
    for what it should be. Raises InputError when it is no envelope, IntegrityError naming the check that
    failed.
    """
    where = Location(file)
    statement, key, subject = opened(
        data, trusted, subject_digest=subject_digest, kinds=(PROVENANCE,), file=file
    )
    predicate = _at(statement, "predicate")
    details, definition = _at(predicate, "runDetails"), _at(predicate, "buildDefinition")
    builder = _at(details, "builder").get("id")
    if builder != key.builder:
        raise IntegrityError(f"builder: {builder!r} is not whom the key speaks for ({key.builder})", at=where)
    asked = _at(definition, "externalParameters")
    source = _at(asked, "source")
    commits = [
        _at(found, "digest").get("gitCommit") for found in _objects(definition, "resolvedDependencies")
    ]
    if not source.get("ref") or source["ref"] not in commits:
        raise IntegrityError("source: no resolved dependency is the commit that was asked for", at=where)
    if key.repositories and source.get("repository") not in key.repositories:
        raise IntegrityError(
            f"source: {source.get('repository')!r} is none that {key.builder} may build from", at=where
        )
    if key.parameters and (other := _other(asked, key.parameters)):
        raise IntegrityError(f"parameters: {other}", at=where)
    metadata = _at(details, "metadata")
    return Build(
        subject=str(subject.get("name", "")),
        subject_digest=subject_digest,
        builder=str(builder),
        invocation=str(metadata.get("invocationId", "")),
        repository=str(source.get("repository", "")),
        commit=str(source["ref"]),
        started=str(metadata.get("startedOn", "")),
        finished=str(metadata.get("finishedOn", "")),
        keyid=key.keyid,
    )


def opened(
    data: bytes,
    trusted: list[Trusted],
    *,
    subject_digest: str,
    kinds: tuple[str, ...] = (),
    file: str = "",
) -> tuple[dict[str, Any], Trusted, dict[str, Any]]:
    """Verify an envelope's signature and subject; return its statement, the key, and the subject.

    ``kinds`` are the predicate types that are taken (any, if none is named). Raises InputError when it is no
    envelope, IntegrityError naming the check that failed: signature, type or subject.
    """
    where = Location(file)
    payload, signatures = _open(data, where)
    key = next((t for t in trusted for s in signatures if _signed(t.key, payload, s)), None)
    if key is None:
        raise IntegrityError("signature: no trusted key signed these bytes", at=where)
    statement = _json(payload, "payload", where)
    kind = statement.get("predicateType")
    if statement.get("_type") != STATEMENT or (kinds and kind not in kinds):
        wanted = "SLSA provenance v1" if kinds == (PROVENANCE,) else "in-toto Statement v1"
        raise IntegrityError(f"type: {kind!r} is no {wanted}", at=where)
    algorithm, _, value = subject_digest.partition(":")
    about = _objects(statement, "subject")
    subject = next((s for s in about if _at(s, "digest").get(algorithm) == value), None)
    if subject is None or not value:
        raise IntegrityError(f"subject: not about {subject_digest}", at=where)
    return statement, key, subject


def _other(asked: Mapping[str, Any], wanted: Mapping[str, str]) -> str:
    """Say in what a build was asked for something else than it should; empty if it was not."""
    for name, value in wanted.items():
        if asked.get(name) != value:
            return f"{name} is {asked.get(name)!r}, not {value!r}"
    more = sorted(set(asked) - set(wanted) - {"source"})
    return f"{', '.join(more)} was asked for besides" if more else ""


def predicate_type(data: bytes, file: str = "") -> str:
    """Return the predicate type that an envelope names, without verifying anything: for look-up only."""
    payload, _ = _open(data, Location(file))
    return str(_json(payload, "payload", Location(file)).get("predicateType", ""))


def subjects(data: bytes, file: str = "") -> list[str]:
    """Return the digests that an envelope says it is about, without verifying anything: for look-up only."""
    payload, _ = _open(data, Location(file))
    statement = _json(payload, "payload", Location(file))
    return [
        f"{algorithm}:{value}"
        for subject in _objects(statement, "subject")
        for algorithm, value in _at(subject, "digest").items()
    ]


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def key_id(key: Ed25519PublicKey) -> str:
    """Return the digest of a public key's raw bytes."""
    return digest(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))


def read_public(pem: bytes, file: str = "") -> Ed25519PublicKey:
    """Read a PEM public key; raises InputError if it is not an Ed25519 one."""
    try:
        key = serialization.load_pem_public_key(pem)
    except ValueError as error:
        raise InputError("no public key in PEM", at=Location(file)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("not an Ed25519 key", at=Location(file))
    return key


def read_private(pem: bytes, file: str = "") -> Ed25519PrivateKey:
    """Read an unencrypted PEM private key; raises InputError if it is not an Ed25519 one."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise InputError("no unencrypted private key in PEM", at=Location(file)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError("not an Ed25519 key", at=Location(file))
    return key


def write_private(key: Ed25519PrivateKey) -> bytes:
    """Return a private key as PEM (PKCS #8)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_public(key: Ed25519PublicKey) -> bytes:
    """Return a public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _open(data: bytes, where: Location) -> tuple[bytes, list[bytes]]:
    """Return an envelope's payload and the signatures over it."""
    if len(data) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES:,} bytes", at=where)
    document = _json(data, "envelope", where)
    envelope = _at(document, "dsseEnvelope") or document
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [base64.b64decode(s["sig"], validate=True) for s in envelope["signatures"]]
        kind = envelope["payloadType"]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InputError(
            "not a DSSE envelope: payload, payloadType or signatures missing", at=where
        ) from error
    if kind != PAYLOAD_TYPE:
        raise InputError(f"payload type {kind!r} is not in-toto's", at=where)
    return payload, signatures


def _signed(key: Ed25519PublicKey, payload: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, pae(PAYLOAD_TYPE, payload))
    except InvalidSignature:
        return False
    return True


def _json(data: bytes, what: str, where: Location) -> dict[str, Any]:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the {what} is no JSON: {error}", at=where) from error
    if not isinstance(document, dict):
        raise InputError(f"the {what} is no JSON object", at=where)
    return document


def _at(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object under a key; an empty one where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _objects(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects in the list under a key."""
    found = value.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
