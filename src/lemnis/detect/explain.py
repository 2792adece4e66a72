"""Why a rule matches one record or does not: the condition as a tree, each question with the actual value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.contracts.detection import Frame, Offers
from lemnis.detect.atoms import MANY, Atom, Expression
from lemnis.detect.matcher import Matcher
from lemnis.detect.rules import Rule

_WORDS = {"&": "all of", "|": "one of", "!": "not"}


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a condition: what it asks, whether it holds, the value it looked at, and its own parts."""

    asks: str
    holds: bool
    value: str = ""
    parts: tuple[Step, ...] = ()


def explain(
    rule: Rule, atoms: Sequence[Atom], values: Mapping[str | None, Any], *, served: bool = True
) -> Step:
    """Explain a rule on one record, whose fields are ``values`` (None: the record's text).

    A record of another log source does not match, whatever its fields are.
    """
    condition = _step(rule.expression, atoms, values)
    source = ", ".join(part or "any" for part in rule.logsource)
    return Step(
        "the rule matches",
        served and condition.holds,
        parts=(Step(f"log source (product, category, service) is {source}", served), condition),
    )


def _step(expression: Expression, atoms: Sequence[Atom], values: Mapping[str | None, Any]) -> Step:
    if isinstance(expression, int):
        atom = atoms[expression]
        return Step(spell(atom), _holds(atom, values), _shown(values.get(atom.field)))
    parts = tuple(_step(part, atoms, values) for part in expression[1:])
    holds = [part.holds for part in parts]
    whole = {"&": all(holds), "|": any(holds), "!": not holds[0]}[expression[0]]
    return Step(_WORDS[expression[0]], whole, parts=parts)


def _holds(atom: Atom, values: Mapping[str | None, Any]) -> bool:
    """Ask one question by the matcher itself, so that an explanation never says other than a match does."""
    columns = {
        name: pa.array([value], pa.list_(pa.string()) if isinstance(value, list) else pa.string())
        for name, value in values.items()
        if name is not None and value is not None
    }
    rule = Rule("", "", "", (), (None, None, None), "", 0)
    text = values.get(None)
    records = pa.array([None if text is None else str(text)], pa.string())
    frame = Frame("", "", Offers(), columns, records, np.zeros(1, dtype=np.int64))
    return bool(Matcher([rule], [atom]).match(frame))


def spell(atom: Atom) -> str:
    """Say what an atom asks."""
    name, value = atom.field or "the record", atom.value
    if atom.kind == "text":
        text = "".join(part if isinstance(part, str) else "*" if part == MANY else "?" for part in value)
        return f"{name} is like {text!r}{' (case counts)' if atom.cased else ''}"
    spelled = {
        "re": lambda: f"{name} has a match of /{value[0]}/{value[1]}",
        "cidr": lambda: f"{name} is in {value}",
        "number": lambda: f"{name} is {value}",
        "compare": lambda: f"{name} {value[0]} {value[1]}",
        "part": lambda: f"the {value[0]} of {name} {value[1]} {value[2]}",
        "null": lambda: f"{name} is not there",
        "exists": lambda: f"{name} is {'' if value else 'not '}there",
        "field": lambda: f"{name} matches {value[0]}",
    }
    return spelled[atom.kind]()


def _shown(value: Any) -> str:
    return "(not there)" if value is None else str(value)
