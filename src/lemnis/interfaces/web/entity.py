"""An entity or service: what is known of it, its risk over time, alerts, and what it is tied to.

What it is besides its alerts (owners, deploys, findings, posture, data, exposure) is of ``app.entity_facts``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import assets, entity_facts, incidents_handling
from lemnis.app import graph as graphs
from lemnis.app.access import naming
from lemnis.app.access.masking import KINDS
from lemnis.app.access.people import may
from lemnis.app.board import View
from lemnis.app.entity_facts import Facts, Problem
from lemnis.app.graph import Around
from lemnis.content.schemas.grouping import Risk
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import AccessError, NotFoundError, UsageError
from lemnis.contracts.incidents import AlertGroup
from lemnis.contracts.provenance import Edge
from lemnis.correlate.risk import Points
from lemnis.interfaces.web import drawing, paths, posture, queue, site, words
from lemnis.interfaces.web.beside import beside
from lemnis.interfaces.web.entity_index import Index
from lemnis.interfaces.web.words import query

DAY = 86_400_000
DAYS = 30
_EDGES = 12
_FACTS_S, _AROUND_S, _SHOWN = 60, 15, 20
_RUNS = frozenset(
    {
        EntityKind.HOST, EntityKind.WORKLOAD, EntityKind.CONTAINER, EntityKind.PROCESS, EntityKind.IMAGE,
        EntityKind.REPOSITORY, EntityKind.COMMIT, EntityKind.ENDPOINT,
    }
)  # fmt: skip
"""Kinds that run or are run: of these each part of the page says so where nothing is known."""
_RIGHTS = _RUNS | {
    EntityKind.SERVICE_ACCOUNT, EntityKind.IDENTITY, EntityKind.PRINCIPAL, EntityKind.ROLE,
    EntityKind.CLOUD_RESOURCE, EntityKind.DATA_SET,
}  # fmt: skip
"""Kinds that hold data, or come to it by their rights."""


@dataclass(frozen=True, slots=True)
class Day:
    """What the alerts about an entity amounted to on a day (UTC), and by which rules."""

    at: int
    risk: int
    parts: tuple[tuple[str, int], ...]


def days(groups: Iterable[AlertGroup], risk: Risk, now: int) -> list[Day]:
    """Return the risk of the last days, by the alerts that came on each. Pure."""
    first = now // DAY - DAYS + 1
    points: dict[int, Points] = {}
    titles: dict[int, dict[str, int]] = {}
    for group in groups:
        for day in {time // DAY for _, time in group.alerts}:
            if day < first or day > now // DAY:
                continue
            points.setdefault(day, Points()).put(group.rule_id, int(group.severity), group.first, group.tags)
            counts = titles.setdefault(day, {})
            counts[group.title] = counts.get(group.title, 0) + group.count
    return [
        Day(
            day * DAY, points[day].total(risk) if day in points else 0,
            tuple(sorted(titles.get(day, {}).items(), key=lambda one: -one[1])[:3]),
        )
        for day in range(first, first + DAYS)
    ]  # fmt: skip


def indexed(here: site.Site, view: View) -> Index:
    """Return the alerts about each entity, as of a view of all there is."""
    found: Index = here.once.setdefault("entities", Index())
    return found.look(view)


@dataclass(frozen=True, slots=True)
class Tie:
    """An edge of the graph from or to the entity, in words."""

    says: str
    other: Entity
    method: str
    strength: str
    since: int | None
    until: int | None


def ties(around: Around) -> list[tuple[str, list[Tie]]]:
    """Return the edges of an entity by what they say. Pure."""
    found: dict[str, list[Tie]] = {}
    for edges, back in ((around.out, False), (around.into, True)):
        for edge in edges:
            says = words.words(edge.relation) if not back else f"{words.words(edge.relation)} (from)"
            found.setdefault(says, []).append(_tie(edge, says, back=back))
    return list(found.items())


def _tie(edge: Edge, says: str, *, back: bool) -> Tie:
    other = edge.source if back else edge.target
    return Tie(says, other, edge.method, edge.strength.name.lower(), edge.valid_from, edge.valid_to)


def drawn(entity: Entity, around: Around) -> Any:
    """Return the entity between what leads to it and what it leads to. Pure."""
    nodes = [drawing.Node(str(entity), entity.kind.value, entity.value, "", 1, focus=True)]
    lines = []
    for edges, back in ((around.into, True), (around.out, False)):
        for edge in edges[:_EDGES]:
            other = edge.source if back else edge.target
            if all(one.id != str(other) for one in nodes):
                nodes.append(
                    drawing.Node(str(other), other.kind.value, other.value, address(other), 0 if back else 2)
                )
            lines.append(
                drawing.Line(str(edge.source), str(edge.target), words.words(edge.relation), not edge.holds)
            )
    return drawing.graph(nodes, lines, label=f"What {entity} is tied to") if lines else None


def address(entity: Entity) -> str:
    """Return the page of an entity. Pure."""
    return f"/entity?{query({'name': words.masked(entity)})}"


def read(text: str) -> Entity:
    """Read ``kind:value``; raises UsageError for what is none."""
    try:
        found = Entity.parse(text)
    except ValueError as error:
        raise UsageError(
            f"{text[:200]!r} names no entity", fix=f"kind:value, kinds: {', '.join(EntityKind)}"
        ) from error
    if not found.value:
        raise UsageError("an entity has a value", fix="such as host:web-1")
    return found


def unmasked(request: Request, name: str, known: Iterable[Entity]) -> str:
    """Return which entity is meant, where a person goes by what stands for them."""
    kind, _, value = name.partition(":")
    if not value.startswith("person~"):
        return name
    masker = site.at(request).personal(request).masker
    people = sorted(one for one in known if one.kind == kind)
    return next((str(one) for one in people if masker.pseudonym(one.value) == value), name)


def page(request: Request) -> Response:
    """Show an entity, or where one is looked for."""
    here = site.at(request)
    name = request.query_params.get("name", "")[:2_000]
    if not name:
        return here.page(
            request, "entity_none.html", title="Entities", here="/search", kinds=list(EntityKind)
        )
    view = here.board.look()
    known = indexed(here, view)
    entity = read(unmasked(request, name, known.entities()))
    hidden = not here.purpose(request)
    if hidden and str(entity) == name and entity.kind in KINDS and not entity.value.startswith("person~"):
        raise AccessError("who a person is needs a purpose", fix="say what you need it for, in the bar")
    eyes = site.eyes(request)
    now = here.workspace.clock.now()
    facts = known_facts(here, entity)
    mine = dict.fromkeys(pair for one in (entity, *facts.members) for pair in known.about(one))
    told = [pair for pair in mine if eyes.sees_group(*pair)]
    groups = [group for _, group in told]
    around = _around(here, entity)
    on_paths = paths.known_of(here, {entity, *facts.runs})
    seen = {entity, *facts.entities, *(other for group in groups for other in group.entities)}
    seen |= (
        {end for edge in (*around.out, *around.into) for end in (edge.source, edge.target)}
        if around
        else set()
    )
    seen |= {end for one in on_paths or () for end in paths.through(one)}
    problems = problems_of(here, entity)
    said = [text for one in problems or () for text in (one.title, one.where)]
    said += [text for row in facts.posture for text in (row.finding.title, row.finding.message)]
    site.see(request, {*seen, *naming.addressed(said)}, about=name)
    names = {incident for incident, _ in told}
    about = [one for one in view.standings if one.incident.id in names]
    if not may(site.whose(request), "incident.read"):
        about = []
    over_time = days(groups, here.board.risk, now)
    return here.page(
        request,
        "entity.html",
        title=words.masked(entity.value),
        here="/search",
        entity=entity,
        around=around,
        ties=ties(around) if around else [],
        drawing=drawn(entity, around) if around else None,
        known=_known(here, entity, now, hidden=hidden),
        facts=facts,
        problems=problems,
        runs=entity.kind in _RUNS,
        rights=entity.kind in _RIGHTS,
        paths=None if on_paths is None else [paths.row(one) for one in on_paths[:_SHOWN]],
        more_paths=max(0, len(on_paths or ()) - _SHOWN),
        eventful=[one for one in reversed(over_time) if one.parts],
        days=over_time,
        risk=max((one.risk for one in over_time), default=0),
        spark=drawing.histogram(
            [(one.at, one.risk) for one in over_time],
            over_time[0].at,
            over_time[-1].at + DAY,
            label=f"risk of {entity} over {DAYS} days",
            height=72,
        ),
        rows=queue.lines_of(here, about),
        alerts=rules(groups) if may(site.whose(request), "alert.read") else [],
    )


def known_facts(here: site.Site, entity: Entity) -> Facts:
    """Return what is known of an entity besides its alerts, at most some seconds old."""

    def look() -> Facts:
        now = here.workspace.clock.now()
        return entity_facts.facts(here.workspace, entity, posture.config(here), now)

    found: Facts = here.keep(f"facts:{entity}", look, _FACTS_S).get()
    return found


def problems_of(here: site.Site, entity: Entity) -> list[Problem] | None:
    """Return the findings that live in what runs or is run; None while they are looked for."""
    if entity.kind not in _RUNS:
        return []

    def look() -> list[Problem]:
        return entity_facts.problems(here.workspace, entity, here.workspace.clock.now())

    return beside(here, f"problems:{entity}", look, _FACTS_S)


def _around(here: site.Site, entity: Entity) -> Around | None:
    """Return what the graph has around an entity, at most some seconds old; None where it knows nothing."""

    def look() -> tuple[Around | None]:
        try:
            return (graphs.around(here.workspace, str(entity), None, limit=_EDGES),)
        except NotFoundError:
            return (None,)

    found: tuple[Around | None] = here.keep(f"around:{entity}", look, _AROUND_S).get()
    return found[0]


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How often a rule told of an entity."""

    title: str
    severity: str
    count: int
    last: int
    alert: str


def rules(groups: Sequence[AlertGroup]) -> list[RuleCount]:
    """Return the rules that told of an entity, the most severe first. Pure."""
    found: dict[str, list[AlertGroup]] = {}
    for one in groups:
        found.setdefault(one.rule_id, []).append(one)
    told = [
        RuleCount(
            some[0].title, max(g.severity for g in some).name.lower(), sum(g.count for g in some),
            max(g.last for g in some), some[0].alerts[0][0],
        )
        for some in sorted(found.values(), key=lambda some: -max(g.severity for g in some))
    ]  # fmt: skip
    return told[:100]


_NAMED = frozenset({"id", "uids", "name", "names", "full_name", "email", "manager"})
"""What the table of identities says of who somebody is."""


def _known(here: site.Site, entity: Entity, now: int, *, hidden: bool) -> Mapping[str, Any]:
    """Return what the tables of assets and identities say of it; not who it is, where people are hidden."""
    if not incidents_handling.knows_assets(here.workspace, here.library):
        return {}
    found = assets.of_entities(here.workspace, [entity], now).get(entity)
    if found is None:
        return {}
    told = {
        key: ", ".join(map(str, v)) if isinstance(v, list) else v
        for key, v in found.record.items()
        if v not in (None, "", [])
    }
    if hidden and entity.kind in {*KINDS, EntityKind.PRINCIPAL}:
        return {key: value for key, value in told.items() if key not in _NAMED}
    return {"id": found.id, **told}


ROUTES = (site.shows("/entity", page, "entity.read"),)
