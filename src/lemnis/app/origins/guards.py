"""Attributes in code that should have refused what was done: which of them let it, and where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from lemnis.app.origins import code, terraform
from lemnis.app.origins.base import Asked, Event, noted
from lemnis.app.origins.terraform import Written
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge
from lemnis.contracts.resources import Resource, Steps
from lemnis.lessons.prevent.base import Setting, Traced
from lemnis.scan.readers import listed, mapping
from lemnis.store.columns import leaf

API, LOGIN = 6003, 3002
_AROUND = 3_600_000  # ms: what came of the same address so long before and after belongs to the session


@dataclass(frozen=True, slots=True)
class Guard:
    """An attribute that refuses some operations, if it is right: where it stands, when it is wrong."""

    operations: re.Pattern[str]
    kind: str
    steps: Steps
    wrong: Callable[[Json], bool]
    good: Json


@dataclass(frozen=True, slots=True)
class Let:
    """An attribute that let something be done: the resource, the guard, its value."""

    resource: Resource
    guard: Guard
    value: Json

    def __str__(self) -> str:
        """Render as people say it."""
        way = ".".join(map(str, self.guard.steps))
        value = "not set" if self.value is None else orjson.dumps(self.value).decode()
        return f"{self.resource.name}: {way} {value}"


def operation(event: Event) -> str:
    """Return what an event says was done, as its product calls it."""
    return str(event.get("metadata.event_code") or event.get("api.operation") or "")


def let(
    where: Written,
    guards: Sequence[Guard],
    events: Sequence[Event],
    about: Callable[[Resource, Sequence[Event]], bool] = lambda _one, _events: True,
) -> Iterator[Let]:
    """Yield the attributes of a resource and what refers to it that let what was done, in the guards' order.

    ``about`` says whether a resource is about some events. What is not known in the code is not blamed.
    """
    for guard in guards:
        done = [event for event in events if guard.operations.search(operation(event))]
        for one in where.around() if done else ():
            value = _value(one.data, guard.steps)
            unknown = any(way[: len(guard.steps)] == guard.steps[: len(way)] for way in one.unknown)
            if one.kind == guard.kind and guard.wrong(value) and not unknown and about(one, done):
                yield Let(one, guard, value)


def line(
    asked: Asked, defined: Edge, where: Written, found: Sequence[Let]
) -> tuple[list[Edge], code.End | None, Traced]:
    """Return the edges from the code's resource to the line of the first attribute, its end and its facts."""
    if not found:
        why = f"nothing that protects {where.resource.name} in the code lets it: it was set in another way"
        return [code.broken(defined.target, terraform.METHOD, why)], None, Traced()
    first = found[0]
    spot = first.resource.at(first.guard.steps)
    edge, located = code.line(
        defined.target, where.place, spot.path, spot.line, method=terraform.METHOD, strength=where.strength
    )
    edge = noted(
        edge, **where.evidence, attribute=str(first), also=[str(one) for one in found[1:]],
        notes=list(where.notes), scanners=where.place.trouble,
    )  # fmt: skip
    ended = code.end(asked, where.place, edge.target, located)
    setting = Setting(
        first.resource.kind, first.resource.name, first.guard.steps, first.value, first.guard.good
    )
    facts = Traced(located.findings, spot.path, spot.line, ended.source.text, setting=setting)
    return [edge, *ended.edges], ended, facts


def session(asked: Asked, events: Sequence[Event]) -> Iterator[str]:
    """Yield the events that came of the same addresses about then, of forges and identity providers.

    In the log that the events are of, those of others at the same address (an office's) are left out.
    """
    who = {(event.source, event.get("src_endpoint.ip"), event.get("actor.user.uid")) for event in events}
    own, places = {source for source, _, _ in who}, {str(place) for _, place, _ in who if place}
    first, last = min(event.at for event in events) - _AROUND, max(event.at for event in events) + _AROUND
    for kind in (API, LOGIN):
        for batch in asked.lake.scan(kind, start=first, end=last + 1):
            paths = ("metadata.uid", "src_endpoint.ip", "actor.user.uid")
            columns = [leaf(batch.table, path) for path in paths]
            nothing = [None] * batch.table.num_rows
            rows = zip(*(nothing if one is None else one.to_pylist() for one in columns), strict=True)
            for uid, place, actor in rows:
                if place in places and (batch.source not in own or (batch.source, place, actor) in who):
                    yield uid


def _value(data: Json, steps: Steps) -> Json:
    """Return what stands at the end of steps; None where nothing does."""
    for step in steps:
        if isinstance(step, int):
            here = listed(data)
            data = here[step] if step < len(here) else None
        else:
            data = mapping(data).get(step)
    return data
