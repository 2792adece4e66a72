"""Playbooks: their graphs, plans with blast radius and approval, runs, what waits, the way back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import respond, respond_blast, respond_presence
from lemnis.app.access.masking import KINDS
from lemnis.app.access.people import demand
from lemnis.app.access.seeing import about_incident, shown
from lemnis.app.respond_blast import Blast
from lemnis.content import yaml
from lemnis.content.schemas.playbook import Playbook, Step
from lemnis.contracts.errors import LemnisError, NotFoundError, UsageError
from lemnis.contracts.response import EffectClass, PlannedAction
from lemnis.interfaces.web import drawing, site
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.words import words
from lemnis.respond import records
from lemnis.respond.records import Planned, Run
from lemnis.respond.waiting import Question

LOG = logging.getLogger("lemnis.console")
MOST_RUNS = 100
PATIENCE_S = 4.0
"""How long a page waits for a run that it began, to tell at once what is wrong."""


# -- what is shown, pure -----------------------------------------------------------------------------------


def graph(playbook: Playbook) -> tuple[list[drawing.Node], list[drawing.Line]]:
    """Return a playbook's steps in their order, and what leads from one to the next. Pure."""
    nodes: list[drawing.Node] = []
    lines: list[drawing.Line] = []
    _lay(playbook.steps, 0, [], "", nodes=nodes, lines=lines)
    return nodes, lines


def _lay(
    steps: Sequence[Step],
    column: int,
    before: list[str],
    says: str,
    *,
    nodes: list[drawing.Node],
    lines: list[drawing.Line],
) -> tuple[int, list[str]]:
    """Place steps from a column on; return the column after them, and what ends they have."""
    for step in steps:
        nodes.append(
            drawing.Node(
                step.id, step.kind, step.title or step.action or step.playbook or step.id, "", column
            )
        )
        lines += [drawing.Line(one, step.id, says) for one in before]
        blocks = step.blocks()
        column, before, says = column + 1, [step.id], ""
        if blocks:
            ends: list[str] = []
            furthest = column
            for name, inner in blocks.items():
                told = "" if name == "parallel" else name
                far, last = _lay(inner, column, [step.id], told, nodes=nodes, lines=lines)
                furthest, ends = max(furthest, far), ends + last
            column, before = furthest, ends
    return column, before


@dataclass(frozen=True, slots=True)
class ActionShown:
    """An action of a plan: what would be done to what, its effect and inverse, and what depends on it."""

    step: str
    action: str
    target: str
    effect: str
    undo: str
    refused: str
    before: tuple[tuple[str, str], ...]
    arguments: tuple[tuple[str, str], ...]
    blast: Blast | None
    outcome: str = ""
    error: str = ""


def actions(
    planned: Planned, blasts: Sequence[Blast], results: Sequence[Mapping[str, Any]] = ()
) -> list[ActionShown]:
    """Return a plan's actions for people, with how they ended if they were done. Pure."""
    about = {(one.step, one.target): one for one in blasts}
    done = {(str(one.get("step")), str(one.get("target"))): one for one in results}
    return [_action(one, about, done.get((one.step, one.target), {})) for one in planned.plan.actions]


def _action(
    one: PlannedAction, about: Mapping[tuple[str, str], Blast], result: Mapping[str, Any]
) -> ActionShown:
    return ActionShown(
        one.step, one.action, one.target, one.effect.value, one.undo, one.refused, _told(one.before),
        _told({key: value for key, value in one.arguments.items() if not key.startswith("@")}),
        about.get((one.step, one.target)), str(result.get("outcome", "")), str(result.get("error") or ""),
    )  # fmt: skip


def _told(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((words(key), str(value)) for key, value in values.items() if value not in ("", None, [], {}))


# -- pages -------------------------------------------------------------------------------------------------


def page(request: Request) -> Response:
    """Show the playbooks, what waits, and what ran."""
    here = site.at(request)
    every = sorted(_seen(request, respond.runs(here.workspace)), key=lambda run: -run.started)
    eyes = site.eyes(request)
    waiting = [one for one in every if one.finished is None]
    listed = here.keep(f"playbooks:{here.library.digest}", lambda: _listed(here), 3_600).get()
    questions = [q for q in respond.questions(here.workspace) if not eyes.incident(q.incident_id)]
    site.see(request, {name for q in questions for name in _asked(here, q)})
    return here.page(
        request,
        "playbooks.html",
        title="Playbooks",
        here="/playbooks",
        waiting=waiting,
        questions=questions,
        runs=every[:MOST_RUNS],
        total=len(every),
        playbooks=listed[0],
        problems=listed[1],
        now=here.workspace.clock.now(),
    )


@dataclass(frozen=True, slots=True)
class Listed:
    """A playbook as a line."""

    name: str
    title: str
    kind: str
    by: str
    steps: int


def _listed(here: site.Site) -> tuple[list[Listed], list[str]]:
    found, problems = [], []
    for name, item in here.library.items("playbooks").items():
        try:
            one = yaml.load(item.manifest, Playbook)
        except LemnisError as error:
            problems.append(str(error))
            continue
        by = ", ".join(dict.fromkeys(trigger.by for trigger in one.triggers))
        found.append(Listed(name, one.title, one.kind, by, sum(1 for step in one.steps for _ in step.walk())))
    return found, problems


def playbook(request: Request) -> Response:
    """Show one playbook."""
    here = site.at(request)
    item = here.library.get("playbooks", request.path_params["name"])
    one = yaml.load(item.manifest, Playbook)
    nodes, lines = graph(one)
    mine = [run for run in _seen(request, respond.runs(here.workspace)) if run.playbook == item.name]
    return here.page(
        request, "playbook.html", title=one.title, here="/playbooks", one=one, item=item,
        graph=drawing.graph(nodes, lines, label=f"Steps of {one.title}", down=True),
        text=yaml.read_text(item.manifest),
        runs=sorted(mine, key=lambda run: -run.started)[:20],
    )  # fmt: skip


def plan(request: Request) -> Response:
    """Show a plan: every action with its effect and blast radius, and how far its approval is."""
    here = site.at(request)
    journal = app.journal(here.workspace)
    planned, entry = records.find_plan(journal, request.path_params["digest"])
    shown(site.eyes(request).plan(planned.plan.digest, planned.plan.incident_id, entry.actor))
    site.see(request, _named(here, planned), about=planned.plan.incident_id, also=_targets(planned))
    blasts = here.keep(
        f"blast:{planned.plan.digest}", lambda: respond_blast.blast(here.workspace, planned), 60
    ).get()
    lacks = respond.lacking(here.workspace, planned.plan.digest)
    mine = _seen(request, respond.runs(here.workspace, planned.plan.incident_id))
    runs = [one for one in mine if one.plan == planned.plan.digest]
    return here.page(
        request,
        "plan.html",
        title=f"Plan: {words(planned.plan.playbook)}",
        here="/playbooks",
        planned=planned,
        by=entry,
        actions=actions(planned, blasts),
        lacks=lacks,
        refusals=planned.refusals,
        runs=runs,
        writes=sum(one.effect is not EffectClass.READ for one in planned.plan.actions),
        failed=here.kept_word(f"failed:{planned.plan.digest}"),
    )


def _named(here: site.Site, planned: Planned) -> set[str]:
    """Return whom a plan may name: what it touches, and what its incident is about."""
    touched = {name for one in planned.plan.actions for name in one.touches}
    return touched | _about(here, planned.plan.incident_id)


def _asked(here: site.Site, one: Question) -> set[str]:
    """Return whom a question may name."""
    journal = app.journal(here.workspace)
    return _named(here, records.find_plan(journal, records.find_run(journal, one.run).plan)[0])


def _about(here: site.Site, incident: str) -> set[str]:
    try:
        return set(map(str, here.board.standing(incident).incident.entities))
    except NotFoundError:  # a plan can be about less than an incident
        return set()


def _targets(planned: Planned) -> set[str]:
    """Return the targets that are people."""
    people = (one for one in planned.plan.actions if any(t.partition(":")[0] in KINDS for t in one.touches))
    return {one.target for one in people}


def _see(request: Request, incident: str) -> Mapping[str, Any]:
    """Check that who asks may see the incident; return what rules may know of it.

    Raises NotFoundError for what is no incident's id: an alert's stands for its incident elsewhere.
    """
    if not incident.startswith("in-"):
        raise NotFoundError(f"no incident {incident!r}", fix="plan from the incident's page")
    stands = site.at(request).board.find(incident)
    shown(site.eyes(request).incident(stands.incident.id))
    site.hide(request, stands.incident.entities)
    return about_incident(stands)


def _seen(request: Request, runs: Iterable[Run]) -> list[Run]:
    """Return the runs that who asks may see."""
    eyes = site.eyes(request)
    return [one for one in runs if not eyes.run(one)]


def run(request: Request) -> Response:
    """Show a run, step by step."""
    here = site.at(request)
    journal = app.journal(here.workspace)
    one = records.find_run(journal, request.path_params["id"])
    shown(site.eyes(request).run(one))
    planned, _ = records.find_plan(journal, one.plan)
    site.see(request, _named(here, planned), about=one.incident_id, also=_targets(planned))
    asked = [q for q in respond.questions(here.workspace) if q.run == one.id]
    undo = [other for other in respond.runs(here.workspace, one.incident_id) if other.undoes == one.id]
    return here.page(
        request,
        "run.html",
        title=f"Run: {words(one.playbook)}",
        here="/playbooks",
        run=one,
        planned=planned,
        actions=actions(planned, (), one.results),
        questions=asked,
        undone=undo,
        failed=here.kept_word(f"failed:{one.plan}"),
        awaits=_awaits(here, one),
        now=here.workspace.clock.now(),
    )


def _awaits(here: site.Site, one: Run) -> str:
    """Return what a run waits for that was asked for and has not begun; empty for others."""
    if one.outcome != records.WAITING:
        return ""
    return respond_presence.awaited(here.workspace, respond.lacking(here.workspace, one.plan).standing)[1]


# -- what is done ------------------------------------------------------------------------------------------


def make_plan(request: Request, form: Form) -> Response:
    """Plan a playbook for an incident."""
    here = site.at(request)
    incident = request.path_params["id"]
    about = _see(request, incident)
    demand(site.whose(request), "playbook.plan", about)
    planned = respond.plan(here.workspace, form.get("playbook", ""), incident, actor=site.actor(request))
    return site.back(request, f"/plan/{planned.plan.digest.removeprefix('sha256:')}")


def act_on_plan(request: Request, form: Form) -> Response:
    """Approve a plan, or begin its run."""
    here, who = site.at(request), site.actor(request)
    planned, entry = records.find_plan(app.journal(here.workspace), request.path_params["digest"])
    shown(site.eyes(request).plan(planned.plan.digest, planned.plan.incident_id, entry.actor))
    site.hide(request, _named(here, planned), _targets(planned))
    digest = planned.plan.digest
    about = site.eyes(request).about("plan", digest, planned.plan.incident_id, entry.actor)
    place = f"/plan/{digest.removeprefix('sha256:')}"
    if form.get("do") == "approve":
        demand(site.whose(request), "playbook.approve", about)
        if form.get("digest") != digest:
            raise UsageError("the plan is not the one that was shown", fix="look at it again")
        respond.approve(here.workspace, digest, actor=who, reason=form.get("reason", "")[:2000])
        return site.back(request, place, "Approved", "Approval is bound to exactly these actions.")
    if form.get("do") == "run":
        demand(site.whose(request), "playbook.run", about)
        return _begin(request, planned, who, place)
    raise UsageError("a plan is approved or run")


def _begin(request: Request, planned: Planned, who: str, place: str) -> Response:
    """Begin a run beside the page; what is wrong at once is told at once."""
    here, digest = site.at(request), planned.plan.digest
    ended = _go_on(here, digest, who)
    found = [one for one in respond.runs(here.workspace, planned.plan.incident_id) if one.plan == digest]
    if found:
        return site.back(request, f"/run/{found[-1].id}", "It has run" if ended else "It runs")
    return site.back(request, place)


def _go_on(here: site.Site, digest: str, who: str) -> bool:
    """Run a plan, or its run where it stands, beside the page; return whether that has ended or waits."""
    return beside(
        lambda: respond.run(here.workspace, digest, actor=who), lambda why: here.say(f"failed:{digest}", why)
    )


def beside(work: Callable[[], object], failed: Callable[[str], None]) -> bool:
    """Do something in a thread of its own; return whether it has ended before patience has."""

    def whole() -> None:
        try:
            work()
        except LemnisError as error:
            failed(str(error))
        except Exception:  # whatever it is, the page says so
            LOG.exception("what a page began could not be done")
            failed("a defect of Lemnis: the log of the console says what")
        else:
            failed("")

    thread = threading.Thread(target=whole, name="a run")
    thread.start()
    thread.join(PATIENCE_S)
    return not thread.is_alive()


def act_on_run(request: Request, form: Form) -> Response:
    """Answer what a run asks, cancel it, or plan its undoing."""
    here, who = site.at(request), site.actor(request)
    one: Run = records.find_run(app.journal(here.workspace), request.path_params["id"])
    shown(site.eyes(request).run(one))
    planned, _ = records.find_plan(app.journal(here.workspace), one.plan)
    site.hide(request, _named(here, planned), _targets(planned))
    about = site.eyes(request).about("run", one.id, one.incident_id, one.actor)
    what = form.get("do", "")
    reason = form.get("reason", "")[:2000]
    if what in {"yes", "no"}:
        demand(site.whose(request), "playbook.approve", about)
        respond.answer(here.workspace, one.id, form.get("step", ""), what, actor=who, reason=reason)
        _go_on(here, one.plan, one.actor)
        return site.back(request, f"/run/{one.id}", f"Answered {what}", "The run goes on.")
    if what == "cancel":
        demand(site.whose(request), "playbook.run", about)
        respond.cancel(here.workspace, one.id, actor=who, reason=reason)
        return site.back(request, f"/run/{one.id}", "It will do nothing more")
    if what == "undo":
        demand(site.whose(request), "playbook.plan", about)
        back = respond.plan_undo(here.workspace, one.id, actor=who)
        return site.back(request, f"/plan/{back.plan.digest.removeprefix('sha256:')}")
    raise UsageError("a run is answered, cancelled or undone")


ROUTES = (
    site.shows("/playbooks", page, "playbook.read"),
    site.shows("/playbook/{name}", playbook, "playbook.read"),
    site.shows("/plan/{digest}", plan, "playbook.read"),
    site.shows("/run/{id}", run, "playbook.read"),
    site.does("/incident/{id}/plan", make_plan, "playbook.plan"),
    site.does("/plan/{digest}", act_on_plan, "playbook.read"),
    site.does("/run/{id}", act_on_run, "playbook.read"),
)
