"""Paths into a report, as ``reader.yaml`` writes them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Getter = Callable[["Spot"], Any]


@dataclass(slots=True)
class Spot:
    """A record: its value, its key or number, and what holds it."""

    value: Any
    key: str | int = ""
    up: Spot | None = None


def dig(value: Any, path: str) -> Any:
    """Follow a dotted path; numbers index lists (negative from the end); None where it leads nowhere.

    A name that is asked of a list is asked of its first item.
    """
    return _follow(value, tuple(path.split(".")) if path else ())


def _follow(value: Any, parts: tuple[str, ...]) -> Any:
    for part in parts:
        if isinstance(value, dict):
            value = value.get(part)
            continue
        if not isinstance(value, list) or not value:
            return None
        if part.lstrip("-").isdigit():
            number = int(part)
            value = value[number] if -len(value) <= number < len(value) else None
        else:
            value = value[0].get(part) if isinstance(value[0], dict) else None
    return value


def walk(root: Any, at: str) -> Iterator[Spot]:
    """Yield the records that ``at`` leads to; none where it leads nowhere."""
    steps = [step for step in at.split(".") if step]
    yield from _walk(Spot(root), root, "", steps) if steps else [Spot(root)]


def _walk(holder: Spot, value: Any, key: str, steps: list[str]) -> Iterator[Spot]:
    """Go the steps from a value within ``holder``, the item around it."""
    if not steps:
        if value is not None:
            yield Spot(value, key, holder)
        return
    step, rest = steps[0], steps[1:]
    name = step.removesuffix("[]").removesuffix("{}")
    inner = _follow(value, (name,)) if name else value
    if step == name:
        yield from _walk(holder, inner, name, rest)
        return
    for number, item in _items(inner, keys=step.endswith("{}")):
        spot = Spot(item, number, holder)
        if rest:
            yield from _walk(spot, item, "", rest)
        else:
            yield spot


def _items(value: Any, *, keys: bool) -> Iterable[tuple[str | int, Any]]:
    if keys:
        return value.items() if isinstance(value, dict) else ()
    return enumerate(value if isinstance(value, list) else [] if value is None else [value])


def there(root: Any, path: str) -> bool:
    """Say whether a path leads somewhere, even to nothing: a key with null is there."""
    head, _, last = path.rpartition(".")
    if last.endswith(("[]", "{}")) or last.lstrip("-").isdigit():
        return next(walk(root, path), None) is not None
    values = (spot.value for spot in walk(root, head))
    objects = (value[0] if isinstance(value, list) and value else value for value in values)
    return any(isinstance(one, dict) and last in one for one in objects)


def getter(path: str) -> Getter:
    """Compile a field's path."""
    ups = len(path) - len(path.lstrip("^"))
    bare = path[ups:]
    if bare == "#":
        return lambda spot: _rise(spot, ups).key
    if bare.startswith("$"):
        parts = tuple(part for part in bare[1:].split(".") if part)
        return lambda spot: _follow(_top(spot), parts)
    parts = tuple(part for part in bare.split(".") if part)
    if not ups and len(parts) == 1:
        [name] = parts
        return lambda spot: (
            spot.value.get(name) if isinstance(spot.value, dict) else _follow(spot.value, parts)
        )
    return lambda spot: _follow(_rise(spot, ups).value, parts)


def _rise(spot: Spot, ups: int) -> Spot:
    for _ in range(ups):
        spot = spot.up or spot
    return spot


def _top(spot: Spot) -> Any:
    while spot.up is not None:
        spot = spot.up
    return spot.value


def absolute(at: str, path: str) -> tuple[str, ...]:
    """Return the steps from the report's top to where a field's path leads; ``*`` is any item or key."""
    base: list[str] = []
    frames = [0]
    steps = [step for step in at.split(".") if step]
    for number, step in enumerate(steps):
        base += _steps(step)
        if step.endswith(("[]", "{}")) or number == len(steps) - 1:
            frames.append(len(base))
    ups = len(path) - len(path.lstrip("^"))
    bare = path[ups:]
    if bare.startswith("$"):
        base, bare = [], bare[1:]
    elif ups:
        base = base[: frames[max(len(frames) - 1 - ups, 0)]]
    if bare == "#":
        return (*base, "#")
    return (*base, *(name for step in bare.split(".") if step for name in _steps(step)))


def _steps(step: str) -> list[str]:
    if step.lstrip("-").isdigit():
        return ["*"]
    name = step.removesuffix("[]").removesuffix("{}")
    return ([name] if name else []) + (["*"] if step != name else [])
