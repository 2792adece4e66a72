"""Detections as code: listed, checked, tested on their samples, and explained on a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lemnis.app.rules_correlated import Correlating, record_uids
from lemnis.app.rules_listed import Listed, listed, listed_one
from lemnis.app.rules_nearest import Known, nearest
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.detection import Frame
from lemnis.contracts.errors import Location, NotFoundError, RecordError, UsageError
from lemnis.contracts.events import EventBatch, RawBatch
from lemnis.detect import Matcher, RuleSet, load_rules
from lemnis.detect.explain import Step, explain
from lemnis.ingest.frames import raw_frames
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.reading import AUTO, open_path
from lemnis.ingest.sources import Sources

_REFUSED = 5
__all__ = ["Explained", "Listed", "explained", "listed", "listed_one", "row_values"]


@dataclass(frozen=True, slots=True)
class Explained:
    """Why something matches or does not: what (a rule or a correlation) by its id and title, and the tree."""

    id: str
    title: str
    why: Step
    correlates: bool = False


def explained(
    library: Library, rule: str, file: Path, record: int | None, *, source: str = AUTO
) -> list[Explained]:
    """Return why a rule (a detection's name, or a file) matches a record of a file or does not.

    Correlations are explained over all records of the file: how often they fired, else their nearest miss;
    the rules beneath them on the record, if one is given. Raises NotFoundError where there is no such rule
    or record, and UsageError where a rule without correlations is given no record.
    """
    path = Path(rule)
    loaded = load_rules([path if path.is_file() else library.get("detections", rule).manifest])
    for problem in loaded.problems:
        raise problem
    sources = Sources.load(library)
    if record is None and not loaded.correlations:
        raise UsageError("a rule is explained on one record", fix=f"say which, such as {file}:17")
    found = [] if not loaded.correlations else _explain_all(loaded, file, sources, source)
    if record is None:
        return found
    for read in open_path(file, sources, source=source):
        if not isinstance(read, RawBatch):
            if read.at.record in {record, None}:
                raise RecordError(read.reason, at=read.at)
            continue
        places = read.positions.to_numpy()
        if record in places:
            row = int((places == record).argmax())
            return found + _explain(loaded, read, sources.get(read.source), row)
    raise NotFoundError("no such record", at=Location(str(file), record=record))


def _explain_all(loaded: RuleSet, file: Path, sources: Sources, source: str) -> list[Explained]:
    """Explain correlations over the events made of a file; what cannot be read is told beside them."""
    correlating = Correlating(loaded, Matcher(loaded.rules, loaded.atoms))
    names: dict[str, str] = {}
    refused: list[Step] = []
    now = SystemClock().now()

    def events() -> Iterator[tuple[EventBatch, LoadedSource]]:
        for read in open_path(file, sources, source=source):
            if not isinstance(read, RawBatch):
                refused.append(Step(f"{read.at} is read", holds=False, value=read.reason))
                continue
            of = sources.get(read.source)
            uids = record_uids(read, of, str(file))
            names.update(zip(uids, map(str, read.positions.to_pylist()), strict=True))
            mapped = Mapper(of).map(read, origin_key=str(file), now=now)
            refused.extend(
                Step(f"{one.at} is mapped", holds=False, value=one.reason) for one in mapped.rejects
            )
            for batch in mapped.batches:
                yield batch, of

    gathered = correlating.events(events())
    correlator = correlating.correlator(gathered)
    told = correlator.changes()
    known = Known(names, gathered.clocks)
    found = []
    for one in loaded.correlations:
        step = nearest(one, correlator, told, known)
        if refused:
            step = replace(step, parts=(*step.parts, *refused[:_REFUSED]))
        found.append(Explained(one.id, one.title, step, correlates=True))
    return found


def _explain(loaded: RuleSet, batch: RawBatch, source: LoadedSource, row: int) -> list[Explained]:
    """Explain each rule on the frame that the row is in."""
    for frame in raw_frames(batch, source):
        if row in frame.rows:
            values = row_values(frame, int((frame.rows == row).argmax()))
            return [
                Explained(
                    rule.id, rule.title,
                    explain(rule, loaded.atoms, values, served=frame.offers.serves(*rule.logsource)),
                )
                for rule in loaded.rules
            ]  # fmt: skip
    raise NotFoundError("no frame holds the record", at=Location(batch.origin))


def row_values(frame: Frame, place: int) -> Mapping[str | None, Any]:
    """Return a row's fields as rules see them; under None, the record's text."""
    found: dict[str | None, Any] = {name: column[place].as_py() for name, column in frame.columns.items()}
    found[None] = frame.records[place].as_py()
    return found
