"""Rego's values in Python: JSON as it is, and sets. Equality and order are Rego's, not Python's.

In Rego ``true`` is not 1, every value can be an element of a set, and values of all types have an order
(null, booleans, numbers, strings, arrays, objects, sets). Keys of objects are texts here. What takes a walk
through a whole value is paid for from a budget, because a policy can make values that are small to hold and
endless to walk.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Final

from lemnis.contracts.errors import ContentError


class Undefined:
    """What an expression without a value gives."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return its name."""
        return "undefined"


UNDEFINED: Final = Undefined()


class Budget:
    """How many steps an evaluation may still take."""

    __slots__ = ("left", "steps")

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take steps away; raises ContentError when none are left."""
        self.left -= steps
        if self.left < 0:
            raise ContentError(
                f"not evaluated: not finished after {self.steps:,} steps", fix="make it look at less"
            )


class Set:
    """A set of values, in the order in which they came."""

    __slots__ = ("_budget", "_items")

    def __init__(self, items: Iterable[Any], budget: Budget) -> None:
        self._budget = budget
        self._items: dict[Hashable, Any] = {}
        for item in items:
            self.add(item)

    def add(self, item: Any) -> None:
        """Add a value."""
        self._items.setdefault(key(item, self._budget), item)

    def keys(self) -> set[Hashable]:
        """Return what the elements are told apart by."""
        return set(self._items)

    def only(self, keys: set[Hashable]) -> Set:
        """Return the set of the elements with these keys."""
        made = Set((), self._budget)
        made._items = {name: item for name, item in self._items.items() if name in keys}
        return made

    def __contains__(self, item: Any) -> bool:
        """Say whether a value is in it."""
        return key(item, self._budget) in self._items

    def __iter__(self) -> Iterator[Any]:
        """Yield the elements."""
        return iter(self._items.values())

    def __len__(self) -> int:
        """Return how many elements there are."""
        return len(self._items)


def key(value: Any, budget: Budget) -> Hashable:
    """Return what two values have in common exactly if they are equal."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return ("boolean", value)
    if value is None or isinstance(value, int | float):
        return value
    budget.spend(1 + len(value))
    if isinstance(value, list):
        return ("array", *(key(item, budget) for item in value))
    if isinstance(value, dict):
        return ("object", frozenset((name, key(item, budget)) for name, item in value.items()))
    return ("set", frozenset(value.keys()))


def equal(left: Any, right: Any, budget: Budget) -> bool:
    """Say whether two values are the same."""
    if isinstance(left, str) or isinstance(right, str) or left is None or right is None:
        return bool(left == right)
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    return type(left) is type(right) and len(left) == len(right) and key(left, budget) == key(right, budget)


def order(value: Any, budget: Budget) -> tuple[Any, ...]:  # noqa: PLR0911 - one a type
    """Return what values are sorted by."""
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, int | float):
        return (2, value)
    if isinstance(value, str):
        return (3, value)
    budget.spend(1 + len(value))
    if isinstance(value, list):
        return (4, [order(item, budget) for item in value])
    if isinstance(value, dict):
        names = sorted(value)
        return (5, names, [order(value[name], budget) for name in names])
    return (6, sorted(order(item, budget) for item in value))


def ordered(values: Iterable[Any], budget: Budget) -> list[Any]:
    """Return values in Rego's order."""
    return sorted(values, key=lambda value: order(value, budget))


def inward(value: Any) -> Any:
    """Return a document of ours as a value: tuples are arrays. Raises ContentError if it is too deep."""
    try:
        return _inward(value)
    except RecursionError as error:
        raise ContentError("not evaluated: nested too deeply") from error


def _inward(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _inward(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_inward(item) for item in value]
    return value


def outward(value: Any, budget: Budget) -> Any:
    """Return a value as JSON has it: sets are sorted arrays."""
    if isinstance(value, list):
        budget.spend(1 + len(value))
        return [outward(item, budget) for item in value]
    if isinstance(value, dict):
        budget.spend(1 + len(value))
        return {name: outward(item, budget) for name, item in value.items()}
    if isinstance(value, Set):
        return [outward(item, budget) for item in ordered(value, budget)]
    return value
