"""Threat models beside the code: found, read, imported, and held against what a change adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import yaml as pyyaml

from lemnis.content import yaml
from lemnis.content.schemas.threat_model import Component, ThreatModel
from lemnis.contracts.errors import ContentError, InputError, Location, NotFoundError

if TYPE_CHECKING:
    from lemnis.assure.surface import Added
    from lemnis.contracts.ids import Json
    from lemnis.store.git import Repository

PLACES = ("threats.yaml", "docs/threats.yaml", ".lemnis/threats.yaml", "security/threats.yaml")
"""Where a repository's threat model may lie; the first that is there counts."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a change adds to the attack surface, and whether its threat model follows.

    ``model`` is the path of the model, empty if there is none; ``followed`` says that the change touches it.
    """

    model: str
    followed: bool
    added: tuple[Added, ...]

    def document(self) -> dict[str, Json]:
        """Return it as policies see it."""
        return {
            "model": self.model,
            "followed": self.followed,
            "added": [
                {
                    "kind": one.kind, "path": one.path, "line": one.line,
                    "where": f"{one.path}:{one.line}", "text": one.text,
                }
                for one in self.added
            ],
        }  # fmt: skip


def load(folder: Path) -> tuple[Path, ThreatModel]:
    """Read a folder's threat model, or a file's; raises NotFoundError, and ContentError with the place."""
    places = [folder] if folder.is_file() else [folder / place for place in PLACES]
    for path in places:
        if path.is_file():
            return path, yaml.load(path, ThreatModel)
    raise NotFoundError(
        "no threat model here", at=Location(str(folder)),
        fix=f"write {PLACES[0]}, or `lemnis threats import FILE` an Open Threat Model",
    )  # fmt: skip


def imported(file: Path) -> str:
    """Return an Open Threat Model as the text of a ``threats.yaml``; raises InputError if it is none."""
    from lemnis.assure import otm

    try:
        read = otm.read(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=Location(str(file))) from error
    try:
        ThreatModel.model_validate(read)
    except ValueError as error:
        raise ContentError(f"the model does not hold together: {error}", at=Location(str(file))) from error
    kept = {name: value for name, value in read.items() if value}
    return pyyaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=110)


def change(repository: Repository, commit: str, base: str) -> Change:
    """Say what a commit adds to the attack surface against ``base``, its parent or nothing."""
    from lemnis.assure.surface import added

    lines = repository.added(base, commit)
    files = repository.files(commit)
    model = next((place for place in PLACES if place in files), "")
    touched = {path for path, _, _ in lines}
    return Change(model, model in touched, tuple(added(lines)))


def uncovered(model: ThreatModel, found: Sequence[Added]) -> Iterator[Added]:
    """Yield what lies in files that no component of the model is made of."""
    for one in found:
        if not any(covers(component, one.path) for component in model.components):
            yield one


def covers(component: Component, path: str) -> bool:
    """Say whether a component is made of a file."""
    return any(fnmatchcase(path, pattern) for pattern in component.paths)


def risks(model: ThreatModel) -> list[Mapping[str, Json]]:
    """Return the model's threats, the gravest first."""
    ordered = sorted(model.threats, key=lambda one: (-one.figure, one.id))
    return [
        {
            "id": one.id, "title": one.title, "risk": one.figure, "state": one.state,
            "components": list(one.components), "stride": list(one.stride),
            "mitigations": list(one.mitigations), "owner": one.owner,
        }
        for one in ordered
    ]  # fmt: skip
