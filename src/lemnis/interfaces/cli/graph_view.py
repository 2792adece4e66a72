"""What `lemnis graph` shows people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.padding import Padding

from lemnis.contracts.alerts import Entity
from lemnis.contracts.clock import to_iso
from lemnis.contracts.provenance import Contradiction, Edge, Strength
from lemnis.interfaces.cli.graph_drawing import Link, links
from lemnis.interfaces.cli.output import console, counted, in_line, show_table, warn

if TYPE_CHECKING:
    from lemnis.app.graph import Around
    from lemnis.graph.impact import Cause, Impact
    from lemnis.graph.walks import Step
    from lemnis.graph.whole import Tally

STYLES = {
    Strength.BROKEN: "bold red", Strength.NAME_MATCH: "yellow", Strength.LABEL: "cyan",
    Strength.RECORDED: "blue", Strength.OBSERVED: "green", Strength.VERIFIED: "bold green",
}  # fmt: skip
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999


def when(instant: int | None) -> str:
    """Return an instant for people; empty where it is open."""
    if instant is None:
        return ""
    return to_iso(instant) if _EARLIEST <= instant <= _LATEST else str(instant)


def as_of(at: int | None) -> str:
    """Say of which time an answer is."""
    return "of all times" if at is None else f"as of {when(at)}"


def around(found: Around) -> None:
    """Show an entity: what is known of it, and what it is related to."""
    entity = found.node.entity
    console.print(f"[bold]{escape(entity.value)}[/]  [dim]{_kind(entity)}, {as_of(found.at)}[/]")
    for name, value in found.node.properties.items():
        told = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        console.print(f"  [dim]{escape(in_line(name))}[/]  {escape(in_line(told))}")
    rows = [(edge.relation, f"→ {edge.target}", *_told(edge)) for edge in found.out]
    rows += [(edge.relation, f"← {edge.source}", *_told(edge)) for edge in found.into]
    if rows:
        show_table("", ("relation", "to or from", "strength", "method", "from", "to", "evidence"), rows)
    else:
        console.print("nothing is known to be related to it then")
    for (relation, back), count in found.more.items():
        way = "lead to it" if back else "leave it"
        console.print(f"[dim]{counted(count, 'more edge')} {escape(relation)} {way}: --limit[/]")
    told_of(found.contradictions)


def told_of(contradictions: Iterable[Contradiction]) -> None:
    """Warn of each contradiction, with its proofs."""
    for one in contradictions:
        warn(one.line())
        rows = [
            (str(claim), edge.method, edge.strength.name.lower(), _evidence(edge))
            for claim, proof in one.claims
            for edge in proof[-1:]
        ]
        show_table("", ("claim", "method", "strength", "evidence"), rows)


def impact(found: Impact) -> None:
    """Show what shares each cause."""
    console.print(f"[bold]{escape(found.entity.value)}[/]  [dim]{_kind(found.entity)}, {as_of(found.at)}[/]")
    for cause in found.causes:
        _cause(found.entity, cause)
    if not any(cause.total for cause in found.causes):
        console.print("nothing else is known to be exposed to what it is or relies on")
    if found.more:
        console.print("[dim]it relies on more than was followed[/]")


def path(steps: Iterable[Step], first: Entity) -> None:
    """Show the steps between two entities."""
    console.print(f"[bold]●[/] [bold]{escape(first.value)}[/] [dim]{_kind(first)}[/]")
    for edge, back in steps:
        style, other = STYLES[edge.strength], edge.source if back else edge.target
        arrow, relation = "▲" if back else "▼", edge.relation.replace("_", " ")
        said = f"{relation}, upwards" if back else relation
        console.print(
            f"  [{style}]{arrow}[/] {escape(said)} [{style}]{edge.strength.name.lower()}[/] "
            f"[dim]by {escape(edge.method.replace('_', ' '))}{_span(edge)}[/]"
        )
        if told := _evidence(edge):
            console.print(Padding(f"[dim]{escape(told)}[/]", (0, 0, 0, 4), expand=False))
        console.print(f"[bold]●[/] [bold]{escape(other.value)}[/] [dim]{_kind(other)}[/]")


def stats(found: Tally, at: int | None) -> None:
    """Show what the graph holds."""
    kinds = ((kind, f"{count:,}") for kind, count in found.kinds.items())
    show_table(counted(found.nodes, "entity"), ("kind", "entities"), kinds)
    rows = (
        (one.relation + ("" if one.known else " *"), one.method, one.strength.name.lower(), f"{one.edges:,}")
        for one in found.said
    )
    edges = counted(found.edges, "edge")
    show_table(f"{edges}, {as_of(at)}", ("relation", "method", "strength", "edges"), rows)
    console.print(f"{counted(found.evidence, 'piece')} of evidence")
    if any(not one.known for one in found.said):
        console.print("[dim]* nothing is followed through a relation that is not known: docs/graph.md[/]")


def around_links(found: Around) -> list[Link]:
    """Return what is drawn of an entity."""
    return links([*found.out, *found.into])


def impact_links(found: Impact) -> Iterator[Link]:
    """Yield what is drawn of an impact: the way to each cause, and what is exposed to it."""
    for cause in found.causes:
        yield from links(step.edge for step in cause.way)
        for one in cause.affected:
            yield Link(one.through, one.entity, "exposes", one.strength)


def _cause(asked: Entity, cause: Cause) -> None:
    counts = ", ".join(f"{n:,} {kind.replace('_', ' ')}" for kind, n in cause.counts.items())
    more = " [yellow]and more: a bound ended the walk[/]" if cause.more else ""
    if cause.entity == asked:
        title = "exposed to it"
    else:
        title = f"exposed, too, to {_kind(cause.entity)} {in_line(cause.entity.value)}"
    console.print(f"\n[bold]{escape(title)}[/]: {escape(counts) or 'nothing'}{more}")
    if cause.way:
        ways = " → ".join(f"{step.edge.relation}{' ←' if step.back else ''}" for step in cause.way)
        weakest = min(step.edge.strength for step in cause.way)
        console.print(f"[dim]by {escape(ways)}, {weakest.name.lower()}[/]")
    if cause.affected:
        rows = ((one.entity, one.hops, one.through, one.strength.name.lower()) for one in cause.affected)
        show_table("", ("exposed", "hops", "through", "weakest hop"), rows)
    if (left := cause.total - len(cause.affected)) > 0:
        console.print(f"[dim]{left:,} more: --limit, or --json with --all[/]")


def _told(edge: Edge) -> tuple[str, ...]:
    return (
        edge.strength.name.lower(), edge.method, when(edge.valid_from), when(edge.valid_to), _evidence(edge)
    )  # fmt: skip


def _evidence(edge: Edge) -> str:
    """Return what an edge rests on, on a line."""
    told = (
        f"{name} {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}"
        for name, value in edge.evidence.items()
        if value not in (None, "", [], {})
    )
    line = in_line("; ".join(told))
    return line if len(line) <= 160 else f"{line[:159]}…"  # noqa: PLR2004 - two lines of a terminal


def _span(edge: Edge) -> str:
    if edge.valid_from is None and edge.valid_to is None:
        return ""
    return f", {when(edge.valid_from) or '…'} to {when(edge.valid_to) or '…'}"


def _kind(entity: Entity) -> str:
    return entity.kind.replace("_", " ")
