"""From what one session did to a repository on a forge to the setting, kept as code, that let it.

It begins at the repository that events name (GitHub's audit log). The state of the stack says which Terraform
defines it; of what protects it there, the attribute is looked for that would have refused what was done.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import orjson

from lemnis.app.origins import code, guards, terraform
from lemnis.app.origins.base import Asked, Chain, Event, noted
from lemnis.app.origins.guards import Guard, operation
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.resources import Resource, Steps
from lemnis.lessons.prevent.base import Traced
from lemnis.scan.readers import listed, mapping

_REPOSITORY = "github_repository"
_PASSED = re.compile(r"protected_branch\.policy_override|repository_ruleset\.bypass")
_PUSHED = re.compile(r"git\.push|pull_request\.merge")
_PROTECTION, _CLASSIC, _RULESET = (
    f"terraform.github_{name}" for name in ("branch_protection", "branch_protection_v3", "repository_ruleset")
)
_REVIEWS: Steps = ("required_pull_request_reviews", 0, "required_approving_review_count")
_GUARDS = (
    Guard(_PASSED, _PROTECTION, ("enforce_admins",), lambda one: one in (False, None), good=True),
    Guard(_PASSED, _CLASSIC, ("enforce_admins",), lambda one: one in (False, None), good=True),
    Guard(
        _PASSED, _RULESET, ("bypass_actors", 0, "bypass_mode"), lambda one: one == "always",
        good="pull_request",
    ),
    Guard(_PUSHED, _PROTECTION, _REVIEWS, lambda one: one == 0, good=1),
    Guard(_PUSHED, _CLASSIC, _REVIEWS, lambda one: one == 0, good=1),
    Guard(_PUSHED, _PROTECTION, _REVIEWS[:1], lambda one: one is None, good=None),
    Guard(_PUSHED, _CLASSIC, _REVIEWS[:1], lambda one: one is None, good=None),
)  # fmt: skip
"""Attributes of the Terraform provider integrations/github that refuse what one person does alone."""


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a repository to which somebody did what its settings should have refused."""
    about: dict[str, list[Event]] = {}
    for event in asked.named():
        name = _repository(event)
        if name and any(guard.operations.search(operation(event)) for guard in _GUARDS):
            about.setdefault(name, []).append(event)
    return [_chain(asked, name, events) for name, events in about.items()]


def _repository(event: Event) -> str:
    """Return the repository that an event of a forge is about, as ``owner/name``."""
    first = mapping(next(iter(listed(event.get("resources"))), None))
    same = event.kind == guards.API and event.source.startswith("github")
    return str(first.get("name") or "") if same and first.get("type") == "repository" else ""


def _chain(asked: Asked, name: str, events: Sequence[Event]) -> Chain:
    thing = Entity(EntityKind.REPOSITORY, name)
    started = asked.started(thing, events)
    live = Entity(EntityKind.CLOUD_RESOURCE, f"{_REPOSITORY}/{name.rpartition('/')[2]}")
    defined = noted(
        replace(terraform.defined_by(asked, live), source=thing), **started.told,
        did=sorted({operation(event) for event in events}),
        by=sorted({str(one) for event in events if (one := event.get("actor.user.name"))}),
    )  # fmt: skip
    edges, ended, facts = [defined], None, Traced()
    if defined.holds:
        where = terraform.written(asked, replace(defined, source=live))
        if isinstance(where, str):
            edges.append(code.broken(defined.target, terraform.METHOD, where))
        else:
            found = list(guards.let(where, _GUARDS, events, _protects))
            more, ended, facts = guards.line(asked, defined, where, found)
            edges += more
    return code.chain(started, edges, ended, facts, events=guards.session(asked, events))


def _protects(one: Resource, events: Sequence[Event]) -> bool:
    """Say whether a protection is of a branch that events are about; conditions of rulesets are not read."""
    pattern = one.data.get("pattern", one.data.get("branch"))
    branches = {branch for event in events if (branch := _branch(event))}
    if not isinstance(pattern, str) or not branches:
        return True
    return any(fnmatchcase(branch, pattern) for branch in branches)


def _branch(event: Event) -> str:
    """Return the branch that an event is about, as GitHub says it beside what OCSF has a place for."""
    try:
        kept = orjson.loads(event.get("unmapped") or "{}")
    except orjson.JSONDecodeError:
        return ""
    return str(mapping(kept).get("branch") or mapping(kept).get("ref") or "").removeprefix("refs/heads/")
