"""Drift: what changed between two snapshots of a cluster, stack or account, and what fails since.

Resources are compared as checks see them. Of a value that is a text only that it changed is told: whether it
is a secret, nobody knows here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lemnis import app
from lemnis.app import posture_collect
from lemnis.app.posture_collect import Snapshot
from lemnis.content.library import Library
from lemnis.contracts.resources import UNKNOWN, Resource, Steps, Verdict
from lemnis.policy.checks import Check, judge
from lemnis.policy.engine import Engine

ADDED, GONE, CHANGED = "added", "gone", "changed"
MOST: Final = 20
"""So many values of a resource are told."""
_NONE: Final = "not set"
_TEXT: Final = "a text"
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that changed: the way to it, both values in words, and the checks that look there."""

    path: str
    before: str
    after: str
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """A resource that came, went or changed; ``worse`` and ``better`` are checks by what they say now."""

    kind: str
    name: str
    how: str
    differences: tuple[Difference, ...] = ()
    more: int = 0
    worse: tuple[str, ...] = ()
    better: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drift:
    """What lies between two snapshots of the same; what of them could not be read makes it incomplete."""

    before: Snapshot
    after: Snapshot
    moved: tuple[Moved, ...]
    same: int
    problems: tuple[str, ...]

    def count(self, how: str) -> int:
        """Return how many resources came, went or changed."""
        return sum(one.how == how for one in self.moved)


def between(workspace: app.Workspace, library: Library, before: Snapshot, after: Snapshot) -> Drift:
    """Compare two snapshots; what fails since comes first. Nothing is written."""
    old, new = (posture_collect.resources(workspace, one) for one in (before, after))
    known = posture_collect.catalogue(library)
    moved, same = compared(old.resources, new.resources, known)
    problems = tuple(dict.fromkeys((*old.errors, *new.errors)))
    return Drift(before, after, tuple(moved), same, problems)


def compared(
    before: Iterable[Resource], after: Iterable[Resource], checks: Mapping[str, Check]
) -> tuple[list[Moved], int]:
    """Return the resources that are not as they were, and how many are."""
    old, new = _keyed(before), _keyed(after)
    keys = [key for key in dict.fromkeys((*new, *old)) if _data(old.get(key)) != _data(new.get(key))]
    with Engine() as engine:
        failed = _fails([old[key] for key in keys if key in old], checks, engine)
        fails = _fails([new[key] for key in keys if key in new], checks, engine)
    moved = [_moved(key, (old.get(key), new.get(key)), checks, failed, fails) for key in keys]
    moved.sort(key=lambda one: (not one.worse, one.how != CHANGED, not one.better, one.kind, one.name))
    return moved, len(new.keys() & old.keys()) - sum(key in old and key in new for key in keys)


def _keyed(resources: Iterable[Resource]) -> dict[Key, Resource]:
    """Return resources by kind and name; where several have one, the later ones are numbered."""
    found: dict[Key, Resource] = {}
    for one in resources:
        key, number = (one.kind, one.name), 1
        while key in found:
            number += 1
            key = one.kind, f"{one.name} ({number})"
        found[key] = one
    return found


def _data(one: Resource | None) -> Any:
    return None if one is None else one.data


def _fails(resources: Iterable[Resource], checks: Mapping[str, Check], engine: Engine) -> dict[Key, set[str]]:
    found: dict[Key, set[str]] = {}
    for one in judge(checks.values(), resources, engine):
        if one.verdict is Verdict.FAIL:
            found.setdefault((one.resource.kind, one.resource.name), set()).add(one.check)
    return found


def _moved(
    key: Key,
    both: tuple[Resource | None, Resource | None],
    checks: Mapping[str, Check],
    failed: Mapping[Key, set[str]],
    fails: Mapping[Key, set[str]],
) -> Moved:
    (kind, name), (old, new) = key, both
    was, now = failed.get(key, set()), fails.get(key, set())
    worse, better = tuple(sorted(now - was)), tuple(sorted(was - now))
    if old is None or new is None:
        return Moved(kind, name, ADDED if old is None else GONE, worse=worse, better=better)
    mine = [one for one in checks.values() if kind in one.kinds]
    some = [
        Difference(
            ".".join(map(str, way)), _said(one), _said(other),
            tuple(check.name for check in mine if check.looks.touch(way)),
        )
        for way, one, other in differences(old.data, new.data)
    ]  # fmt: skip
    some.sort(key=lambda one: not one.checks)
    return Moved(kind, name, CHANGED, tuple(some[:MOST]), max(0, len(some) - MOST), worse, better)


_ABSENT: Final = object()


def differences(old: Any, new: Any, way: Steps = ()) -> Iterator[tuple[Steps, Any, Any]]:
    """Yield the ways to values that differ, with both. Pure."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from differences(old.get(key, _ABSENT), new.get(key, _ABSENT), (*way, key))
    elif isinstance(old, list) and isinstance(new, list):
        for place in range(max(len(old), len(new))):
            yield from differences(
                old[place] if place < len(old) else _ABSENT, new[place] if place < len(new) else _ABSENT,
                (*way, place),
            )  # fmt: skip
    elif type(old) is not type(new) or old != new:
        yield way, old, new


def _said(value: Any) -> str:
    """Return what may be told of a value."""
    if value is _ABSENT or value is None:
        return _NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return "unknown" if value == UNKNOWN else _TEXT
    return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
