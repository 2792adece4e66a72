"""The same thing said twice: Zeek's logs as JSON and as tables, and findings that are OCSF already."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from bench._conform import Score, events, kind_of, leaves
from lemnis.contracts.errors import NotFoundError
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream
from lemnis.ocsf.schema import steps

RECORDS = 2_000
"""So many records of each log are compared."""
_SECONDS = 10
"""Digits of a time in seconds, which the standard wants in milliseconds."""
_MICROSECOND = 2e-6
_WRITER = frozenset({"ts", "_write_ts", "_open", "_path"})
"""What is of the writing and not of the traffic."""
_OWN = frozenset({"raw_data", "metadata.uid", "metadata.original_time", "unmapped"})


def zeek(folder: Path, sources: Sources, scratch: Path, *, records: int = RECORDS) -> Score:
    """Compare the events of Zeek's JSON logs with those of its tables of the same traffic, line by line.

    ``records`` of each log are compared.
    """
    score = Score("zeek")
    for table in sorted(folder.rglob("zeek-default/*.log")):
        twin = table.parents[1] / "zeek-json" / f"{table.stem}.json"
        if not twin.is_file():
            continue
        pair = _head(table, scratch / table.name, records), _head(twin, scratch / twin.name, records)
        ours = [sources.recognise(Stream(file)) for file in pair]
        score.records += sum(_count(file) for file in pair)
        if any(one is None or one.name != "zeek" for one in ours):
            score.reasons[f"{table.stem} is recognised as no log of Zeek"] += sum(
                _count(file) for file in pair
            )
            continue
        score.recognised += sum(_count(file) for file in pair)
        sides = [events(one, file) for one, file in zip(ours, pair, strict=True) if one is not None]
        for rows, found in sides:
            score.mapped += len(rows)
            score.reasons.update(kind_of(reject.reason) for reject in found.rejects)
        if len(sides[0][0]) != len(sides[1][0]):
            score.differences[f"{table.stem}: records that only one side has"] += abs(
                len(sides[0][0]) - len(sides[1][0])
            )
            continue
        _pairs(score, table.stem, sides)
    return score


def _pairs(score: Score, name: str, sides: list[Any]) -> None:
    for one, other in zip(*(sorted(rows, key=_when) for rows, _ in sides), strict=True):
        left, right = (dict(_event(row)) for row in (one, other))
        for path in left.keys() | right.keys():
            have = right.get(path, "")
            want = have if _alike(left.get(path, ""), have) else left.get(path, "")
            score.value(f"{name} {path}", want, [have] if have else [])


def _alike(one: str, other: str) -> bool:
    """Say whether two texts are the same number, or the same moment, up to a microsecond."""
    return abs(_number(one) - _number(other)) <= _MICROSECOND


def _number(value: str) -> float:
    try:
        return datetime.fromisoformat(value).timestamp() if "T" in value else float(value)
    except ValueError:
        return math.nan


def _when(event: dict[str, Any]) -> tuple[int, str]:
    metadata = event["metadata"]
    return event["time"], str(metadata.get("correlation_uid") or metadata.get("original_event_uid") or "")


def _event(row: dict[str, Any]) -> list[tuple[str, str]]:
    found = [(path, value) for path, value in leaves(row) if path not in _OWN]
    left = orjson.loads(row.get("unmapped") or "{}")
    return found + [(f"unmapped {path}", value) for path, value in leaves(left) if path not in _WRITER]


def _head(file: Path, target: Path, records: int) -> Path:
    """Copy the header and the first records of a log."""
    lines = file.read_bytes().splitlines(keepends=True)
    header = [line for line in lines[:20] if line.startswith(b"#")]
    target.write_bytes(b"".join([*header, *lines[len(header) : len(header) + records]]))
    return target


def _count(file: Path) -> int:
    return sum(bool(line.strip()) and not line.startswith(b"#") for line in file.read_bytes().splitlines())


def ocsf(folder: Path, sources: Sources) -> Score:
    """Compare findings that are OCSF with the events they become: every attribute that the class keeps."""
    score = Score("prowler")
    for file in sorted(folder.rglob("*.ocsf.json")):
        source = sources.recognise(Stream(file))
        records = orjson.loads(file.read_bytes())
        score.records += len(records)
        if source is None:
            score.reasons["recognised as of no source"] += len(records)
            continue
        score.recognised += len(records) if source.name == "ocsf" else 0
        rows, found = events(source, file)
        score.mapped += len(rows)
        score.reasons.update(kind_of(reject.reason) for reject in found.rejects)
        by_record = {orjson.dumps(orjson.loads(row["raw_data"])): row for row in rows}
        for record in records:
            row = by_record.get(orjson.dumps(record))
            if row is not None:
                _attributes(score, record, row)
    return score


def _attributes(score: Score, record: dict[str, Any], row: dict[str, Any]) -> None:
    have: dict[str, list[str]] = {}
    for path, value in leaves(row):
        have.setdefault(path, []).append(value)
    for path, value in leaves(record):
        if _kept(row["class_uid"], path) and path not in {"raw_data", "unmapped", "metadata.version"}:
            want = f"{value}000" if path.endswith("time") and len(value) == _SECONDS else value
            score.value(path, want, have.get(path, []))


def _kept(class_uid: int, path: str) -> bool:
    parts, shape = path.split("."), ""
    for part in parts:
        shape = f"{shape}.{part}" if shape else part
        try:
            last = steps(class_uid, shape)[-1].attribute
        except NotFoundError:
            return False
        if last.many and last.object:
            shape += "[0]"
    return not last.object
