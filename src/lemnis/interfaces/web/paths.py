"""Attack paths: drawn from the internet through a weakness to personal data, and what breaks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import findings_life, posture_cuts, posture_paths
from lemnis.app.access import naming
from lemnis.app.posture_paths import AttackPath, Found
from lemnis.contracts.alerts import Entity, Severity
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.graph.walks import Step
from lemnis.interfaces.web import asking, drawing, site, words
from lemnis.interfaces.web.asking import Column
from lemnis.interfaces.web.beside import beside
from lemnis.interfaces.web.keeping import Later
from lemnis.interfaces.web.words import query

FILTERS = ("q", "severity", "personal")
LEVELS = ("critical", "high", "medium", "low")
SIZE, DRAWN, SHARED = 100, 12, 8
_BROADEST = 4
BACKS = {
    "exposes": "what serves it", "affects": "what is wrong in it", "about": "what is wrong with it",
    "stored_in": "what is stored in it",
}  # fmt: skip
"""What hops are called that are walked against the direction of what is said."""
_FRESH_S, _CUTS_S = 120.0, 120.0


@dataclass(frozen=True, slots=True)
class Row:
    """A path as a line."""

    id: str
    severity: str
    level: int
    exploited: bool
    entry: Entity
    workload: Entity
    weakness: str
    others: int
    data: Entity
    labels: tuple[str, ...]
    strength: str
    sure: int
    hops: int
    text: str


COLUMNS: tuple[Column[Row], ...] = (
    Column("severity", "Severity", lambda row: (row.exploited, row.level), up=False),
    Column("entry", "Enters by", lambda row: row.entry.value),
    Column("workload", "Into", lambda row: row.workload.value),
    Column("weakness", "By", lambda row: row.weakness.lower()),
    Column("data", "To", lambda row: row.data.value),
    Column("sure", "Weakest hop", lambda row: row.sure, up=False),
)


def row(one: AttackPath) -> Row:
    """Return a path as a line. Pure."""
    entry = one.entry.edge.target
    text = " ".join((entry.value, one.workload.value, one.weakness.title, one.data.value, *one.labels))
    return Row(
        one.id, one.weakness.severity.name.lower(), int(one.weakness.severity), one.weakness.exploited, entry,
        one.workload, one.weakness.title, one.others, one.data, one.labels, one.strength.name.lower(),
        int(one.strength), len(one.steps), text.lower(),
    )  # fmt: skip


# -- the drawing -------------------------------------------------------------------------------------------


def ends(step: Step) -> tuple[Entity, Entity]:
    """Return from where to where a hop leads, as it is walked. Pure."""
    edge = step.edge
    return (edge.target, edge.source) if step.back else (edge.source, edge.target)


def drawn(paths: Sequence[AttackPath]) -> Any:
    """Return paths as one graph, each thing once: from what they enter by to the data. Pure.

    It goes down where no row is broader than a page, else to the right.
    """
    hops = {(ends(step), step.edge.relation): step for path in paths for step in path.steps}
    columns = _columns(map(ends, hops.values()))
    places = _ordered(columns, [ends(step) for step in hops.values()])
    focus = {one.workload for one in paths} | {one.data for one in paths}
    notes = {one.data: "personal" if one.labels else "unknown what is in it" for one in paths}
    weak = {one.weakness.steps[-1].edge.source: one.weakness for one in paths}
    notes |= {one: said.severity.name.lower() for one, said in weak.items()}
    nodes = [
        drawing.Node(
            str(one), one.kind.value, weak[one].title if one in weak else one.value, address(one),
            columns[one], focus=one in focus, note=notes.get(one, ""),
        )
        for one in places
    ]  # fmt: skip
    lines = [
        drawing.Line(str(one), str(other), words.words(step.edge.relation))
        for step in hops.values()
        for one, other in (ends(step),)
    ]
    many = f"{len(paths)} attack path{'' if len(paths) == 1 else 's'}"
    down = max(Counter(columns.values()).values(), default=0) <= _BROADEST
    return drawing.graph(nodes, lines, label=f"{many}, from what is reached from outside to data", down=down)


def _columns(pairs: Iterable[tuple[Entity, Entity]]) -> dict[Entity, int]:
    """Return in which column each thing stands: one after the last of those that lead to it. Pure.

    Where things lead round in a ring, it ends after as many rounds as there are things.
    """
    edges = list(dict.fromkeys(pairs))
    found = {end: 0 for pair in edges for end in pair}
    for _ in range(len(found)):
        moved = False
        for one, other in edges:
            if found[other] <= found[one] < len(found):
                found[other], moved = found[one] + 1, True
        if not moved:
            break
    return found


def _ordered(columns: dict[Entity, int], pairs: Sequence[tuple[Entity, Entity]]) -> list[Entity]:
    """Return things, column by column, each near those of earlier columns that lead to it. Pure."""
    before: dict[Entity, list[Entity]] = {}
    for one, other in pairs:
        if columns[one] < columns[other]:
            before.setdefault(other, []).append(one)
    place: dict[Entity, float] = {}
    for column in sorted(set(columns.values())):
        near = {
            one: mean(known) if (known := [place[other] for other in before.get(one, ())]) else 0.0
            for one in columns
            if columns[one] == column
        }
        some = sorted(near, key=lambda one: near[one])
        place |= {one: n - (len(some) - 1) / 2 for n, one in enumerate(some)}
    return list(place)


def address(entity: Entity) -> str:
    """Return the page of an entity. Pure."""
    return f"/entity?{query({'name': words.masked(entity)})}"


# -- pages -------------------------------------------------------------------------------------------------


def found(here: site.Site, level: str = "high") -> Found | None:
    """Return the paths by weaknesses of at least a severity; None while they are looked for.

    What scanners found by now is taken into the graph first. Raises what went wrong.
    """

    def look() -> Found:
        scans = tuple(findings_life.store(here.workspace).scans())
        if here.once.get("paths:scans") != scans:
            posture_paths.refresh(here.workspace)
            here.once["paths:scans"] = scans
        now = here.workspace.clock.now()
        return posture_paths.paths(here.workspace, now, least=Severity[level.upper()])

    kept: Later[Found] = here.once.setdefault(f"paths:{level}", Later(look, _FRESH_S))
    return kept.get()


def known_of(here: site.Site, entities: set[Entity]) -> list[AttackPath] | None:
    """Return the paths that lead through any of these; None while paths are looked for, or cannot be."""
    try:
        known = found(here)
    except LemnisError:  # the page of the paths says what is wrong
        return None
    if known is None:
        return None
    return [one for one in known.paths if not entities.isdisjoint(through(one))]


def through(one: AttackPath) -> set[Entity]:
    """Return everything that a path leads through. Pure."""
    return {end for step in one.steps for end in ends(step)}


def level(given: str) -> str:
    """Return the severity that an address asks for."""
    return given if given in LEVELS else "high"


def page(request: Request) -> Response:
    """Show all paths: drawn, listed, and what ends most of them."""
    here = site.at(request)
    how = asking.asked(request.query_params, FILTERS)
    least = level(how.of("severity"))
    how = replace(how, filters={**how.filters, "severity": least})
    trouble, known = "", None
    try:
        known = found(here, least)
    except LemnisError as error:
        trouble = str(error)
    every = known.paths if known else ()
    some = [one for one in every if _wanted(one, how)]
    rows, how = asking.ordered([row(one) for one in some], COLUMNS, how)
    shown = asking.paged(rows, how, SIZE)
    _see(request, some[:SIZE])
    return here.page(
        request, "posture_paths.html", title="Attack paths", here="/posture", asked=how, levels=LEVELS,
        waiting=known is None and not trouble, trouble=trouble, known=known, columns=COLUMNS, page=shown,
        total=len(every), drawing=drawn(some[:DRAWN]) if some else None, drawn=min(DRAWN, len(some)),
        shared=posture_cuts.shared(some)[:SHARED] if len(some) > 1 else [], matching=len(some),
    )  # fmt: skip


def _wanted(one: AttackPath, how: asking.Asked) -> bool:
    text = row(one).text
    return how.of("personal") in {"", one.personal} and all(w in text for w in how.of("q").lower().split())


def _see(request: Request, paths: Sequence[AttackPath], about: str = "") -> None:
    entities = {end for one in paths for end in through(one)}
    said = [one.weakness.title for one in paths]
    said += [text for one in paths for step in one.steps for text in naming.texts(step.edge.evidence)]
    site.see(request, {*entities, *naming.addressed(said)}, about=about)


def path(request: Request) -> Response:
    """Show one path: drawn, hop by hop with evidence, and what breaks it."""
    here = site.at(request)
    name, least = request.path_params["id"], level(request.query_params.get("severity", ""))
    known = found(here, least)
    if known is None:
        return here.page(request, "posture_path.html", title="Attack path", here="/posture", one=None)
    one = next((p for p in known.paths if p.id == name), None)
    if one is None:
        raise NotFoundError(
            f"there is no attack path {name!r} by weaknesses of severity {least} any more",
            fix="it may have been broken; the list has those that there are",
        )

    def look() -> list[posture_cuts.Cut]:
        now, severity = here.workspace.clock.now(), Severity[least.upper()]
        every = posture_paths.paths(here.workspace, now, least=severity)
        mine = next((p for p in every.paths if p.id == name), None)
        return posture_cuts.cuts(here.workspace, mine, every, now, least=severity) if mine else []

    cuts = beside(here, f"cuts:{least}:{name}", look, _CUTS_S)
    _see(request, [one], about=name)
    return here.page(
        request, "posture_path.html", title=f"{one.entry.edge.target.value} to {one.data.value}",
        here="/posture", one=one, row=row(one), cuts=cuts, drawing=drawn([one]), severity=least,
        backs=BACKS, at=known.at,
        hops=[(step, *ends(step), step.edge.evidence.items()) for step in one.steps],
    )  # fmt: skip


ROUTES = (
    site.shows("/posture/paths", page, "posture.read"),
    site.shows("/posture/paths/{id}", path, "posture.read"),
)
