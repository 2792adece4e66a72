"""The pinned OCSF version: classes as Arrow schemas of nested structs, and what is required of attributes.

Whole numbers and times are int64 (times in milliseconds), JSON is text. Tables may leave out columns and
nested attributes in which no row has a value: the lake fills them in.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

import orjson
import pyarrow as pa

from lemnis.contracts.errors import NotFoundError

_SCALARS: Mapping[str, pa.DataType] = {
    "integer": pa.int64(), "long": pa.int64(), "timestamp": pa.int64(), "port": pa.int64(),
    "float": pa.float64(), "boolean": pa.bool_(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: its type, the object it holds (if any), and what the standard demands."""

    name: str
    type: str
    object: str = ""
    many: bool = False
    required: bool = False
    enum: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shape:
    """The attributes of a class or object, and its constraints."""

    attributes: Mapping[str, Attribute]
    at_least_one: tuple[str, ...] = ()
    just_one: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventClass:
    """One class of events."""

    uid: int
    name: str
    caption: str
    category_uid: int
    category: str
    shape: Shape

    def activity(self, number: int) -> str:
        """Return the name of an activity; empty if the class does not have it."""
        return self.shape.attributes["activity_id"].enum.get(number, "")


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads(resources.files("lemnis.ocsf").joinpath("schema.json").read_bytes())
    return read


def version() -> str:
    """Return the pinned version of OCSF."""
    return str(_document()["version"])


def _shape(raw: Mapping[str, Any]) -> Shape:
    attributes = {
        name: Attribute(
            name,
            one["type"],
            one.get("object", ""),
            one.get("list", False),
            one.get("required", False),
            {int(number): caption for number, caption in one.get("enum", {}).items()},
        )
        for name, one in raw["attributes"].items()
    }
    return Shape(attributes, tuple(raw.get("at_least_one", ())), tuple(raw.get("just_one", ())))


@lru_cache(maxsize=1)
def classes() -> Mapping[str, EventClass]:
    """Return every class by name."""
    return {
        name: EventClass(raw["uid"], name, raw["caption"], raw["category_uid"], raw["category"], _shape(raw))
        for name, raw in _document()["classes"].items()
    }


@lru_cache(maxsize=1)
def _by_uid() -> Mapping[int, EventClass]:
    return {one.uid: one for one in classes().values()}


def event_class(key: str | int) -> EventClass:
    """Return a class by name or uid; raises NotFoundError naming what is like it."""
    found = classes().get(key) if isinstance(key, str) else _by_uid().get(key)
    if found is None:
        raise NotFoundError(f"no OCSF class {key!r}", fix=_like(str(key), list(classes())))
    return found


@lru_cache(maxsize=512)
def shape_of(name: str) -> Shape:
    """Return the attributes of an object."""
    return _shape(_document()["objects"][name])


def _like(text: str, known: list[str]) -> str:
    near = difflib.get_close_matches(text, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(known)}"


@lru_cache(maxsize=512)
def _object_type(name: str) -> pa.DataType:
    return pa.struct([(key, type_of(one)) for key, one in shape_of(name).attributes.items()])


def type_of(attribute: Attribute) -> pa.DataType:
    """Return the Arrow type of an attribute."""
    kind = _object_type(attribute.object) if attribute.object else _SCALARS.get(attribute.type, pa.string())
    return pa.list_(kind) if attribute.many else kind


@lru_cache(maxsize=64)
def arrow_schema(key: str | int) -> pa.Schema:
    """Return the whole schema of a class."""
    one = event_class(key)
    return pa.schema([(name, type_of(attribute)) for name, attribute in one.shape.attributes.items()])


EACH = -1


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a path: an attribute, and which element of it if it is a list of objects (or ``EACH``)."""

    attribute: Attribute
    element: int | None


@lru_cache(maxsize=4096)
def steps(key: str | int, path: str) -> tuple[Step, ...]:
    """Follow a dotted path (``a.b[0].c``, ``a.b[].c``) through a class.

    Raises NotFoundError saying where it leaves it.
    """
    shape, found = event_class(key).shape, []
    parts = path.split(".")
    for number, part in enumerate(parts, 1):
        name, _, rest = part.partition("[")
        element = int(rest[:-1]) if rest.endswith("]") and rest[:-1].isdigit() else None
        element = EACH if rest == "]" and number < len(parts) else element
        attribute = shape.attributes.get(name)
        if attribute is None or (rest and element is None):
            raise NotFoundError(
                f"{event_class(key).name} has no attribute {'.'.join(parts[:number])}",
                fix=_like(name, list(shape.attributes)),
            )
        found.append(Step(attribute, element))
        last = number == len(parts)
        if attribute.many and attribute.object and not last and element is None:
            raise NotFoundError(f"{'.'.join(parts[:number])} is a list", fix=f"write {part}[0] for its first")
        if not last:
            if not attribute.object:
                raise NotFoundError(f"{'.'.join(parts[:number])} holds no attributes")
            shape = shape_of(attribute.object)
    return tuple(found)


def path_type(key: str | int, path: str) -> pa.DataType:
    """Return the Arrow type at a path; raises NotFoundError if the class has no such path.

    What is of ``EACH`` element is a list.
    """
    found = steps(key, path)
    kind: Any = type_of(found[-1].attribute)
    kind = kind.value_type if found[-1].element is not None else kind
    return pa.list_(kind) if any(step.element == EACH for step in found) else kind
