"""Build provenance: keys, signing, keeping, verifying check by check."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from lemnis import app
from lemnis.app import settings
from lemnis.contracts.errors import (
    InputError,
    IntegrityError,
    Location,
    NotFoundError,
    RecordError,
    UsageError,
)
from lemnis.contracts.journal import NewEntry

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from lemnis.contracts.ids import Json
    from lemnis.graph.attestation import Build, Signer
    from lemnis.scan.sbom import Component

Sign = Callable[["Mapping[str, Json]"], bytes]
"""Signs a statement; gives the envelope or bundle."""
ATTESTATION = "attestation"
CHECKS = ("envelope", "signature", "type", "subject", "builder", "source", "parameters")


@dataclass(frozen=True, slots=True)
class Checked:
    """One check of an attestation: ``ok`` is None if it was not come to."""

    name: str
    ok: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Provenance:
    """What an image's attestations say: the build by ``attestation``, the newest that holds, or the problem.

    ``known`` are the vault digests of all that the journal has, the newest first.
    """

    known: tuple[str, ...]
    build: Build | None = None
    attestation: str = ""
    problem: str = ""


def keygen(private: Path) -> Path:
    """Make a key pair: the private key (mode 0600) at ``private``, the public one beside it as ``….pub``.

    Raises UsageError if either file exists, or if git would keep the private key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from lemnis.graph.attestation import write_private, write_public

    public = private.with_name(private.name + ".pub")
    for path in (private, public):
        if path.exists():
            raise UsageError("there is a file already", at=Location(str(path)), fix="choose another name")
    if not private.parent.is_dir():
        raise UsageError("no such folder", at=Location(str(private.parent)), fix="make it first")
    if _kept_by_git(private):
        raise UsageError(
            "a private key here would be committed to git", at=Location(str(private)),
            fix=f"put it outside of the repository, or below {app.STATE}/",
        )  # fmt: skip
    key = Ed25519PrivateKey.generate()
    handle = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(write_private(key))
    public.write_bytes(write_public(key.public_key()))
    return public


def sign(
    workspace: app.Workspace,
    *,
    image: str,
    key: Path | Sign,
    builder: str,
    repository: str,
    commit: str,
    invocation: str = "",
    parameters: Mapping[str, str] | None = None,
) -> tuple[bytes, str]:
    """Sign an image's provenance and keep it; return the envelope and its digest in the vault.

    ``key`` is a private key's file, or what signs. Raises InputError for a key, a digest or a commit that is
    none.
    """
    from lemnis.graph import attestation

    check_digest(image)
    if len(commit) not in {40, 64} or set(commit) - set("0123456789abcdef"):
        raise UsageError(f"{commit!r} is no full commit hash", fix="git rev-parse gives it")
    now = workspace.clock.now()
    statement = attestation.build_statement(
        subject=repository, subject_digest=image, builder=builder, invocation=invocation,
        repository=repository, commit=commit,
        started=now, finished=now, parameters=parameters,
    )  # fmt: skip
    envelope = _sign(statement, key)
    return envelope, keep(workspace, envelope)[0]


def keep(workspace: app.Workspace, envelope: bytes) -> tuple[str, list[str]]:
    """Keep an envelope in the vault with a journal entry for each artefact; return digest and artefacts.

    It is not verified here: that is done whenever it is used. Raises InputError if it holds no statement.
    """
    from lemnis.graph import envelopes, predicates

    about = predicates.read(envelopes.statement(envelope, Location()), Location()).subjects
    return keep_all(workspace, [(envelope, about)])[0], list(about)


def keep_all(workspace: app.Workspace, several: Sequence[tuple[bytes, Sequence[str]]]) -> list[str]:
    """Keep envelopes, each with the artefacts that it is about; return their digests.

    What they say is compared with the labels that are known of these images.
    """
    from lemnis.app import attest_labels

    vault = app.vault(workspace)
    names = [vault.put(envelope) for envelope, _ in several]
    app.journal(workspace).append_all(
        [
            NewEntry(
                ATTESTATION, f"image:{one}", f"{ATTESTATION}:{one}:{name}", {"digest": name, "image": one}
            )
            for name, (_, about) in zip(names, several, strict=True)
            for one in about
        ]
    )
    attest_labels.compare_again(workspace, [one for _, about in several for one in about])
    return names


def verify(workspace: app.Workspace, envelope: bytes, image: str, file: str = "") -> list[Checked]:
    """Verify an envelope and return each check in order; those after one that fails are not come to."""
    from lemnis.graph import attestation

    check_digest(image)
    try:
        build = attestation.verify(envelope, settings.trusted(workspace), subject_digest=image, file=file)
    except InputError as error:
        return _checks("envelope", error.what)
    except IntegrityError as error:
        name, _, words = error.what.partition(": ")
        return _checks(name, words)
    by = f"key {build.keyid[7:19]}" if build.keyid.startswith("sha256:") else build.keyid
    said = {
        "envelope": "DSSE, in-toto", "signature": by, "type": "SLSA provenance",
        "subject": image, "builder": build.builder, "source": f"{build.repository} at {build.commit}",
        "parameters": "as they should be",
    }  # fmt: skip
    return [Checked(name, ok=True, detail=said[name]) for name in CHECKS]


def of_image(workspace: app.Workspace, image: str) -> Provenance:
    """Return the build of an image by the newest attestation that holds, or why there is none."""
    from lemnis.graph import attestation

    trusted = settings.trusted(workspace)
    entries = list(app.journal(workspace).entries(kind=ATTESTATION, subject=f"image:{image}"))
    known = tuple(dict.fromkeys(str(entry.payload.get("digest", "")) for entry in reversed(entries)))
    why: list[str] = []
    for name in known:
        try:
            data = app.vault(workspace).get(name)
            if _kind(data) not in _PROVENANCE:
                continue
            build = attestation.verify(data, trusted, subject_digest=image, file=name)
        except (InputError, IntegrityError) as error:
            why.append(error.what)
        else:
            return Provenance(known, build, name)
    if not known or (not why and trusted):
        return Provenance(known, problem="no attestation of this image is in the journal")
    hint = "" if trusted else " (the settings name no trusted builder)"
    return Provenance(known, problem="; ".join(why) + hint)


def state(
    workspace: app.Workspace,
    kind: str,
    *,
    image: str,
    key: Path | Sign,
    predicate: Mapping[str, Json],
    name: str = "",
) -> tuple[bytes, str]:
    """Sign a statement of a kind about an image and keep it; return the envelope and its digest.

    ``key`` is a private key's file, or what signs. Raises InputError for a key that is none, UsageError for
    a digest that is none.
    """
    from lemnis.graph import statements

    check_digest(image)
    made = statements.statement(kind, subject=name, subject_digest=image, predicate=predicate)
    envelope = _sign(made, key)
    return envelope, keep(workspace, envelope)[0]


def statements(workspace: app.Workspace, image: str) -> dict[str, tuple[str, str]]:
    """Return how each kind of statement about an image stands: its state and, if it does not hold, why.

    Of several of a kind the newest that a trusted key signed counts. One that tells of failed tests or an
    incomplete scan is verified in vain: it counts as invalid.
    """
    from lemnis.graph.statements import TYPES

    found = of_image(workspace, image)
    said = {"provenance": ("verified", "") if found.build else ("missing", "")}
    kept: dict[str, list[tuple[str, bytes]]] = {}
    for name, data in _kept(workspace, found.known):
        kept.setdefault(_kind(data), []).append((name, data))
    if found.build is None and any(kind in kept for kind in _PROVENANCE):
        said["provenance"] = ("invalid", found.problem)
    trusted = settings.trusted(workspace)
    for kind in TYPES:
        said[kind] = _stands(kind, kept.get(kind, ()), trusted, image)
    return said


def components(workspace: app.Workspace, image: str) -> tuple[Component, ...]:
    """Return what an image is made of, by its newest bill of materials that holds.

    Empty where no trusted key signed one, and where it cannot be read; ``statements`` tells which.
    """
    from lemnis.graph import statements as kinds
    from lemnis.scan import sbom

    trusted = settings.trusted(workspace)
    for name, data in _kept(workspace, of_image(workspace, image).known):
        if _kind(data) != "sbom":
            continue
        try:
            told = kinds.verify(data, trusted, subject_digest=image, kind="sbom", file=name)
            made = sbom.read(orjson.dumps(told.predicate), name)
        except (InputError, IntegrityError, RecordError):
            continue
        return made.components
    return ()


def _kept(workspace: app.Workspace, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield what of these the vault still has as it was; empty for what was altered or is gone."""
    for name in names:
        try:
            yield name, app.vault(workspace).get(name)
        except (IntegrityError, NotFoundError):
            yield name, b""


def _stands(
    kind: str, kept: Sequence[tuple[str, bytes]], trusted: Sequence[Signer], image: str
) -> tuple[str, str]:
    """Say how the statements of one kind, the newest first, stand together."""
    from lemnis.graph import statements

    why = []
    for name, data in kept:
        try:
            told = statements.verify(data, trusted, subject_digest=image, kind=kind, file=name)
        except (InputError, IntegrityError) as error:
            why.append(error.what)
            continue
        return ("invalid", told.problem) if told.problem else ("verified", "")
    return ("invalid", "; ".join(why)) if why else ("missing", "")


def _kind(data: bytes) -> str:
    """Return the kind of what a statement says; empty for what can no longer be read."""
    from lemnis.graph import attestation, predicates

    try:
        return predicates.known(attestation.predicate_type(data)).name
    except InputError:
        return ""


_PROVENANCE = ("provenance", "")
"""The kinds that may be an image's provenance: one that cannot be read may have been."""


def _sign(statement: Mapping[str, Json], key: Path | Sign) -> bytes:
    from lemnis.graph import attestation

    return attestation.sign(statement, _private(key)) if isinstance(key, Path) else key(statement)


def _private(key: Path) -> Ed25519PrivateKey:
    from lemnis.graph import attestation

    try:
        pem = key.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=Location(str(key))) from error
    return attestation.read_private(pem, str(key))


def _checks(failed: str, why: str) -> list[Checked]:
    place = CHECKS.index(failed)
    return [
        Checked(
            name, ok=True if n < place else None if n > place else False, detail=why if n == place else ""
        )
        for n, name in enumerate(CHECKS)
    ]


def check_digest(image: str) -> None:
    """Raise UsageError for what is no image digest."""
    kind, _, value = image.partition(":")
    if kind != "sha256" or len(value) != 64 or set(value) - set("0123456789abcdef"):  # noqa: PLR2004 - hex digits of SHA-256
        raise UsageError(f"{image!r} is no image digest", fix="sha256: and 64 hex digits")


def _kept_by_git(path: Path) -> bool:
    """Say whether the file would be in a git work tree and not ignored there."""
    from lemnis.store.git import Repository

    repository = Repository(path.parent.resolve())
    try:
        repository.run("rev-parse", "--is-inside-work-tree")
    except InputError:
        return False
    try:
        repository.run("check-ignore", "--quiet", "--", str(path.resolve()))
    except InputError:
        return True
    return False
