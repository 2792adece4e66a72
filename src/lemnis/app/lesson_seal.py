"""The proof of a lesson as a signed statement: what was proven, of exactly which files.

An in-toto statement in a DSSE envelope, signed with the workspace's key, as its evidence packages are; its
subject is the digest of the lesson's files. It lies in the vault, and the verdict in the journal names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lemnis import app
from lemnis.app import incidents_evidence
from lemnis.app.shelf import Written
from lemnis.contracts.errors import IntegrityError
from lemnis.contracts.ids import Json
from lemnis.contracts.journal import Entry
from lemnis.graph import attestation

PROOF_TYPE = "https://lemnis.invalid/lesson/proof/v1"
ENVELOPE, KEY = "envelope", "key"


def seal(workspace: app.Workspace, written: Written, verdict: Mapping[str, Json]) -> dict[str, Json]:
    """Sign a verdict and keep it in the vault; return the envelope's digest and the key's id.

    The same verdict gives the same bytes: Ed25519 draws nothing.
    """
    key = incidents_evidence.signing_key(workspace)
    _, _, files = str(verdict["files"]).partition(":")
    statement: dict[str, Json] = {
        "_type": attestation.STATEMENT,
        "subject": [{"name": f"lesson:{written.id}", "digest": {"sha256": files}}],
        "predicateType": PROOF_TYPE,
        "predicate": {"lesson": written.id, "incident": written.lesson.incident, **verdict},
    }
    envelope = app.vault(workspace).put(attestation.sign(statement, key))
    return {ENVELOPE: envelope, KEY: attestation.key_id(key.public_key())}


def opened(workspace: app.Workspace, verdict: Entry) -> dict[str, Any]:
    """Verify the signed proof that a verdict in the journal names, and return what it states.

    Raises IntegrityError where there is none, the signature is not of the workspace's key, it is about
    other files, or says something else than the journal.
    """
    payload = dict(verdict.payload)
    if ENVELOPE not in payload:
        raise IntegrityError(
            f"the proof of lesson {verdict.subject} is not signed",
            fix=f"`lemnis lesson prove {verdict.subject}`",
        )
    public = incidents_evidence.signing_key(workspace).public_key()
    statement, _, _ = attestation.opened(
        app.vault(workspace).get(str(payload[ENVELOPE])), [attestation.Trusted("lemnis", public)],
        subject_digest=str(payload["files"]), kinds=(PROOF_TYPE,), file=str(payload[ENVELOPE]),
    )  # fmt: skip
    stated: dict[str, Any] = statement["predicate"]
    if any(stated.get(name) != value for name, value in payload.items() if name not in {ENVELOPE, KEY}):
        raise IntegrityError(f"the proof of lesson {verdict.subject} says something else than the journal")
    return stated
