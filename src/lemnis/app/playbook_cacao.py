"""CACAO 2.0 playbooks into and out of a workspace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import yaml as plain

from lemnis import app
from lemnis.app.respond import Loaded
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Playbook
from lemnis.contracts.errors import InputError, Location, NotFoundError, UsageError
from lemnis.respond import cacao_export, cacao_import
from lemnis.store import durable


def export(library: Library, name: str, *, at: int) -> dict[str, Any]:
    """Return a playbook as a CACAO 2.0 document; ``at`` (ms) dates one that did not come from CACAO."""
    playbook = yaml.load(library.get("playbooks", name).manifest, Playbook)
    return cacao_export.write(name, playbook, Loaded(library, "actions", Action), at=at)


def take_in(workspace: app.Workspace, file: Path, *, name: str = "") -> Path:
    """Write a CACAO 2.0 document as a playbook of the workspace; return its file.

    Raises InputError with the place of what is wrong, UsageError if there is a playbook of that name.
    """
    try:
        document = orjson.loads(file.read_bytes())
    except OSError as error:
        raise NotFoundError(f"cannot be read: {error.strerror}", at=Location(str(file))) from error
    except orjson.JSONDecodeError as error:
        at = Location(str(file), error.lineno, error.colno)
        raise InputError(f"no JSON: {error.msg}", at=at) from error
    made = cacao_import.read(document, file=str(file))
    name = name or re.sub(r"[^a-z0-9]+", "_", str(document["name"]).lower()).strip("_")[:80] or "imported"
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,80}", name):
        raise UsageError(f"{name!r} is no name for a playbook", fix="--name with small letters, digits and _")
    if name in app.library(workspace).items("playbooks"):
        raise UsageError(f"there is a playbook {name}", fix="--name gives it another name")
    text = plain.safe_dump(made, sort_keys=False, allow_unicode=True, width=110)
    yaml.load(text, Playbook, file=str(file))
    path = workspace.content / "playbooks" / name / "playbook.yaml"
    durable.write(path, text.encode())
    return path
