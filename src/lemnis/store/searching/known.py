"""What is known of an event's things, under the names that rules have for it: ``asset.criticality``.

A field of an enrichment is asked for as a path with a colon, which no column's name has:
``enrichments:device.asset.owner``. What it says is JSON in a list: an event can have several values.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa

from lemnis.contracts.reference import TOLD, Told

COLUMN = "enrichments"
_OF_USERS = ("department", "manager", "privileged", "service_account")
SHORT = {f"user.{one}": f"identity.{one}" for one in _OF_USERS}
"""What identities say, by names that no field of an event has."""
FIELDS: tuple[str, ...] = (*TOLD, *SHORT)
"""Every name by which enrichments can be asked."""
_NEEDED = frozenset(f"{COLUMN}.{name}" for name in ("name", "type", "data"))
_NUMBERS = frozenset({"count"})


def paths(field: str, leaves: Collection[str]) -> tuple[str, ...]:
    """Return the path by which a class with these leaves is asked for a field; none if it cannot be."""
    name = SHORT.get(field, field)
    return (f"{COLUMN}:{name}",) if name in TOLD and set(leaves) >= _NEEDED else ()


def named(path: str) -> Told | None:
    """Return what a path asks enrichments for; None if it is that of a column."""
    _, colon, name = path.partition(":")
    return TOLD[name] if colon else None


def value(told: Told) -> tuple[str, pa.DataType]:
    """Return the SQL of what enrichments say, a list, and its type. What is no JSON says nothing."""
    kind: pa.DataType = pa.int64() if told.attribute in _NUMBERS else pa.string()
    place = ""
    if told.place:
        place = f" AND starts_with(e.name, '{told.place}.') AND e.name NOT LIKE '{told.place}.%.%'"
    mine = f"list_filter({COLUMN}, lambda e: e.type = '{told.kind}' AND json_valid(e.data){place})"
    at = f"$.{told.attribute}"
    said = (
        f"CASE json_type(e.data, '{at}') WHEN 'ARRAY' THEN json_extract_string(e.data, '{at}[*]') "
        f"ELSE [json_extract_string(e.data, '{at}')] END"
    )
    cast = "BIGINT[]" if told.attribute in _NUMBERS else "VARCHAR[]"
    texts = f"list_filter(flatten(list_transform({mine}, lambda e: {said})), lambda e: e IS NOT NULL)"
    return f"TRY_CAST({texts} AS {cast})", pa.list_(kind)


def ways(kind: str, name: str, attribute: str) -> Iterator[str]:
    """Yield the names for an attribute of an enrichment that was found by the field ``name`` of an event."""
    place = name.rpartition(".")[0]
    for field, told in TOLD.items():
        if (told.kind, told.attribute) == (kind, attribute) and told.place in {"", place}:
            yield field
            yield from (short for short, long in SHORT.items() if long == field)
