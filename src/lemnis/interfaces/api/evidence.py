"""Evidence of incidents: listed with its custody, read, and handed over as a package that proves itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from starlette.requests import Request
from starlette.responses import StreamingResponse

from lemnis.app import incidents_evidence
from lemnis.app.access import handing
from lemnis.app.access.permissions import Person, demand
from lemnis.app.access.seeing import about_incident
from lemnis.incidents import custody
from lemnis.interfaces.api import incidents, models
from lemnis.interfaces.api.downloads import BYTES, ZIP, attachment
from lemnis.interfaces.api.routing import Purpose, Using, allowed, router
from lemnis.interfaces.api.services import Services, sight

ROUTER = router("evidence")
Reader = Annotated[Person, allowed("evidence.read")]
Digest = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$", description="The evidence's digest.")]


def _file(media: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media: {"schema": {"type": "string", "format": "binary"}}}}}


@ROUTER.get("/incidents/{id}/evidence")
def list_(
    id: incidents.Id, request: Request, person: Reader, using: Using, purpose: Purpose = ""
) -> list[models.Evidence]:
    """List an incident's evidence with every act on it, in the order in which it was collected."""
    one = incidents.find(using, id, person)
    demand(person, "evidence.read", about_incident(one))
    seen = sight(request, person, purpose, id)
    people = incidents.people(seen, one)
    found = incidents_evidence.evidence(using.workspace, id)
    return [models.Evidence.model_validate(seen.document(custody.document(each), *people)) for each in found]


@ROUTER.post("/incidents/{id}/evidence/package", response_class=StreamingResponse, responses=_file(ZIP))
def package(
    id: incidents.Id, body: models.HandingOver, request: Request, person: Reader, using: Using,
    purpose: Purpose = "",
) -> StreamingResponse:  # fmt: skip
    """Make and get the evidence package of an incident, which `lemnis incident verify` checks anywhere.

    It holds personal data as it came, so it takes a purpose; who got it, and why, is in the chain of custody.
    """
    _whole(using, id, request, person, purpose)
    with using.slots.taken(person.id):
        made = handing.package(using.workspace, id, actor=person.name, reason=body.reason, to=body.to)
    return attachment(made, ZIP)


@ROUTER.post(
    "/incidents/{id}/evidence/{digest}/read", response_class=StreamingResponse, responses=_file(BYTES)
)
def read(
    id: incidents.Id, digest: Digest, body: models.Because, request: Request, person: Reader, using: Using,
    purpose: Purpose = "",
) -> StreamingResponse:  # fmt: skip
    """Get a piece of evidence as it was collected; that, and why, is in its chain of custody."""
    _whole(using, id, request, person, purpose)
    return attachment(
        handing.piece(using.workspace, id, digest, actor=person.name, reason=body.reason), BYTES
    )


def _whole(using: Services, id: str, request: Request, person: Person, purpose: str) -> None:
    one = incidents.find(using, id, person)
    demand(person, "evidence.read", about_incident(one))
    handing.demand_whole(
        using.personal, person, purpose, what=f"POST {request.url.path.removeprefix(_BASE)}", about=id
    )


_BASE = "/api/v1"
