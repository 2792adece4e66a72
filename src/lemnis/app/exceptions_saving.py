"""Writes an exception from one detection into the workspace's content, or proposes it on a branch.

The text is a proposal (`noise_filter`); whoever writes it says why, and until which day. It may take away
nothing of other detections.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime
from pathlib import Path

import yaml as pyyaml

from lemnis import app
from lemnis.app import exceptions, own_content, shelf
from lemnis.app.exceptions import Called
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.rule_exception import KIND, RuleException
from lemnis.contracts.errors import ContentError, RefusedError, UsageError
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.detect.rules import load_rules
from lemnis.store import durable

FOLDER, FILE = "exceptions", "filter.yml"
KEPT, PROPOSED = "exception.kept", "exception.proposed"
"""Entries of the journal, about a detection's name: ``payload`` has the exception's name and text."""
PREFIX = "exception/"
"""How branches of proposals begin."""
MOST_DAYS = 365
MOST_TEXT = 20_000


def save(
    workspace: app.Workspace, name: str, text: str, *, of: str, until: str, why: str, actor: str
) -> Path:
    """Write an exception from the detection ``of`` to the workspace's content; return its file.

    ``until`` is its last day (UTC). Raises UsageError for a name or day that cannot be one, ContentError for
    a text that is no exception, RefusedError for one that is there already, whose filter is wrong, or that
    takes more away than alerts of this detection.
    """
    with durable.exclusive(own_content.lock(workspace)):
        path, data = _file(workspace, name, text, of, until, why)
        durable.write(path, data)
        path.chmod(0o644)
        _tell(workspace, KEPT, of, name, data, actor, why, {})
    return path


def propose(
    workspace: app.Workspace, name: str, text: str, *, of: str, until: str, why: str, actor: str
) -> str:
    """Write an exception to a branch of its own, to be reviewed and merged; return the branch's name.

    Nothing that runs is changed. Raises as ``save`` does, and NotFoundError where the workspace is no git
    repository with a commit.
    """
    git = shelf.repository(workspace)
    path, data = _file(workspace, name, text, of, until, why)
    branch = f"{PREFIX}{name}-{stable_id('ex', data.decode())[-8:]}"
    commit = git.write_branch(
        branch, "HEAD", {str(path.relative_to(workspace.root.resolve())): data},
        f"Exception {name} from {of}: {why}\n", author=own_content.author(actor), at=workspace.clock.now(),
    )  # fmt: skip
    _tell(workspace, PROPOSED, of, name, data, actor, why, {"branch": branch, "commit": commit})
    return branch


def _file(  # noqa: PLR0917 - the parts of an exception
    workspace: app.Workspace, name: str, text: str, of: str, until: str, why: str
) -> tuple[Path, bytes]:
    """Return where an exception is to lie, and its text as it is to be; raises what keeps it from that."""
    if not own_content.NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be an exception's name", fix="small letters, digits and _")
    if len(text) > MOST_TEXT:
        raise UsageError(f"an exception has more than {MOST_TEXT:,} characters")
    library = Library.open(workspace.content)
    if name in library.items(KIND):
        raise RefusedError(f"there is an exception {name} already", fix="take another name")
    detection = library.get("detections", of)
    told = _told(text, _day(until, workspace.clock.now()), why)
    _demand(detection, told)
    return own_content.inside(workspace, FOLDER, name, FILE), told


def _day(text: str, now: int) -> str:
    today = datetime.fromtimestamp(now / 1000, UTC).date()
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no day", fix="write the last day as 2026-12-31") from error
    if not 0 <= (day - today).days <= MOST_DAYS:
        raise UsageError(
            f"the last day of an exception is today or within {MOST_DAYS} days", fix="choose another"
        )
    return day.isoformat()


def _told(text: str, until: str, why: str) -> bytes:
    """Return the text with the last day and the reason of whoever writes it."""
    yaml.load(text, RuleException, file="<exception>")
    document = pyyaml.safe_load(text)
    document["x-lemnis"] |= {"expires": until, "reason": why.strip()}
    found = pyyaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    yaml.load(found, RuleException, file="<exception>")  # what was put in, too
    return found.encode()


def _demand(detection: Item, told: bytes) -> None:
    """Raise what keeps an exception from being one from this detection, and from no other."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / FILE
        manifest.write_bytes(told)
        try:
            one = exceptions.compiled(Item(KIND, "new", Path(folder), manifest, own=True))
        except ContentError as error:
            line = f"line {error.at.line}: " if error.at and error.at.line else ""
            raise RefusedError(f"the exception cannot be used: {line}{error.what}", fix=error.fix) from error
    known = load_rules([detection.manifest]).rules
    called = Called(known)
    for wanted in one.file.rules or ("any",):
        named = called.by(wanted)
        if not named or not any(one.covers(known[place]) for place in named):
            raise RefusedError(
                f"it is to take alerts of {wanted!r} away, and this is about {detection.name}",
                fix="name the rules of this detection, with their log source",
            )


def _tell(  # noqa: PLR0917 - the parts of an entry
    workspace: app.Workspace, kind: str, of: str, name: str, data: bytes, actor: str, why: str,
    more: dict[str, Json],
) -> None:  # fmt: skip
    key = stable_id("ec", kind, name, data.decode(), str(workspace.clock.now()))
    payload: dict[str, Json] = {"name": name, "text": data.decode(), **more}
    app.journal(workspace).append(NewEntry(kind, of, key, payload, actor=actor, reason=why))
