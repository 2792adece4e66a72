"""Incidents: listed, shown, told, assigned, moved, closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import Workspace, incidents_timeline
from lemnis.app import incidents as working
from lemnis.app.access.masking import KINDS
from lemnis.app.access.permissions import Person, demand, may
from lemnis.app.access.seeing import about_incident
from lemnis.app.access.seeing import shown as seeable
from lemnis.app.incidents_handling import Standing
from lemnis.app.instants import instant
from lemnis.contracts.alerts import IncidentStatus, Severity, Verdict
from lemnis.contracts.errors import UsageError
from lemnis.contracts.handling import Priority
from lemnis.incidents import export
from lemnis.incidents.metrics import measure
from lemnis.incidents.timeline import OF_EVIDENCE
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, decode, encode, paged
from lemnis.interfaces.api.routing import (
    USUAL_LIMIT,
    After,
    IdempotencyKey,
    IfMatch,
    Limit,
    Purpose,
    Using,
    allowed,
    following,
    router,
    versioned,
)
from lemnis.interfaces.api.services import Services, sight

ROUTER = router("incidents")
Id = Annotated[str, Path(pattern=r"^in-[0-9a-f]{16}$", description="The incident's id.")]
Reader = Annotated[Person, allowed("incident.read")]
Changer = Annotated[Person, allowed("incident.change")]
Closer = Annotated[Person, allowed("incident.close")]
_SORTS = ("urgency", "opened", "updated", "risk")


@ROUTER.get("/incidents")
def list_(
    request: Request,
    person: Reader,
    using: Using,
    *,
    state: Annotated[str, Query(pattern="^(open|all|closed)$")] = "open",
    owner: Annotated[
        str, Query(max_length=100, description="Only those of this person; `me` for oneself.")
    ] = "",
    severity: Annotated[models.SeverityName | None, Query(description="This severe at least.")] = None,
    priority: Annotated[models.PriorityName | None, Query(description="Of this priority at least.")] = None,
    entity: Annotated[
        str, Query(max_length=500, description="Only those about this entity, `kind:value`.")
    ] = "",
    rule: Annotated[str, Query(max_length=200, description="Only those with an alert of this rule.")] = "",
    breached: Annotated[bool, Query(description="Only those with a timer that ran out.")] = False,
    sort: Annotated[str, Query(pattern="^(urgency|opened|updated|risk)$")] = "urgency",
    limit: Limit = USUAL_LIMIT,
    after: After = "",
    purpose: Purpose = "",
) -> Page[models.IncidentSummary]:
    """List incidents: the most urgent first, or the newest, the last changed, those of most risk."""
    seen = sight(request, person, purpose)
    if entity:
        _named(seen.masker is not None, entity)
    least = Severity[severity.upper()] if severity else None
    wanted = [
        one
        for one in using.board.look().standings
        if (state == "all" or one.incident.open == (state == "open"))
        and (not owner or one.incident.owner == (person.name if owner == "me" else owner))
        and (least is None or one.weighed.severity >= least)
        and (priority is None or one.weighed.priority >= Priority[priority.upper()])
        and (not entity or entity in map(str, one.incident.entities))
        and (not rule or one.incident.has(rule))
        and (not breached or (one.breached and one.incident.open))
    ]
    shown, following = paged(
        wanted, _KEYS[sort], like=_LIKE[sort], after=after, limit=limit,
        keep=using.eyes(person).sees,
    )  # fmt: skip
    items = [seen.document(_summary(one), *people(seen, one)) for one in shown]
    return Page[models.IncidentSummary](items=items, next=following)


@ROUTER.get("/incidents/{id}")
def show(
    id: Id, request: Request, response: Response, person: Reader, using: Using, purpose: Purpose = "",
) -> models.Incident:  # fmt: skip
    """Show an incident; its tag is for changes that are to be made only if nobody changed it meanwhile."""
    one = find(using, id, person)
    seen = sight(request, person, purpose, id)
    document = seen.document(_document(using, one), *people(seen, one))
    versioned(response, int(document["version"]), _steady(document))
    return models.Incident.model_validate(document)


@ROUTER.get("/incidents/{id}/timeline")
def timeline(
    id: Id,
    request: Request,
    person: Reader,
    using: Using,
    *,
    kind: Annotated[list[str] | None, Query(max_length=30, description="Only these kinds.")] = None,
    since: Annotated[str, Query(max_length=40, description="From then on.")] = "",
    newest: Annotated[bool, Query(description="The last first.")] = False,
    limit: Limit = USUAL_LIMIT,
    after: After = "",
    purpose: Purpose = "",
) -> Page[models.TimelineItem]:
    """Tell what happened, was seen, built, decided and done, in the order of time."""
    one = find(using, id, person)
    seen = sight(request, person, purpose, id)
    place = str(decode(after, "s")[0]) if after else ""
    without = () if may(person, "evidence.read", about_incident(one)) else OF_EVIDENCE
    with incidents_timeline.opened(using.workspace, one.incident) as found:
        page = found.page(
            limit=limit, after=place, since=instant(since) if since else None, kinds=kind or (),
            without=without, newest=newest,
        )  # fmt: skip
    names = people(seen, one)
    items = [seen.document(export.item(item), *names) for item in page.items]
    return Page[models.TimelineItem](items=items, next=encode([page.after]) if page.after else None)


@ROUTER.get("/incidents/{id}/alerts")
def alerts(
    id: Id, request: Request, person: Annotated[Person, allowed("alert.read")], using: Using,
    limit: Limit = USUAL_LIMIT, after: After = "", purpose: Purpose = "",
) -> Page[models.Alert]:  # fmt: skip
    """List the alerts of an incident by the time of their events."""
    one = find(using, id, person)
    seen = sight(request, person, purpose, id)
    pairs = sorted((time, alert) for group in one.incident.groups for alert, time in group.alerts)
    shown, following = paged(pairs, list, like="is", after=after, limit=limit)
    eyes = using.eyes(person)
    every = (working.alert(using.workspace, alert) for _, alert in shown)
    found = (alert for alert in every if not eyes.alert(alert.id, alert.severity))
    items = [seen.alert({**export.alert(alert), "incident": one.incident.id}) for alert in found]
    return Page[models.Alert](items=items, next=following)


@ROUTER.post("/incidents/{id}/assign", response_model=models.Incident)
def assign(
    id: Id, body: models.Assigning, request: Request, response: Response, person: Changer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Give an incident an owner."""
    one = mine(using, id, person, "incident.change")
    workspace = following_of(using, if_match, one)
    working.assign(workspace, id, body.owner, actor=person.name)
    return after(using, id, request, response, person)


@ROUTER.post("/incidents/{id}/acknowledge", response_model=models.Incident)
def acknowledge(
    id: Id, body: models.Acknowledging, request: Request, response: Response, person: Changer,
    using: Using, if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Take an incident into work; it is one's own if nobody has it."""
    one = mine(using, id, person, "incident.change")
    workspace = following_of(using, if_match, one)
    working.acknowledge(workspace, id, actor=person.name, reason=body.reason)
    return after(using, id, request, response, person)


@ROUTER.post("/incidents/{id}/move", response_model=models.Incident)
def move(
    id: Id, body: models.Moving, request: Request, response: Response, person: Changer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Move an incident to another status; refused where that does not follow from where it is."""
    one = mine(using, id, person, "incident.change")
    workspace = following_of(using, if_match, one)
    to = IncidentStatus[body.status.upper()]
    working.transition(workspace, id, to, actor=person.name, reason=body.reason)
    return after(using, id, request, response, person)


@ROUTER.post("/incidents/{id}/close", response_model=models.Incident)
def close(
    id: Id, body: models.Closing, request: Request, response: Response, person: Closer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Close an incident with a verdict; refused without a review where the settings require one."""
    one = mine(using, id, person, "incident.close")
    workspace = following_of(using, if_match, one)
    verdict = Verdict[body.verdict.upper()]
    working.close(workspace, id, verdict, actor=person.name, reason=body.reason)
    return after(using, id, request, response, person)


@ROUTER.post("/incidents/{id}/notes", status_code=201, response_model=models.Incident)
def note(
    id: Id, body: models.Noting, request: Request, response: Response, person: Changer, using: Using,
    key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Write a note to an incident."""
    mine(using, id, person, "incident.change")
    working.note(using.workspace, id, body.text, actor=person.name)
    return after(using, id, request, response, person)


# -- inside ------------------------------------------------------------------------------------------------


def _urgent(one: Standing) -> list[Any]:
    incident, weighed = one.incident, one.weighed
    late = incident.open and one.breached
    return [-int(weighed.priority), int(not late), -int(weighed.severity), -incident.risk, incident.opened,
            incident.id]  # fmt: skip


_KEYS = {
    "urgency": _urgent,
    "opened": lambda one: [-one.incident.opened, one.incident.id],
    "updated": lambda one: [-one.incident.updated, one.incident.id],
    "risk": lambda one: [-one.incident.risk, one.incident.id],
}
_LIKE = {"urgency": "iiiiis", "opened": "is", "updated": "is", "risk": "is"}


def find(using: Services, id: str, person: Person) -> Standing:
    """Return how an incident stands that this person may see, by the rules over who and what."""
    one = using.board.find(id)
    seeable(using.eyes(person).incident(one.incident.id))
    return one


def mine(using: Services, id: str, person: Person, permission: str) -> Standing:
    """Return an incident that this person may change, by the rules over who and what."""
    one = find(using, id, person)
    working.refuse_merged(one.incident)
    demand(person, permission, about_incident(one))
    return one


def following_of(using: Services, tag: str, one: Standing) -> Workspace:
    """Return the workspace for a change of an incident, if it is as the tag says; raises StaleError."""
    return following(using, tag, [one.incident.id, *one.incident.merged_from])


def after(using: Services, id: str, request: Request, response: Response, person: Person) -> Any:
    """Return an incident as it is after a change, with its tag."""
    one = find(using, id, person)
    seen = sight(request, person, "", id)
    document = seen.document(_document(using, one), *people(seen, one))
    versioned(response, int(document["version"]), _steady(document))
    return document


def _summary(one: Standing) -> dict[str, Any]:
    return export.standing(one.incident, one.handling, one.weighed, one.timers)


def _document(using: Services, one: Standing) -> dict[str, Any]:
    worked = export.handling(one.handling, one.weighed, one.timers)
    times = measure(one.incident, one.handling.contained)
    return {**export.document(one.incident, times), **worked, "version": using.board.last(one.incident)}


def _steady(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without what only tells how late it is."""
    timers = [{name: one for name, one in timer.items() if name != "left"} for timer in document["timers"]]
    return {**document, "timers": timers}


def people(seen: Any, one: Standing) -> tuple[str, ...]:
    """Return the names of people that an incident is about, to be taken out of its words."""
    if seen.masker is None:
        return ()
    return tuple(seen.masker.of_entities(map(str, one.incident.entities)))


def _named(masked: bool, entity: str) -> None:  # noqa: FBT001 - of a person
    """Raise UsageError for a question about a person by somebody who is not to know who is in what."""
    if masked and entity.partition(":")[0] in KINDS:
        raise UsageError("who a person is needs a purpose", fix="send it as X-Purpose")
