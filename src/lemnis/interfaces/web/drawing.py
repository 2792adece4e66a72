"""Charts and graphs as SVG. Pure: the same values give the same picture, and whatever they say is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from lemnis.interfaces.web.words import Ours, about, iso, plain, short, utc, visible, words

_ATTRIBUTES = {"class_": "class", "aria_label": "aria-label", "aria_hidden": "aria-hidden"}
_SAYS = frozenset({"aria_label", "href", "title"})
"""Attributes that say something of what is drawn; others are words and numbers of ours."""


def tag(name: str, *inside: str | Markup, **attributes: object) -> Markup:
    """Return an element; texts inside and attributes are escaped, those that are None or empty left out.

    An underscore in the name of an attribute is a hyphen.
    """
    said = "".join(
        f' {_ATTRIBUTES.get(key, key.replace("_", "-"))}="{escape(_value(value, says=key in _SAYS))}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    parts = "".join(one if isinstance(one, Markup) else escape(visible(one)) for one in inside)
    return Markup(f"<{name}{said}>{parts}</{name}>")  # noqa: S704 - names are ours, values are escaped


def _value(value: object, *, says: bool) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    if isinstance(value, Markup):
        return value
    return visible(value) if says else plain(str(value))


def svg(
    width: float,
    height: float,
    *inside: Markup,
    label: str,
    class_: str = "",
    role: str = "img",
    sized: bool = False,
    **more: object,
) -> Markup:
    """Return a drawing; ``label`` says in words what it shows. ``sized``: it is as large as it says."""
    size = f"0 0 {width:g} {height:g}"
    more |= {"width": width, "height": height} if sized else {}
    return tag(
        "svg", *inside, viewBox=size, class_=f"drawing {class_}".strip(), role=role, aria_label=label, **more
    )


# -- bars over time ----------------------------------------------------------------------------------------


def histogram(
    bars: Sequence[tuple[int, int]], start: int, end: int, *, width: int = 960, height: int = 78, label: str
) -> Markup:
    """Return counts over time as bars; ``bars`` are beginnings (ms) with counts, in [start, end).

    The bars are as wide as there is room; the times below keep their size. What brushes it reads
    ``data-start`` and ``data-end``.
    """
    span = max(1, end - start)
    step = min((b[0] - a[0] for a, b in pairwise(bars)), default=span)
    most = max((count for _, count in bars), default=0) or 1
    wide = max(1.5, width * step / span - 1)
    drawn = [
        tag(
            "rect", tag("title", Ours(f"{utc(at)} UTC: {count:,}")), x=width * (at - start) / span,
            y=height - (tall := max(2.0, height * count / most)), width=wide, height=tall,
        )
        for at, count in bars
        if count
    ]  # fmt: skip
    chart = svg(
        width, height, tag("rect", class_="ground", x=0, y=0, width=width, height=height),
        tag("g", *drawn), tag("line", x1=0, x2=width, y1=height, y2=height, class_="line"),
        label=label, class_="bars", preserveAspectRatio="none",
        data_start=start, data_end=end, data_first=iso(start), data_last=iso(end),
    )  # fmt: skip
    ticks = [
        tag("time", Ours(utc(at, "short")), datetime=iso(at), title=Ours(f"{utc(at)} UTC"), data_form="short")
        for at in (start + span * n // 4 for n in range(5))
    ]
    return tag("div", chart, tag("div", *ticks, class_="ticks"), class_="chart")


def spark(values: Sequence[float], *, label: str, width: int = 112, height: int = 24) -> Markup:
    """Return values over time as little bars."""
    most = max(values, default=0) or 1
    step = width / max(1, len(values))
    drawn = [
        tag(
            "rect",
            x=n * step,
            y=height - (tall := max(1.0, height * value / most)),
            width=max(1.0, step - 1),
            height=tall,
        )
        for n, value in enumerate(values)
        if value
    ]
    size = f"0 0 {width} {height}"
    return tag("svg", *drawn, viewBox=size, class_="spark", role="img", aria_label=label)


# -- the loop ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stop:
    """A stage of the loop: its name, what flows through it and how much, what is stuck, where it leads."""

    name: str
    title: str
    flow: int
    unit: str
    stuck: int
    stuck_unit: str
    href: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """Lessons that lead from incidents to the gate of a stage; ``proven`` says that all of them are."""

    to: str
    count: int
    proven: bool


_A, _MARGIN, _LOW, _RADIUS = 455.0, 78.0, 44.0, 52.0
_PLACES: Mapping[str, float] = {
    "code": 0.70,
    "build": 1.0,
    "test": 1.30,
    "release": 1.66,
    "deploy": 1.89,
    "operate": 2.11,
    "monitor": 2.34,
}
"""Where on the curve each stage lies, in half turns."""


def _point(turn: float, a: float = _A) -> tuple[float, float]:
    """Return a point of the lemniscate of Bernoulli, drawn so that it runs from code to monitor."""
    t = turn * math.pi
    below = 1 + math.sin(t) ** 2
    return a * math.cos(t) / below, a * 1.25 * math.sin(t) * math.cos(t) / below


def loop(stops: Sequence[Stop], lessons: Sequence[Lesson], *, chosen: str = "", tall: bool = False) -> Markup:
    """Return the ∞ with the stages on it; ``tall`` turns it for narrow screens."""
    reach = _A * 1.25 / (2 * math.sqrt(2))
    half_w, half_h = (_A + _MARGIN, reach + _LOW) if not tall else (reach + _LOW, _A + _MARGIN)

    def place(turn: float) -> tuple[float, float]:
        x, y = _point(turn)
        return (x + half_w, y + half_h) if not tall else (y + half_w, x + half_h)

    def path(first: float, last: float) -> str:
        steps = max(8, round((last - first) * 64))
        points = (place(first + (last - first) * n / steps) for n in range(steps + 1))
        return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)

    known = [one for one in stops if one.name in _PLACES]
    turns = [_PLACES[one.name] for one in known]
    ways = [tag("path", d=path(0.5, 2.5), class_="way")]
    for one, (first, last) in zip(
        known, pairwise([*turns, 2.0 + turns[0]] if turns else [0.0]), strict=False
    ):
        ways.append(tag("path", d=path(first, last), class_="flow" if one.flow else "still"))
    centres = {one.name: place(_PLACES[one.name]) for one in known}
    arcs = [
        drawn for one in lessons if one.to in centres and "monitor" in centres
        for drawn in _arc(one, centres["monitor"], centres[one.to], (half_w, half_h), tall=tall)
    ]  # fmt: skip
    nodes = [_stop(one, centres[one.name], chosen=one.name == chosen) for one in known]
    told = ", ".join(f"{one.title} {one.flow:,} {one.unit}" for one in known)
    label = Ours(f"The loop of the last day: {told}")
    return svg(
        half_w * 2, half_h * 2, tag("g", *ways, aria_hidden="true"), tag("g", *arcs), tag("g", *nodes),
        label=label, class_=f"loop {'tall' if tall else 'wide'}", role="group",
    )  # fmt: skip


def _stop(one: Stop, centre: tuple[float, float], *, chosen: bool) -> Markup:
    x, y = centre
    kind = " ".join(
        word
        for word, holds in (("stage", True), ("stuck", one.stuck), ("busy", one.flow), ("chosen", chosen))
        if holds
    )
    stuck = f", {one.stuck:,} {one.stuck_unit}" if one.stuck else ""
    below = (
        tag("text", Ours(f"{about(one.stuck)} {one.stuck_unit}"), x=x, y=y + _RADIUS + 19, class_="unit bad")
        if one.stuck
        else Markup("")
    )
    inside = tag(
        "g",
        tag("circle", cx=x, cy=y, r=_RADIUS),
        tag("text", Ours(one.title), x=x, y=y - 17, class_="name"),
        tag("text", about(one.flow), x=x, y=y + 10, class_="n"),
        tag("text", Ours(one.unit), x=x, y=y + 28, class_="unit"),
        below,
        class_=kind,
        aria_hidden="true",
    )
    said = Ours(f"{one.title}: {one.flow:,} {one.unit}{stuck}")
    return tag(
        "a",
        tag("title", said),
        inside,
        href=one.href,
        aria_label=said,
        aria_current="true" if chosen else None,
    )


def _arc(
    one: Lesson,
    start: tuple[float, float],
    end: tuple[float, float],
    middle: tuple[float, float],
    *,
    tall: bool,
) -> list[Markup]:
    """Return the way of lessons from what was seen to the gate."""
    (x1, y1), (x2, y2), (mx, my) = start, end, middle
    bend = (mx, my + 150) if not tall else (mx + 150, my)
    way = f"M{x1:.1f} {y1:.1f}Q{bend[0]:.1f} {bend[1]:.1f} {x2:.1f} {y2:.1f}"
    at = ((x1 + 2 * bend[0] + x2) / 4, (y1 + 2 * bend[1] + y2) / 4 - 8)
    told = f"{one.count} lesson{'' if one.count == 1 else 's'}{' proven' if one.proven else ''}"
    return [
        tag("path", d=way, class_=f"lesson{' proven' if one.proven else ''}"),
        tag("text", Ours(told), x=at[0], y=at[1], class_="told"),
    ]


# -- graphs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a graph: its id, kind and value, where it leads, in which column it stands."""

    id: str
    kind: str
    value: str
    href: str
    column: int
    focus: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """An edge between two nodes by their ids, what it says, and whether it holds."""

    source: str
    target: str
    says: str = ""
    broken: bool = False


_WIDE, _TALL, _GAP_X, _GAP_Y, _GAP_DOWN = 190.0, 40.0, 90.0, 14.0, 30.0


def graph(nodes: Sequence[Node], lines: Sequence[Line], *, label: str, down: bool = False) -> Markup:
    """Return nodes in their columns, and the edges between them; ``down``: columns are rows, from the top.

    It has a size of its own, so that its words stay legible: what it stands in scrolls.
    """
    columns: dict[int, list[Node]] = {}
    for one in nodes:
        columns.setdefault(one.column, []).append(one)
    along, across = (_TALL + _GAP_DOWN, _WIDE + _GAP_Y) if down else (_WIDE + _GAP_X, _TALL + _GAP_Y)
    length = len(columns) * along - (_GAP_DOWN if down else _GAP_X) + 8
    breadth = max((len(some) for some in columns.values()), default=1) * across + _GAP_Y
    places: dict[str, tuple[float, float]] = {}
    for n, column in enumerate(sorted(columns)):
        some = columns[column]
        top = (breadth - len(some) * across + _GAP_Y) / 2
        for m, one in enumerate(some):
            there = (4 + n * along, top + m * across)
            places[one.id] = (there[1], there[0]) if down else there
    way = _down if down else _line
    edges = [way(one, places) for one in lines if one.source in places and one.target in places]
    width, height = (breadth, length) if down else (length, breadth)
    return svg(
        width,
        height,
        tag("g", *edges, aria_hidden="true"),
        tag("g", *(_node(one, places[one.id]) for one in nodes)),
        label=label,
        class_="graph",
        role="group",
        sized=True,
    )


def _line(one: Line, places: Mapping[str, tuple[float, float]]) -> Markup:
    (x1, y1), (x2, y2) = places[one.source], places[one.target]
    y1, y2 = y1 + _TALL / 2, y2 + _TALL / 2
    if x1 == x2:
        edge, out = x1 + _WIDE, x1 + _WIDE + 44
        way = f"M{edge:.1f} {y1:.1f}C{out:.1f} {y1:.1f} {out:.1f} {y2:.1f} {edge:.1f} {y2:.1f}"
        at = (out - 4, (y1 + y2) / 2)
    else:
        left, right = ((x1 + _WIDE, y1), (x2, y2)) if x1 < x2 else ((x2 + _WIDE, y2), (x1, y1))
        (x1, y1), (x2, y2), bend = left, right, (left[0] + right[0]) / 2
        way = f"M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
        at = ((left[0] + right[0]) / 2, (left[1] + right[1]) / 2 - 4)
    drawn = tag("path", d=way, class_=f"edge{' broken' if one.broken else ''}")
    return tag("g", drawn, tag("text", one.says, x=at[0], y=at[1], class_="rel")) if one.says else drawn


def _down(one: Line, places: Mapping[str, tuple[float, float]]) -> Markup:
    """Return an edge from a node to one below it."""
    (x1, y1), (x2, y2) = places[one.source], places[one.target]
    x1, x2, y1 = x1 + _WIDE / 2, x2 + _WIDE / 2, y1 + _TALL
    bend = (y1 + y2) / 2
    way = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {bend:.1f} {x2:.1f} {bend:.1f} {x2:.1f} {y2:.1f}"
    drawn = tag("path", d=way, class_=f"edge{' broken' if one.broken else ''}")
    said = tag("text", one.says, x=(x1 + x2) / 2, y=bend + 4, class_="rel") if one.says else Markup("")
    return tag("g", drawn, said)


def _node(one: Node, place: tuple[float, float]) -> Markup:
    x, y = place
    kind = escape(plain(words(one.kind)))  # a term of ours, and nobody's name
    inside = tag(
        "g",
        tag("rect", x=x, y=y, width=_WIDE, height=_TALL),
        tag(
            "text",
            kind + escape(visible(f" · {one.note}")) if one.note else kind,
            x=x + 9,
            y=y + 14,
            class_="kind",
        ),
        tag("text", short(one.value, 24), x=x + 9, y=y + 31, class_="value"),
        class_=f"node {one.kind}{' focus' if one.focus else ''}",
    )
    said = kind + " " + escape(visible(one.value))
    return tag("a", tag("title", said), inside, href=one.href, aria_label=said) if one.href else inside
