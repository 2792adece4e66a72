"""Evidence handed over: pieces and packages, to who may read evidence and says what personal data is for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import incidents_evidence
from lemnis.contracts.errors import AccessError

if TYPE_CHECKING:
    from lemnis.app.access.permissions import Person
    from lemnis.app.access.personal import Personal

_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Handed:
    """What is handed over: a name for the file, its size (bytes), and its bytes, once."""

    name: str
    size: int
    chunks: Iterator[bytes]


def demand_whole(personal: Personal, person: Person, purpose: str, *, what: str, about: str) -> None:
    """Raise AccessError unless somebody may see personal data and says what for, which is written down.

    Evidence is what it is: nothing in it can be masked. Raises UsageError for a purpose that says nothing.
    """
    if personal.seen_by(person, purpose, what=what, about=about) is not None:
        raise AccessError(
            "evidence is handed over whole, with the personal data in it", fix="say what it is needed for"
        )


def package(workspace: app.Workspace, incident: str, *, actor: str, reason: str, to: str = "") -> Handed:
    """Make an incident's evidence package, which `lemnis incident verify` checks; each piece is told of it.

    Raises NotFoundError, RefusedError for an incident that was merged, UsageError without a reason.
    """
    with tempfile.TemporaryDirectory(prefix="package-", dir=workspace.state) as folder:
        path = Path(folder) / "package.zip"
        made = incidents_evidence.pack(workspace, incident, path, actor=actor, reason=reason, to=to)
        file = path.open("rb")  # it stays readable when its name is gone: nothing is left, however this ends

    def chunks() -> Iterator[bytes]:
        with file:
            while data := file.read(_READ):
                yield data

    return Handed(f"{incident}.zip", made.size, chunks())


def piece(workspace: app.Workspace, incident: str, digest: str, *, actor: str, reason: str) -> Handed:
    """Return a piece of evidence; that it was looked at is written down first. Raises NotFoundError."""
    found, data = incidents_evidence.read(workspace, incident, digest, actor=actor, reason=reason)
    return Handed(found.digest.partition(":")[2], len(data), iter([data]))
