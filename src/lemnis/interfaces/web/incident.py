"""An incident: what it is, what it is about, what happened, where it came from, what is to be done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import incidents, incidents_review, incidents_timeline, lessons, respond
from lemnis.app.access.people import demand, may
from lemnis.app.access.seeing import about_incident, shown
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert, IncidentStatus
from lemnis.contracts.errors import LemnisError, UsageError
from lemnis.contracts.incidents import AlertGroup, TimelineItem
from lemnis.incidents.metrics import measure
from lemnis.incidents.timeline import OF_EVIDENCE
from lemnis.interfaces.web import (
    asking,
    drawing,
    incident_evidence,
    incident_review,
    incident_trace,
    incident_work,
    queue,
    site,
)
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.incident_graph import graph
from lemnis.interfaces.web.incident_known import known
from lemnis.interfaces.web.keeping import Kept

FILTERS = ("kind", "every")
SIZE = 60
_MOVES = ("in_progress", "on_hold", "resolved")


# -- what is shown, pure -----------------------------------------------------------------------------------


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
        href = f"/event/{item.reference}?at={item.time}"
    return Moment(
        item.time, item.kind, item.title, "" if item.actor == "lemnis" else item.actor,
        str(detail.get("source", "")), int(item.severity), count if isinstance(count, int) else 1, href,
    )  # fmt: skip


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
    stands = known(request)
    one = stands.incident
    how = asking.asked(request.query_params, FILTERS)
    kinds = tuple(part for part in how.of("kind").split(",") if part)
    reads = may(site.whose(request), "evidence.read", about_incident(stands))
    without = () if reads else OF_EVIDENCE
    with incidents_timeline.opened(here.workspace, one) as line:
        told = line.page(
            limit=SIZE,
            after=request.query_params.get("from", "")[:500],
            kinds=kinds,
            without=without,
            whole=bool(how.of("every")),
        )
        there = {kind: n for kind, n in line.kinds.items() if kind not in without}
    kept = incident_work.kept_cases(request)
    others = incident_work.others(request, one.id)
    named = incident_work.people([*others, *incident_work.held(request, kept)])
    site.see(request, {*one.entities, *named}, about=one.id)
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
        teams=incident_work.tasks(request, stands),
        cases=kept,
        others=others,
        reviewed=incidents_review.last(here.workspace, one),
    )


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


def alert(request: Request) -> Response:
    """Show an alert: what matched, in which events, about what."""
    here = site.at(request)
    one = incidents.alert(here.workspace, request.path_params["id"])
    here.board.look()
    shown(site.eyes(request).alert(one.id, one.severity))
    inside = here.board.holder(one.id)
    holder = here.board.standing(inside) if inside else None
    about = {*one.entities, *(incident_work.people([holder]) if holder else ())}
    masker = site.see(request, about, about=one.id, also=site.personal_in(request, one.event))
    event = one.event if masker is None else masker.event(one.event)
    return here.page(
        request, "alert.html", title=one.title, here="/queue", one=one,
        holder=holder.incident if holder else None, event=pretty(event), facts=_facts(one),
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


def act(request: Request, form: Form) -> Response:
    """Do one thing with an incident, and show it again."""
    what = form.get("do", "")
    if what not in _OWN:
        return incident_work.act(request, form)
    here, stands = site.at(request), known(request)
    permission = "incident.close" if what == "close" else "incident.change"
    demand(site.whose(request), permission, about_incident(stands))
    told = _do(here.workspace, stands.incident.id, what, form, site.actor(request))
    return site.back(request, f"/incident/{stands.incident.id}{'#timeline' if what == 'note' else ''}", told)


_OWN = frozenset({"take", "assign", "note", "close", "move"})


def _do(workspace: app.Workspace, incident: str, what: str, form: Form, who: str) -> str:
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
    if form.get("status") not in _MOVES:
        raise UsageError("an incident is in progress, on hold or resolved", fix="closing it takes a verdict")
    status = IncidentStatus[form["status"].upper()]
    incidents.transition(workspace, incident, status, actor=who, reason=reason)
    return f"It is {form['status'].replace('_', ' ')} now"


def propose(request: Request, _form: Form) -> Response:
    """Draw the lesson of an incident."""
    here = site.at(request)
    stands = known(request)
    one = stands.incident
    demand(site.whose(request), "lesson.change", about_incident(stands))
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
    site.shows("/alert/{id}", alert, "alert.read"),
    site.does("/incident/{id}", act, "incident.read"),
    site.does("/incident/{id}/lesson", propose, "lesson.change"),
    *incident_trace.ROUTES,
    *incident_evidence.ROUTES,
    *incident_review.ROUTES,
)
