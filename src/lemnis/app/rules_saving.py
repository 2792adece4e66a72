"""Writes a detection into the workspace's content, or proposes it on a branch: who did it is in the journal.

A tag stands for the text that somebody has before them: what was changed meanwhile is not written over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from lemnis import app
from lemnis.app import own_content, shelf, trying
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.contracts.errors import NotFoundError, RefusedError, UsageError
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.store import durable

KIND = "detections"
CHANGED, PROPOSED = "rule.changed", "rule.proposed"
"""Entries of the journal, about a detection's name: ``payload`` has the text, and the tags of both sides."""
PREFIX = "rule/"
"""How branches of proposals begin."""
_ID = re.compile(r"(?m)^id:[ \t]*['\"]?([0-9a-fA-F-]{36})\b")


class ChangedError(RefusedError):
    """Somebody changed it meanwhile."""


def tag_of(text: str) -> str:
    """Return what stands for a text. Pure."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def tag(library: Library, name: str) -> str:
    """Return the tag of a detection as it is; empty where there is none."""
    try:
        return tag_of(yaml.read_text(library.get(KIND, name).manifest))
    except NotFoundError:
        return ""


def save(workspace: app.Workspace, name: str, text: str, *, of: str, actor: str, reason: str = "") -> Path:
    """Write a rule to the workspace's content; return its file. A rule that ships is overlaid, tests and all.

    ``of`` is the tag of the text that it takes the place of, empty for a new detection. Raises UsageError for
    a name that cannot be one, RefusedError for a rule that has an error, ChangedError where it is another.
    """
    with durable.exclusive(own_content.lock(workspace)):
        library = Library.open(workspace.content)
        _demand(library, name, text, of)
        path = _inside(workspace, name)
        for file, data in _files(library, path, name, text).items():
            durable.write(file, data)
            file.chmod(0o644)
        _tell(workspace, CHANGED, name, text, of, actor, reason, {})
    return path


def propose(workspace: app.Workspace, name: str, text: str, *, of: str, actor: str, reason: str = "") -> str:
    """Write a rule to a branch of its own, to be reviewed and merged; return the branch's name.

    Nothing that runs is changed. Raises as ``save`` does, and NotFoundError where the workspace is no git
    repository with a commit.
    """
    git = shelf.repository(workspace)
    library, root = Library.open(workspace.content), workspace.root.resolve()
    _demand(library, name, text, of)
    files = _files(library, _inside(workspace, name), name, text)
    branch = f"{PREFIX}{name}-{tag_of(text)[:8]}"
    commit = git.write_branch(
        branch, "HEAD", {str(path.relative_to(root)): data for path, data in files.items()},
        f"Detection {name}: {reason or 'proposed'}\n", author=own_content.author(actor),
        at=workspace.clock.now(),
    )  # fmt: skip
    _tell(workspace, PROPOSED, name, text, of, actor, reason, {"branch": branch, "commit": commit})
    return branch


def _demand(library: Library, name: str, text: str, of: str) -> None:
    """Raise what keeps a text from taking the place of another."""
    if not own_content.NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a detection's name", fix="small letters, digits and _")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("the rule has characters that are none", fix="take them out") from error
    now = tag(library, name)
    if now != of:
        raise ChangedError(
            f"{name} was changed by somebody else meanwhile"
            if of
            else f"there is a detection {name} already",
            fix="open it again, and change what is there now" if of else "open it, or take another name",
        )
    for other in library.items(KIND).values():
        if other.name != name and (same := _ids(text) & _ids(yaml.read_text(other.manifest))):
            raise RefusedError(f"the id {min(same)} is that of {other.name}", fix="give it one of its own")
    wrong = [one for one in trying.check(library, text) if not one.warning]
    if wrong:
        at = wrong[0].at
        place = f"line {at.line}: " if at.line else ""
        raise RefusedError(
            f"the rule cannot be used: {place}{wrong[0].what}", fix=wrong[0].fix or "mend it, try it again"
        )


def _ids(text: str) -> frozenset[str]:
    """Return the ids of the rules in a text."""
    return frozenset(one.lower() for one in _ID.findall(text))


def _files(library: Library, path: Path, name: str, text: str) -> dict[Path, bytes]:
    """Return what is to be written: the rule, and beside one that ships the files that it came with."""
    item = library.items(KIND).get(name)
    with_it = {} if item is None or item.own else dict(item.read())
    beside = {path.parent / inner: data for inner, data in with_it.items()}
    return {**beside, path: text.encode()}


def _inside(workspace: app.Workspace, name: str) -> Path:
    return own_content.inside(workspace, KIND, name, trying.RULE)


def _tell(  # noqa: PLR0917 - the parts of an entry
    workspace: app.Workspace, kind: str, name: str, text: str, of: str, actor: str, reason: str,
    more: Mapping[str, Json],
) -> None:  # fmt: skip
    now, tagged = workspace.clock.now(), tag_of(text)
    key = stable_id("rc", kind, name, of, tagged, str(now))
    payload: dict[str, Json] = {"name": name, "before": of, "tag": tagged, "text": text, **more}
    app.journal(workspace).append(NewEntry(kind, name, key, payload, actor=actor, reason=reason))
