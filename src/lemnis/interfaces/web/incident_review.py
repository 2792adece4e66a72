"""The review of an incident: what there is to learn, written down beside the facts of the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import incidents, incidents_review
from lemnis.app.access.people import demand
from lemnis.app.access.seeing import about_incident
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.web import site
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.incident_known import known
from lemnis.lessons import review_form

ACTIONS = 4
"""So many actions a form has room for, beside those that there are."""
LISTS = tuple(name for name, _ in review_form.PARTS)
TEXTS = ("detection_gap", "control_that_failed")


def filled(form: Form) -> dict[str, Any]:
    """Return the parts of a review as a form has them: lists a line each, actions a row each. Pure."""
    lists = {
        name: [line.strip() for line in form.get(name, "").splitlines() if line.strip()] for name in LISTS
    }
    rows = zip(form.every("what"), form.every("owner"), form.every("due"), strict=False)
    actions = [
        {"what": what, "owner": owner, "due": due} for what, owner, due in rows if what or owner or due
    ]
    return {**lists, **{name: form.get(name, "").strip() for name in TEXTS}, "actions": actions}


def page(request: Request) -> Response:
    """Show the review, or the form for it."""
    return _page(request)


def _page(
    request: Request, *, given: Mapping[str, Any] | None = None, why: str = "", status: int = 200
) -> Response:
    here, stands = site.at(request), known(request)
    one = stands.incident
    told = incidents_review.told(here.workspace, one)
    facts = told["timeline"] if told else [
        fact.model_dump() for fact in incidents_review.facts(here.workspace, one)
    ]  # fmt: skip
    site.see(request, one.entities, about=one.id)
    return here.page(
        request, "review.html", status=status, title=f"Review of {one.title}", here="/queue", one=one,
        told=told, facts=facts, given=given or told or {}, why=why, parts=review_form.PARTS,
        rows=ACTIONS, about=about_incident(stands),
    )  # fmt: skip


def keep(request: Request, form: Form) -> Response:
    """Record the review; what is wrong is told beside what was written."""
    here, stands = site.at(request), known(request)
    incidents.refuse_merged(stands.incident)
    demand(site.whose(request), "lesson.change", about_incident(stands))
    given = filled(form)
    try:
        made = incidents_review.filled(here.workspace, stands.incident, given)
    except UsageError as error:
        return _page(request, given=given, why=error.what, status=400)
    incidents_review.keep(here.workspace, stands.incident, made, actor=site.actor(request))
    return site.back(
        request, f"/incident/{stands.incident.id}/review", "The review is recorded",
        "Its actions are tasks of the incident.",
    )  # fmt: skip


ROUTES = (
    site.shows("/incident/{id}/review", page, "incident.read"),
    site.does("/incident/{id}/review", keep, "lesson.change"),
)
