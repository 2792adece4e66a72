"""Detections as code: listed, checked, tested on their samples, and explained on a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lemnis.app.rules_fields import offers_of
from lemnis.app.rules_test import TESTS, cases
from lemnis.content.library import Item, Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.detection import Frame
from lemnis.contracts.errors import Location, NotFoundError, RecordError
from lemnis.contracts.events import RawBatch
from lemnis.detect import Rule, RuleSet, load_rules
from lemnis.detect.explain import Step, explain
from lemnis.ingest.frames import raw_frames
from lemnis.ingest.reading import AUTO, open_path
from lemnis.ingest.sources import Sources

__all__ = ["Listed", "explained", "listed", "offers_of", "row_values"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A detection: the item, its rule (None if it cannot be used), and how many test cases it has."""

    item: Item
    rule: Rule | None
    cases: int


def listed(library: Library) -> list[Listed]:
    """Return the library's detections."""
    return [
        Listed(item, next(iter(load_rules([item.manifest]).rules), None), _count(item))
        for item in library.items("detections").values()
    ]


def explained(
    library: Library, rule: str, file: Path, record: int, *, source: str = AUTO
) -> tuple[Rule, Step]:
    """Return why a rule (a detection's name, or a file) matches a record of a file or does not.

    Raises NotFoundError where there is no such rule or record.
    """
    path = Path(rule)
    loaded = load_rules([path if path.is_file() else library.get("detections", rule).manifest])
    for problem in loaded.problems:
        raise problem
    sources = Sources.load(library)
    for read in open_path(file, sources, source=source):
        if not isinstance(read, RawBatch):
            if read.at.record in {record, None}:
                raise RecordError(read.reason, at=read.at)
            continue
        places = read.positions.to_numpy()
        if record in places:
            row = int((places == record).argmax())
            return _explain(loaded, read, sources.get(read.source), row)
    raise NotFoundError("no such record", at=Location(str(file), record=record))


def _explain(loaded: RuleSet, batch: RawBatch, source: LoadedSource, row: int) -> tuple[Rule, Step]:
    """Explain on the frame that the row is in, the one that serves the rule if there is one."""
    rule = loaded.rules[0]
    for frame in raw_frames(batch, source):
        if row in frame.rows:
            place = int((frame.rows == row).argmax())
            served = frame.offers.serves(*rule.logsource)
            return rule, explain(rule, loaded.atoms, row_values(frame, place), served=served)
    raise NotFoundError("no frame holds the record", at=Location(batch.origin))


def row_values(frame: Frame, place: int) -> Mapping[str | None, Any]:
    """Return a row's fields as rules see them; under None, the record's text."""
    found: dict[str | None, Any] = {name: column[place].as_py() for name, column in frame.columns.items()}
    found[None] = frame.records[place].as_py()
    return found


def _count(item: Item) -> int:
    return len(cases(item)) if (item.folder / TESTS).is_file() else 0
