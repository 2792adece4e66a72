"""Detections as code: listed, checked, tested on their samples, and explained on a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.detection_tests import Case, Tests
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.detection import Frame, Offers
from lemnis.contracts.errors import ContentError, LemnisError, Location, NotFoundError, RecordError
from lemnis.contracts.events import RawBatch
from lemnis.detect import Matcher, Rule, RuleSet, load_rules
from lemnis.detect.explain import Step, explain
from lemnis.ingest.frames import event_frames, raw_frames
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.reading import AUTO, open_path
from lemnis.ingest.sources import Sources

TESTS = "tests.yml"
SAMPLE_TIME = 1_767_225_600_000  # 2026-01-01: what a sample's time without a year is taken to be before


@dataclass(frozen=True, slots=True)
class Listed:
    """A detection: the item, its rule (None if it cannot be used), and how many test cases it has."""

    item: Item
    rule: Rule | None
    cases: int


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went: the matches on raw records and on the OCSF events made of them."""

    case: str
    fires: bool
    raw: int
    ocsf: int
    trouble: str = ""

    @property
    def passed(self) -> bool:
        """Say whether it went as it should, on both paths alike."""
        return not self.trouble and self.raw == self.ocsf and (self.raw > 0) == self.fires


@dataclass(frozen=True, slots=True)
class Tested:
    """A detection's test: its cases, or why they could not be run."""

    name: str
    results: tuple[CaseResult, ...]
    trouble: str = ""

    @property
    def passed(self) -> bool:
        """Say whether there is a case that must fire, and every case passed."""
        return not self.trouble and any(r.fires for r in self.results) and all(r.passed for r in self.results)


def listed(library: Library) -> list[Listed]:
    """Return the library's detections."""
    return [
        Listed(item, next(iter(load_rules([item.manifest]).rules), None), _count(item))
        for item in library.items("detections").values()
    ]


def lint(library: Library) -> list[LemnisError]:
    """Return what is wrong with the detections: files, unsupported rules, ids, log sources, tests."""
    sources = Sources.load(library)
    items = library.items("detections").values()
    loaded = load_rules([item.manifest for item in items])
    found: list[LemnisError] = [*sources.problems, *loaded.problems]
    seen: dict[str, str] = {}
    offered = [offers_of(source) for source in sources.by_name.values()]
    for rule in loaded.rules:
        place = Location(rule.path)
        if not rule.id:
            found.append(ContentError("the rule has no id", at=place, fix="give it a UUID"))
        elif rule.id in seen:
            found.append(ContentError(f"id {rule.id} is also that of {seen[rule.id]}", at=place))
        seen[rule.id] = rule.path
        if not any(offers.serves(*rule.logsource) for offers in offered):
            found.append(ContentError("no source serves the rule's logsource", at=place))
    for item in items:
        try:
            cases(item)
        except LemnisError as error:
            found.append(error)
    return found


def offers_of(source: LoadedSource) -> Offers:
    """Return everything that the routes of a source offer; which of it goes together depends on the row."""
    routes = source.file.sigma.routes
    return Offers(
        frozenset(name for route in routes for name in route.product),
        frozenset(name for route in routes for name in route.category),
        frozenset(name for route in routes for name in route.service),
    )


def cases(item: Item) -> tuple[Case, ...]:
    """Read a detection's ``tests.yml``; raises ContentError where it is wrong, or where there is none."""
    path = item.folder / TESTS
    if not path.is_file():
        raise ContentError(
            f"the detection has no {TESTS}", at=Location(str(item.folder)), fix="add samples that fire"
        )
    return yaml.load(path, Tests).root


def test_rules(library: Library, names: Sequence[str] = ()) -> Iterator[Tested]:  # noqa: PT028 - no pytest
    """Run the tests of detections, all unless named; raises NotFoundError for a name there is not."""
    sources = Sources.load(library)
    for name in names or library.items("detections"):
        yield test_rule(library.get("detections", name), sources)


def test_rule(item: Item, sources: Sources) -> Tested:
    """Run one detection's tests on raw records and on the events made of them."""
    try:
        loaded = load_rules([item.manifest])
        for problem in loaded.problems:
            raise problem
        matcher = Matcher(loaded.rules, loaded.atoms)
        results = tuple(run_case(matcher, item.folder, case, sources) for case in cases(item))
    except LemnisError as error:
        return Tested(item.name, (), str(error))
    return Tested(item.name, results)


def run_case(matcher: Matcher, folder: Path, case: Case, sources: Sources) -> CaseResult:
    """Run one case; records that cannot be read or mapped are its trouble."""
    raw = ocsf = 0
    try:
        source = sources.get(case.source)
        mapper = Mapper(source)
        for read in open_path(folder / case.given, sources, source=case.source):
            if not isinstance(read, RawBatch):
                raise RecordError(read.reason, at=read.at)
            raw += _matches(matcher, raw_frames(read, source))
            mapped = mapper.map(read, origin_key=case.given, now=SAMPLE_TIME)
            for reject in mapped.rejects:
                raise RecordError(reject.reason, at=reject.at)
            for batch in mapped.batches:
                ocsf += _matches(matcher, event_frames(batch, source))
    except LemnisError as error:
        return CaseResult(case.name, case.fires, raw, ocsf, str(error))
    return CaseResult(case.name, case.fires, raw, ocsf)


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


def _matches(matcher: Matcher, frames: Iterator[Frame]) -> int:
    return sum(len(match.rows) for frame in frames for match in matcher.match(frame))


def _count(item: Item) -> int:
    return len(cases(item)) if (item.folder / TESTS).is_file() else 0
