"""Errors that name nobody: people in what a request is about are taken out of what is wrong with it.

What is wrong with what was given is told as it was given: were a name in it masked, the guess would be told
to be right.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from starlette.requests import Request

from lemnis.app.access.permissions import may
from lemnis.contracts.errors import ContentError, InputError, LemnisError
from lemnis.interfaces.api.services import Services, services
from lemnis.respond import records


def about(request: Request, incident: str) -> None:
    """Note the incident that a request is about, where its address does not say it."""
    request.state.about = incident


def hiding(request: Request, error: LemnisError) -> Callable[[str], str] | None:
    """Return what takes people out of an error; None where there is nothing to take out, or they are seen."""
    person = getattr(request.state, "person", None)
    if person is None or (isinstance(error, InputError) and not isinstance(error, ContentError)):
        return None
    if request.headers.get("x-purpose") and may(person, "personal.read"):
        return None
    using, entities = services(request), set[str]()
    with suppress(LemnisError):  # of what there is not, nobody is named
        entities |= _named(using, request)
    masker = using.personal.masker
    return masker.hiding(masker.of_entities(entities))


def _named(using: Services, request: Request) -> set[str]:
    """Return whom the incident, plan or run of a request may name, as entities."""
    name = str(request.path_params.get("id") or request.path_params.get("digest") or "")
    incident, touched = str(getattr(request.state, "about", "") or name), set[str]()
    if name.startswith("sha256:") or "/runs/" in request.url.path:
        run = "" if name.startswith("sha256:") else name
        digest = records.find_run(using.journal, run).plan if run else name
        plan = records.find_plan(using.journal, digest)[0].plan
        incident, touched = plan.incident_id, {one for action in plan.actions for one in action.touches}
    with suppress(LemnisError):  # a plan can be about less than an incident
        touched |= set(map(str, using.board.standing(incident).incident.entities))
    return touched
