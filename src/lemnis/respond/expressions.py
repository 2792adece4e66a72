"""Conditions in CEL, through Google's implementation: checked for types before use, bounded when evaluated.

An expression cannot loop, call out or see anything but the values it is given; comprehensions end after
10,000 steps. https://github.com/google/cel-spec
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from lemnis.contracts.errors import InputError

BOOL, TEXT = "bool", "text"


class ExpressionError(InputError):
    """An expression that is not valid, names what there is not, or has no value."""


@lru_cache(maxsize=256)
def _environment(names: frozenset[str]) -> Any:
    from cel_expr_python import cel  # noqa: PLC0415 - 15 MB that only playbooks with conditions need

    texts = cel.Type.Map(cel.Type.STRING, cel.Type.List(cel.Type.STRING))
    known = {"severity": cel.Type.INT, "turn": cel.Type.INT, "entities": texts}
    return cel.NewEnv(variables={name: known.get(name, cel.Type.DYN) for name in names})


@lru_cache(maxsize=4096)
def _compiled(text: str, names: frozenset[str]) -> Any:
    try:
        return _environment(names).compile(text)
    except RuntimeError as error:
        raise ExpressionError(f"{text!r} is no condition: {_said(error)}") from error


def check(text: str, names: Iterable[str], *, gives: str = BOOL) -> None:
    """Raise ExpressionError unless this is an expression over these names that may give ``gives``."""
    found = _compiled(text, frozenset(names)).return_type().name().lower()
    wanted = {BOOL: {"bool", "dyn"}, TEXT: {"string", "int", "uint", "bool", "dyn"}}[gives]
    if found not in wanted:
        raise ExpressionError(f"{text!r} gives {found}, and not {gives}")


def knows(text: str, names: Iterable[str]) -> bool:
    """Say whether an expression is valid with these names alone."""
    try:
        _compiled(text, frozenset(names))
    except ExpressionError:
        return False
    return True


def evaluate(text: str, values: Mapping[str, Any]) -> Any:
    """Return an expression's value; raises ExpressionError where it has none (a key that is not there)."""
    compiled = _compiled(text, frozenset(values))
    try:
        found = compiled.eval(data=dict(values))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ExpressionError(f"{text!r} cannot be evaluated: {_said(error)}") from error
    if found.type().name().lower() in {"*error*", "error", "unknown", "*unknown*"}:
        raise ExpressionError(f"{text!r} has no value: {found.value()}")
    return found.plain_value()


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Say whether a condition is true; raises ExpressionError if it is neither true nor false."""
    found = evaluate(text, values)
    if not isinstance(found, bool):
        raise ExpressionError(f"{text!r} gave {found!r}, and not true or false")
    return found


def chosen(text: str, values: Mapping[str, Any]) -> str:
    """Return an expression's value as the text that a case is called by."""
    found = evaluate(text, values)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, str | int):
        return str(found)
    raise ExpressionError(f"{text!r} gave {found!r}, and not a text, a number, true or false")


def _said(error: Exception) -> str:
    """Return what the library says, on one line."""
    lines = [line for line in str(error).splitlines() if not line.startswith(" |")]
    return " ".join(" ".join(lines).split()).removesuffix("[INVALID_ARGUMENT]").strip()
