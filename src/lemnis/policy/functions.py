"""What Rego's builtin functions give: the names that a policy may call, each as OPA documents it.

A function gets its arguments after the budget that it pays from. ``builtins.json`` holds a probe of each with
OPA's answer. What an argument cannot be is an error, never undefined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lemnis.contracts.errors import ContentError
from lemnis.policy import functions_texts, functions_things, functions_times
from lemnis.policy.values import Budget, Set

MAX_TEXT = 1_000_000
MAX_ITEMS = 1_000_000
_LARGEST = 1 << 1023


@dataclass(frozen=True, slots=True)
class Function:
    """One builtin: its name, the types of its arguments (``text|array``), what it does."""

    name: str
    takes: tuple[frozenset[str], ...]
    does: Callable[..., Any]

    def call(self, budget: Budget, arguments: list[Any]) -> Any:
        """Return its value; raises ContentError for arguments it does not take, and for too large values."""
        if len(arguments) != len(self.takes):
            raise ContentError(
                f"not evaluated: {self.name} takes {len(self.takes)} arguments, not {len(arguments)}"
            )
        for number, (types, argument) in enumerate(zip(self.takes, arguments, strict=True), 1):
            name = type_name(argument)
            if name not in types and "any" not in types:
                raise ContentError(
                    f"not evaluated: {self.name} refused its argument {number}: {name}, "
                    f"not {' or '.join(sorted(types))}"
                )
            if name in _SIZED:
                budget.spend(len(argument) >> 4)
        try:
            value = self.does(budget, *arguments)
        except (ValueError, OverflowError, ZeroDivisionError) as error:
            raise ContentError(f"not evaluated: {self.name} refused its argument: {error}") from error
        return bounded(value, self.name)


def bounded(value: Any, name: str) -> Any:
    """Return a value that is not too large to go on with; raises ContentError."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise ContentError(f"not evaluated: {name} makes a text of more than {MAX_TEXT:,} characters")
    if isinstance(value, list) and len(value) > MAX_ITEMS:
        raise ContentError(f"not evaluated: {name} makes an array of more than {MAX_ITEMS:,} elements")
    if isinstance(value, int | float) and not -_LARGEST < value < _LARGEST:
        raise ContentError(f"not evaluated: {name} makes a number beyond {_LARGEST:.0e}")
    return value


_TYPES: Mapping[type, str] = MappingProxyType(
    {
        type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array",
        dict: "object", Set: "set",
    }
)  # fmt: skip
_SIZED = frozenset({"string", "array", "object", "set"})


def type_name(value: Any) -> str:
    """Return a value's type as Rego names it."""
    return _TYPES.get(type(value)) or next(name for kind, name in _TYPES.items() if isinstance(value, kind))


def _registry() -> Mapping[str, Function]:
    told: dict[str, tuple[str, Callable[..., Any]]] = {
        **functions_texts.FUNCTIONS,
        **functions_things.FUNCTIONS,
        **functions_times.FUNCTIONS,
        "type_name": ("any", lambda _, value: type_name(value)),
        **{
            f"is_{kind}": ("any", lambda _, value, kind=kind: type_name(value) == kind)
            for kind in ("array", "boolean", "null", "number", "object", "set", "string")
        },
    }
    return MappingProxyType(
        {
            name: Function(name, tuple(frozenset(one.split("|")) for one in takes.split()), does)
            for name, (takes, does) in told.items()
        }
    )


FUNCTIONS: Mapping[str, Function] = _registry()
