"""From what one session did to a repository on a forge to the setting, kept as code, that let it.

It begins at the repository that events name (GitHub's audit log). The state of the stack says which Terraform
defines it; of what protects it there, the attribute is looked for that would have refused what was done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import orjson

from lemnis.app.origins import code, terraform
from lemnis.app.origins.base import Asked, Chain, Event, hops, noted
from lemnis.app.origins.terraform import Written
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge
from lemnis.contracts.resources import Resource, Steps
from lemnis.lessons.prevent.base import Setting, Traced
from lemnis.scan.readers import listed, mapping
from lemnis.store.columns import leaf

_API, _LOGIN = 6003, 3002
_AROUND = 3_600_000  # ms: what came of the same address so long before and after belongs to the session
_MOST = 20
_REPOSITORY = "github_repository"


@dataclass(frozen=True, slots=True)
class _Guard:
    """An attribute that refuses some operations, if it is right: where it stands, when it is wrong."""

    operations: re.Pattern[str]
    kind: str
    steps: Steps
    wrong: Callable[[Json], bool]
    good: Json


_PASSED = re.compile(r"protected_branch\.policy_override|repository_ruleset\.bypass")
_PUSHED = re.compile(r"git\.push|pull_request\.merge")
_PROTECTION, _CLASSIC, _RULESET = (
    f"terraform.github_{name}" for name in ("branch_protection", "branch_protection_v3", "repository_ruleset")
)
_REVIEWS: Steps = ("required_pull_request_reviews", 0, "required_approving_review_count")
_GUARDS = (
    _Guard(_PASSED, _PROTECTION, ("enforce_admins",), lambda one: one in (False, None), good=True),
    _Guard(_PASSED, _CLASSIC, ("enforce_admins",), lambda one: one in (False, None), good=True),
    _Guard(
        _PASSED, _RULESET, ("bypass_actors", 0, "bypass_mode"), lambda one: one == "always",
        good="pull_request",
    ),
    _Guard(_PUSHED, _PROTECTION, _REVIEWS, lambda one: one == 0, good=1),
    _Guard(_PUSHED, _CLASSIC, _REVIEWS, lambda one: one == 0, good=1),
    _Guard(_PUSHED, _PROTECTION, _REVIEWS[:1], lambda one: one is None, good=None),
    _Guard(_PUSHED, _CLASSIC, _REVIEWS[:1], lambda one: one is None, good=None),
)  # fmt: skip
"""Attributes of the Terraform provider integrations/github that refuse what one person does alone."""


@dataclass(frozen=True, slots=True)
class _Let:
    """An attribute that let something be done: the resource, the guard, its value."""

    resource: Resource
    guard: _Guard
    value: Json


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a repository to which somebody did what its settings should have refused."""
    about: dict[str, list[Event]] = {}
    for event in asked.named():
        name = _repository(event)
        if name and any(guard.operations.search(_operation(event)) for guard in _GUARDS):
            about.setdefault(name, []).append(event)
    return [_chain(asked, name, events) for name, events in about.items()]


def _repository(event: Event) -> str:
    """Return the repository that an event of a forge is about, as ``owner/name``."""
    first = mapping(next(iter(listed(event.get("resources"))), None))
    same = event.kind == _API and event.source.startswith("github") and first.get("type") == "repository"
    return str(first.get("name") or "") if same else ""


def _operation(event: Event) -> str:
    return str(event.get("api.operation") or "")


def _chain(asked: Asked, name: str, events: Sequence[Event]) -> Chain:
    alerts = tuple(dict.fromkeys(alert for event in events for alert in event.alerts))
    first = asked.alert(alerts)
    thing = Entity(EntityKind.REPOSITORY, name)
    live = Entity(EntityKind.CLOUD_RESOURCE, f"{_REPOSITORY}/{name.rpartition('/')[2]}")
    defined = noted(
        replace(terraform.defined_by(asked, live), source=thing),
        alert=first.id, rule=first.title, events=[event.uid for event in events[:_MOST]],
        did=sorted({_operation(event) for event in events}),
        by=sorted({str(one) for event in events if (one := event.get("actor.user.name"))}),
    )  # fmt: skip
    edges, ended, facts = [defined], None, Traced()
    if defined.holds:
        more, ended, facts = _code(asked, defined, live, events)
        edges += more
    return Chain(
        begin=thing,
        alert=first,
        hops=hops(edges),
        source=ended.source if ended else None,
        facts=facts,
        alerts=alerts,
        events=tuple(_session(asked, events)),
        beside=ended.beside if ended else (),
    )


def _code(
    asked: Asked, defined: Edge, live: Entity, events: Sequence[Event]
) -> tuple[list[Edge], code.End | None, Traced]:
    """Return the edges from the repository's resource to the line that let it, its end and its facts."""
    where = terraform.written(asked, replace(defined, source=live))
    if isinstance(where, str):
        return [code.broken(defined.target, terraform.METHOD, where)], None, Traced()
    found = list(_let(where, events))
    if not found:
        why = f"nothing that protects {where.resource.name} in the code lets it: it was set in another way"
        return [code.broken(defined.target, terraform.METHOD, why)], None, Traced()
    let = found[0]
    spot = let.resource.at(let.guard.steps)
    edge, located = code.line(
        defined.target, where.place, spot.path, spot.line, method=terraform.METHOD, strength=where.strength
    )
    also: list[Json] = [_said(one) for one in found[1:]]
    edge = noted(
        edge, **where.evidence, attribute=_said(let), also=also, notes=list(where.notes),
        scanners=where.place.trouble,
    )  # fmt: skip
    ended = code.end(asked, where.place, edge.target, located)
    setting = Setting(let.resource.kind, let.resource.name, let.guard.steps, let.value, let.guard.good)
    facts = Traced(located.findings, spot.path, spot.line, ended.source.text, setting=setting)
    return [edge, *ended.edges], ended, facts


def _let(where: Written, events: Sequence[Event]) -> Iterator[_Let]:
    """Yield the attributes around a repository that let what was done, in the order of the guards."""
    for guard in _GUARDS:
        done = [event for event in events if guard.operations.search(_operation(event))]
        for one in where.around() if done else ():
            value = _value(one.data, guard.steps)
            unknown = any(way[: len(guard.steps)] == guard.steps[: len(way)] for way in one.unknown)
            if one.kind == guard.kind and guard.wrong(value) and not unknown and _protects(one, done):
                yield _Let(one, guard, value)


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


def _value(data: Json, steps: Steps) -> Json:
    """Return what stands at the end of steps; None where nothing does."""
    for step in steps:
        if isinstance(step, int):
            here = listed(data)
            data = here[step] if step < len(here) else None
        else:
            data = mapping(data).get(step)
    return data


def _said(one: _Let) -> str:
    way = ".".join(map(str, one.guard.steps))
    value = "not set" if one.value is None else orjson.dumps(one.value).decode()
    return f"{one.resource.name}: {way} {value}"


def _session(asked: Asked, events: Sequence[Event]) -> Iterator[str]:
    """Yield the events that came of the same address, about then, of forges and of identity providers."""
    places = {str(one) for event in events if (one := event.get("src_endpoint.ip"))}
    first, last = min(event.at for event in events) - _AROUND, max(event.at for event in events) + _AROUND
    for kind in (_API, _LOGIN):
        for batch in asked.lake.scan(kind, start=first, end=last + 1):
            columns = [leaf(batch.table, path) for path in ("metadata.uid", "src_endpoint.ip")]
            nothing = [None] * batch.table.num_rows
            rows = zip(*(nothing if one is None else one.to_pylist() for one in columns), strict=True)
            yield from (uid for uid, place in rows if place in places)
