"""Readers: a file's text in, resources with lines out. Pure; what cannot be read is told, not raised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lemnis.contracts.findings import Place
from lemnis.contracts.resources import UNKNOWN, Resource, Steps

Lines = Mapping[Steps, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Read:
    """What a file holds, what in it could not be read, and what was left out on purpose: a place, and why."""

    resources: tuple[Resource, ...] = ()
    errors: tuple[str, ...] = ()
    left: tuple[tuple[Place, str], ...] = ()


def part(lines: Lines, way: Steps, under: Steps = ()) -> dict[Steps, tuple[int, int]]:
    """Return the lines of what is below ``way``, as they are below ``under`` in another document."""
    size = len(way)
    return {(*under, *one[size:]): spot for one, spot in lines.items() if one[:size] == way}


def plain(value: Any) -> Any:
    """Return a value without nulls, with every key a text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return ["" if item is None else plain(item) for item in value]
    return value


def hidden(value: Any, is_hidden: Any, way: Steps = ()) -> tuple[Any, list[Steps]]:
    """Return a value with ``UNKNOWN`` for each text that ``is_hidden``, and the ways to these."""
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        ways: list[Steps] = []
        for key, item in value.items():
            found[key], more = hidden(item, is_hidden, (*way, key))
            ways += more
        return found, ways
    if isinstance(value, list):
        items, ways = [], []
        for number, item in enumerate(value):
            one, more = hidden(item, is_hidden, (*way, number))
            items.append(one)
            ways += more
        return items, ways
    if isinstance(value, str) and is_hidden(value):
        return UNKNOWN, [way]
    return value, []


def placed(resource: Resource) -> Resource:
    """Return a resource whose place is where its data begins."""
    spot = resource.lines.get(())
    return resource if spot is None else replace(resource, place=Place(resource.place.path, *spot))


def texts(value: Any) -> list[str]:
    """Return the texts of a value that may be one text or a list of them."""
    items: Iterable[Any] = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def mapping(value: Any) -> dict[str, Any]:
    """Return an object, or an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """Return a list, or an empty one for what is none."""
    return value if isinstance(value, list) else []
