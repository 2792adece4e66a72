"""Lessons: what each changed, its proof, and the measured effect of the loop."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import lesson_report, lessons
from lemnis.app import proof as proving
from lemnis.app.access import naming
from lemnis.app.access.people import demand
from lemnis.app.access.seeing import about_incident
from lemnis.app.access.seeing import shown as seeable
from lemnis.app.lesson_report import Report, Row
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.interfaces.web import site
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.keeping import Later
from lemnis.interfaces.web.playbooks import beside

_FRESH_S = 30.0


@dataclass(frozen=True, slots=True)
class LessonShown:
    """A lesson as a line: how far it is, and what was measured of it."""

    id: str
    title: str
    incident: str
    state: str
    cause: str
    gate: str
    to_gate: int | None
    again: int
    right: int
    wrong: int
    open: int
    minutes: float
    before: int | None
    now: int | None


def shown(one: Row) -> LessonShown:
    """Return a lesson as a line. Pure."""
    found = one.measures
    return LessonShown(
        found.taught.lesson,
        one.state.written.lesson.title,
        found.taught.incident,
        found.taught.state,
        found.taught.cause,
        found.taught.gate,
        found.to_gate,
        len(found.taught.again),
        found.right,
        found.wrong,
        found.open,
        found.developer_minutes,
        found.exposed_before,
        found.exposed_now,
    )


def page(request: Request) -> Response:
    """Show all lessons and what they did."""
    here = site.at(request)
    try:
        found: Report | None = _report(here).get()
        trouble = ""
    except LemnisError as error:
        found, trouble = None, str(error)
    eyes = site.eyes(request)
    found = lesson_report.without(found, eyes.incident) if found else None
    rows = found.rows if found else ()
    incidents = {one.measures.taught.incident for one in rows}
    site.see(request, {entity for one in incidents for entity in _about(here, one)})
    return here.page(
        request, "lessons.html", title="Lessons", here="/lessons", trouble=trouble,
        waiting=found is None and not trouble, rows=[shown(one) for one in rows],
        summary=lesson_report.summary(found) if found else [], causes=found.causes if found else (),
    )  # fmt: skip


def _report(here: site.Site) -> Later[Report]:
    """Return the report, which asks all incidents and the whole of git: it is made beside the pages."""
    found: Later[Report] = here.once.setdefault(
        "lesson-report", Later(lambda: lesson_report.report(here.workspace), _FRESH_S)
    )
    return found


def lesson(request: Request) -> Response:
    """Show one lesson: its cause, its change set, the proof."""
    here = site.at(request)
    name = request.path_params["id"]
    state = _state(request, name)
    seeable(site.eyes(request).incident(state.written.lesson.incident))
    proof: Mapping[str, Any] = state.proved.payload if state.proved else {}
    site.see(request, _people(here, state), about=name)
    return here.page(
        request, "lesson.html", title=state.written.lesson.title, here="/lessons", state=state,
        one=state.written.lesson, proof=proof, review=_review(state), failed=here.kept_word(f"proof:{name}"),
        proving=here.kept_word(f"proving:{name}"),
    )  # fmt: skip


def _state(request: Request, name: str) -> lessons.State:
    """Return a lesson; raises NotFoundError, which names no other, and what keeps it from being read.

    Of one that cannot be read nobody knows whose incident it is of: that it is there is told to who sees all.
    """
    try:
        return lessons.show(site.at(request).workspace, name)
    except LemnisError as error:
        if isinstance(error, NotFoundError) or not site.eyes(request).all:
            raise NotFoundError(f"no lesson {name!r}", fix="the page of lessons lists them") from error
        raise


def _people(here: site.Site, state: lessons.State) -> set[str]:
    """Return whom the page of a lesson names: authors, owners, and who its incident is about."""
    one = state.written.lesson
    said = [*_review(state), *naming.texts(state.proved.payload if state.proved else {})]
    named = naming.author(one.cause.author) | naming.addressed([one.cause.owner, one.cause.text, *said])
    walked = {hop.partition(" ")[2] for hop in one.trace}
    return named | walked | _about(here, one.incident)


def _about(here: site.Site, incident: str) -> set[str]:
    """Return the entities of an incident; of one that is not known here, none."""
    try:
        return set(map(str, here.board.find(incident).incident.entities))
    except NotFoundError:
        return set()


def _review(state: lessons.State) -> list[str]:
    """Return what whoever reviews a lesson is told to look at."""
    told: Any = state.proposed.payload.get("review") if state.proposed else ()
    return [str(one) for one in told or ()]


def act(request: Request, form: Form) -> Response:
    """Prove a lesson, or merge one that is proven."""
    here, who = site.at(request), site.actor(request)
    name = request.path_params["id"]
    state = _state(request, name)
    _demand(request, state.written.lesson.incident)
    site.hide(request, _people(here, state))
    if form.get("do") == "merge":
        lessons.merge(here.workspace, name, actor=who)
        here.forget("lessons")
        _report(here).forget()
        return site.back(request, f"/lesson/{name}", "Merged", "The gate and the detection hold from now on.")
    ended = beside(lambda: _prove(here, name), lambda why: here.say(f"proof:{name}", why))
    here.forget("lessons")
    _report(here).forget()
    return site.back(
        request, f"/lesson/{name}", "The replay has ended" if ended else "It is replayed over the history"
    )


def _demand(request: Request, incident: str) -> None:
    """Let nobody act on a lesson who may not on its incident, where that is known here."""
    seeable(site.eyes(request).incident(incident))
    with suppress(NotFoundError):
        stands = site.at(request).board.find(incident)
        demand(site.whose(request), "lesson.change", about_incident(stands))


def _prove(here: site.Site, name: str) -> None:
    """Replay a lesson; meanwhile its page says so."""
    here.say(f"proving:{name}", "yes")
    try:
        proving.prove(here.workspace, name)
    finally:
        here.say(f"proving:{name}", "")


ROUTES = (
    site.shows("/lessons", page, "lesson.read"),
    site.shows("/lesson/{id}", lesson, "lesson.read"),
    site.does("/lesson/{id}", act, "lesson.change"),
)
