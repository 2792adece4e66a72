"""Gates over an image that lies here as a file: what our checks and the advisories find in it counts too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import gates, scans
from lemnis.contracts.errors import InputError, Location
from lemnis.contracts.findings import Decision, ScanReport

if TYPE_CHECKING:
    from lemnis.store.git import Repository

_IMAGES = ("lemnis_images", scans.VULNERABILITIES)


def ask(workspace: app.Workspace, stage: str, path: Path, repository: Repository | None = None) -> Decision:
    """Ask a gate about the image in a tar or a layout's folder, by its digest and by what is in it.

    Raises InputError where there is no image, or more than one.
    """
    digest, report = scanned(workspace, path)
    return gates.image(workspace, stage, digest, repository, report=report)


def scanned(workspace: app.Workspace, path: Path) -> tuple[str, ScanReport]:
    """Return the digest of the one image at a path, and what is found in it; raises as ``ask`` does."""
    from lemnis.scan.images import inspect
    from lemnis.scan.runner import scan

    found = inspect(path, path.name, workspace.clock.now())
    digests = sorted({str(one.data["digest"]) for one in found.resources if one.kind == "image"})
    if len(digests) != 1:
        why = f"holds {len(digests)} images" if digests else "; ".join(found.errors) or "no image is in it"
        raise InputError(why, at=Location(str(path)), fix="a tar of one image, or give a digest: sha256:…")
    own = [one for one in scans.own(app.library(workspace), workspace) if one.name in _IMAGES]
    return digests[0], scan(path, (), own, asked=_IMAGES).report
