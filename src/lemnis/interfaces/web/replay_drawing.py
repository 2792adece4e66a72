"""Pictures of a replay: what went from which outcome to which, and each change before and after. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from lemnis.app.gate_trial import Outcome
from lemnis.interfaces.web.drawing import svg, tag
from lemnis.interfaces.web.words import masked, utc

ORDER = ("allow", "unknown", "deny", "none")
NAMES: Mapping[str, str] = {"allow": "passed", "unknown": "unknown", "deny": "refused", "none": "not asked"}
_WIDE, _TALL, _BAR, _GAP, _LEFT = 640.0, 190.0, 14.0, 10.0, 110.0
_CELL, _ROW = 22.0, 16.0


def flows(counts: Mapping[tuple[str, str], int], *, left: str, right: str) -> Markup:
    """Return the outcomes before and after as two columns, and ribbons as wide as what went between them."""
    total = sum(counts.values()) or 1
    used = [name for name in ORDER if any(name in pair for pair in counts)]
    scale = (_TALL - 30 - _GAP * max(0, len(used) - 1)) / total
    starts, ends = _places(counts, 0, scale), _places(counts, 1, scale)
    drawn: list[Markup] = []
    for (before, after), count in sorted(
        counts.items(), key=lambda one: (ORDER.index(one[0][0]), ORDER.index(one[0][1]))
    ):
        size = count * scale
        y1, y2 = starts[before][2], ends[after][2]
        starts[before][2] += size
        ends[after][2] += size
        x1, x2, bend = _LEFT + _BAR, _WIDE - _LEFT - _BAR, _WIDE / 2
        z1, z2 = y1 + size, y2 + size
        way = (
            f"M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
            f"V{z2:.1f}C{bend:.1f} {z2:.1f} {bend:.1f} {z1:.1f} {x1:.1f} {z1:.1f}Z"
        )
        told = f"{count:,} {NAMES[before]}, then {NAMES[after]}"
        kind = after if before not in {after, "none"} else "same"
        drawn.append(tag("path", tag("title", told), d=way, class_=f"ribbon {kind}"))
    for places, x, at, anchor in (
        (starts, _LEFT, _LEFT - 8, "end"),
        (ends, _WIDE - _LEFT - _BAR, _WIDE - _LEFT + 8, "start"),
    ):
        for name, (top, size, _) in places.items():
            drawn.append(tag("rect", x=x, y=top, width=_BAR, height=max(size, 1.0), class_=f"effect {name}"))
            drawn.append(
                tag(
                    "text",
                    f"{NAMES[name]} {size / scale:,.0f}",
                    x=at,
                    y=top + size / 2 + 4,
                    text_anchor=anchor,
                    class_="label",
                )
            )
    heads = [
        tag("text", left, x=_LEFT + _BAR, y=12, text_anchor="end", class_="label head"),
        tag("text", right, x=_WIDE - _LEFT - _BAR, y=12, text_anchor="start", class_="label head"),
    ]
    said = ", ".join(f"{count:,} {NAMES[a]} then {NAMES[b]}" for (a, b), count in counts.items())
    return svg(_WIDE, _TALL, *heads, *drawn, label=f"{left} and {right}: {said}", class_="flows")


def _places(counts: Mapping[tuple[str, str], int], side: int, scale: float) -> dict[str, list[float]]:
    """Return for each outcome of a side its top, its height, and where its next ribbon begins."""
    places: dict[str, list[float]] = {}
    top = 22.0
    for name in ORDER:
        size = sum(count for pair, count in counts.items() if pair[side] == name) * scale
        if size:
            places[name] = [top, size, top]
            top += size + _GAP
    return places


def strip(outcomes: Sequence[Outcome], *, left: str, right: str) -> Markup:
    """Return each change or image as two cells, before and after, the oldest first; changes are marked."""
    wide = min(_CELL, 900 / max(1, len(outcomes)))
    drawn: list[Markup] = []
    for n, one in enumerate(outcomes):
        before = one.before.value if one.before else "none"
        told = (
            f"{utc(one.at, 'short')} UTC {masked(one.title)}: {NAMES[before]}, then {NAMES[one.after.value]}"
        )
        cells = [
            tag("rect", x=n * wide, y=2, width=max(1.0, wide - 1), height=_ROW, class_=f"effect {before}"),
            tag(
                "rect",
                x=n * wide,
                y=_ROW + 5,
                width=max(1.0, wide - 1),
                height=_ROW,
                class_=f"effect {one.after.value}",
            ),
        ]
        if one.changed:
            cells.append(
                tag("rect", x=n * wide, y=_ROW * 2 + 7, width=max(1.0, wide - 1), height=3, class_="mark")
            )
        drawn.append(tag("g", tag("title", told), *cells))
    changed = sum(one.changed for one in outcomes)
    label = (
        f"{len(outcomes):,} from the oldest to the newest, {left} above, {right} below; {changed:,} changed"
    )
    size = max(wide * len(outcomes), 60.0), _ROW * 2 + 12
    return svg(*size, *drawn, label=label, class_="strip", sized=True)
