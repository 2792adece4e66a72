"""Cases: work files over some incidents. Whoever may not see one of these does not see the case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import Workspace
from lemnis.app import cases as working
from lemnis.app.access.permissions import Person, demand
from lemnis.app.access.seeing import about_incident
from lemnis.app.access.seeing import shown as seeable
from lemnis.contracts.clock import to_iso
from lemnis.contracts.handling import Case
from lemnis.incidents import cases as writing
from lemnis.interfaces.api import models
from lemnis.interfaces.api.incidents import Changer, Closer, Reader, mine, people
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.routing import (
    USUAL_LIMIT,
    After,
    IdempotencyKey,
    IfMatch,
    Limit,
    Purpose,
    Using,
    following,
    router,
    versioned,
)
from lemnis.interfaces.api.services import Services, Sight, sight

ROUTER = router("cases")
CaseId = Annotated[str, Path(pattern=r"^case-[0-9a-f]{16}$", description="The case's id.")]


@ROUTER.get("/cases")
def list_(
    request: Request, person: Reader, using: Using, *,
    state: Annotated[str, Query(pattern="^(open|all|closed)$")] = "open", limit: Limit = USUAL_LIMIT,
    after: After = "", purpose: Purpose = "",
) -> Page[models.Case]:  # fmt: skip
    """List the cases, the last opened first."""
    seen, eyes = sight(request, person, purpose), using.eyes(person)
    some = [one for one in working.cases(using.workspace) if state == "all" or one.open == (state == "open")]
    shown, following = paged(
        some, lambda one: [-one.opened, one.id], like="is", after=after, limit=limit,
        keep=lambda one: not eyes.case(one),
    )  # fmt: skip
    return Page[models.Case](items=[_told(using, one, seen) for one in shown], next=following)


@ROUTER.get("/cases/{id}")
def show(
    id: CaseId, request: Request, response: Response, person: Reader, using: Using, purpose: Purpose = ""
) -> models.Case:
    """Show a case; its tag is for changes that are to be made only if nobody changed it meanwhile."""
    told = _told(using, _find(using, id, person), sight(request, person, purpose, id))
    versioned(response, told.version, told.model_dump())
    return told


@ROUTER.post("/cases", status_code=201)
def create(
    body: models.OpeningCase, request: Request, person: Changer, using: Using, key: IdempotencyKey = ""
) -> models.Case:
    """Open a case; it is owned by who opens it."""
    made = working.create(using.workspace, body.title, actor=person.name, reason=body.reason)
    return _told(using, made, sight(request, person, "", made.id))


@ROUTER.post("/cases/{id}/incidents", status_code=201, response_model=models.Case)
def add(
    id: CaseId, body: models.AddingToCase, request: Request, response: Response, person: Changer,
    using: Using, if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Put an incident into a case; it may be in several."""
    mine(using, body.incident, person, "incident.change")
    return _changed(
        using, id, request, response, person, if_match,
        lambda there: working.add(there, id, body.incident, actor=person.name, reason=body.reason),
    )  # fmt: skip


@ROUTER.post("/cases/{id}/incidents/{incident}/remove", response_model=models.Case)
def remove(
    id: CaseId, incident: Annotated[str, Path(pattern=r"^in-[0-9a-f]{16}$")], body: models.Because,
    request: Request, response: Response, person: Changer, using: Using, if_match: IfMatch = "",
    key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Take an incident out of a case."""
    return _changed(
        using, id, request, response, person, if_match,
        lambda there: working.remove(there, id, incident, actor=person.name, reason=body.reason),
    )  # fmt: skip


@ROUTER.post("/cases/{id}/notes", status_code=201, response_model=models.Case)
def note(
    id: CaseId, body: models.NotingCase, request: Request, response: Response, person: Changer, using: Using,
    key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Write a note to a case."""
    return _changed(
        using, id, request, response, person, "",
        lambda there: working.note(there, id, body.text, actor=person.name),
    )  # fmt: skip


@ROUTER.post("/cases/{id}/assign", response_model=models.Case)
def assign(
    id: CaseId, body: models.AssigningCase, request: Request, response: Response, person: Changer,
    using: Using, if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Give a case an owner."""
    return _changed(
        using, id, request, response, person, if_match,
        lambda there: working.assign(there, id, body.owner, actor=person.name),
    )  # fmt: skip


@ROUTER.post("/cases/{id}/close", response_model=models.Case)
def close(
    id: CaseId, body: models.Because, request: Request, response: Response, person: Closer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Close a case; refused while incidents in it are open."""
    return _changed(
        using, id, request, response, person, if_match,
        lambda there: working.close(there, id, actor=person.name, reason=body.reason),
        "incident.close",
    )  # fmt: skip


@ROUTER.post("/cases/{id}/reopen", response_model=models.Case)
def reopen(
    id: CaseId, body: models.Because, request: Request, response: Response, person: Changer, using: Using,
    if_match: IfMatch = "", key: IdempotencyKey = "",
) -> Any:  # fmt: skip
    """Open a closed case again."""
    return _changed(
        using, id, request, response, person, if_match,
        lambda there: working.reopen(there, id, actor=person.name, reason=body.reason),
    )  # fmt: skip


# -- inside ------------------------------------------------------------------------------------------------


def _find(using: Services, id: str, person: Person) -> Case:
    """Return a case that this person may see: raises NotFoundError, AccessError."""
    found = working.get(using.workspace, id)
    seeable(using.eyes(person).case(found))
    return found


def _changed(
    using: Services, id: str, request: Request, response: Response, person: Person, if_match: str,
    change: Callable[[Workspace], Case], permission: str = "incident.change",
) -> Any:  # fmt: skip
    """Change a case if this person may, of all of its incidents, and nobody changed it meanwhile."""
    found = _find(using, id, person)
    for name in found.incidents:
        demand(person, permission, about_incident(using.board.standing(name)))
    told = _told(using, change(following(using, if_match, [id])), sight(request, person, "", id))
    versioned(response, told.version, told.model_dump())
    return told


def _told(using: Services, one: Case, seen: Sight) -> models.Case:
    document = writing.document(one)
    for name in ("opened", "updated", "closed"):
        document[name] = to_iso(int(str(document[name]))) if document[name] is not None else None
    document["notes"] = [
        {"at": to_iso(note.at), "actor": note.actor, "text": note.text} for note in one.notes
    ]
    document["version"] = using.journal.last([one.id])
    names = {name for incident in one.incidents for name in people(seen, using.board.standing(incident))}
    return models.Case.model_validate(seen.document(document, *names))
