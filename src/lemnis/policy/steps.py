"""Steps of a query under evaluation: each goes on for every way in which something holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from lemnis.policy import operators
from lemnis.policy.values import UNDEFINED, Set

Env = list[Any]
"""The names of one rule under evaluation by their places; the first place holds the run."""
Get = Callable[[Env], Any]
Step = Callable[[Env], bool]
"""Goes on for every way in which something holds; true when no more ways are wanted."""


def anything(env: Env, value: Any) -> bool:  # noqa: ARG001 - a pattern
    """Fit whatever comes: a pattern."""
    return True


def enough(env: Env) -> bool:  # noqa: ARG001 - a step
    """Want no more ways: a last step."""
    return True


def field_true(place: int, name: str, after: Step) -> Step:
    """``x.name`` as a condition, in one step."""
    get = operators.field_at(place, name)

    def step(env: Env) -> bool:
        found = env[place]
        value = found.get(name, UNDEFINED) if type(found) is dict else get(env)
        return value is not UNDEFINED and value is not False and after(env)

    return step


def true(get: Get, after: Step) -> Step:
    """Return a term as a condition: it is there, and not false."""

    def step(env: Env) -> bool:
        value = get(env)
        return value is not UNDEFINED and value is not False and after(env)

    return step


def looped(loops: Sequence[tuple[Get, int]], step: Step) -> Step:
    """Return a step once for every element of each collection, in turn."""
    for get, place in reversed(loops):
        step = _loop(get, place, step)
    return step


def _loop(get: Get, place: int, after: Step) -> Step:
    def step(env: Env) -> bool:
        spend = env[0].budget.spend
        for _, value in pairs(get(env)):
            spend(1)
            env[place] = value
            if after(env):
                return True
        return False

    return step


def pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield key and value of each element; a set's elements are their own keys."""
    if isinstance(value, list):
        return enumerate(value)
    if isinstance(value, dict):
        return iter(value.items())
    if isinstance(value, Set):
        return ((one, one) for one in value)
    return iter(())
