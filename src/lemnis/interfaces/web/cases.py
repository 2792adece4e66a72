"""Cases: work files over some incidents, seen by whoever sees all of these."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import cases as working
from lemnis.app.access.people import demand, may
from lemnis.app.access.seeing import about_incident, shown
from lemnis.contracts.errors import UsageError
from lemnis.contracts.handling import Case
from lemnis.interfaces.web import asking, site
from lemnis.interfaces.web.asking import Column
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.incident_work import held, kept_cases, people

SIZE = 50
COLUMNS: tuple[Column[Case], ...] = (
    Column("title", "Case", lambda one: one.title.casefold()),
    Column("owner", "Owner", lambda one: one.owner),
    Column("incidents", "Incidents", lambda one: len(one.incidents), up=False, numeric=True),
    Column("updated", "Changed", lambda one: one.updated, up=False),
)


def page(request: Request) -> Response:
    """Show the cases."""
    how = asking.asked(request.query_params, ("show",), sort="-updated")
    wanted = how.of("show") == "closed"
    rows, how = asking.ordered([one for one in kept_cases(request) if one.open != wanted], COLUMNS, how)
    shown = asking.paged(rows, how, SIZE)
    site.see(request, set(people(held(request, shown.rows))))
    return site.at(request).page(
        request, "cases.html", title="Cases", here="/queue", columns=COLUMNS, asked=how, page=shown,
    )  # fmt: skip


def one(request: Request) -> Response:
    """Show a case with its incidents and notes."""
    here, found = site.at(request), _known(request)
    inside = [here.board.standing(name) for name in found.incidents]
    site.see(request, {str(entity) for each in inside for entity in each.incident.entities}, about=found.id)
    person = site.whose(request)
    mine = {
        permission: all(may(person, permission, about_incident(each)) for each in inside)
        and may(person, permission)
        for permission in ("incident.change", "incident.close")
    }
    return here.page(
        request, "case.html", title=found.title, here="/queue", one=found, held=inside, mine=mine,
        unfinished=sum(each.incident.open for each in inside),
    )  # fmt: skip


def _known(request: Request) -> Case:
    found = working.get(site.at(request).workspace, request.path_params["id"])
    shown(site.eyes(request).case(found))
    return found


def act(request: Request, form: Form) -> Response:
    """Change a case, and show it again."""
    here, found, what = site.at(request), _known(request), form.get("do", "")
    permission = "incident.close" if what == "close" else "incident.change"
    for name in found.incidents:
        demand(site.whose(request), permission, about_incident(here.board.standing(name)))
    demand(site.whose(request), permission)
    told = _do(request, found, what, form)
    here.forget("cases")
    return site.back(request, f"/case/{found.id}", told)


def _do(request: Request, found: Case, what: str, form: Form) -> str:
    workspace, who = site.at(request).workspace, site.actor(request)
    reason = form.get("reason", "").strip()[:2000]
    if what == "note":
        working.note(workspace, found.id, form.get("text", "")[:20_000], actor=who)
        return "Noted"
    if what == "assign":
        owner = form.get("to", "").strip()[:200] or who
        working.assign(workspace, found.id, owner, actor=who)
        return f"It is {owner}'s now"
    if what == "remove":
        working.remove(workspace, found.id, form.get("incident", ""), actor=who, reason=reason)
        return "It is out of the case"
    if what == "close":
        working.close(workspace, found.id, actor=who, reason=reason)
        return "The case is closed"
    if what == "reopen":
        working.reopen(workspace, found.id, actor=who, reason=reason)
        return "The case is open again"
    raise UsageError(f"{what!r} cannot be done with a case", fix="choose one of the page's actions")


ROUTES = (
    site.shows("/cases", page, "incident.read"),
    site.shows("/case/{id}", one, "incident.read"),
    site.does("/case/{id}", act, "incident.read"),
)
