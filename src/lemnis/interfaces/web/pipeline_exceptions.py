"""Exceptions: what is left of each, what it hides, what was asked for; renewed, approved, withdrawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import exceptions, exemptions, findings_decisions, incidents_suppressed
from lemnis.app.access import naming
from lemnis.app.access.people import demand, may
from lemnis.app.exceptions_report import days_left
from lemnis.app.exemptions import Asked, Granted
from lemnis.app.incidents_suppressed import Count
from lemnis.contracts.errors import UsageError
from lemnis.contracts.ids import Json
from lemnis.interfaces.web import pipeline_findings, site
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.pipeline_said import passed, said_by_gates

SOON_DAYS = 30
FRESH_S = 15
_KEPT = "exceptions"


@dataclass(frozen=True, slots=True)
class OfRules:
    """An exception from detections: its last day, whole days left (below 0: over), what it held back."""

    name: str
    title: str
    rules: tuple[str, ...]
    owner: str
    reason: str
    expires: str
    days: int
    held: int
    kept: int
    last: int


def pressing(one: Granted) -> bool:
    """Say whether an exception is over, void, or ends soon. Pure."""
    return bool(one.void) or one.days <= SOON_DAYS


def of_rules(found: Iterable[exceptions.Compiled], held: Iterable[Count], now: int) -> list[OfRules]:
    """Return exceptions from detections, the next to end first. Pure."""
    counts: Mapping[str, Count] = {one.exception: one for one in held}
    nothing = Count("", 0, 0, 0, 0, 0)
    told = [
        OfRules(
            one.name, one.file.title, tuple(sorted(one.file.rules or ())), one.file.terms.owner,
            one.file.terms.reason, one.file.terms.expires.isoformat(), days_left(one.file.terms.until, now),
            counts.get(one.name, nothing).alerts, counts.get(one.name, nothing).kept,
            counts.get(one.name, nothing).last,
        )
        for one in found
    ]  # fmt: skip
    return sorted(told, key=lambda one: (one.days, one.name))


def known(here: site.Site) -> tuple[Sequence[Granted], Sequence[str]]:
    """Return the exceptions from policies, the next to end first, and what is wrong with others."""
    found: tuple[Sequence[Granted], Sequence[str]] = here.keep(
        _KEPT,
        lambda: exemptions.granted(
            here.workspace,
            app.library(here.workspace),
            pipeline_findings.known(here).problems,
            passed(said_by_gates(here)),
        ),
        FRESH_S,
    ).get()
    return found


def page(request: Request) -> Response:
    """Show all exceptions, and what was asked for."""
    here = site.at(request)
    found, wrong = known(here)
    library = app.library(here.workspace)
    asked = exemptions.requests(here.workspace, library)
    detections: list[OfRules] = []
    if may(site.whose(request), "rule.read"):
        compiled, problems = exceptions.load(library)
        detections = of_rules(
            compiled, incidents_suppressed.counts(here.workspace), here.workspace.clock.now()
        )
        wrong = [*wrong, *map(str, problems)]
    site.see(request, _people(found, asked, detections))
    return here.page(
        request, "exceptions.html", title="Exceptions", here="/pipeline", found=found, asked=asked,
        detections=detections, wrong=wrong, soon=SOON_DAYS, me=site.actor(request),
    )  # fmt: skip


def _people(found: Sequence[Granted], asked: Sequence[Asked], detections: Sequence[OfRules]) -> set[str]:
    """Return whom exceptions name: addresses in what they say, and of those who own and approved them."""
    said = [text for one in found for text in (one.file.owner, one.file.approved_by, one.file.reason,
            one.file.compensating_control, one.file.where, one.void)]  # fmt: skip
    said += [text for one in asked for text in _texts(one)]
    said += [text for one in detections for text in (one.owner, one.reason, one.title)]
    return naming.addressed(said)


def _texts(one: Asked) -> tuple[str, ...]:
    if one.request is None:
        return (one.wrong,)
    return one.request.owner, one.request.reason, one.request.compensating_control, one.request.where


def act(request: Request, form: Form) -> Response:
    """Renew or withdraw an exception, approve or refuse what was asked for."""
    here, who, person = site.at(request), site.actor(request), site.whose(request)
    name, what, reason = request.path_params["name"], form.get("do", ""), form.get("reason", "")
    library = app.library(here.workspace)
    about = _about_what(here, name)
    if what == "renew":
        demand(person, "finding.change", about)
        exemptions.renew(here.workspace, library, name, actor=who, reason=reason, until=form.get("until", ""))
        told = "Asked for", "Somebody else approves it."
    elif what == "approve":
        demand(person, "exception.approve", about)
        exemptions.approve(here.workspace, name, actor=who)
        told = (
            "Approved",
            "It counts from now on. It lies in content/exceptions, to be reviewed and committed.",
        )
    elif what == "refuse":
        _refusable(request, name)
        exemptions.refuse(here.workspace, name, actor=who, reason=reason)
        told = "Refused", "The request is gone."
    elif what == "withdraw":
        demand(person, "exception.approve", about)
        exemptions.withdraw(here.workspace, library, name, actor=who, reason=reason)
        told = "Withdrawn", "Gates refuse again what it let pass."
    else:
        raise UsageError("an exception is renewed, approved, refused or withdrawn")
    here.forget(_KEPT)
    here.forget("library")
    return site.back(request, "/pipeline/exceptions", *told)


def _about_what(here: site.Site, name: str) -> dict[str, Json]:
    """Return what rules may know of an exception: the service of what it is about, where that is known.

    One that was asked for is about what it would be about: by that others approve it.
    """
    asked = (one.request for one in _requests(here) if one.name == name)
    file = next((one.file for one in known(here)[0] if one.name == name), None) or next(asked, None)
    every = pipeline_findings.known(here).problems
    problems = [one for one in every if file is not None and exemptions.covers(file, one)]
    for _, about in findings_decisions.about(here.workspace, problems):
        return {**about, "kind": "exception", "id": name}
    return {"kind": "exception", "id": name}


def _refusable(request: Request, name: str) -> None:
    """Let whoever may approve refuse, and whoever asked take it back."""
    here = site.at(request)
    mine = next((one.request for one in _requests(here) if one.name == name), None)
    if mine is None or mine.owner != site.actor(request):
        demand(site.whose(request), "exception.approve", _about_what(here, name))


def _requests(here: site.Site) -> Sequence[Asked]:
    return exemptions.requests(here.workspace, app.library(here.workspace))


ROUTES = (
    site.shows("/pipeline/exceptions", page, "gate.read"),
    site.does("/pipeline/exceptions/{name}", act, "gate.read"),
)
