"""The loop: what flowed through each stage within a day, what is stuck, what leads back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import loop as looking
from lemnis.app.access import naming
from lemnis.app.board import View
from lemnis.app.loop import Loop, Stage, Taught, Thing
from lemnis.interfaces.web import drawing, site
from lemnis.interfaces.web.sources import senders
from lemnis.interfaces.web.words import query

_TITLES: Mapping[str, str] = {name: name.capitalize() for name in looking.STAGES}
_PLACES: Mapping[str, str] = {
    "incident": "/incident/{}", "run": "/run/{}", "source": "/source/{}", "decision": "/pipeline/decision/{}",
    "problem": "/pipeline/problem/{}",
}  # fmt: skip
_FRESH_S = 3.0


@dataclass(frozen=True, slots=True)
class ThingShown:
    """Something that is stuck, with where it leads."""

    title: str
    why: str
    at: int
    href: str


@dataclass(frozen=True, slots=True)
class StageShown:
    """A stage as its card shows it."""

    name: str
    title: str
    href: str
    flow: int
    unit: str
    stuck: int
    stuck_unit: str
    told: tuple[tuple[str, int], ...]
    things: tuple[ThingShown, ...]
    chosen: bool


def stages(found: Loop, chosen: str, base: str = "") -> list[StageShown]:
    """Return the stages as a page shows them. Pure."""
    return [
        StageShown(
            one.name,
            _TITLES[one.name],
            f"{base}/?{query({'stage': one.name})}#stuck",
            one.flow,
            one.unit,
            one.stuck,
            one.stuck_unit,
            one.told,
            tuple(_thing(thing, base) for thing in one.things),
            one.name == chosen,
        )
        for one in found.stages
    ]


def _thing(one: Thing, base: str) -> ThingShown:
    return ThingShown(one.title, one.why, one.at, base + _PLACES[one.kind].format(one.id))


def drawn(shown: Sequence[StageShown], taught: Sequence[Taught], chosen: str, *, tall: bool) -> Markup:
    """Return the ∞. Pure."""
    stops = [
        drawing.Stop(one.name, one.title, one.flow, one.unit, one.stuck, one.stuck_unit, one.href)
        for one in shown
    ]
    back = [drawing.Lesson(one.stage, one.count, one.count == one.proven) for one in taught]
    return drawing.loop(stops, back, chosen=chosen, tall=tall)


def worst(found: Loop) -> str:
    """Return the stage to look at first: that with most that is stuck. Pure."""
    stuck: list[Stage] = [one for one in found.stages if one.stuck]
    return max(stuck, key=lambda one: one.stuck).name if stuck else ""


def people(found: Loop, view: View) -> set[str]:
    """Return whom things that are stuck may name: entities of incidents, and whose address is told. Pure."""
    things = [thing for stage in found.stages for thing in stage.things]
    told = {thing.id for thing in things if thing.kind == "incident"}
    about = {
        str(one)
        for stands in view.standings
        if stands.incident.id in told
        for one in stands.incident.entities
    }
    texts = (text for thing in things for text in (thing.title, thing.why))
    return about | naming.addressed([*texts, *found.problems])


def page(request: Request) -> Response:
    """Show the loop."""
    here = site.at(request)
    view, seen = site.eyes(request).view(here.board.look()), site.seen_by(request)

    def look() -> Loop:  # to somebody who does not see all, no more is counted than is seen
        return looking.look(here.workspace, seen.view(), seen.eyes(), sent=senders(here))

    found: Loop = here.keep(f"loop:{seen.name}", look, _FRESH_S).get()
    asked = request.query_params.get("stage", "")
    chosen = asked if asked in looking.STAGES else worst(found)
    shown = stages(found, chosen, str(request.scope.get("root_path", "")))
    site.see(request, people(found, view))
    return here.page(
        request,
        "loop.html",
        title="The loop",
        here="/",
        found=found,
        stages=shown,
        view=view,
        chosen=next((one for one in shown if one.chosen), None),
        wide=drawn(shown, found.taught, chosen, tall=False),
        tall=drawn(shown, found.taught, chosen, tall=True),
        lessons=sum(one.count for one in found.taught),
        proven=sum(one.proven for one in found.taught),
    )


ROUTES = (site.shows("/", page, "incident.read"),)
