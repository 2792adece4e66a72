"""Reads what content says of assets, identities and networks, as records of reference tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import orjson
import pyarrow as pa

from lemnis.content import yaml
from lemnis.content.library import REFERENCE, Item, Library
from lemnis.content.schemas.reference import FILES, KINDS, Known, Record
from lemnis.contracts.errors import ContentError
from lemnis.contracts.reference import RECORDS


def read(library: Library, kinds: Iterable[str] = REFERENCE) -> tuple[pa.Table, tuple[ContentError, ...]]:
    """Return the records of all files of some kinds that are right, and what is wrong with the others.

    Raises nothing: a file with a mistake is left out as a whole, so that half of it decides nothing.
    """
    rows: list[dict[str, Any]] = []
    problems: list[ContentError] = []
    for kind in kinds:
        told: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for item in library.items(kind).values():
            try:
                records = yaml.load(item.manifest, FILES[kind]).root
                _check(item, records, told)
            except ContentError as error:
                problems.append(error)
                continue
            for one in records:
                told[one.id].append((one.since, one.until))
                rows.append(_row(kind, f"{kind}/{item.manifest.name}", one))
    return pa.Table.from_pylist(rows, schema=RECORDS), tuple(problems)


def _check(item: Item, records: Iterable[Record], told: dict[str, list[tuple[int, int]]]) -> None:
    """Raise ContentError if a record holds at a time at which another one of its id does."""
    mine: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, one in enumerate(records):
        if any(one.since < end and start < one.until for start, end in (*told[one.id], *mine[one.id])):
            raise ContentError(
                f"{number}.id: {one.id!r} is said twice of the same time",
                at=yaml.locate(item.manifest, [number, "id"]),
                fix="let one record end (`until`) where the next begins (`from`)",
            )
        mine[one.id].append((one.since, one.until))


def known(told: Known, origin: str) -> pa.Table:
    """Return the records of a test; ``origin`` is where they stand."""
    rows = [_row(kind, origin, one) for kind in KINDS for one in getattr(told, kind)]
    return pa.Table.from_pylist(rows, schema=RECORDS)


def _row(kind: str, origin: str, one: Record) -> dict[str, Any]:
    return {
        "table": kind, "id": one.id, "from": one.since, "until": one.until,
        "record": orjson.dumps(one.said()).decode(), "origin": origin,
    }  # fmt: skip
