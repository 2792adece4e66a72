"""Build attestations: in-toto Statements with SLSA provenance, in DSSE envelopes; who signed, and for whom.

Formats: in-toto attestation framework v1 and v0.1 (Statement), SLSA provenance v1 and v0.2 (predicate), DSSE
v1.0.2 (envelope; PAE, the bytes that are signed). We write Statement v1 with provenance v1 and sign with
Ed25519; Sigstore bundles are for ``lemnis.graph.sigstore``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import InputError, IntegrityError, Location
from lemnis.contracts.ids import Json, canonical, digest
from lemnis.graph import builds, envelopes
from lemnis.graph.builds import PROVENANCE, Dependency, address, at, objects
from lemnis.graph.envelopes import PAYLOAD_TYPE, Envelope

STATEMENT = "https://in-toto.io/Statement/v1"
STATEMENTS = (STATEMENT, "https://in-toto.io/Statement/v0.1")
"""The types of statement that are read."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that holds: whose, for which builder it speaks, and what that one is held to.

    ``keyid`` is the digest of the key, or the identity in a certificate. ``source`` and ``commit`` are what a
    certificate vouches for of the build's source code; empty where there is no certificate, or it is silent.
    """

    builder: str
    keyid: str
    repositories: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    commit: str = ""


class Signer(Protocol):
    """Somebody whose signatures are believed."""

    def signed(self, envelope: Envelope) -> Signed | None:
        """Return the signature that is this signer's; None where there is none.

        Raises IntegrityError where it should be there and does not hold.
        """
        ...


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

    def signed(self, envelope: Envelope) -> Signed | None:
        """Return this key's signature over the envelope, if it has one."""
        if any(_verified(self.key, envelope.payload, one) for one in envelope.signatures):
            return Signed(self.builder, self.keyid, self.repositories, self.parameters)
        return None


@dataclass(frozen=True, slots=True)
class Build:
    """What a verified provenance says: which builder made what, from which commit of which repository.

    ``keyid`` is the key's digest, or the identity of the certificate that signed.
    """

    subject: str
    subject_digest: str
    builder: str
    invocation: str
    repository: str
    commit: str
    started: str
    finished: str
    keyid: str
    dependencies: tuple[Dependency, ...] = ()


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


def verify(data: bytes, trusted: Sequence[Signer], *, subject_digest: str, file: str = "") -> Build:
    """Verify an envelope for one artefact and return what it says of the build.

    Checks, in this order: that it is an envelope, a signature by a trusted signer, that the payload is a
    provenance statement, the subject's digest, the builder for whom the signer speaks, that source and
    resolved dependency name the same commit (the one that a certificate vouches for), of a repository that
    the builder may build from, and that it was asked for what it should be. Raises InputError when it is no
    envelope, IntegrityError naming the check that failed.
    """
    where = Location(file)
    statement, signer, subject = opened(
        data, trusted, subject_digest=subject_digest, kinds=tuple(builds.READERS), file=file
    )
    told = builds.read(str(statement["predicateType"]), at(statement, "predicate"))
    if told.builder != signer.builder:
        raise IntegrityError(
            f"builder: {told.builder!r} is not whom the key speaks for ({signer.builder})", at=where
        )
    repository, commit = _source(told, signer, where)
    if signer.repositories and address(repository) not in map(address, signer.repositories):
        raise IntegrityError(f"source: {repository!r} is none that {signer.builder} may build from", at=where)
    if signer.parameters and (other := _other(told.parameters, signer.parameters)):
        raise IntegrityError(f"parameters: {other}", at=where)
    return Build(
        subject=str(subject.get("name", "")), subject_digest=subject_digest, builder=told.builder,
        invocation=told.invocation, repository=repository, commit=commit, started=told.started,
        finished=told.finished, keyid=signer.keyid, dependencies=told.dependencies,
    )  # fmt: skip


def _source(told: builds.Told, signer: Signed, where: Location) -> tuple[str, str]:
    """Return repository and commit, on which provenance and certificate must agree."""
    if not told.repository and signer.commit:
        if signer.commit not in {one.commit for one in told.dependencies}:
            raise IntegrityError(
                f"source: {signer.commit}, which the certificate vouches for, is no dependency", at=where
            )
        return signer.source, signer.commit
    if not told.commit:
        raise IntegrityError("source: no resolved dependency is the commit that was asked for", at=where)
    elsewhere = signer.source and address(signer.source) != address(told.repository)
    if elsewhere or (signer.commit and signer.commit != told.commit):
        raise IntegrityError(
            f"source: {told.repository} at {told.commit}, but the certificate vouches for "
            f"{signer.source or 'it'} at {signer.commit or 'any commit'}", at=where,
        )  # fmt: skip
    return told.repository, told.commit


def opened(
    data: bytes,
    trusted: Sequence[Signer],
    *,
    subject_digest: str,
    kinds: tuple[str, ...] = (),
    file: str = "",
) -> tuple[dict[str, Any], Signed, dict[str, Any]]:
    """Verify an envelope's signature and subject; return its statement, whose it is, and the subject.

    ``kinds`` are the predicate types that are taken (any, if none is named). Raises InputError when it is no
    envelope, IntegrityError naming the check that failed: signature, type or subject.
    """
    where = Location(file)
    envelope = envelopes.read(data, where)
    signer = signed(envelope, trusted, where)
    statement = envelopes.parse(envelope.payload, "payload", where)
    kind = statement.get("predicateType")
    if statement.get("_type") not in STATEMENTS or (kinds and kind not in kinds):
        wanted = "SLSA provenance v1 or v0.2" if PROVENANCE in kinds else "in-toto Statement v1 or v0.1"
        raise IntegrityError(f"type: {kind!r} is no {wanted}", at=where)
    algorithm, _, value = subject_digest.partition(":")
    about = objects(statement, "subject")
    subject = next((s for s in about if at(s, "digest").get(algorithm) == value), None)
    if subject is None or not value:
        raise IntegrityError(f"subject: not about {subject_digest}", at=where)
    return statement, signer, subject


def signed(envelope: Envelope, trusted: Sequence[Signer], where: Location) -> Signed:
    """Return the first signature by somebody trusted; raises IntegrityError if there is none."""
    why = []
    for one in trusted:
        try:
            if (found := one.signed(envelope)) is not None:
                return found
        except IntegrityError as error:
            why.append(error.what)
    more = f" ({'; '.join(why)})" if why else ""
    raise IntegrityError(f"signature: no trusted key or identity signed these bytes{more}", at=where)


def _other(asked: Mapping[str, Any], wanted: Mapping[str, str]) -> str:
    """Say in what a build was asked for something else than it should; empty if it was not."""
    for name, value in wanted.items():
        if asked.get(name) != value:
            return f"{name} is {asked.get(name)!r}, not {value!r}"
    more = sorted(set(asked) - set(wanted))
    return f"{', '.join(more)} was asked for besides" if more else ""


def predicate_type(data: bytes, file: str = "") -> str:
    """Return the predicate type that a statement names, without verifying anything: for look-up only."""
    return str(envelopes.statement(data, Location(file)).get("predicateType", ""))


def subjects(data: bytes, file: str = "") -> list[str]:
    """Return the digests that a statement says it is about, without verifying anything: for look-up only."""
    return [
        f"{algorithm}:{value}"
        for subject in objects(envelopes.statement(data, Location(file)), "subject")
        for algorithm, value in at(subject, "digest").items()
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


def _verified(key: Ed25519PublicKey, payload: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, pae(PAYLOAD_TYPE, payload))
    except InvalidSignature:
        return False
    return True
