"""A mapping made ready: each entry's class and lines by path, and where raw fields are kept word for word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from lemnis.content.schemas.source import Entry, Line, LoadedSource, TimeLine
from lemnis.contracts.alerts import Severity
from lemnis.ingest.mapping_passthrough import passing
from lemnis.ocsf.schema import EACH, EventClass, event_class, path_type, steps

ORIGINAL_TIME = "metadata.original_time"
_KEEPING = frozenset({"string", "integer", "number", "boolean", "lower", "upper", "ip"})
FILLED = frozenset({
    "class_uid", "class_name", "category_uid", "category_name", "type_uid", "type_name", "activity_id",
    "activity_name", "severity", "severity_id", "status", "metadata.uid", "metadata.version",
    "metadata.log_name", "metadata.product.name", "metadata.product.vendor_name",
})  # fmt: skip
"""Paths where the interpreter puts a value of its own, whatever the record has."""
SEVERITIES: Mapping[str, int] = {level.name.lower(): int(level) for level in Severity}


@dataclass(frozen=True, eq=False)
class Given:
    """Lines and the type of what they give. Entries whose lines say the same share one, by its identity."""

    lines: tuple[Line, ...]
    kind: pa.DataType
    sources: frozenset[str] = frozenset()
    always: bool = False
    """Whether it gives something where none of its sources is there."""

    def can(self, names: frozenset[str]) -> bool:
        """Say whether it can give anything where there are fields of these names only."""
        return self.always or not names.isdisjoint(self.sources)


@dataclass(frozen=True, eq=False)
class Times:
    """Lines that times are read by; shared, as ``Given`` are."""

    lines: tuple[TimeLine, ...]


@dataclass(slots=True)
class _Known:
    """What was made so far of the entries of a source, by what it says."""

    given: dict[Any, Given] = field(default_factory=dict)
    times: dict[Any, Times] = field(default_factory=dict)

    def lines(self, lines: Sequence[Line], kind: pa.DataType) -> Given:
        """Return the one that says this."""
        key = (str(kind), *(line.model_dump_json() for line in lines))
        if key not in self.given:
            sources = frozenset(name for line in lines for name in line.source)
            always = any(line.value is not None or line.default is not None for line in lines)
            self.given[key] = Given(tuple(lines), kind, sources, always)
        return self.given[key]

    def time(self, lines: Sequence[TimeLine]) -> Times:
        """Return the one that says this."""
        return self.times.setdefault(tuple(line.model_dump_json() for line in lines), Times(tuple(lines)))


@dataclass(frozen=True)
class EntryPlan:
    """One entry with what ``common`` adds to it.

    ``given`` has its lines by path; ``level`` those of its severity, ``doing`` of its activity, ``moment``
    of its time.
    """

    name: str
    kind: EventClass
    time: Sequence[TimeLine]
    severity: Sequence[Line]
    activity: Sequence[Line]
    lines: Mapping[str, Sequence[Line]]
    types: Mapping[str, pa.DataType]
    given: Mapping[str, Given]
    level: Given
    doing: Given
    moment: Times
    passthrough: bool = False
    raw: bool = True

    @cached_property
    def kept(self) -> Mapping[str, tuple[str, ...]]:
        """Return by raw field the paths that may hold its text as it was, texts before numbers (007 is 7)."""
        found: dict[str, list[str]] = {}
        for path, lines in self.lines.items():
            if keeps(lines) and path not in FILLED and _only_from_lines(self.kind.name, path):
                found.setdefault(lines[0].source[0], []).append(path)
        if ORIGINAL_TIME not in self.lines and self.time:
            found.setdefault(self.time[0].source[0], []).append(ORIGINAL_TIME)
        numbers = {path for path, kind in self.types.items() if not pa.types.is_string(kind)}
        return {name: tuple(sorted(paths, key=numbers.__contains__)) for name, paths in found.items()}


def _only_from_lines(class_name: str, path: str) -> bool:
    """Say whether nothing but its line puts a value at the path (required names and ids are filled in)."""
    found = steps(class_name, path)
    last = found[-1].attribute
    filled = last.required and (bool(last.enum) or last.name == "name")
    return not filled and all(step.element is None for step in found)


def keeps(lines: Sequence[Line]) -> bool:
    """Say whether the raw text can be had back from what the lines give, where it is equal to it."""
    if len(lines) != 1 or len(lines[0].source) != 1:
        return False
    line = lines[0]
    return (
        line.as_ in _KEEPING
        and line.pick is None
        and line.match is None
        and line.split is None
        and line.map is None
        and line.default is None
    )


def _entry(source: LoadedSource, entry: Entry, known: _Known) -> EntryPlan:
    """Make one entry ready."""
    common, kind = source.mapping.common, event_class(entry.class_)
    attributes = kind.shape.attributes
    inherited = {
        path: lines for path, lines in common.set.items() if path.split(".")[0].split("[")[0] in attributes
    }
    lines = {**inherited, **entry.set}
    if source.mapping.passthrough:
        lines = {**passing(kind), **lines}
    types = {path: path_type(kind.name, path) for path in lines}
    time, severity = entry.time or common.time or (), entry.severity or common.severity or ()
    return EntryPlan(
        entry.name, kind, time, severity, entry.activity, lines, types,
        {path: known.lines(some, types[path]) for path, some in lines.items()},
        known.lines(severity, pa.string()), known.lines(entry.activity, pa.int64()), known.time(time),
        source.mapping.passthrough, (entry.raw or source.file.raw) == "keep",
    )  # fmt: skip


def together(some: Sequence[EntryPlan]) -> list[int]:
    """Say for each entry of a source with which others its events are built: those with the same number.

    They are of one class, and each path means the same in all of them: what is a value in one holds no
    attributes in another, and objects made of several lists of values are made of them in the same order.
    """
    groups: list[tuple[EntryPlan, _Tree]] = []
    found = []
    for plan in some:
        tree = _Tree.of(plan)
        for number, (first, held) in enumerate(groups):
            if first.kind.uid == plan.kind.uid and held.takes(tree):
                held.add(tree)
                found.append(number)
                break
        else:
            found.append(len(groups))
            groups.append((plan, tree))
    return found


@dataclass(slots=True)
class _Tree:
    """The places of paths: values, those that hold others, and lists of objects with their parts in order."""

    values: set[tuple[str, ...]] = field(default_factory=set)
    holders: set[tuple[str, ...]] = field(default_factory=set)
    each: dict[tuple[str, ...], list[tuple[str, ...]]] = field(default_factory=dict)
    numbered: set[tuple[str, ...]] = field(default_factory=set)

    @classmethod
    def of(cls, plan: EntryPlan) -> _Tree:
        """Return the places of an entry's paths."""
        tree = cls()
        for path in plan.lines:
            place: tuple[str, ...] = ()
            lists: list[tuple[str, ...]] = []
            for step in steps(plan.kind.name, path):
                tree.holders.add(place)
                place = (*place, step.attribute.name)
                if step.element is not None:
                    tree.holders.add(place)
                    if step.element == EACH:
                        lists.append(place)
                    else:
                        tree.numbered.add(place)
                    place = (*place, f"[{step.element}]")
            tree.values.add(place)
            for one in lists:
                tree.each.setdefault(one, []).append(place)
        return tree

    def takes(self, other: _Tree) -> bool:
        """Say whether both can be one."""
        return (
            not self.values & other.holders
            and not self.holders & other.values
            and not self.numbered & other.each.keys()
            and not self.each.keys() & other.numbered
            and all(_begins(self.each[place], other.each[place]) for place in self.each.keys() & other.each)
        )

    def add(self, other: _Tree) -> None:
        """Become both."""
        self.values |= other.values
        self.holders |= other.holders
        self.numbered |= other.numbered
        for place, parts in other.each.items():
            self.each[place] = max(self.each.get(place, []), parts, key=len)


def _begins(one: Sequence[object], other: Sequence[object]) -> bool:
    """Say whether the longer begins with the shorter."""
    return all(mine == theirs for mine, theirs in zip(one, other, strict=False))


def plans(source: LoadedSource) -> tuple[EntryPlan, ...]:
    """Make all entries of a source ready; they are remembered by the source's digest."""
    key = (source.name, source.digest)
    if key not in _PLANS:
        if len(_PLANS) > _REMEMBERED:
            _PLANS.clear()
        known = _Known()
        _PLANS[key] = tuple(_entry(source, entry, known) for entry in source.mapping.events)
    return _PLANS[key]


_REMEMBERED = 256
_PLANS: dict[tuple[str, str], tuple[EntryPlan, ...]] = {}
