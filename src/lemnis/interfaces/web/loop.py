"""The loop: what flowed through each stage within a day, what is stuck, what leads back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import loop as looking
from lemnis.app.access import naming
from lemnis.app.board import View
from lemnis.app.loop import Loop, Slower, Stage, Taught, Thing
from lemnis.ingest.health import SILENT
from lemnis.interfaces.web import drawing, site
from lemnis.interfaces.web.keeping import Kept
from lemnis.interfaces.web.sources import FRESH_S as SLOWER_S
from lemnis.interfaces.web.sources import whole
from lemnis.interfaces.web.words import query, units

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
            units(one.flow, one.unit),
            one.stuck,
            one.stuck_unit,
            tuple((units(count, what), count) for what, count in one.told),
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


@dataclass(frozen=True, slots=True)
class Seen:
    """The loop as it is kept for who sees the same: whom it may name, and how it was drawn already.

    A drawing has names of stages and numbers, nothing that is hidden from somebody.
    """

    found: Loop
    people: frozenset[str]
    drawings: dict[tuple[str, str], tuple[Markup, Markup]] = field(default_factory=dict)

    def drawn(self, shown: Sequence[StageShown], chosen: str, base: str) -> tuple[Markup, Markup]:
        """Return the ∞, wide and tall, drawn once."""
        if (chosen, base) not in self.drawings:
            self.drawings[chosen, base] = (
                drawn(shown, self.found.taught, chosen, tall=False),
                drawn(shown, self.found.taught, chosen, tall=True),
            )
        return self.drawings[chosen, base]


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


def look(here: site.Site, seen: site.Seen) -> Loop:
    """Return the loop as somebody sees it: to who does not see all, no more is counted than is seen."""
    past: looking.Past | None = here.once.get("past")
    if past is None:
        past = here.once.setdefault("past", looking.Past(here.workspace))
    known: Kept[Slower] = here.once.setdefault("slower", Kept(lambda: _slower(here), SLOWER_S))
    return looking.look(here.workspace, seen.view(), seen.eyes(), known=known.get(), past=past)


def _slower(here: site.Site) -> Slower:
    silent = [name for name, one in whole(here).items() if one.state == SILENT]
    return looking.slower(here.workspace, silent)


def page(request: Request) -> Response:
    """Show the loop."""
    here = site.at(request)
    view, seen = site.eyes(request).view(here.board.look()), site.seen_by(request)

    def made() -> Seen:
        found = look(here, seen)
        return Seen(found, frozenset(people(found, view)))

    kept: Seen = here.keep(f"loop:{seen.name}", made, _FRESH_S).get()
    found = kept.found
    asked = request.query_params.get("stage", "")
    chosen = asked if asked in looking.STAGES else worst(found)
    base = str(request.scope.get("root_path", ""))
    shown = stages(found, chosen, base)
    wide, tall = kept.drawn(shown, chosen, base)
    site.see(request, kept.people)
    return here.page(
        request,
        "loop.html",
        title="The loop",
        here="/",
        found=found,
        stages=shown,
        view=view,
        chosen=next((one for one in shown if one.chosen), None),
        wide=wide,
        tall=tall,
        lessons=sum(one.count for one in found.taught),
        proven=sum(one.proven for one in found.taught),
    )


ROUTES = (site.shows("/", page, "incident.read"),)
