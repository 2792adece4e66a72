"""Mutants of correlations: one threshold, time span, group or step changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from lemnis.app.rules_mutants import NARROWER, OTHER, WIDER
from lemnis.app.rules_nearest import spelled
from lemnis.contracts.correlations import NUMBERS, Correlation

Part = TypeVar("Part")
_COUNTING = frozenset({"event_count", "value_count"})
_STEPS = frozenset({"temporal", "temporal_ordered"})
_EFFECT = {"gte": NARROWER, "gt": NARROWER, "lte": WIDER, "lt": WIDER}
"""What a greater threshold does."""


def correlation_mutants(one: Correlation) -> Iterator[tuple[Correlation, str, int]]:
    """Yield a correlation with one change, the change in words, and whether more or less fits now."""
    yield from _thresholds(one)
    for factor, word in ((2, "doubled"), (0.5, "halved")):
        span = round(one.timespan * factor)
        yield replace(one, timespan=span), f"timespan {word} to {spelled(span)}", OTHER
    for place, name in enumerate(one.group_by):
        changed = replace(
            one, group_by=_without(one.group_by, place),
            groups=tuple(_without(fields, place) for fields in one.groups),
        )  # fmt: skip
        yield changed, f"group-by {name} deleted", OTHER if one.kind == "absence" else WIDER
    if one.kind == "temporal_ordered":
        any_order = replace(one, kind="temporal", op="gte", threshold=float(len(one.references)))
        yield any_order, "any order allowed", WIDER
    if one.kind in _STEPS and one.expression is None and len(one.references) > 1:
        for place, ref in enumerate(one.references):
            threshold = one.threshold - 1 if one.kind == "temporal" else one.threshold
            yield replace(_less(one, place), threshold=threshold), f"rule {ref.name} deleted", WIDER
    if one.kind == "sequence":
        for place in range(one.others, len(one.references)):
            yield _less(one, place), f"until {one.references[place].name} deleted", WIDER


def _thresholds(one: Correlation) -> Iterator[tuple[Correlation, str, int]]:
    effect = _EFFECT.get(one.op, OTHER)
    if one.kind in _COUNTING:
        for step in (1, -1):
            if one.threshold + step > 0:
                changed = replace(one, threshold=one.threshold + step)
                yield changed, f"threshold {one.threshold:g} made {changed.threshold:g}", step * effect
    elif one.kind in NUMBERS | {"entity_risk", "baseline"}:
        for factor, sign in ((2, 1), (0.5, -1)):
            changed = replace(one, threshold=one.threshold * factor)
            yield changed, f"threshold {one.threshold:g} made {changed.threshold:g}", sign * effect


def _less(one: Correlation, place: int) -> Correlation:
    """Return a correlation without one of its references."""
    return replace(
        one,
        references=_without(one.references, place),
        groups=_without(one.groups, place),
        fields=one.fields,
        values=_without(one.values, place),
        scores=_without(one.scores, place),
        others=one.others - (place < one.others),
    )


def _without(parts: tuple[Part, ...], place: int) -> tuple[Part, ...]:
    return (*parts[:place], *parts[place + 1 :])
