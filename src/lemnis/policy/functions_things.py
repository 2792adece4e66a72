"""Rego's builtin functions over numbers, arrays, sets and objects.

As OPA's Policy Reference has them: Numbers, Aggregates, Arrays, Sets, Objects, Bits, Graph.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

from lemnis.policy.values import UNDEFINED, Budget, Set, equal, key, ordered

MAX_RANGE = 100_000


def number(value: float) -> float | int:
    """Return a number as a whole one if it is."""
    return int(value) if not isinstance(value, int) and value.is_integer() else value


def merged(left: Any, right: Any, budget: Budget) -> Any:
    """Return two objects as one; nested objects are merged, of others the right one counts."""
    if not (isinstance(left, dict) and isinstance(right, dict)):
        return right
    budget.spend(1 + len(left) + len(right))
    both = {name: merged(left[name], right[name], budget) for name in right if name in left}
    return {**left, **right, **both}


def path_of(value: Any) -> list[str]:
    """Return the steps of a path: an array of texts, or a text with slashes (RFC 6901 escapes)."""
    if isinstance(value, list):
        return [str(part) for part in value]
    return [part.replace("~1", "/").replace("~0", "~") for part in str(value).strip("/").split("/")]


def _numbers(values: Iterable[Any]) -> list[Any]:
    found = list(values)
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in found):
        raise ValueError("an element is no number")
    return found


def _range(budget: Budget, first: int, last: int, step: int = 1) -> list[int]:
    if step <= 0 or first != int(first) or last != int(last) or step != int(step):
        raise ValueError("bounds and step must be whole numbers, the step above 0")
    if abs(last - first) // step > MAX_RANGE:
        raise ValueError(f"more than {MAX_RANGE:,} numbers")
    budget.spend(int(abs(last - first) // step))
    way = 1 if last >= first else -1
    return list(range(int(first), int(last) + way, int(step) * way))


def _edge(budget: Budget, values: list[Any] | Set, place: int) -> Any:
    found = ordered(values, budget)
    if not found:
        raise ValueError("nothing to choose from")
    return found[place]


def _sets(budget: Budget, sets: Set) -> list[Set]:
    found = list(sets)
    if not all(isinstance(one, Set) for one in found):
        raise ValueError("an element is no set")
    budget.spend(sum(map(len, found)))
    return found


def _union(budget: Budget, sets: Set) -> Set:
    return Set((item for one in _sets(budget, sets) for item in one), budget)


def _intersection(budget: Budget, sets: Set) -> Set:
    found = _sets(budget, sets)
    if not found:
        return Set((), budget)
    return found[0].only(set.intersection(*(one.keys() for one in found)))


def _get(budget: Budget, thing: dict[str, Any], name: Any, otherwise: Any) -> Any:
    here: Any = thing
    for part in name if isinstance(name, list) else [name]:
        budget.spend(1)
        if isinstance(here, dict) and isinstance(part, str):
            here = here.get(part, UNDEFINED)
        elif isinstance(here, list) and isinstance(part, int) and 0 <= part < len(here):
            here = here[part]
        else:
            return otherwise
    return otherwise if here is UNDEFINED else here


def _filter(_: Budget, thing: dict[str, Any], names: Any) -> dict[str, Any]:
    wanted = _names(names)
    return {name: value for name, value in thing.items() if name in wanted}


def _without(_: Budget, thing: dict[str, Any], names: Any) -> dict[str, Any]:
    unwanted = _names(names)
    return {name: value for name, value in thing.items() if name not in unwanted}


def _names(names: Any) -> set[Any]:
    return {name for name in names if isinstance(name, str)}


def _subset(budget: Budget, whole: Any, part: Any) -> bool:
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and _within(budget, whole[name], value) for name, value in part.items())
    if isinstance(whole, Set) and isinstance(part, Set):
        return part.keys() <= whole.keys()
    if isinstance(whole, list) and isinstance(part, Set):
        return part.keys() <= {key(item, budget) for item in whole}
    if isinstance(whole, list) and isinstance(part, list):
        places = range(len(whole) - len(part) + 1)
        return any(equal(whole[at : at + len(part)], part, budget) for at in places)
    raise ValueError("two objects, two sets, two arrays, or an array and a set")


def _within(budget: Budget, whole: Any, part: Any) -> bool:
    if isinstance(whole, dict | list | Set) and type(whole) is type(part):
        return _subset(budget, whole, part)
    return equal(whole, part, budget)


def _keep(thing: Any, paths: list[list[str]]) -> Any:
    if not isinstance(thing, dict) or any(not path for path in paths):
        return thing
    wanted: dict[str, list[list[str]]] = {}
    for first, *rest in paths:
        wanted.setdefault(first, []).append(rest)
    return {name: _keep(thing[name], rest) for name, rest in wanted.items() if name in thing}


def _drop(thing: Any, path: list[str]) -> Any:
    if not isinstance(thing, dict) or path[0] not in thing:
        return thing
    first, *rest = path
    if not rest:
        return {name: value for name, value in thing.items() if name != first}
    return {**thing, first: _drop(thing[first], rest)}


def _remove(budget: Budget, thing: dict[str, Any], paths: list[Any] | Set) -> Any:
    budget.spend(len(paths) * (1 + len(thing)))
    for path in paths:
        thing = _drop(thing, path_of(path))
    return thing


def _patch(budget: Budget, thing: Any, changes: list[Any]) -> Any:
    """Apply the ``add``, ``replace`` and ``remove`` of RFC 6902."""
    budget.spend(len(changes) * (1 + len(thing)))
    made = copy.deepcopy(thing)
    for change in changes:
        *way, last = path_of(change["path"])
        here = made
        for part in way:
            here = here[int(part)] if isinstance(here, list) else here.get(part)
            if here is None:
                raise ValueError(f"nothing at {change['path']!r}")
        _change(here, last, change)
    return made


def _change(here: Any, last: str, change: dict[str, Any]) -> None:
    kind = change["op"]
    if kind not in {"add", "replace", "remove"}:
        raise ValueError(f"operation {kind!r}")
    if isinstance(here, list):
        place = len(here) if last == "-" else int(last)
        if kind != "add":
            del here[place]
        if kind != "remove":
            here.insert(place, change["value"])
    elif kind == "remove":
        del here[last]
    else:
        here[last] = change["value"]


def _reachable(budget: Budget, graph: dict[str, Any], starts: list[Any] | Set) -> Set:
    found: dict[str, None] = {}
    waiting = [one for one in starts if one in graph]
    while waiting:
        here = waiting.pop()
        if here in found:
            continue
        found[here] = None
        budget.spend(1)
        waiting += [one for one in graph[here] or () if one in graph]
    return Set(found, budget)


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError("no whole number")
    return int(value)


FUNCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "abs": ("number", lambda _, value: abs(value)),
    "array.concat": ("array array", lambda _, left, right: left + right),
    "array.reverse": ("array", lambda _, values: values[::-1]),
    "array.slice": ("array number number", lambda _, v, a, b: v[max(int(a), 0) : max(int(b), 0)]),
    "bits.and": ("number number", lambda _, left, right: _whole(left) & _whole(right)),
    "bits.negate": ("number", lambda _, value: ~_whole(value)),
    "bits.or": ("number number", lambda _, left, right: _whole(left) | _whole(right)),
    "bits.rsh": ("number number", lambda _, value, by: _whole(value) >> _whole(by)),
    "bits.xor": ("number number", lambda _, left, right: _whole(left) ^ _whole(right)),
    "ceil": ("number", lambda _, value: math.ceil(value)),
    "count": ("string|array|object|set", lambda _, value: len(value)),
    "floor": ("number", lambda _, value: math.floor(value)),
    "graph.reachable": ("object array|set", _reachable),
    "intersection": ("set", _intersection),
    "json.filter": ("object array|set", lambda _, thing, paths: _keep(thing, [path_of(p) for p in paths])),
    "json.patch": ("object|array array", _patch),
    "json.remove": ("object array|set", _remove),
    "max": ("array|set", lambda budget, values: _edge(budget, values, -1)),
    "min": ("array|set", lambda budget, values: _edge(budget, values, 0)),
    "numbers.range": ("number number", _range),
    "numbers.range_step": ("number number number", _range),
    "object.filter": ("object array|set|object", _filter),
    "object.get": ("object any any", _get),
    "object.keys": ("object", lambda budget, thing: Set(thing, budget)),
    "object.remove": ("object array|set|object", _without),
    "object.subset": ("object|array|set object|array|set", _subset),
    "object.union": ("object object", lambda budget, left, right: merged(left, right, budget)),
    "product": ("array|set", lambda _, values: number(math.prod(_numbers(values)))),
    "round": ("number", lambda _, value: math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)),
    "sort": ("array|set", lambda budget, values: ordered(values, budget)),
    "sum": ("array|set", lambda _, values: number(sum(_numbers(values)))),
    "union": ("set", _union),
}  # fmt: skip
