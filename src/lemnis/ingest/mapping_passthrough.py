"""Records that are OCSF events already: a line for each attribute of a class that takes it as it is.

The names of their raw fields are OCSF paths. There are producers that count times in seconds where the
standard wants milliseconds: the size of a number tells. Of the datetime profile's twins (``time_dt`` beside
``time``) the number comes first: there are producers whose texts are of no known time zone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lemnis.content.schemas.source import Line
from lemnis.ocsf.schema import Attribute, EventClass, Shape, shape_of

_OURS = frozenset({"time", "metadata.original_time", "raw_data", "unmapped"})
"""Paths that the interpreter itself fills; what the record has there stays in ``unmapped``."""
_UID = "metadata.original_event_uid"
_PERSONAL = ("user.name", "user.full_name", "user.email_addr", "location.city")


def passing(kind: EventClass) -> dict[str, tuple[Line, ...]]:
    """Return by path the lines that take each attribute of a class from the raw field of that name."""
    found: dict[str, tuple[Line, ...]] = {}
    for path, attribute in _leaves(kind.shape, ""):
        if path not in _OURS:
            found[path] = _lines(path, attribute)
    found[_UID] = (Line.model_validate({"from": [_UID, "metadata.uid"]}),)
    return found


def _lines(path: str, attribute: Attribute) -> tuple[Line, ...]:
    extra: Mapping[str, object] = {}
    if attribute.object:
        extra = {"as": "objects"}
    elif path.endswith(_PERSONAL):
        extra = {"personal": True}
    if attribute.type != "timestamp":
        return (Line.model_validate({"from": path, **extra}),)
    number = {"from": path, "as": "timestamp", "format": "epoch"}
    twin = {"from": f"{path}_dt", "as": "timestamp", "lenient": True}
    return (Line.model_validate(number), Line.model_validate(twin))


def _leaves(shape: Shape, before: str) -> Iterator[tuple[str, Attribute]]:
    for name, attribute in shape.attributes.items():
        if attribute.object and not attribute.many:
            yield from _leaves(shape_of(attribute.object), f"{before}{name}.")
        else:
            yield f"{before}{name}", attribute
