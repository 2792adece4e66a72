"""How incidents are worked on: tasks, links, reviews; incidents merged, parted and taken apart again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import incidents_grouping, incidents_handling, incidents_review
from lemnis.app.access.masking import KINDS
from lemnis.app.access.permissions import Person, demand
from lemnis.app.access.seeing import about_incident
from lemnis.contracts.alerts import Entity
from lemnis.contracts.errors import UsageError
from lemnis.contracts.handling import TaskState
from lemnis.interfaces.api import models
from lemnis.interfaces.api.incidents import Changer, Id, Reader, after, find, following_of, mine, people
from lemnis.interfaces.api.routing import (
    IdempotencyKey,
    IfMatch,
    Purpose,
    Using,
    allowed,
    router,
)
from lemnis.interfaces.api.services import Services, sight

ROUTER = router("incidents")
Reviewer = Annotated[Person, allowed("lesson.change")]
TaskId = Annotated[str, Path(pattern=r"^tk-[0-9a-f]{16}$", description="The task's id.")]


@ROUTER.post("/incidents/{id}/tasks", status_code=201, response_model=models.Incident)
def add_task(
    id: Id, body: models.AddingTask, request: Request, response: Response, person: Changer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Write down something to do, by whom, until when (a time, or `4h`)."""
    one = mine(using, id, person, "incident.change")
    workspace = following_of(using, if_match, one)
    incidents_handling.add_task(
        workspace, id, body.title, actor=person.name, assignee=_who(body.assignee, person),
        due=_due(using, body.due),
    )  # fmt: skip
    return after(using, id, request, response, person)


@ROUTER.post("/incidents/{id}/tasks/{task}", response_model=models.Incident)
def change_task(
    id: Id, task: TaskId, body: models.ChangingTask, request: Request, response: Response, person: Changer,
    using: Using, if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Take a task (`assignee: me, state: doing`), do or drop it, give it to somebody, or set its date."""
    one = mine(using, id, person, "incident.change")
    workspace = following_of(using, if_match, one)
    incidents_handling.change_task(
        workspace, id, task, actor=person.name, reason=body.reason,
        state=None if body.state is None else TaskState(body.state),
        assignee=None if body.assignee is None else _who(body.assignee, person),
        due=_due(using, body.due),
    )  # fmt: skip
    return after(using, id, request, response, person)


@ROUTER.post("/incidents/{id}/links", status_code=201, response_model=models.Incident)
def add_link(
    id: Id, body: models.AddingLink, request: Request, response: Response, person: Changer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Write down where more about an incident is: a ticket, a pull request, a page."""
    one = mine(using, id, person, "incident.change")
    workspace = following_of(using, if_match, one)
    incidents_handling.add_link(
        workspace, id, body.url, actor=person.name, kind=body.kind or "", title=body.title
    )
    return after(using, id, request, response, person)


@ROUTER.post("/incidents/{id}/links/remove", response_model=models.Incident)
def remove_link(
    id: Id, body: models.RemovingLink, request: Request, response: Response, person: Changer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Take a link away; that it was there stays in the timeline."""
    one = mine(using, id, person, "incident.change")
    workspace = following_of(using, if_match, one)
    incidents_handling.remove_link(workspace, id, body.url, actor=person.name, reason=body.reason)
    return after(using, id, request, response, person)


# -- which alerts are one incident -------------------------------------------------------------------------


@ROUTER.post("/incidents/{id}/merge", response_model=models.Incident)
def merge(
    id: Id, body: models.Merging, request: Request, response: Response, person: Changer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Merge two incidents; the answer is the one that they are then, that of the earlier alert."""
    one = mine(using, id, person, "incident.change")
    mine(using, body.other, person, "incident.change")
    workspace = following_of(using, if_match, one)
    with using.slots.taken(person.id):
        made = incidents_grouping.merge(workspace, id, body.other, actor=person.name, reason=body.reason)
    return after(using, made.id, request, response, person)


@ROUTER.post("/incidents/{id}/split", status_code=201, response_model=models.Incident)
def split(
    id: Id, body: models.Splitting, request: Request, response: Response, person: Changer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Part alerts from an incident: these, all of a rule, all about an entity; the answer is the new one."""
    one = mine(using, id, person, "incident.change")
    entities = [_entity(text) for text in body.entities]
    workspace = following_of(using, if_match, one)
    with using.slots.taken(person.id):
        made = incidents_grouping.split(
            workspace, id, alerts=body.alerts, rules=body.rules, entities=entities, actor=person.name,
            reason=body.reason,
        )  # fmt: skip
    return after(using, made.id, request, response, person)


@ROUTER.post("/incidents/{id}/unmerge", response_model=models.Incident)
def unmerge(
    id: Id, body: models.Because, request: Request, response: Response, person: Changer, using: Using,
    key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Take an incident out of the one that it was merged into, with the alerts that it had then."""
    demand(person, "incident.change", about_incident(find(using, id, person)))
    with using.slots.taken(person.id):
        made = incidents_grouping.unmerge(using.workspace, id, actor=person.name, reason=body.reason)
    return after(using, made.id, request, response, person)


# -- the review --------------------------------------------------------------------------------------------


@ROUTER.get("/incidents/{id}/review")
def review(id: Id, request: Request, person: Reader, using: Using, purpose: Purpose = "") -> models.Reviewed:
    """Show an incident's review; where there is none, the facts that one would begin with."""
    one = find(using, id, person)
    seen = sight(request, person, purpose, id)
    told = incidents_review.told(using.workspace, one.incident)
    facts = [] if told else incidents_review.facts(using.workspace, one.incident)
    document = {
        "recorded": told is not None, "review": told, "facts": [fact.model_dump() for fact in facts],
    }  # fmt: skip
    return models.Reviewed.model_validate(seen.document(document, *people(seen, one)))


@ROUTER.post("/incidents/{id}/review", status_code=201)
def keep_review(
    id: Id, body: models.Reviewing, request: Request, person: Reviewer, using: Using,
    key: IdempotencyKey = "", purpose: Purpose = "",
) -> models.Reviewed:  # fmt: skip
    """Record an incident's review, in the place of the one from before; its actions become tasks.

    Its timeline is what the journal has, unless another one is given.
    """
    one = mine(using, id, person, "lesson.change")
    made = incidents_review.filled(using.workspace, one.incident, body.model_dump(exclude_none=True))
    incidents_review.keep(using.workspace, one.incident, made, actor=person.name)
    return review(id, request, person, using, purpose)


# -- inside ------------------------------------------------------------------------------------------------


def _who(name: str, person: Person) -> str:
    return person.name if name == "me" else name


def _due(using: Services, text: str | None) -> int | None:
    return incidents_handling.due(text, using.workspace.clock.now()) if text else None


def _entity(text: str) -> Entity:
    """Read an entity; raises UsageError for a person's: whether somebody is in an incident is not told."""
    if text.partition(":")[0] in KINDS:
        raise UsageError("an incident is not parted by people here", fix="give alerts or rules")
    try:
        return Entity.parse(text)
    except ValueError as error:
        raise UsageError(f"no entity: {error}", fix="write KIND:VALUE, as the incident has it") from error
