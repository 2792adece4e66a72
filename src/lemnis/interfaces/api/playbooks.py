"""Response: playbooks, plans bound by their digest, approvals, runs, what runs ask."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import Path, Query
from starlette.requests import Request

from lemnis import app
from lemnis.app import respond, respond_blast, respond_presence
from lemnis.app.access.permissions import Person, demand
from lemnis.app.access.seeing import about_incident
from lemnis.app.access.seeing import shown as shown_to
from lemnis.contracts import kinds
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.journal import Entry
from lemnis.contracts.response import node_json
from lemnis.interfaces.api import models, unnamed
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.routing import (
    USUAL_LIMIT,
    After,
    IdempotencyKey,
    Limit,
    Purpose,
    Using,
    allowed,
    router,
)
from lemnis.interfaces.api.services import Services, Sight, sight
from lemnis.respond import records
from lemnis.respond.waiting import Question

ROUTER = router("playbooks")
Reader = Annotated[Person, allowed("playbook.read")]
Planner = Annotated[Person, allowed("playbook.plan")]
Approver = Annotated[Person, allowed("playbook.approve")]
Runner = Annotated[Person, allowed("playbook.run")]
Digest = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$", description="The plan's digest, whole.")]
RunId = Annotated[str, Path(pattern=r"^run-[0-9a-f]{16}$", description="The run's id.")]
Incident = Annotated[str, Query(pattern=r"^(in-[0-9a-f]{16})?$", description="Only those of this incident.")]


@ROUTER.get("/playbooks")
def list_(
    _person: Reader, using: Using, limit: Limit = USUAL_LIMIT, after: After = ""
) -> Page[models.Playbook]:
    """List the playbooks by name."""
    found = respond.playbooks(app.library(using.workspace)).items()
    shown, following = paged(found, lambda one: [one[0]], like="s", after=after, limit=limit)
    items = [
        models.Playbook(
            name=name, title=one.title, kind=one.kind, inputs=list(one.inputs), trigger=one.trigger
        )
        for name, one in shown
    ]
    return Page[models.Playbook](items=items, next=following)


@ROUTER.post("/plans", status_code=201)
def plan(
    body: models.Planning, request: Request, person: Planner, using: Using, key: IdempotencyKey = "",
    purpose: Purpose = "",
) -> models.Plan:  # fmt: skip
    """Say exactly what a playbook would do about an incident: targets are read, nothing is changed."""
    shown_to(using.eyes(person).incident(body.incident))
    unnamed.about(request, body.incident)
    demand(person, "playbook.plan", about_incident(using.board.find(body.incident)))
    with using.slots.taken(person.id):
        made = respond.plan(
            using.workspace, body.playbook, body.incident, given=body.inputs, actor=person.name
        )
    return _plan(using, made.plan.digest, sight(request, person, purpose, body.incident))


@ROUTER.get("/plans")
def plans(
    request: Request, person: Reader, using: Using, incident: Incident = "", limit: Limit = USUAL_LIMIT,
    after: After = "", purpose: Purpose = "",
) -> Page[models.Plan]:  # fmt: skip
    """List the plans, the newest first."""
    seen, eyes = sight(request, person, purpose, incident), using.eyes(person)
    found = using.journal.newest(kinds=[kinds.PLANNED], subject=incident, limit=10_000)
    shown, following = paged(
        found, lambda one: [-one.seq], like="i", after=after, limit=limit,
        keep=lambda one: not eyes.plan(str(one.payload["digest"]), one.subject, one.actor),
    )  # fmt: skip
    items = [_plan(using, str(one.payload["digest"]), seen) for one in shown if "program" in one.payload]
    return Page[models.Plan](items=items, next=following)


@ROUTER.get("/plans/{digest}")
def show_plan(
    digest: Digest, request: Request, person: Reader, using: Using, purpose: Purpose = ""
) -> models.Plan:
    """Show a plan: what would be done to what, how far its approval is, what depends on its targets."""
    _see_plan(using, person, digest)
    return _plan(using, digest, sight(request, person, purpose, digest))


@ROUTER.post("/plans/{digest}/approve")
def approve(
    digest: Digest, body: models.Approving, person: Approver, using: Using, key: IdempotencyKey = ""
) -> models.Approved:
    """Approve exactly this plan, for a while. The body repeats its digest: another plan is not approved."""
    if body.digest != digest:
        raise UsageError(
            "the body is about another plan", fix="send the digest of the plan that was looked at"
        )
    _see_plan(using, person, digest, "playbook.approve")
    granted = respond.approve(using.workspace, digest, actor=person.name, reason=body.reason)
    lacking = respond.lacking(using.workspace, digest)
    return models.Approved(
        approval=granted.key, digest=digest, actor=granted.actor, expires=to_iso(granted.expires),
        missing=lacking.standing.missing, people=list(lacking.people),
    )  # fmt: skip


@ROUTER.post("/plans/{digest}/run", status_code=202)
def run(
    digest: Digest, request: Request, person: Runner, using: Using, key: IdempotencyKey = ""
) -> models.Requested:
    """Ask for a run of a plan, which `lemnis serve` begins once it is approved.

    It has not begun when this is answered: `state` is what it waits for.
    """
    _see_plan(using, person, digest, "playbook.run")
    asked = respond.request(using.workspace, digest, actor=person.name)
    state, says = respond_presence.awaited(using.workspace, respond.lacking(using.workspace, digest).standing)
    told = _run(using, asked, sight(request, person, ""))
    return models.Requested.model_validate({**told.model_dump(), "state": state, "says": says})


@ROUTER.get("/runs")
def runs(
    request: Request, person: Reader, using: Using, incident: Incident = "", limit: Limit = USUAL_LIMIT,
    after: After = "", purpose: Purpose = "",
) -> Page[models.Run]:  # fmt: skip
    """List the runs, the newest first; those that wait for approval too."""
    seen, eyes = sight(request, person, purpose, incident), using.eyes(person)
    found = respond.runs(using.workspace, incident or None)
    shown, following = paged(
        found, lambda one: [-one.started, one.id], like="is", after=after, limit=limit,
        keep=lambda one: not eyes.run(one),
    )  # fmt: skip
    return Page[models.Run](items=[_run(using, one, seen) for one in shown], next=following)


@ROUTER.get("/runs/{id}")
def show_run(
    id: RunId,
    request: Request,
    person: Reader,
    using: Using,
    purpose: Purpose = "",
) -> models.Run:
    """Show a run with the outcome of each step so far."""
    return _run(using, _see_run(using, person, id), sight(request, person, purpose, id))


@ROUTER.post("/runs/{id}/cancel")
def cancel(
    id: RunId, body: models.Cancelling, request: Request, person: Runner, using: Using,
    key: IdempotencyKey = "",
) -> models.Run:  # fmt: skip
    """Let a run do nothing more: what it has begun is settled, then it ends."""
    _see_run(using, person, id, "playbook.run")
    done = respond.cancel(using.workspace, id, actor=person.name, reason=body.reason)
    return _run(using, done, sight(request, person, "", id))


@ROUTER.post("/runs/{id}/undo", status_code=201)
def undo(
    id: RunId,
    request: Request,
    person: Planner,
    using: Using,
    key: IdempotencyKey = "",
    purpose: Purpose = "",
) -> models.Plan:
    """Plan to take back what a run did, last first; the plan is approved and run as any other."""
    _see_run(using, person, id, "playbook.plan")
    made = respond.plan_undo(using.workspace, id, actor=person.name)
    return _plan(using, made.plan.digest, sight(request, person, purpose, id))


@ROUTER.get("/questions")
def questions(
    request: Request, person: Reader, using: Using, limit: Limit = USUAL_LIMIT, after: After = "",
    purpose: Purpose = "",
) -> Page[models.Question]:  # fmt: skip
    """List what runs ask, what is to be answered soonest first."""
    found, eyes = respond.questions(using.workspace), using.eyes(person)
    seen = sight(request, person, purpose)
    shown, following = paged(
        found, lambda one: [one.until, one.key], like="is", after=after, limit=limit,
        keep=lambda one: not eyes.incident(one.incident_id),
    )  # fmt: skip
    items = [
        models.Question(
            run=one.run,
            step=one.step,
            incident=one.incident_id,
            text=_asked(using, one, seen),
            role=one.role,
            until=to_iso(one.until),
        )
        for one in shown
    ]
    return Page[models.Question](items=items, next=following)


@ROUTER.post("/runs/{id}/answers", status_code=201)
def answer(
    id: RunId, body: models.Answering, request: Request, person: Approver, using: Using,
    key: IdempotencyKey = "",
) -> models.Run:  # fmt: skip
    """Answer what a run asks in a step."""
    _see_run(using, person, id, "playbook.approve")
    respond.answer(using.workspace, id, body.step, body.answer, actor=person.name, reason=body.reason)
    return _run(using, records.find_run(using.journal, id), sight(request, person, "", id))


def _see_plan(using: Services, person: Person, digest: str, permission: str = "") -> Entry:
    """Return the entry of a plan that this person may see, and do this with.

    Raises AccessError, NotFoundError.
    """
    planned, entry = records.find_plan(using.journal, digest)
    eyes, incident = using.eyes(person), planned.plan.incident_id
    shown_to(eyes.plan(digest, incident, entry.actor))
    if permission:
        demand(person, permission, eyes.about("plan", digest, incident, entry.actor))
    return entry


def _see_run(using: Services, person: Person, id: str, permission: str = "") -> records.Run:
    """Return a run that this person may see, and do this with; raises AccessError, NotFoundError."""
    found, eyes = records.find_run(using.journal, id), using.eyes(person)
    shown_to(eyes.run(found))
    if permission:
        demand(person, permission, eyes.about("run", id, found.incident_id, found.actor))
    return found


def _plan(using: Services, digest: str, seen: Sight) -> models.Plan:
    planned, entry = records.find_plan(using.journal, digest)
    lacking = respond.lacking(using.workspace, digest)
    one = planned.plan
    told = models.Plan(
        digest=one.digest, playbook=one.playbook, incident=one.incident_id, by=entry.actor,
        at=to_iso(entry.at), approvable=bool(one.actions) and not planned.refusals, writes=planned.writes,
        undoes=planned.undoes, given=list(lacking.standing.given), quorum=lacking.standing.quorum,
        missing=lacking.standing.missing, roles=list(lacking.standing.roles), people=list(lacking.people),
        actions=[records.action_json(action) for action in one.actions],
        program=[node_json(node) for node in one.program],
        blast=[
            {"step": b.step, "target": b.target, "entities": list(b.entities), "known": list(b.known),
             "dependents": list(b.dependents), "more": b.more}
            for b in respond_blast.blast(using.workspace, planned)
        ],
    )  # fmt: skip
    return models.Plan.model_validate(seen.document(told.model_dump(), *_people(using, planned, seen)))


def _run(using: Services, one: records.Run, seen: Sight) -> models.Run:
    told = models.Run(
        id=one.id, incident=one.incident_id, plan=one.plan, playbook=one.playbook, undoes=one.undoes,
        actor=one.actor, started=to_iso(one.started), outcome=one.outcome,
        finished=None if one.finished is None else to_iso(one.finished),
        results=[dict(result) for result in one.results],
        waits_until=to_iso(one.waits_until) if one.waits_until else None,
    )  # fmt: skip
    if seen.masker is None:
        return told
    planned, _ = records.find_plan(using.journal, one.plan)
    return models.Run.model_validate(seen.document(told.model_dump(), *_people(using, planned, seen)))


def _asked(using: Services, one: Question, seen: Sight) -> str:
    """Return the text of a question as somebody sees it."""
    planned, _ = records.find_plan(using.journal, records.find_run(using.journal, one.run).plan)
    return str(seen.document(one.text, *_people(using, planned, seen)))


def _people(using: Services, planned: records.Planned, seen: Sight) -> tuple[str, ...]:
    """Return the names of people that a plan touches, or its incident is about."""
    if seen.masker is None:
        return ()
    touched = {entity for action in planned.plan.actions for entity in action.touches}
    with suppress(NotFoundError):
        touched |= set(map(str, using.board.standing(planned.plan.incident_id).incident.entities))
    return tuple(seen.masker.of_entities(touched))
