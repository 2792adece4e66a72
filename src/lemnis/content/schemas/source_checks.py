"""What the schemas of ``source.yaml`` and ``mapping.yaml`` cannot see: OCSF paths, classes and patterns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.errors import NotFoundError
from lemnis.ocsf.schema import EventClass, event_class, path_type

if TYPE_CHECKING:
    from lemnis.content.schemas.source import Condition, Line, MappingFile, SigmaField, SourceFile


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the schema alone cannot see, and where it is."""

    file: str
    path: Sequence[str | int]
    what: str
    fix: str = ""


def mapping_problems(mapping: MappingFile) -> Iterator[Problem]:
    """Check classes, attributes and patterns against the pinned OCSF."""
    kinds: list[EventClass] = []
    for number, entry in enumerate(mapping.events):
        here: tuple[str | int, ...] = ("events", number)
        try:
            kind = event_class(entry.class_)
        except NotFoundError as error:
            yield Problem("mapping.yaml", (*here, "class"), error.what, error.fix)
            continue
        kinds.append(kind)
        if entry.time is None and mapping.common.time is None:
            yield Problem("mapping.yaml", here, f"{entry.name} has no time", "give it, or common, a `time`")
        for path, lines in entry.set.items():
            yield from _path_problems((*here, "set", path), kind.name, path)
            yield from _pattern_problems((*here, "set", path), lines)
        yield from _pattern_problems((*here, "activity"), entry.activity)
        yield from _condition_problems("mapping.yaml", (*here, "when"), entry.when)
    for path, lines in mapping.common.set.items():
        head = path.split(".")[0].split("[")[0]
        having = [kind.name for kind in kinds if head in kind.shape.attributes]
        for name in having or [kind.name for kind in kinds[:1]]:
            yield from _path_problems(("common", "set", path), name, path)
        yield from _pattern_problems(("common", "set", path), lines)


def _path_problems(place: Sequence[str | int], class_name: str, path: str) -> Iterator[Problem]:
    try:
        kind = path_type(class_name, path)
    except NotFoundError as error:
        yield Problem("mapping.yaml", place, error.what, error.fix)
        return
    if pa.types.is_struct(kind):
        yield Problem("mapping.yaml", place, f"{path} is an object", "set its attributes")


def _pattern_problems(place: Sequence[str | int], lines: Sequence[Line]) -> Iterator[Problem]:
    for line in lines:
        yield from _regex_problems("mapping.yaml", place, () if line.match is None else (line.match,))


def _condition_problems(file: str, place: Sequence[str | int], condition: Condition) -> Iterator[Problem]:
    for name, test in condition.tests.items():
        yield from _regex_problems(file, (*place, name), test.matches or ())
    for word, several in (("all", condition.all), ("any", condition.any)):
        for number, inner in enumerate(several):
            yield from _condition_problems(file, (*place, word, number), inner)
    if condition.not_ is not None:
        yield from _condition_problems(file, (*place, "not"), condition.not_)


def _regex_problems(file: str, place: Sequence[str | int], patterns: Sequence[str]) -> Iterator[Problem]:
    for pattern in patterns:
        try:
            pc.match_substring_regex(pa.array([""]), pattern)
        except pa.ArrowInvalid as error:
            what = str(error).removeprefix("Invalid regular expression: ")
            yield Problem(file, place, f"not a pattern of RE2: {what}", "RE2 has no look-around")


def source_problems(source: SourceFile, mapping: MappingFile) -> Iterator[Problem]:
    """Check the conditions of routes, and that OCSF paths that Sigma fields name are mapped at all."""
    mapped = {path for entry in (mapping.common, *mapping.events) for path in entry.set}
    view = source.sigma
    named: list[tuple[tuple[str | int, ...], Mapping[str, SigmaField]]] = [(("sigma", "fields"), view.fields)]
    for number, route in enumerate(view.routes):
        yield from _condition_problems("source.yaml", ("sigma", "routes", number, "when"), route.when)
        named.append((("sigma", "routes", number, "fields"), route.fields))
    for place, fields in named:
        for name, field in fields.items():
            if field.ocsf is not None and field.ocsf not in mapped:
                what = f"no entry of the mapping sets {field.ocsf}"
                yield Problem("source.yaml", (*place, name), what, "map it, or name the field as {from: …}")
            if field.line is not None and field.line.match is not None:
                yield from _regex_problems("source.yaml", (*place, name), (field.line.match,))
    if source.recognise.fields is not None:
        yield from _condition_problems("source.yaml", ("recognise", "fields"), source.recognise.fields)
    if source.recognise.line is not None:
        yield from _regex_problems("source.yaml", ("recognise", "line"), (source.recognise.line,))
