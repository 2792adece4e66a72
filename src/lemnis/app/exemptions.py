"""Exceptions from policies over their life: asked for, approved by another, running out, renewed, withdrawn.

What is asked for lies in ``requests/`` of the workspace, what is approved in ``content/exceptions/``, to be
reviewed and committed like all content. Each step is in the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml as pyyaml

from lemnis import app
from lemnis.app import editing, findings_decisions, gates
from lemnis.content import yaml
from lemnis.content.library import Item
from lemnis.content.schemas.exemption import Exemption, Request
from lemnis.contracts.errors import ContentError, LemnisError, NotFoundError, RefusedError, UsageError
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.store import durable

if TYPE_CHECKING:
    from lemnis.app.findings_life import Problem
    from lemnis.content.library import Library

ASKED, APPROVED, WITHDRAWN = "exception.asked", "exception.approved", "exception.withdrawn"
"""Kinds of journal entries; their subject is ``exception:`` and its name."""
CODE = ("editor", "commit", "pull_request", "build")
SHORTEST = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """An exception that somebody asked for, and the name of the one that it would renew; ``wrong`` if any."""

    name: str
    request: Request | None
    renews: bool = False
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """An approved exception: what its file says, whole days that are left (below 0: over), why it is void.

    ``passed`` are the changes and images that it lets through by their last decision; ``problems`` the ids of
    those that are there and that it is about. ``own`` says that it lies in the workspace's content.
    """

    name: str
    file: Exemption
    days: int
    void: str
    own: bool
    passed: int = 0
    problems: tuple[str, ...] = ()


def requests(workspace: app.Workspace, library: Library) -> list[Asked]:
    """Return what was asked for and nobody approved yet, by name; also files that cannot be read."""
    found = []
    for path in sorted((workspace.root / editing.REQUESTS).glob("*.yaml")):
        try:
            asked = yaml.load(path, Request)
        except LemnisError as error:
            found.append(Asked(path.stem, None, wrong=str(error)))
            continue
        found.append(Asked(path.stem, asked, path.stem in library.items("exceptions")))
    return found


def granted(
    workspace: app.Workspace,
    library: Library,
    problems: Sequence[Problem] = (),
    passed: Mapping[str, int] | None = None,
) -> tuple[list[Granted], list[str]]:
    """Return every exception from a policy, the next to end first, and what is wrong with the others.

    ``problems`` are those that are there: each exception is told those that it is about. ``passed`` counts
    for each what it lets through, where that is known; else the journal is asked.
    """
    from lemnis.app import feedback

    items, wrong = library.items("exceptions"), []
    try:
        void = {one.name: one.void for one in feedback.exempt(workspace, library)}
    except ContentError as error:
        void, wrong = {}, [str(error)]
    if passed is None:
        passed = _passed(workspace) if items else {}
    today = datetime.fromtimestamp(workspace.clock.now() / 1000, UTC).date()
    found = []
    for name, item in items.items():
        try:
            file = yaml.load(item.manifest, Exemption)
        except LemnisError as error:
            wrong.append(str(error))
            continue
        mine = tuple(one.id for one in problems if covers(file, one))
        left = (file.expires - today).days
        found.append(Granted(name, file, left, void.get(name, ""), item.own, passed.get(name, 0), mine))
    return sorted(found, key=lambda one: (one.days, one.name)), list(dict.fromkeys(wrong))


def covers(file: Request, one: Problem) -> bool:
    """Say whether an exception is about a finding of a problem. Pure."""
    for row in one.rows:
        told = row.finding
        if file.fingerprint:
            if file.fingerprint == told.fingerprint:
                return True
        elif told.path and fnmatchcase(f"{told.path}:{told.line}", file.where):
            return True
    return False


def _passed(workspace: app.Workspace) -> Counter[str]:
    """Count for each exception the changes and images that it lets through, of each the last word."""
    last: dict[tuple[str, str], Any] = {}
    for entry in app.journal(workspace).entries(kind=gates.DECISION):
        last[entry.subject, str(entry.payload.get("stage", ""))] = entry.payload.get("exceptions") or ()
    return Counter(str(name) for names in last.values() for name in set(names))


def ask(
    workspace: app.Workspace,
    library: Library,
    *,
    policy: str,
    fingerprint: str,
    actor: str,
    reason: str,
    until: str,
    compensating: str = "",
    assets: Sequence[str] = (),
) -> str:
    """Ask for an exception from a policy for one finding; return its name.

    It is written down for somebody else to approve. Raises NotFoundError for no policy, UsageError for what
    is missing, RefusedError where the policy grants none or it was asked for already.
    """
    from lemnis.app import policies

    granting = policies.load_one(library.get("policies", policy))
    if not granting.grants:
        raise RefusedError(f"nobody can grant an exception from {policy}", fix="mend it")
    stages = [one for one in granting.stages if one in CODE]
    document: dict[str, Json] = {
        "policy": policy, "fingerprint": fingerprint, "stages": [*stages],
        "compensating_control": compensating, "assets": list(assets),
    }  # fmt: skip
    return _ask(workspace, f"{policy}-{fingerprint}", document, actor=actor, reason=reason, until=until)


def renew(
    workspace: app.Workspace, library: Library, name: str, *, actor: str, reason: str, until: str
) -> str:
    """Ask that an exception counts longer: what it is about stays; return its name.

    Raises NotFoundError, UsageError for what is missing, RefusedError where it was asked for already.
    """
    file = yaml.load(_item(library, name).manifest, Exemption)
    kept = file.model_dump(mode="json", include={"policy", "where", "fingerprint", "stages", "assets",
                                                 "compensating_control"})  # fmt: skip
    return _ask(workspace, name, kept, actor=actor, reason=reason, until=until)


def _ask(
    workspace: app.Workspace, name: str, terms: Mapping[str, Json], *, actor: str, reason: str, until: str
) -> str:
    if len(reason.strip()) < SHORTEST:
        raise UsageError(f"say why, in {SHORTEST} characters or more")
    last = findings_decisions.last_day(until, workspace.clock.now())
    told = {
        **{key: value for key, value in terms.items() if value}, "reason": reason.strip()[:2000],
        "owner": actor, "expires": last,
    }  # fmt: skip
    Request.model_validate(told)
    folder = workspace.root / editing.REQUESTS
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.yaml"
    if path.exists():
        raise RefusedError("this was asked for already", fix="somebody else approves it, or refuses")
    durable.write(path, pyyaml.safe_dump(told, sort_keys=False, allow_unicode=True).encode())
    path.chmod(0o644)
    _tell(workspace, ASKED, name, {"expires": last, "policy": told["policy"]}, actor=actor, reason=reason)
    return name


def approve(workspace: app.Workspace, name: str, *, actor: str) -> Path:
    """Approve what somebody else asked for; return its file in the content.

    Raises NotFoundError, UsageError where who asks approves, ContentError for what is no request.
    """
    path = _request(workspace, name)
    with durable.exclusive(workspace.state / "exceptions.lock"):  # two who approve at once
        if not path.exists():
            raise _no_request(name)
        asked = yaml.load(path, Request)
        made = editing.approve(workspace, path, actor=actor)
    facts: dict[str, Json] = {
        "expires": asked.expires.isoformat(),
        "policy": asked.policy,
        "owner": asked.owner,
    }
    _tell(workspace, APPROVED, name, facts, actor=actor, reason=asked.reason)
    return made


def refuse(workspace: app.Workspace, name: str, *, actor: str, reason: str) -> None:
    """Take away what was asked for: refused by another, or no longer wanted. Raises NotFoundError."""
    path = _request(workspace, name)
    if not reason.strip():
        raise UsageError("to refuse takes a reason")
    try:
        path.unlink()
    except FileNotFoundError as error:  # somebody else was quicker
        raise _no_request(name) from error
    _tell(workspace, WITHDRAWN, name, {"request": True}, actor=actor, reason=reason)


def withdraw(workspace: app.Workspace, library: Library, name: str, *, actor: str, reason: str) -> None:
    """Take an exception out of the workspace's content: gates refuse again what it let pass.

    Raises NotFoundError, UsageError without a reason, RefusedError for one that is not the workspace's own.
    """
    item = _item(library, name)
    if not item.own:
        raise RefusedError("this exception ships with the content", fix="lay another of its name over it")
    if not reason.strip():
        raise UsageError("to withdraw takes a reason")
    policy = str(yaml.load(item.manifest, Exemption).policy)
    item.manifest.unlink()
    _tell(workspace, WITHDRAWN, name, {"policy": policy}, actor=actor, reason=reason)


def _item(library: Library, name: str) -> Item:
    found = library.items("exceptions").get(name)
    if found is None or not found.manifest.is_file():
        raise NotFoundError(f"no exception {name!r}", fix="the page of exceptions lists them")
    return found


def _request(workspace: app.Workspace, name: str) -> Path:
    """Return the file of a request; only one that lies there, whatever its name says."""
    every = (workspace.root / editing.REQUESTS).glob("*.yaml")
    found = next((path for path in every if path.stem == name and not path.is_symlink()), None)
    if found is None:
        raise _no_request(name)
    return found


def _no_request(name: str) -> NotFoundError:
    return NotFoundError(f"no request {name!r}", fix="the page of exceptions lists them")


def _tell(
    workspace: app.Workspace, kind: str, name: str, facts: Mapping[str, Json], *, actor: str, reason: str
) -> None:
    journal = app.journal(workspace)
    about = f"exception:{name}"
    count = sum(1 for _ in journal.entries(kind=kind, subject=about, bare=True))
    key = stable_id("ex", kind, name, str(count))
    journal.append(NewEntry(kind, about, key, dict(facts), actor=actor, reason=reason.strip()[:2000]))
