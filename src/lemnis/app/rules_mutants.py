"""Mutants of a rule: its logic with one part deleted, negated or widened. Pure.

A test that lets one through would also let that mistake through. A mutant that says the same as the rule, or
as another mutant, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sigma.exceptions import SigmaError

from lemnis.app.rules_conditions import AND, OR, Asks, Both, Is, Logic, Node, Not
from lemnis.contracts.errors import UnsupportedError
from lemnis.detect.atoms import Atom, Expression, atoms_of
from lemnis.detect.compiler import compile_searches
from lemnis.detect.matcher import evaluate

WIDER, NARROWER, OTHER = 1, -1, 0
WANTS = {
    WIDER: "add a case that must not fire and now would",
    NARROWER: "add a case that must fire and now would not",
    OTHER: "add a case that tells the two apart",
}
_ANCHORS = {"startswith": "contains", "endswith": "contains", "lt": "lte", "gt": "gte"}
_MAX_ATOMS = 12  # up to so many, whether two expressions say the same is looked up in a table of all answers


@dataclass(frozen=True, slots=True)
class Change:
    """A tree with one change (None: nothing is left of it), and whether more or less fits now."""

    node: Node | None
    words: str
    effect: int


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed rule: what was changed, what kind of case would notice, and its expression."""

    words: str
    wants: str
    expression: Expression

    def __str__(self) -> str:
        """Say what survived and what to do about it."""
        return f"{self.words}; {self.wants}"


def mutants(logic: Logic, numbers: dict[Atom, int]) -> Iterator[Mutant]:
    """Yield the mutants of a rule that differ from it and from each other; ``numbers`` takes their atoms.

    Raises SigmaError or UnsupportedError where the rule itself cannot be compiled.
    """
    own = compiled(logic, numbers)
    seen = {canonical(own)}
    for changed, words, effect in _changed(logic):
        try:
            made = compiled(changed, numbers)
        except (
            SigmaError,
            UnsupportedError,
        ):  # it means nothing: no rule that one could write
            continue
        form = canonical(made)
        if form not in seen and not _same(own, made):
            seen.add(form)
            yield Mutant(words, WANTS[effect], made)


def compiled(logic: Logic, numbers: dict[Atom, int]) -> Expression:
    """Compile a rule's logic; raises SigmaError or UnsupportedError where that is not possible."""
    return compile_searches(logic.searches(), lambda atom: numbers.setdefault(atom, len(numbers)))


def _changed(logic: Logic) -> Iterator[tuple[Logic, str, int]]:
    for change in changes(logic.condition):
        if change.node is not None:
            yield replace(logic, condition=change.node), f"condition: {change.words}", change.effect
    signs = _signs(logic.condition, 1)
    for name, node in logic.selections.items():
        sign = signs.get(name)
        for change in changes(node) if sign is not None else ():
            if change.node is not None:
                selections = {**logic.selections, name: change.node}
                yield (
                    replace(logic, selections=selections),
                    f"selection {name}: {change.words}",
                    (sign or OTHER) * change.effect,
                )


def _signs(node: Node, sign: int) -> dict[str, int]:
    """Return how each selection of a condition stands: plainly (1), under a not (-1), or both (0)."""
    if isinstance(node, Is):
        return {node.name: sign}
    if isinstance(node, Not):
        return _signs(node.part, -sign)
    found: dict[str, int] = {}
    for part in node.parts if isinstance(node, Both) else ():
        for name, one in _signs(part, sign).items():
            found[name] = one if found.get(name, one) == one else 0
    return found


def changes(node: Node) -> Iterator[Change]:
    """Yield every tree that one change makes of a tree."""
    if isinstance(node, Is):
        yield Change(Not(node), f"{node} negated", OTHER)
        yield Change(None, f"{node} deleted", OTHER)
    elif isinstance(node, Asks):
        yield Change(None, f"{node} deleted", OTHER)
        yield from _asked(node)
    elif isinstance(node, Not):
        yield Change(node.part, f"`not` before {node.part} deleted", OTHER)
        for change in changes(node.part):
            inner = None if change.node is None else Not(change.node)
            yield Change(inner, change.words, -change.effect)
    else:
        yield from _joined(node)


def _joined(node: Both) -> Iterator[Change]:
    other = OR if node.sign == AND else AND
    parts = node.spelled or f"`{node}`"
    swapped = Change(
        replace(node, sign=other), f"{parts}: {node.sign} made {other}", WIDER if other == OR else NARROWER
    )
    yield swapped
    for place, part in enumerate(node.parts):
        before, after = node.parts[:place], node.parts[place + 1 :]
        for change in changes(part):
            if change.node is not None:
                yield replace(change, node=replace(node, parts=(*before, change.node, *after)))
                continue
            rest = (*before, *after)
            left = rest[0] if len(rest) == 1 else replace(node, parts=rest)
            yield Change(left, change.words, WIDER if node.sign == AND else NARROWER)


def _asked(node: Asks) -> Iterator[Change]:
    """Yield changes of one field's values and modifiers."""
    field, *modifiers = (node.key or "").split("|")
    every = "all" in modifiers
    if len(node.values) > 1:
        for place, value in enumerate(node.values):
            rest = (*node.values[:place], *node.values[place + 1 :])
            yield Change(
                replace(node, values=rest), f"{node}: value {value!r} deleted", WIDER if every else NARROWER
            )
        swapped = [one for one in modifiers if one != "all"] if every else [*modifiers, "all"]
        yield Change(
            Asks(_key(field, swapped, node), node.values),
            f"{node}: {'one value is enough' if every else 'all values needed at once'}",
            WIDER if every else NARROWER,
        )
    for place, modifier in enumerate(modifiers):
        wide = [*modifiers[:place], *_wider(modifier), *modifiers[place + 1 :]]
        if wide != modifiers:
            key = _key(field, wide, node)
            yield Change(Asks(key, node.values), f"{node}: widened to {key}", WIDER)
    wild = tuple(_unanchored(value) for value in node.values)
    if node.key is not None and not set(modifiers) - {"all", "cased"} and wild != node.values:
        yield Change(replace(node, values=wild), f"{node}: widened to * at both ends", WIDER)


def _key(field: str, modifiers: list[str], node: Asks) -> str | None:
    return None if node.key is None and not modifiers else "|".join((field, *modifiers))


def _wider(modifier: str) -> list[str]:
    return [] if modifier == "cased" else [_ANCHORS.get(modifier, modifier)]


def _unanchored(value: Any) -> Any:
    """Return a pattern with ``*`` at one end as one with ``*`` at both."""
    if not isinstance(value, str) or len(value) < 2:  # noqa: PLR2004 - a lone * has no other end
        return value
    body = value[:-1]
    escaped = (len(body) - len(body.rstrip("\\"))) % 2 == 1
    start, end = value.startswith("*"), value.endswith("*") and not escaped
    if start == end:
        return value
    return f"{value}*" if start else f"*{value}"


def canonical(expression: Expression, *, negated: bool = False) -> Any:
    """Return a form that is equal where only order, brackets and double negation differ."""
    if isinstance(expression, int):
        return ("!", expression) if negated else ("", expression)
    sign, *parts = expression
    if sign == "!":
        return canonical(parts[0], negated=not negated)
    sign = {"&": "|", "|": "&"}[sign] if negated else sign
    found: set[Any] = set()
    for part in parts:
        form = canonical(part, negated=negated)
        found.update(form[1] if form[0] == sign else {form})
    return next(iter(found)) if len(found) == 1 else (sign, frozenset(found))


def _same(one: Expression, other: Expression) -> bool:
    """Say whether two expressions hold for the same answers; False where there are too many to try."""
    numbers = sorted({*atoms_of(one), *atoms_of(other)})
    if len(numbers) > _MAX_ATOMS:
        return False
    rows = 1 << len(numbers)
    full = (1 << rows) - 1
    # atom i holds in the rows whose bit i is set: blocks of 2**i zeros and 2**i ones
    tables = {}
    for place, number in enumerate(numbers):
        block = 1 << place
        tables[number] = full // ((1 << 2 * block) - 1) * (((1 << block) - 1) << block)
    return evaluate(one, tables, full) == evaluate(other, tables, full)
