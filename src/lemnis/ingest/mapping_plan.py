"""A mapping made ready: each entry's class and lines by path, and where raw fields are kept word for word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from lemnis.content.schemas.source import Entry, Line, LoadedSource, TimeLine
from lemnis.contracts.alerts import Severity
from lemnis.ingest.mapping_passthrough import passing
from lemnis.ocsf.schema import EventClass, event_class, path_type, steps

ORIGINAL_TIME = "metadata.original_time"
_KEEPING = frozenset({"string", "integer", "number", "boolean", "lower", "upper", "ip"})
FILLED = frozenset({
    "class_uid", "class_name", "category_uid", "category_name", "type_uid", "type_name", "activity_id",
    "activity_name", "severity", "severity_id", "status", "metadata.uid", "metadata.version",
    "metadata.log_name", "metadata.product.name", "metadata.product.vendor_name",
})  # fmt: skip
"""Paths where the interpreter puts a value of its own, whatever the record has."""
SEVERITIES: Mapping[str, int] = {level.name.lower(): int(level) for level in Severity}


@dataclass(frozen=True)
class EntryPlan:
    """One entry with what ``common`` adds to it."""

    name: str
    kind: EventClass
    time: Sequence[TimeLine]
    severity: Sequence[Line]
    activity: Sequence[Line]
    lines: Mapping[str, Sequence[Line]]
    types: Mapping[str, pa.DataType]
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


def entry_plan(source: LoadedSource, entry: Entry) -> EntryPlan:
    """Make one entry ready."""
    common, kind = source.mapping.common, event_class(entry.class_)
    known = kind.shape.attributes
    inherited = {
        path: lines for path, lines in common.set.items() if path.split(".")[0].split("[")[0] in known
    }
    lines = {**inherited, **entry.set}
    if source.mapping.passthrough:
        lines = {**passing(kind), **lines}
    return EntryPlan(
        entry.name, kind, entry.time or common.time or (), entry.severity or common.severity or (),
        entry.activity, lines, {path: path_type(kind.name, path) for path in lines},
        source.mapping.passthrough, (entry.raw or source.file.raw) == "keep",
    )  # fmt: skip


def plans(source: LoadedSource) -> tuple[EntryPlan, ...]:
    """Make all entries of a source ready; they are remembered by the source's digest."""
    key = (source.name, source.digest)
    if key not in _PLANS:
        if len(_PLANS) > _REMEMBERED:
            _PLANS.clear()
        _PLANS[key] = tuple(entry_plan(source, entry) for entry in source.mapping.events)
    return _PLANS[key]


_REMEMBERED = 256
_PLANS: dict[tuple[str, str], tuple[EntryPlan, ...]] = {}
