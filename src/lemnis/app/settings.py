"""A workspace's settings: read, checked, and resolved to what services need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.content import yaml
from lemnis.content.schemas.settings import Settings
from lemnis.contracts.errors import ContentError, InputError, Location, NotFoundError

if TYPE_CHECKING:
    from lemnis.graph.attestation import Signer
    from lemnis.store.git import Repository


def load(workspace: app.Workspace) -> Settings:
    """Read ``lemnis.yaml``; raises ContentError with file, line and column."""
    return yaml.load(workspace.root / app.SETTINGS, Settings)


def resolve(workspace: app.Workspace, path: str) -> Path:
    """Return a path of the settings: relative ones start at the workspace."""
    return (workspace.root / path).resolve()


def trusted(workspace: app.Workspace, settings: Settings | None = None) -> list[Signer]:
    """Return whose signatures are believed: builders by their keys, identities by Sigstore's certificates.

    Raises ContentError for a key that cannot be read.
    """
    from lemnis.graph.attestation import Trusted, read_public

    known = settings or load(workspace)
    found: list[Signer] = []
    for number, builder in enumerate(known.builders):
        place = Location(str(workspace.root / app.SETTINGS))
        pem = builder.key.encode()
        if not builder.key.lstrip().startswith("-----BEGIN"):
            try:
                pem = resolve(workspace, builder.key).read_bytes()
            except OSError as error:
                raise ContentError(
                    f"builders.{number}.key: {builder.key} cannot be read: {error.strerror}",
                    at=place, fix="a PEM file in the workspace, or the PEM text itself",
                ) from error  # fmt: skip
        try:
            key = read_public(pem)
            found.append(Trusted(builder.id, key, builder.repositories, builder.parameters))
        except InputError as error:
            raise ContentError(f"builders.{number}.key: {error.what}", at=place) from error
    if known.sigstore is not None and known.sigstore.identities:
        from lemnis.graph.identities import Bundles, Identity

        found.append(
            Bundles(
                [
                    Identity(one.issuer, one.subject, one.repositories, one.parameters, one.builder)
                    for one in known.sigstore.identities
                ],
                instance(workspace, known.sigstore.trusted_root),
                Location(str(workspace.root / app.SETTINGS)),
            )
        )
    return found


def instance(workspace: app.Workspace, file: str) -> str:
    """Return a file of a Sigstore instance as the settings name it, or ``public``."""
    return file if file == "public" else str(resolve(workspace, file))


def repository(workspace: app.Workspace, wanted: str) -> Repository:
    """Open the repository of this name or address as the settings have it; raises NotFoundError."""
    from lemnis.graph.builds import address
    from lemnis.store.git import Repository

    known = load(workspace)
    same = (one for one in known.repositories if one.url and address(one.url) == address(wanted))
    one = known.repository(wanted) or next(same, None)
    if one is None:
        there = ", ".join(r.name for r in known.repositories) or "none"
        raise NotFoundError(
            f"no repository {wanted!r} in the settings", at=Location(str(workspace.root / app.SETTINGS)),
            fix=f"add it under `repositories:`; there are: {there}",
        )  # fmt: skip
    return Repository(resolve(workspace, one.path))
