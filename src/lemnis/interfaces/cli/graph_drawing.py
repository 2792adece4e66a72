"""A part of the graph as a picture: Mermaid and DOT, which others draw, and SVG, which a browser shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

from lemnis.contracts.alerts import Entity
from lemnis.contracts.provenance import Edge, Strength
from lemnis.interfaces.cli.output import in_line

MOST = 120
"""So many links are drawn: more are no picture."""
_COLOURS = {
    Strength.BROKEN: "#c62828", Strength.NAME_MATCH: "#b8860b", Strength.LABEL: "#00838f",
    Strength.RECORDED: "#1565c0", Strength.OBSERVED: "#2e7d32", Strength.VERIFIED: "#1b5e20",
}  # fmt: skip
_LONGEST = 34
_BOX_W, _BOX_H, _GAP_X, _GAP_Y, _EDGE = 250, 40, 120, 16, 20


class Draw(StrEnum):
    """The languages of pictures."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


@dataclass(frozen=True, slots=True)
class Link:
    """A line of a picture from one entity to another."""

    source: Entity
    target: Entity
    label: str
    strength: Strength


def links(edges: Iterable[Edge]) -> list[Link]:
    """Return edges as lines."""
    return [Link(edge.source, edge.target, edge.relation.replace("_", " "), edge.strength) for edge in edges]


def drawn(how: Draw, some: Sequence[Link], focus: Sequence[Entity]) -> str:
    """Return a picture of some lines; ``focus`` are the entities that it is about."""
    shown = list(dict.fromkeys(some))[:MOST]
    entities = list(dict.fromkeys([*focus, *(end for one in shown for end in (one.source, one.target))]))
    names = {entity: f"n{number}" for number, entity in enumerate(entities)}
    return {Draw.MERMAID: _mermaid, Draw.DOT: _dot, Draw.SVG: _svg}[how](shown, names, focus)


def short(entity: Entity) -> str:
    """Return an entity's value cut to what a person compares."""
    whole = in_line(entity.value)
    head, mark, value = whole.rpartition("sha256:")
    text = f"{head}{mark}{value[:12]}…" if mark and len(value) > 12 else whole  # noqa: PLR2004 - as git does
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 + 1 :]}"


def _mermaid(some: Sequence[Link], names: dict[Entity, str], focus: Sequence[Entity]) -> str:
    lines = ["flowchart LR"]
    for entity, name in names.items():
        lines.append(f'  {name}["{_entity(short(entity))}<br/><small>{_kind(entity)}</small>"]')
    for one in some:
        arrow = "-.->" if one.strength is Strength.BROKEN else "-->"
        label = f'|"{_entity(one.label)}"|' if one.label else ""
        lines.append(f"  {names[one.source]} {arrow}{label} {names[one.target]}")
    lines += [f"  linkStyle {number} stroke:{_COLOURS[one.strength]}" for number, one in enumerate(some)]
    lines += [f"  style {names[one]} stroke-width:3px" for one in focus]
    return "\n".join(lines) + "\n"


def _dot(some: Sequence[Link], names: dict[Entity, str], focus: Sequence[Entity]) -> str:
    lines = ["digraph graph_ {", "  rankdir=LR; node [shape=box, fontname=sans]; edge [fontname=sans];"]
    for entity, name in names.items():
        wide = ", penwidth=3" if entity in focus else ""
        lines.append(f'  {name} [label="{_quoted(short(entity))}\\n{_kind(entity)}"{wide}];')
    for one in some:
        style = ", style=dashed" if one.strength is Strength.BROKEN else ""
        lines.append(
            f"  {names[one.source]} -> {names[one.target]} "
            f'[label="{_quoted(one.label)}", color="{_COLOURS[one.strength]}"{style}];'
        )
    return "\n".join([*lines, "}"]) + "\n"


def _svg(some: Sequence[Link], names: dict[Entity, str], focus: Sequence[Entity]) -> str:
    """Lay entities out in columns by hops from the first that it is about; lines go between the boxes."""
    columns = _columns(some, names, focus)
    place = {
        entity: (_EDGE + x * (_BOX_W + _GAP_X), _EDGE + y * (_BOX_H + _GAP_Y))
        for x, column in enumerate(columns)
        for y, entity in enumerate(column)
    }
    wide = 2 * _EDGE + len(columns) * (_BOX_W + _GAP_X) - _GAP_X
    high = 2 * _EDGE + max(map(len, columns), default=1) * (_BOX_H + _GAP_Y) - _GAP_Y
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}"',
        f' height="{high}" font-family="sans-serif" font-size="12">',
        '<defs><marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7"',
        ' orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#555"/></marker></defs>',
        f'<rect width="{wide}" height="{high}" fill="#fff"/>',
    ]
    for one in some:
        lines += _line(one, place[one.source], place[one.target])
    for entity, (x, y) in place.items():
        border = 3 if entity in focus else 1
        lines += [
            f"<g><title>{escape(in_line(str(entity)))}</title>",
            f'<rect x="{x}" y="{y}" width="{_BOX_W}" height="{_BOX_H}" rx="6" fill="#f7f7f7"',
            f' stroke="#333" stroke-width="{border}"/>',
            f'<text x="{x + 10}" y="{y + 17}" fill="#111">{escape(short(entity))}</text>',
            f'<text x="{x + 10}" y="{y + 32}" fill="#666" font-size="10">{_kind(entity)}</text></g>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _line(one: Link, start: tuple[int, int], end: tuple[int, int]) -> list[str]:
    (x1, y1), (x2, y2) = start, end
    right = x1 < x2 or (x1 == x2)
    x1, x2 = (x1 + _BOX_W, x2 + (_BOX_W if x1 == x2 else 0)) if right else (x1, x2 + _BOX_W)
    y1, y2 = y1 + _BOX_H // 2, y2 + _BOX_H // 2
    bend = _GAP_X // 2 * (1 if right else -1)
    other = x2 + bend if start[0] == end[0] else x2 - bend
    dashed = ' stroke-dasharray="4 3"' if one.strength is Strength.BROKEN else ""
    drawn_line = (
        f'<path d="M{x1},{y1} C{x1 + bend},{y1} {other},{y2} {x2},{y2}" fill="none" '
        f'stroke="{_COLOURS[one.strength]}" stroke-width="1.5" marker-end="url(#to)"{dashed}/>'
    )
    middle = f'x="{(x1 + x2) // 2 + (bend if start[0] == end[0] else 0)}" y="{(y1 + y2) // 2 - 4}"'
    if not one.label:
        return [drawn_line]
    text = f'<text {middle} fill="#555" font-size="10" text-anchor="middle">{escape(one.label)}</text>'
    return [drawn_line, text]


def _columns(some: Sequence[Link], names: dict[Entity, str], focus: Sequence[Entity]) -> list[list[Entity]]:
    beside: dict[Entity, list[Entity]] = {entity: [] for entity in names}
    for one in some:
        beside[one.source].append(one.target)
        beside[one.target].append(one.source)
    hops = {focus[0]: 0} if focus else {}
    here = list(hops)
    while here:
        fresh = [other for one in here for other in beside[one] if other not in hops]
        hops |= {other: hops[one] + 1 for one in here for other in beside[one] if other not in hops}
        here = list(dict.fromkeys(fresh))
    columns: list[list[Entity]] = [[] for _ in range(max(hops.values(), default=0) + 1)]
    for entity in names:
        columns[hops.get(entity, 0)].append(entity)
    return columns


def _kind(entity: Entity) -> str:
    return entity.kind.replace("_", " ")


def _entity(text: str) -> str:
    """Return a text as Mermaid takes it in quotes: what it would read as its own is written by number."""
    return "".join(f"#{ord(one)};" if one in '"#<>&;`\\' or ord(one) < ord(" ") else one for one in text)


def _quoted(text: str) -> str:
    """Return a text as DOT takes it in quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")
