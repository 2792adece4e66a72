"""Checks playbooks and actions: their schema, what they name, conditions, secrets, where they may call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lemnis import app
from lemnis.app import respond_notices, respond_services, settings
from lemnis.app.respond_triggers import never
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Playbook
from lemnis.contracts.errors import ContentError, Location
from lemnis.respond import lint as linting
from lemnis.respond import secrets
from lemnis.respond.guards import leaves

_SOME_DAY = 1_800_000_000_000
"""From here on a schedule has to have a moment (ms); which day it is does not matter."""
_BLOCK = re.compile(r"[|>][-+0-9]*\s*(#.*)?$")
"""How a line ends that begins a block of text in YAML."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a playbook or an action."""

    name: str
    error: ContentError


def lint(
    library: Library, names: Sequence[str] = (), *, workspace: app.Workspace | None = None
) -> list[Problem]:
    """Check every action, and the playbooks of these names (all if none); return what is wrong.

    With a workspace, also whether somebody has the roles of those playbooks that are its own, are named, or
    begin by themselves there, and whether the connections lead where the actions of these may call, and those
    that are its own.
    """
    found: list[Problem] = []
    known = dict(_known(library, found))
    started = settings.load(workspace).playbooks.start if workspace is not None else ()
    parsed: dict[str, Playbook] = {}
    for name, item in library.items("playbooks").items():
        try:
            parsed[name] = yaml.load(item.manifest, Playbook)
        except ContentError as error:
            if not names or name in names:
                found.append(Problem(name, error))
    policies = respond_services.Policies(library)
    used = {name for name in known if library.get("actions", name).own}
    for name in names or library.items("playbooks"):
        item = library.get("playbooks", name)
        if name in parsed:
            taken = item.own or name in (*names, *started)
            used |= set(_actions(name, parsed)) if taken else set()
            peopled = workspace if taken else None
            found += [Problem(name, one) for one in _playbook(item, parsed, known, peopled, policies)]
    if workspace is not None:
        for name in sorted(used & set(known)):
            item = library.get("actions", name)
            found += [Problem(name, one) for one in _leaving(item, known[name], workspace)]
        found += [Problem("notify", one) for one in _notify(workspace, known)]
    return found


def _known(library: Library, found: list[Problem]) -> Iterator[tuple[str, Action]]:
    """Yield the actions that can be read; what is wrong with one goes to ``found``."""
    for name, item in library.items("actions").items():
        try:
            action = yaml.load(item.manifest, Action)
        except ContentError as error:
            found.append(Problem(name, error))
        else:
            found += [Problem(name, one) for one in _clear(item.manifest)]
            yield name, action


def _actions(name: str, parsed: Mapping[str, Playbook]) -> Iterator[str]:
    """Yield the actions of a playbook and of those that it calls, each of them once."""
    seen, left = {name}, [name]
    while left:
        for _, step in linting.steps(parsed[left.pop()]):
            if step.action:
                yield step.action
            inner = step.playbook or ""
            if inner in parsed and inner not in seen:
                seen.add(inner)
                left.append(inner)


def _notify(workspace: app.Workspace, known: Mapping[str, Action]) -> Iterator[ContentError]:
    """Yield what is wrong with the action by which people are told that they are waited for."""
    notify = settings.load(workspace).playbooks.notify
    if notify is None:
        return
    locate = yaml.locator(workspace.root / app.SETTINGS)
    for one in linting.lint("notify", respond_notices.playbook(notify), known, {}):
        path = one.path[2:]  # what leads to the step
        yield ContentError(one.what, at=locate(("playbooks", "notify", *path)))
    if notify.action in known and known[notify.action].effect == "read":
        yield ContentError(
            f"{notify.action} tells nobody: it reads", at=locate(("playbooks", "notify", "action"))
        )


def _playbook(
    item: Item,
    parsed: Mapping[str, Playbook],
    known: Mapping[str, Action],
    workspace: app.Workspace | None,
    policies: Mapping[str, str],
) -> Iterator[ContentError]:
    playbook = parsed[item.name]
    locate = yaml.locator(item.manifest)
    functions = frozenset(respond_services.functions())
    for one in linting.lint(item.name, playbook, known, parsed, functions, policies=policies):
        yield ContentError(one.what, at=_at(item.manifest, locate(one.path), one.line))
    for number, trigger in enumerate(playbook.triggers):
        why = never(trigger.cron, _SOME_DAY) if trigger.cron else ""
        if why:
            said = f"{trigger.cron!r} is no schedule: {why}"
            yield ContentError(said, at=locate(("triggers", number, "cron")))
    yield from _clear(item.manifest)
    if workspace is not None:
        roles = settings.load(workspace).roles
        for path, role in _roles(playbook):
            if role and role not in roles:
                yield ContentError(
                    f"nobody is {role}", at=locate(path), fix=f"`roles: {{{role}: [NAME]}}` in lemnis.yaml"
                )


def _at(manifest: Path, start: Location, line: int) -> Location:
    """Return where a line of a text in a file is; the text of a block begins on the line after its sign."""
    if not line or start.line is None:
        return start
    first = yaml.read_text(manifest).splitlines()[start.line - 1]
    if not _BLOCK.search(first):
        return start
    return Location(start.file, start.line + line)


def _roles(playbook: Playbook) -> Iterator[tuple[linting.Path, str]]:
    """Yield the roles that a playbook names, with their places."""
    approval = playbook.approval
    yield ("approval", "role"), approval.role
    if approval.escalate is not None:
        yield ("approval", "escalate", "role"), approval.escalate.role
    for path, step in linting.steps(playbook):
        if step.ask is not None:
            yield (*path, "ask", "role"), step.ask.role
            if step.ask.escalate is not None:
                yield (*path, "ask", "escalate", "role"), step.ask.escalate.role


def _clear(manifest: Path) -> Iterator[ContentError]:
    """Yield the secrets that stand in a file in clear text; they are not shown."""
    locate = yaml.locator(manifest)
    for path, what in secrets.find(yaml.parse(yaml.read_text(manifest), str(manifest))):
        yield ContentError(
            f"{'.'.join(map(str, path))} holds {what} in clear text", at=locate(path),
            fix="put it into the environment, and name the variable in the connection (lemnis.yaml)",
        )  # fmt: skip


def _leaving(item: Item, action: Action, workspace: app.Workspace) -> Iterator[ContentError]:
    """Yield that a workspace's connection leads where the action may not call."""
    known = settings.load(workspace).connections
    problem = leaves(action, known[action.connection].url) if action.connection in known else ""
    if problem:
        yield ContentError(
            f"the connection {action.connection} leads elsewhere: {problem}",
            at=yaml.locator(item.manifest)(("egress",)),
            fix="correct the connection's url in lemnis.yaml, or the action's egress list",
        )
