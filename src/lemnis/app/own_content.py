"""What is written into a workspace's own content: where it may lie, one at a time, and by whom."""

from __future__ import annotations

import re
from pathlib import Path

from lemnis import app
from lemnis.contracts.errors import BusyError, UsageError

NAME = re.compile(r"[a-z][a-z0-9_]{2,80}")
"""What an item that is written here may be called."""


def inside(workspace: app.Workspace, folder: str, name: str, file: str) -> Path:
    """Return where an item's file lies; raises UsageError where links lead out of the content."""
    root = workspace.content.resolve()
    path = root / folder / (name if NAME.fullmatch(name) else "") / file
    if path.resolve() != path:
        raise UsageError(f"{name!r} is, or lies behind, a link", fix="put a folder in its place")
    return path


def lock(workspace: app.Workspace) -> Path:
    """Return what is held while content is written; raises BusyError where there is no state yet."""
    if not workspace.state.is_dir():
        raise BusyError("the workspace has no state yet", retry_after_s=1, fix="run `lemnis init`")
    return workspace.state / "rules.lock"


def author(actor: str) -> str:
    """Return who writes as git has it."""
    plain = re.sub(r"[^\w.-]+", "-", actor) or "somebody"
    return f"{plain} <{plain}@lemnis.invalid>"
