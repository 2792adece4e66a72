"""What people do about an incident: tasks by team, links, severity, what belongs together, cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import cases, incidents, incidents_grouping, incidents_handling
from lemnis.app.access.masking import KINDS
from lemnis.app.access.people import demand
from lemnis.app.access.seeing import about_incident, shown
from lemnis.app.incidents_handling import Standing
from lemnis.contracts.alerts import Entity, Severity
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.handling import Case, Task, TaskState
from lemnis.interfaces.web import site
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.incident_known import known
from lemnis.interfaces.web.keeping import Kept
from lemnis.store.access import Account

NOBODY = ""
"""The team of what is nobody's, or of somebody who is of no team."""
_OTHERS, _ACCOUNTS_S = 100, 5.0

# -- what is shown, pure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TeamShown:
    """The tasks of a team: those that are due first come first, those that are over last."""

    team: str
    tasks: tuple[Task, ...]
    left: int
    late: int


def by_team(tasks: Iterable[Task], teams: Mapping[str, str], now: int) -> list[TeamShown]:
    """Return tasks by the team of whoever has them; ``teams`` are by person, and by their own names. Pure."""
    found: dict[str, list[Task]] = {}
    for one in tasks:
        found.setdefault(teams.get(one.assignee, NOBODY), []).append(one)
    some = [
        TeamShown(
            team,
            tuple(sorted(mine, key=lambda one: (one.state.over, one.due is None, one.due or 0, one.added))),
            sum(not one.state.over for one in mine),
            sum(one.late(now) for one in mine),
        )
        for team, mine in found.items()
    ]
    return sorted(some, key=lambda one: (one.team == NOBODY, -one.late, -one.left, one.team))


# -- what the page asks ------------------------------------------------------------------------------------


def tasks(request: Request, stands: Standing) -> list[TeamShown]:
    """Return an incident's tasks by team; people are of the first team of their accounts."""
    tables = request.state.access.tables
    kept: Kept[list[Account]] = site.at(request).keep("accounts", tables.accounts, _ACCOUNTS_S)
    accounts = kept.get()
    named = {team: team for one in accounts for team in one.teams}
    named |= {one.team: one.team for one in stands.assets if one.team}
    people = {one.name: one.teams[0] for one in accounts if one.teams}
    return by_team(stands.handling.tasks, named | people, site.at(request).workspace.clock.now())


def kept_cases(request: Request) -> list[Case]:
    """Return the cases that who asks may see."""
    here, eyes = site.at(request), site.eyes(request)
    kept: Kept[list[Case]] = here.keep("cases", lambda: cases.cases(here.workspace), 5)
    return [one for one in kept.get() if not eyes.case(one)]


def people(some: Iterable[Standing]) -> Iterator[Entity]:
    """Yield the people that incidents are about, whom their titles and cases may name. Pure."""
    for one in some:
        for group in one.incident.groups:
            yield from (entity for entity in group.entities if entity.kind in KINDS)


def held(request: Request, some: Iterable[Case]) -> list[Standing]:
    """Return the incidents that cases are over."""
    board, found = site.at(request).board, []
    for name in dict.fromkeys(name for one in some for name in one.incidents):
        with suppress(NotFoundError):  # of one that is no more, nobody is known
            found.append(board.standing(name))
    return found


def others(request: Request, incident: str) -> list[Standing]:
    """Return other open incidents that who asks may see, the newest first."""
    eyes, view = site.eyes(request), site.at(request).board.last_view
    some = (one for one in view.newest_open if one.incident.id != incident and eyes.sees(one))
    return list(islice(some, _OTHERS))


# -- what is done ------------------------------------------------------------------------------------------


def act(request: Request, form: Form) -> Response:
    """Do one thing with how an incident is worked on, and show it again."""
    stands, what = known(request), form.get("do", "")
    demand(site.whose(request), "incident.change", about_incident(stands))
    step = _STEPS.get(what)
    if step is None:
        raise UsageError(f"{what!r} cannot be done with an incident", fix="choose one of the page's actions")
    if what != "unmerge":
        incidents.refuse_merged(stands.incident)
    return step(request, stands.incident.id, form)


def _back(request: Request, incident: str, told: str, place: str = "") -> Response:
    return site.back(request, f"/incident/{incident}{place}", told)


def _reason(form: Form) -> str:
    return form.get("reason", "").strip()[:2000]


def _add_task(request: Request, incident: str, form: Form) -> Response:
    workspace = site.at(request).workspace
    due = incidents_handling.due(form["due"], workspace.clock.now()) if form.get("due") else None
    incidents_handling.add_task(
        workspace, incident, form.get("title", "")[:500], actor=site.actor(request),
        assignee=form.get("assignee", "")[:200].strip(), due=due,
    )  # fmt: skip
    return _back(request, incident, "The task is written down", "#tasks")


def _change_task(request: Request, incident: str, form: Form) -> Response:
    states = {one.value: one for one in TaskState}
    state = form.get("state", "")
    if state not in states:
        raise UsageError("a task is open, doing, done or dropped")
    who = site.actor(request)
    incidents_handling.change_task(
        site.at(request).workspace, incident, form.get("task", ""), actor=who, state=states[state],
        assignee=who if state == "doing" else None, reason=_reason(form),
    )  # fmt: skip
    told = "The task is yours" if state == "doing" else f"The task is {state}"
    return _back(request, incident, told, "#tasks")


def _severity(request: Request, incident: str, form: Form) -> Response:
    name = form.get("severity", "")
    to = next((one for one in Severity if one.name.lower() == name), None)
    if to is None and name != "computed":
        raise UsageError(f"no severity {name!r}", fix="choose one of the list")
    incidents_handling.set_severity(
        site.at(request).workspace, incident, to, actor=site.actor(request), reason=_reason(form)
    )
    return _back(request, incident, "The severity is decided" if to else "The severity is computed again")


def _link(request: Request, incident: str, form: Form) -> Response:
    incidents_handling.add_link(
        site.at(request).workspace, incident, form.get("url", "")[:2000], actor=site.actor(request),
        title=form.get("title", "")[:200],
    )  # fmt: skip
    return _back(request, incident, "The link is written down", "#links")


def _unlink(request: Request, incident: str, form: Form) -> Response:
    incidents_handling.remove_link(
        site.at(request).workspace, incident, form.get("url", ""), actor=site.actor(request),
        reason=_reason(form),
    )  # fmt: skip
    return _back(request, incident, "The link is removed", "#links")


def _merge(request: Request, incident: str, form: Form) -> Response:
    here, other = site.at(request), form.get("other", "").strip()
    stands = here.board.find(other)
    shown(site.eyes(request).incident(stands.incident.id))
    demand(site.whose(request), "incident.change", about_incident(stands))
    made = incidents_grouping.merge(
        here.workspace, incident, other, actor=site.actor(request), reason=_reason(form)
    )
    return _back(request, made.id, "They are one incident now")


def _split(request: Request, incident: str, form: Form) -> Response:
    made = incidents_grouping.split(
        site.at(request).workspace, incident, rules=form.every("rule"), actor=site.actor(request),
        reason=_reason(form),
    )  # fmt: skip
    return _back(request, made.id, "It is an incident of its own now")


def _unmerge(request: Request, incident: str, form: Form) -> Response:
    made = incidents_grouping.unmerge(
        site.at(request).workspace, incident, actor=site.actor(request), reason=_reason(form)
    )
    return _back(request, made.id, "It is an incident of its own again")


def _case(request: Request, incident: str, form: Form) -> Response:
    here, who, name = site.at(request), site.actor(request), form.get("case", "")
    if name:
        one = cases.get(here.workspace, name)
        shown(site.eyes(request).case(one))
        for stands in held(request, [one]):
            demand(site.whose(request), "incident.change", about_incident(stands))
    else:
        one = cases.create(here.workspace, form.get("title", "")[:300], actor=who)
    cases.add(here.workspace, one.id, incident, actor=who, reason=_reason(form))
    here.forget("cases")
    return _back(request, incident, f"It is in the case {one.title}", "#cases")


_STEPS: Mapping[str, Callable[[Request, str, Form], Response]] = {
    "task": _add_task, "task_state": _change_task, "severity": _severity, "link": _link, "unlink": _unlink,
    "merge": _merge, "split": _split, "unmerge": _unmerge, "case": _case,
}  # fmt: skip
"""What forms of the page do beside the incident's own way from new to closed."""
