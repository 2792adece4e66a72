"""EVTX records as the SQL way's tools flatten them, without Lemnis's reader: a second opinion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import evtx
import orjson

_LARGE = 1 << 63


def records(folder: Path) -> Iterator[tuple[Path, int, str, dict[str, Any]]]:
    """Yield each readable record of the EVTX files below a folder: file, number from 1, JSON, flat fields."""
    for file in sorted(folder.rglob("*.evtx")):
        try:
            for number, record in enumerate(evtx.PyEvtxParser(str(file)).records_json(), 1):
                yield file, number, record["data"], flat(orjson.loads(record["data"]))
        except (RuntimeError, OSError):  # a damaged file: what came before the damage is kept
            continue


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """Flatten a record: attributes of System as NAME_ATTRIBUTE, data by their names, lists joined."""
    event = record["Event"]
    fields: dict[str, Any] = {}
    for name, value in (event.get("System") or {}).items():
        if isinstance(value, dict):
            fields.update({f"{name}_{key}": held for key, held in value.get("#attributes", {}).items()})
            if "#text" in value:
                fields[name] = value["#text"]
        elif value is not None:
            fields[name] = _plain(value)
    for part in ("EventData", "UserData"):
        if isinstance(event.get(part), dict):
            fields.update(_data(event[part]))
    return fields


def _data(part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in part.items():
        if isinstance(value, dict):
            if "#text" in value:
                yield name, _plain(value["#text"])
            else:
                yield from _data(value)
        elif value is not None:
            yield name, _plain(value)


def _plain(value: Any) -> Any:
    """Return a value that a column can hold: lists joined, truth and numbers too large for SQLite as text."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) and abs(value) >= _LARGE else value
