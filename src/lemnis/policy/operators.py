"""Rego's operators and ways into values, as functions over the places of a rule."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from lemnis.contracts.errors import ContentError
from lemnis.policy.functions import bounded, type_name
from lemnis.policy.functions_things import number
from lemnis.policy.values import UNDEFINED, Budget, Set, equal, order

Env = list[Any]
Get = Callable[[Env], Any]
_PAIR = 2
_SHORT = 8
"""A list of fewer elements is looked through for nothing."""


def field(get: Get, name: str) -> Get:
    """``x.name``."""

    def value(env: Env) -> Any:
        found = get(env)
        if type(found) is dict:
            return found.get(name, UNDEFINED)
        return name if isinstance(found, Set) and name in found else UNDEFINED

    return value


class Constant:
    """Gives the same value always."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, env: Env) -> Any:  # noqa: ARG002 - a term
        """Return the value."""
        return self.value


def together(env: Env, values: list[Any]) -> list[Any]:  # noqa: ARG001 - a function
    """Return values as an array."""
    return values


def field_at(place: int, name: str) -> Get:
    """``x.name`` of a name: the way most policies look at things, in one step."""

    def value(env: Env) -> Any:
        found = env[place]
        if type(found) is dict:
            return found.get(name, UNDEFINED)
        return name if isinstance(found, Set) and name in found else UNDEFINED

    return value


def at_place(place: int) -> Get:
    """Return what a loop has put at a place."""
    return lambda env: env[place]


def index(get: Get, at: Get) -> Get:
    """``x[y]``."""

    def value(env: Env) -> Any:
        found, where = get(env), at(env)
        if where is UNDEFINED:
            return UNDEFINED
        if isinstance(found, list):
            whole = isinstance(where, int | float) and not isinstance(where, bool) and where == int(where)
            return found[int(where)] if whole and 0 <= where < len(found) else UNDEFINED
        if isinstance(found, dict):
            return found.get(where, UNDEFINED) if isinstance(where, str) else UNDEFINED
        return where if isinstance(found, Set) and where in found else UNDEFINED

    return value


def call(gets: Sequence[Get], does: Callable[[Env, list[Any]], Any]) -> Get:
    """Return the value of a function of several terms; undefined if one of them is."""
    if len(gets) == _PAIR:
        first, second = gets
        return _call_of_two(first, second, does)

    def value(env: Env) -> Any:
        values = []
        for get in gets:
            one = get(env)
            if one is UNDEFINED:
                return UNDEFINED
            values.append(one)
        return does(env, values)

    return value


def _call_of_two(first: Get, second: Get, does: Callable[[Env, list[Any]], Any]) -> Get:
    def value(env: Env) -> Any:
        one = first(env)
        if one is UNDEFINED:
            return UNDEFINED
        other = second(env)
        return UNDEFINED if other is UNDEFINED else does(env, [one, other])

    return value


def object_of(names: Sequence[Any], values: Sequence[Any], env: Env) -> dict[str, Any]:
    """Return an object; raises ContentError for a key that is no text, and for two values of one key."""
    made: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        if not isinstance(name, str):
            raise ContentError(
                f"not evaluated: an object's key is {type_name(name)}",
                fix='make a text of it: sprintf("%v", [x])',
            )
        if name in made and not equal(made[name], value, env[0].budget):
            raise ContentError(f"not evaluated: an object has two values for {name!r}")
        made[name] = value
    return made


def _binary(does: Callable[[Any, Any, Budget], Any]) -> Callable[[Get, Get], Get]:
    def make(left: Get, right: Get) -> Get:
        def value(env: Env) -> Any:
            one = left(env)
            if one is UNDEFINED:
                return UNDEFINED
            other = right(env)
            return UNDEFINED if other is UNDEFINED else does(one, other, env[0].budget)

        return value

    return make


def _compared(does: Callable[[Any, Any], bool]) -> Callable[[Get, Get], Get]:
    def compare(left: Any, right: Any, budget: Budget) -> bool:
        if type(left) is int and type(right) is int:
            return does(left, right)
        return does(order(left, budget), order(right, budget))

    general = _binary(compare)

    def make(left: Get, right: Get) -> Get:
        if not isinstance(right, Constant) or type(right.value) is not int:
            return general(left, right)
        limit = right.value

        def value(env: Env) -> Any:
            found = left(env)
            if type(found) is int:
                return does(found, limit)
            return UNDEFINED if found is UNDEFINED else compare(found, limit, env[0].budget)

        return value

    return make


def _equals(left: Get, right: Get) -> Get:
    """``==``; with a text that is written out, in one step."""
    if not isinstance(right, Constant) or not isinstance(right.value, str):
        return _binary(equal)(left, right)
    wanted = right.value

    def value(env: Env) -> Any:
        found = left(env)
        return UNDEFINED if found is UNDEFINED else found == wanted

    return value


def _in(item: Any, whole: Any, budget: Budget) -> Any:
    if isinstance(whole, Set):
        return item in whole
    if not isinstance(whole, list | dict):
        return False
    budget.spend(len(whole) >> 3)
    values = whole if isinstance(whole, list) else whole.values()
    if type(item) is str:
        return item in values
    if type(item) is int:
        return item in values and any(item == one and one is not True and one is not False for one in values)
    return any(equal(item, one, budget) for one in values)


def _contains(left: Get, right: Get) -> Get:
    """``x in xs``; of a text or number that is written out and a short list, in one step."""
    if not isinstance(left, Constant) or type(left.value) not in {str, int}:
        return _binary(_in)(left, right)
    wanted = left.value

    def value(env: Env) -> Any:
        whole = right(env)
        if type(whole) is list and len(whole) < _SHORT and wanted not in whole:
            return False
        return UNDEFINED if whole is UNDEFINED else _in(wanted, whole, env[0].budget)

    return value


def _arithmetic(sign: str, does: Callable[[Any, Any], Any]) -> Callable[[Get, Get], Get]:
    def compute(left: Any, right: Any, budget: Budget) -> Any:  # noqa: ARG001 - an operator
        if type_name(left) != "number" or type_name(right) != "number":
            raise ContentError(
                f"not evaluated: {sign} refused its argument: {type_name(left)} {sign} {type_name(right)}"
            )
        try:
            return bounded(number(does(left, right)), sign)
        except (ZeroDivisionError, OverflowError, ValueError) as error:
            raise ContentError(f"not evaluated: {sign} refused its argument: {error}") from error

    return _binary(compute)


def _minus(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, Set) and isinstance(right, Set):
        budget.spend(len(left) + len(right))
        return left.only(left.keys() - right.keys())
    return _subtract(left, right, budget)


def _subtract(left: Any, right: Any, _: Budget) -> Any:
    if type_name(left) != "number" or type_name(right) != "number":
        raise ContentError(f"not evaluated: - refused its argument: {type_name(left)} - {type_name(right)}")
    return bounded(number(left - right), "-")


def _sets(sign: str, does: Callable[[Set, Set, Budget], Set]) -> Callable[[Get, Get], Get]:
    def compute(left: Any, right: Any, budget: Budget) -> Any:
        if not (isinstance(left, Set) and isinstance(right, Set)):
            raise ContentError(
                f"not evaluated: {sign} refused its argument: {type_name(left)} {sign} {type_name(right)}"
            )
        budget.spend(len(left) + len(right))
        return does(left, right, budget)

    return _binary(compute)


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    return left / right


def _remainder(left: Any, right: Any) -> Any:
    if left != int(left) or right != int(right):
        raise ValueError("remainder of a fraction")
    rest = abs(int(left)) % abs(int(right))
    return rest if left >= 0 else -rest


BINARY: Mapping[str, Callable[[Get, Get], Get]] = MappingProxyType(
    {
        "==": _equals,
        "=": _equals,
        "!=": _binary(lambda left, right, budget: not equal(left, right, budget)),
        "<": _compared(operator.lt),
        "<=": _compared(operator.le),
        ">": _compared(operator.gt),
        ">=": _compared(operator.ge),
        "in": _contains,
        "+": _arithmetic("+", lambda left, right: left + right),
        "-": _binary(_minus),
        "*": _arithmetic("*", lambda left, right: left * right),
        "/": _arithmetic("/", _divide),
        "%": _arithmetic("%", _remainder),
        "|": _sets("|", lambda left, right, budget: Set((*left, *right), budget)),
        "&": _sets("&", lambda left, right, _: left.only(left.keys() & right.keys())),
    }
)
