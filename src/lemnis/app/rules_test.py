"""Detections are tested on their samples: as raw records, and as the OCSF events that are made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter

from lemnis.app.rules_correlated import Correlating, event_times
from lemnis.app.rules_listed import TESTS, cases
from lemnis.content.library import Item, Library
from lemnis.content.reference import known
from lemnis.content.schemas.detection_tests import Case
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.detection import Frame
from lemnis.contracts.errors import LemnisError, RecordError
from lemnis.contracts.events import EventBatch, RawBatch
from lemnis.detect import Matcher, load_rules
from lemnis.enrich import Tables, enrich, seen
from lemnis.ingest.frames import event_frames, raw_frames
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.reading import open_path, open_stream
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Bytes

SAMPLE_TIME = 1_767_225_600_000  # 2026-01-01: what a sample's time without a year is taken to be before


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went: the matches on raw records and on the OCSF events made of them.

    ``wanted`` is how many there have to be, where the case says so.
    """

    case: str
    fires: bool
    raw: int
    ocsf: int
    trouble: str = ""
    wanted: int | None = None

    @property
    def passed(self) -> bool:
        """Say whether it went as it should, on both paths alike."""
        return not self.trouble and self.raw == self.ocsf and as_wanted(self.raw, self.fires, self.wanted)


@dataclass(frozen=True, slots=True)
class Tested:
    """A detection's test: its cases, or why they could not be run."""

    name: str
    results: tuple[CaseResult, ...]
    trouble: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Say whether there is a case that must fire, and every case passed."""
        return not self.trouble and any(r.fires for r in self.results) and all(r.passed for r in self.results)


@dataclass(frozen=True)
class Sample:
    """A case whose records are read: what rules can be run on, as often as one likes."""

    case: Case
    batches: tuple[tuple[RawBatch, LoadedSource], ...]

    @property
    def wanted(self) -> int | None:
        """How many records have to match, where the case says so."""
        if self.case.matches == "all":
            return sum(len(batch) for batch, _ in self.batches)
        return self.case.matches

    def raw(self) -> Iterator[Frame]:
        """Yield frames of the raw records; of events where something is known beside them."""
        if self.case.known is not None:
            yield from self.events()
            return
        for batch, source in self.batches:
            yield from raw_frames(batch, source)

    @cached_property
    def times(self) -> Mapping[str, int]:
        """The times of the events made of the records, by uid."""
        return {uid: time for batch, _ in self.mapped() for uid, time in event_times(batch).items()}

    @property
    def key(self) -> str:
        """The key of its origin, in uids of records that do not name themselves."""
        return self.case.given or self.case.name

    def events(self) -> Iterator[Frame]:
        """Yield frames of the OCSF events made of them; raises RecordError for one that cannot be mapped."""
        for made, source in self.mapped():
            yield from seen(made, event_frames(made, source))

    def mapped(self) -> Iterator[tuple[EventBatch, LoadedSource]]:
        """Yield the OCSF events made of them; raises RecordError for one that cannot be mapped."""
        told = self.case.known
        tables = Tables.nothing() if told is None else Tables(known(told, TESTS))
        for batch, source in self.batches:
            mapped = Mapper(source).map(batch, origin_key=self.key, now=SAMPLE_TIME)
            for reject in mapped.rejects:
                raise RecordError(reject.reason, at=reject.at)
            for made in mapped.batches:
                yield enrich(made, tables), source


def as_wanted(matches: int, fires: bool, wanted: int | None) -> bool:  # noqa: FBT001 - as the case has it
    """Say whether so many matches are what a case asks for."""
    return (matches > 0) == fires and wanted in {None, matches}


def test_rules(library: Library, names: Sequence[str] = ()) -> Iterator[Tested]:  # noqa: PT028 - no pytest
    """Run the tests of detections, all unless named; raises NotFoundError for a name there is not."""
    sources = Sources.load(library)
    for name in names or library.items("detections"):
        yield test_rule(library.get("detections", name), sources)


def test_rule(
    item: Item,
    sources: Sources,
    *,
    samples: list[Sample] | None = None,  # noqa: PT028 - no pytest
) -> Tested:
    """Run one detection's tests on raw records and on the events made of them.

    The samples that could be read are added to ``samples``, for who wants to do more with them.
    """
    begun = perf_counter()
    try:
        loaded = load_rules([item.manifest])
        for problem in loaded.problems:
            raise problem
        matcher = Matcher(loaded.rules, loaded.atoms)
        correlating = Correlating(loaded, matcher) if loaded.correlations else None
        results = tuple(
            run_case(matcher, item.folder, case, sources, samples=samples, correlating=correlating)
            for case in cases(item)
        )
    except LemnisError as error:
        return Tested(item.name, (), str(error), perf_counter() - begun)
    return Tested(item.name, results, "", perf_counter() - begun)


def run_case(
    matcher: Matcher,
    folder: Path,
    case: Case,
    sources: Sources,
    *,
    samples: list[Sample] | None = None,
    correlating: Correlating | None = None,
) -> CaseResult:
    """Read and run one case; records that cannot be read or mapped are its trouble."""
    try:
        sample = read_sample(folder, case, sources)
    except LemnisError as error:
        return CaseResult(case.name, case.fires, 0, 0, str(error))
    if samples is not None:
        samples.append(sample)
    return run_sample(matcher, sample, correlating)


def run_sample(matcher: Matcher, sample: Sample, correlating: Correlating | None = None) -> CaseResult:
    """Run a case whose records are read; a record that cannot be mapped is its trouble.

    With correlations what counts is their alerts, and those of rules that have alerts of their own.
    """
    case, wanted = sample.case, sample.wanted
    raw = ocsf = 0
    try:
        if correlating is not None:
            raw, ocsf = _correlated(correlating, sample)
        else:
            raw = _matches(matcher, sample.raw())
            ocsf = _matches(matcher, sample.events())
    except LemnisError as error:
        return CaseResult(case.name, case.fires, raw, ocsf, str(error), wanted)
    return CaseResult(case.name, case.fires, raw, ocsf, wanted=wanted)


def read_sample(folder: Path, case: Case, sources: Sources) -> Sample:
    """Read a case's records; raises NotFoundError and RecordError where that is not possible."""
    source = sources.get(case.source)
    if case.given:
        reads = open_path(folder / case.given, sources, source=case.source)
    else:
        name = f"{folder / TESTS} ({case.name})"
        reads = open_stream(Bytes(name, case.inline.encode()), sources, source)
    batches = []
    for read in reads:
        if not isinstance(read, RawBatch):
            raise RecordError(read.reason, at=read.at)
        batches.append((read, source))
    return Sample(case, tuple(batches))


def _correlated(correlating: Correlating, sample: Sample) -> tuple[int, int]:
    """Count the alerts on raw records and on the events made of them."""
    events = correlating.alerts(correlating.events(sample.mapped()))
    if sample.case.known is not None:
        return events, events
    return correlating.alerts(correlating.raw(sample.batches, sample.times, sample.key)), events


def _matches(matcher: Matcher, frames: Iterable[Frame]) -> int:
    return sum(len(match.rows) for frame in frames for match in matcher.match(frame))
