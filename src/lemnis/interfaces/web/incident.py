"""An incident: what it is, what it is about, what happened, where it came from, what is to be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import incidents, incidents_handling, incidents_timeline, lessons, respond
from lemnis.app import trace as tracing
from lemnis.app.access import naming
from lemnis.app.access.people import demand
from lemnis.app.access.seeing import about_incident, shown
from lemnis.app.incidents_handling import Standing
from lemnis.app.trace import Trace
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert, Entity, EntityKind, IncidentStatus, Severity
from lemnis.contracts.errors import LemnisError, NotFoundError, UsageError
from lemnis.contracts.handling import TaskState
from lemnis.contracts.incidents import AlertGroup, Incident, TimelineItem
from lemnis.incidents.metrics import measure
from lemnis.interfaces.web import asking, drawing, queue, site
from lemnis.interfaces.web.keeping import Kept
from lemnis.interfaces.web.words import masked, query

FILTERS = ("kind", "every")
SIZE = 60
MOST_IN_COLUMN = 6
_ORDER: tuple[frozenset[EntityKind], ...] = (
    frozenset({EntityKind.ADDRESS, EntityKind.DOMAIN, EntityKind.ENDPOINT, EntityKind.PERSON}),
    frozenset(
        {
            EntityKind.USER,
            EntityKind.IDENTITY,
            EntityKind.SERVICE_ACCOUNT,
            EntityKind.PRINCIPAL,
            EntityKind.ROLE,
            EntityKind.CREDENTIAL,
        }
    ),
    frozenset(
        {
            EntityKind.HOST,
            EntityKind.WORKLOAD,
            EntityKind.CONTAINER,
            EntityKind.CLOUD_RESOURCE,
            EntityKind.CLUSTER_OBJECT,
        }
    ),
    frozenset({EntityKind.PROCESS, EntityKind.IMAGE, EntityKind.BUILD}),
)
"""The columns of the graph: from where, by whom, on what, by what; last what it was done to."""
_MOVES = ("in_progress", "on_hold", "resolved")


# -- what is shown, pure -----------------------------------------------------------------------------------


def graph(incident: Incident) -> tuple[list[drawing.Node], list[drawing.Line]]:
    """Return an incident's most frequent entities, and which of them alerts name together. Pure."""
    counts = shown_entities(incident)
    nodes = [
        drawing.Node(
            str(entity),
            entity.kind.value,
            entity.value,
            f"/entity?{query({'name': masked(entity)})}",
            _column(entity.kind),
            note=f"{count} alert{'' if count == 1 else 's'}",
        )
        for entity, count in counts
    ]
    known = {entity for entity, _ in counts}
    pairs: dict[tuple[str, str], set[str]] = {}
    for group in incident.groups:
        chain = sorted(
            (one for one in group.entities if one in known), key=lambda one: (_column(one.kind), one)
        )
        for first, last in _neighbours(chain):
            pairs.setdefault((str(first), str(last)), set()).add(group.title)
    lines = [drawing.Line(first, last, _told(rules)) for (first, last), rules in sorted(pairs.items())]
    return nodes, lines


def shown_entities(incident: Incident) -> list[tuple[Entity, int]]:
    """Return the most frequent entities of each column, and in how many alerts each is. Pure."""
    taken: dict[int, int] = {}
    found = []
    for entity, count in incident.entities.items():
        column = _column(entity.kind)
        taken[column] = taken.get(column, 0) + 1
        if taken[column] <= MOST_IN_COLUMN:
            found.append((entity, count))
    return found


def _column(kind: EntityKind) -> int:
    return next((n for n, kinds in enumerate(_ORDER) if kind in kinds), len(_ORDER))


def _neighbours(chain: Sequence[Entity]) -> Iterable[tuple[Entity, Entity]]:
    """Pair each entity with those of the next column that has any."""
    by_column: dict[int, list[Entity]] = {}
    for one in chain:
        by_column.setdefault(_column(one.kind), []).append(one)
    columns = [by_column[n] for n in sorted(by_column)]
    for some, following in pairwise(columns):
        for one in some:
            for other in following:
                yield one, other


def _told(rules: set[str]) -> str:
    return "" if len(rules) < 2 else f"{len(rules)} rules"  # noqa: PLR2004 - one is not worth the room


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of the timeline for people."""

    time: int
    kind: str
    title: str
    actor: str
    source: str
    severity: int
    count: int
    href: str


def moment(item: TimelineItem) -> Moment:
    """Return an entry of a timeline as a page shows it. Pure."""
    detail = item.detail
    count = detail.get("count", 1)
    href = ""
    if item.kind == "alert":
        href = f"/alert/{item.reference}"
    elif item.kind in {"event", "deploy"} and item.reference:
        href = f"/event/{item.reference}"
    return Moment(
        item.time, item.kind, item.title, "" if item.actor == "lemnis" else item.actor,
        str(detail.get("source", "")), int(item.severity), count if isinstance(count, int) else 1, href,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class HopShown:
    """A hop of a trace: what leads to what, how that is known, how strongly, and the proof."""

    relation: str
    target: Entity
    method: str
    strength: str
    broken: str
    proof: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ChainShown:
    """A chain: from where, its hops, whether it holds, and what it ends in."""

    start: Entity | None
    hops: tuple[HopShown, ...]
    holds: bool
    line: str
    owner: str


def chains(found: Trace) -> list[ChainShown]:
    """Return a trace for people. Pure."""
    return [
        ChainShown(
            chain.hops[0].edge.source if chain.hops else None,
            tuple(
                HopShown(
                    hop.edge.relation,
                    hop.edge.target,
                    hop.edge.method,
                    hop.edge.strength.name.lower(),
                    hop.broken,
                    tuple(
                        (name, _proof(value))
                        for name, value in hop.edge.evidence.items()
                        if value not in ("", [], None)
                    ),
                )
                for hop in chain.hops
            ),
            chain.holds,
            f"{chain.source.located.path}:{chain.source.located.line}" if chain.source else "",
            chain.source.owner if chain.source else "",
        )
        for chain in found.chains
    ]


def _proof(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        told = ", ".join(_proof(one) for one in value[:_FEW])
        return f"{told} and {len(value) - _FEW} more" if len(value) > _FEW else told
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_proof(one)}" for key, one in list(value.items())[:_FEW])
    return str(value)


_FEW = 6


@dataclass(frozen=True, slots=True)
class RuleShown:
    """Alerts of one rule, as the incident's summary has them."""

    title: str
    rule_id: str
    severity: str
    count: int
    first: int
    last: int
    alert: str
    reasons: tuple[str, ...]


def by_rule(groups: Iterable[AlertGroup]) -> list[RuleShown]:
    """Return an incident's rules, the most severe first. Pure."""
    return [
        RuleShown(one.title, one.rule_id, one.severity.name.lower(), one.count, one.first, one.last,
                  one.alerts[0][0], one.reasons)
        for one in sorted(groups, key=lambda one: (-one.severity, one.first))
    ]  # fmt: skip


# -- pages -------------------------------------------------------------------------------------------------


def page(request: Request) -> Response:
    """Show an incident."""
    here = site.at(request)
    stands = _known(request)
    one = stands.incident
    how = asking.asked(request.query_params, FILTERS)
    kinds = tuple(part for part in how.of("kind").split(",") if part)
    with incidents_timeline.opened(here.workspace, one) as line:
        told = line.page(
            limit=SIZE,
            after=request.query_params.get("from", "")[:500],
            kinds=kinds,
            whole=bool(how.of("every")),
        )
        there = line.kinds
    site.see(request, one.entities, about=one.id)
    nodes, lines = graph(one)
    return here.page(
        request,
        "incident.html",
        title=one.title,
        here="/queue",
        one=one,
        stands=stands,
        asked=how,
        about=about_incident(stands),
        metrics=measure(one, stands.handling.contained),
        rules=by_rule(one.by_rule),
        graph=drawing.graph(nodes, lines, label=f"Entities of {one.id}"),
        hidden=len(one.entities) - len(nodes),
        moments=[moment(item) for item in told.items],
        after=told.after,
        total=told.total,
        kinds=there,
        chosen_kinds=kinds,
        now=here.workspace.clock.now(),
        verdicts=queue._VERDICTS,  # noqa: SLF001 - of the room
        moves=_MOVES,
        runs=[run for run in respond.runs(here.workspace, one.id) if not site.eyes(request).run(run)],
        playbooks=_playbooks(here),
        lesson=_lesson(here, one.id),
    )


def _known(request: Request) -> Standing:
    """Return the incident of the address if who asks may see it; raises NotFoundError, AccessError."""
    stands = site.at(request).board.find(request.path_params["id"])
    shown(site.eyes(request).incident(stands.incident.id))
    return stands


def _playbooks(here: site.Site) -> list[tuple[str, str]]:
    """Return the names and titles of the playbooks that can be planned."""
    kept: Kept[list[tuple[str, str]]] = here.keep(
        "playbooks", lambda: _titles(app.library(here.workspace)), 60
    )
    return kept.get()


def _titles(library: Library) -> list[tuple[str, str]]:
    return [(name, name.replace("_", " ")) for name in library.items("playbooks")]


def _lesson(here: site.Site, incident: str) -> lessons.State | None:
    """Return the lesson that was drawn from an incident, if there is one."""
    kept: Kept[list[lessons.State]] = here.keep("lessons", lambda: lessons.list_(here.workspace), 20)
    try:
        return next((one for one in kept.get() if one.written.lesson.incident == incident), None)
    except LemnisError:  # a workspace without git has no lessons, and an incident can be shown all the same
        return None


def walked(found: Iterable[ChainShown]) -> set[str]:
    """Return whom a trace names, as entities: what it leads to, and who wrote what it leads over. Pure."""
    people: set[str] = set()
    for chain in found:
        for hop in chain.hops:
            people.add(str(hop.target))
            people |= naming.addressed([chain.owner, hop.broken, *(value for _, value in hop.proof)])
            if hop.relation == "authored_by":
                people |= {f"person:{value}" for name, value in hop.proof if name == "name"}
    return people


def trace(request: Request) -> Response:
    """Show from where an incident came: to the line of code and its owner. It is looked for when asked."""
    here = site.at(request)
    one = _known(request).incident
    last = here.board.last(one)
    kept: Kept[Trace] = here.keep(
        f"trace:{one.id}:{last}", lambda: tracing.trace(here.workspace, one.id), 600
    )
    why, found = "", []
    try:
        found = chains(kept.get())
    except NotFoundError as error:
        why = str(error)
    site.see(request, {*map(str, one.entities), *walked(found)}, about=one.id)
    part = request.query_params.get("part") == "1"
    return here.page(
        request,
        "trace_part.html" if part else "trace.html",
        title=f"Trace of {one.title}",
        here="/queue",
        one=one,
        chains=found,
        why=why,
    )


def alert(request: Request) -> Response:
    """Show an alert: what matched, in which events, about what."""
    here = site.at(request)
    one = incidents.alert(here.workspace, request.path_params["id"])
    here.board.look()
    shown(site.eyes(request).alert(one.id, one.severity))
    masker = site.see(request, one.entities, about=one.id, also=site.personal_in(request, one.event))
    event = one.event if masker is None else masker.event(one.event)
    inside = here.board.holder(one.id)
    holder = here.board.standing(inside).incident if inside else None
    return here.page(
        request, "alert.html", title=one.title, here="/queue", one=one, holder=holder,
        event=pretty(event), facts=_facts(one),
    )  # fmt: skip


def pretty(event: Mapping[str, Any]) -> str:
    """Return an event as indented JSON. Pure."""
    return orjson.dumps(event, option=orjson.OPT_INDENT_2, default=str).decode()


def _facts(one: Alert) -> list[tuple[str, str]]:
    return [
        ("rule", one.rule_id), ("source", one.source), ("confidence", one.confidence),
        ("content", one.content_digest[:19]), ("fingerprint", one.fingerprint),
    ]  # fmt: skip


# -- what is done ------------------------------------------------------------------------------------------


def act(request: Request, form: site.Form) -> Response:
    """Do one thing with an incident, and show it again."""
    here, who = site.at(request), site.actor(request)
    stands = _known(request)
    incident, what = stands.incident.id, form.get("do", "")
    known = about_incident(stands)
    demand(site.whose(request), "incident.close" if what == "close" else "incident.change", known)
    told = _do(here.workspace, incident, what, form, who)
    return site.back(request, f"/incident/{incident}{_PLACES.get(what, '')}", told)


_PLACES: Mapping[str, str] = {"note": "#timeline", "task": "#tasks", "task_state": "#tasks", "link": "#tasks"}


def _do(workspace: app.Workspace, incident: str, what: str, form: Mapping[str, str], who: str) -> str:
    reason = form.get("reason", "").strip()[:2000]
    if what == "take":
        incidents.acknowledge(workspace, incident, actor=who, reason=reason)
        return "It is yours now"
    if what == "assign":
        owner = form.get("to", "").strip()[:200] or who
        incidents.assign(workspace, incident, owner, actor=who)
        return f"Assigned to {owner}"
    if what == "note":
        incidents.note(workspace, incident, form.get("text", "")[:20_000], actor=who)
        return "Noted"
    if what == "close":
        incidents.close(
            workspace, incident, queue.verdict_of(form.get("verdict", "")), actor=who, reason=reason
        )
        return "Closed"
    if what == "move" and form.get("status") in _MOVES:
        status = IncidentStatus[form["status"].upper()]
        incidents.transition(workspace, incident, status, actor=who, reason=reason)
        return f"It is {form['status'].replace('_', ' ')} now"
    return _work(workspace, incident, what, form, who)


def _work(workspace: app.Workspace, incident: str, what: str, form: Mapping[str, str], who: str) -> str:
    """Change how it is worked on."""
    reason = form.get("reason", "").strip()[:2000]
    if what == "task":
        due = incidents_handling.due(form["due"], workspace.clock.now()) if form.get("due") else None
        incidents_handling.add_task(
            workspace,
            incident,
            form.get("title", "")[:500],
            actor=who,
            assignee=form.get("assignee", "")[:200],
            due=due,
        )
        return "The task is written down"
    if what == "task_state":
        states = {one.value: one for one in TaskState}
        if form.get("state") not in states:
            raise UsageError("a task is open, doing, done or dropped")
        incidents_handling.change_task(
            workspace, incident, form.get("task", ""), actor=who, state=states[form["state"]], reason=reason
        )
        return f"The task is {form['state']}"
    if what == "severity":
        to = None if form.get("severity") == "computed" else _severity(form.get("severity", ""))
        incidents_handling.set_severity(workspace, incident, to, actor=who, reason=reason)
        return "The severity is decided" if to else "The severity is computed again"
    if what == "link":
        incidents_handling.add_link(
            workspace, incident, form.get("url", "")[:2000], actor=who, title=form.get("title", "")[:200]
        )
        return "The link is written down"
    raise UsageError(f"{what!r} cannot be done with an incident", fix="choose one of the page's actions")


def _severity(name: str) -> Severity:
    found = next((one for one in Severity if one.name.lower() == name), None)
    if found is None:
        raise UsageError(f"no severity {name!r}", fix="choose one of the list")
    return found


def propose(request: Request, _form: site.Form) -> Response:
    """Draw the lesson of an incident."""
    here = site.at(request)
    one = _known(request).incident
    state = lessons.propose(here.workspace, one.id)
    here.forget("lessons")
    return site.back(
        request,
        f"/incident/{one.id}#lesson",
        f"The lesson {state.written.lesson.id} is proposed",
        "Prove it, then let it be reviewed.",
    )


ROUTES = (
    site.shows("/incident/{id}", page, "incident.read"),
    site.shows("/incident/{id}/trace", site.dear(trace), "incident.read"),
    site.shows("/alert/{id}", alert, "alert.read"),
    site.does("/incident/{id}", act, "incident.read"),
    site.does("/incident/{id}/lesson", propose, "lesson.change"),
)
