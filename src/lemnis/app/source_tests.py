"""Mappings put to the test: samples against golden events, the standard, and the raw record they came of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import Location, NotFoundError
from lemnis.contracts.events import RawBatch, Reject
from lemnis.ingest import parsers, reading
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.mapping_conditions import fields
from lemnis.ingest.mapping_plan import plans
from lemnis.ingest.parsers import Parsed
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import BrokenStreamError, Stream, walk
from lemnis.ocsf.schema import event_class
from lemnis.ocsf.validation import misfits, problems

SAMPLE_TIME = 1_735_689_600_000
"""2025-01-01: the time of reading for samples, from which times without a year take theirs."""
_MAX_TRIP = 64_000_000
"""Of a sample larger than this only the records are compared, not its bytes."""


@dataclass(frozen=True, slots=True)
class Case:
    """One sample read and mapped: whether all holds, what was found, and what it leaves over.

    ``unmapped`` counts the events with a raw field that no line of the mapping reads; ``exact`` are raw
    records that are the bytes read, ``equal`` those that are the same JSON, ``made`` those that a parser
    makes of no text.
    ``gaps`` counts what objects inside the events lack by the standard: allowed, and told.
    """

    sample: str
    records: int
    mapped: int
    why: tuple[str, ...] = ()
    unmapped: Mapping[str, int] = field(default_factory=dict)
    rejects: Mapping[str, int] = field(default_factory=dict)
    exact: int = 0
    equal: int = 0
    made: int = 0
    gaps: Mapping[str, int] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.why


@dataclass(frozen=True, slots=True)
class Tested:
    """What testing one source gave."""

    name: str
    cases: tuple[Case, ...]

    @property
    def passed(self) -> int:
        """Return how many samples give what they should."""
        return sum(case.passed for case in self.cases)

    @property
    def mapped_percent(self) -> float:
        """Return the share of the samples' records that become events."""
        records = sum(case.records for case in self.cases)
        return round(100 * sum(case.mapped for case in self.cases) / records, 2) if records else 0.0

    def counts(self, name: str) -> dict[str, int]:
        """Add up one of the cases' counts, the most first."""
        total: Counter[str] = Counter()
        for case in self.cases:
            total.update(getattr(case, name))
        return dict(sorted(total.items(), key=lambda pair: (-pair[1], pair[0])))

    def total(self, name: str) -> int:
        """Add up one of the cases' numbers."""
        return int(sum(getattr(case, name) for case in self.cases))


@dataclass(slots=True)
class Read:
    """A file read as of a source: the parsed records, the events by class, and the rejects."""

    parsed: list[Parsed] = field(default_factory=list)
    tables: list[tuple[int, pa.Table]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    @property
    def events(self) -> int:
        """Return how many events there are."""
        return sum(table.num_rows for _, table in self.tables)


def check(library: Library, names: Sequence[str] = (), *, update: bool = False) -> Iterator[Tested]:
    """Read the samples of the sources (all, or those named), and compare with their golden events.

    With ``update``, what is found becomes golden. Raises NotFoundError for a source that there is not, and
    ContentError for one that is wrong: of all sources, when the others are tested.
    """
    sources = Sources.load(library)
    for name in names or sources.by_name:
        yield Tested(name, tried(sources.get(name), sources, update=update))
    if sources.problems and not names:
        raise sources.problems[0]


def foreign(library: Library, name: str, paths: Sequence[Path]) -> Tested:
    """Read files of others as of a source: the share mapped, what is left over, what is rejected and why.

    Raises NotFoundError for a source or a file that there is not, ContentError for a source that is wrong.
    """
    source = Sources.load(library).get(name)
    for path in paths:
        if not path.exists():
            raise NotFoundError("no such file or folder", at=Location(str(path)))
    return Tested(name, tuple(_measured(source, file, str(file)) for file in walk(paths)))


def tried(source: LoadedSource, sources: Sources, *, update: bool = False) -> tuple[Case, ...]:
    """Test the samples of a source; ``sources`` are those among which they must be recognised."""
    return tuple(_case(source, sample, sources, update=update) for sample in samples(source))


def samples(source: LoadedSource) -> list[Path]:
    """Return the files in a source's ``samples/``, sorted."""
    folder = source.folder / "samples"
    return sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []


def _case(source: LoadedSource, sample: Path, sources: Sources, *, update: bool) -> Case:
    measured = _measured(source, sample, sample.name)
    events, rejects = normalise(source, sample)
    golden = source.folder / "golden" / f"{sample.name}.json"
    text = orjson.dumps(events, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
    if update:
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(text)
    why = [f"{reject.at}: {reject.reason}" for reject in rejects]
    if not events and not rejects:
        why.append("nothing was read")
    recognised = sources.recognise(Stream(sample))
    if recognised is None or recognised.name != source.name:
        why.append(f"it is recognised as {recognised.name if recognised else 'of no source'}")
    if not golden.is_file():
        why.append(f"there is no golden/{golden.name}")
    elif golden.read_bytes() != text:
        why.append(_difference(orjson.loads(golden.read_bytes()), events))
    return Case(
        sample.name, measured.records, measured.mapped, (*why, *measured.why), measured.unmapped,
        measured.rejects, measured.exact, measured.equal, measured.made, measured.gaps,
    )  # fmt: skip


def _measured(source: LoadedSource, file: Path, shown: str) -> Case:
    """Read and map a file, validate every event, and go back to its raw record."""
    found = read(source, file)
    unmapped: Counter[str] = Counter()
    known = read_fields(source)
    gaps: Counter[str] = Counter()
    why: list[str] = []
    for class_uid, table in found.tables:
        wrong = misfits(table, class_uid) or list(problems(table, class_uid, nested=False).values())
        why += [f"an event is no {event_class(class_uid).name}: {one}" for one in dict.fromkeys(wrong)]
        gaps.update(problems(table, class_uid).values())
        if "unmapped" in table.column_names:
            for text in table.column("unmapped").to_pylist():
                unmapped.update(orjson.loads(text).keys() - known if text else ())
    trip = _trip(source, file, found)
    if trip["differs"]:
        why.append(f"{trip['differs']} raw records are not what was read")
    rejects = Counter(reject.reason for reject in found.rejects)
    return Case(
        shown, found.events + len(found.rejects), found.events, tuple(why), unmapped, rejects,
        trip["exact"], trip["equal"], trip["made"], gaps,
    )  # fmt: skip


def read_fields(source: LoadedSource) -> frozenset[str]:
    """Return the raw fields that some line or condition of a source's mapping reads."""
    found = {name for names in source.file.identity for name in names}
    for entry in source.mapping.events:
        found.update(fields(entry.when))
    for plan in plans(source):
        lines = (*plan.severity, *plan.activity, *(one for some in plan.lines.values() for one in some))
        found.update(name for line in lines for name in line.source)
        found.update(name for line in plan.time for name in line.source)
    return frozenset(found)


def _trip(source: LoadedSource, file: Path, found: Read) -> Counter[str]:
    """Compare the raw record of every event with the bytes of the file, and with the record at its place."""
    trip: Counter[str] = Counter(exact=0, equal=0, made=0, differs=0)
    records = Counter(str(record) for one in found.parsed for record in one.records.to_pylist())
    raw = [table.column("raw_data") for _, table in found.tables if "raw_data" in table.column_names]
    kept = Counter(str(record) for column in raw for record in column.to_pylist())
    trip["differs"] += (kept - records).total()
    taken = kept & records
    parser, data = parsers.get(source.file.parser), _bytes(file)
    magic = getattr(parser, "MAGIC", None)
    if getattr(parser, "MADE", False) or (magic and data is not None and data.startswith(magic)):
        trip["made"] += taken.total()
        return trip
    inner: set[bytes] | None = None
    for record, count in taken.items():
        if data is None or record.encode("utf-8", "surrogatepass") in data:
            trip["exact"] += count
            continue
        inner = _values(data) if inner is None else inner
        trip["equal" if _canonical(record) in inner else "differs"] += count
    return trip


def _bytes(file: Path) -> bytes | None:
    """Return a file's bytes, decompressed, with lines ended alike; None if they are too many."""
    data = bytearray()
    try:
        for block in Stream(file).blocks():
            data += block
            if len(data) > _MAX_TRIP:
                return None
    except BrokenStreamError:
        pass  # what was read before it broke is what there is to compare
    return bytes(data).replace(b"\r\n", b"\n")


def _values(data: bytes) -> set[bytes]:
    """Return every object inside a JSON document (or lines of JSON), each written one way."""
    found: set[bytes] = set()
    try:
        stack = [orjson.loads(data)]
    except orjson.JSONDecodeError:
        stack = [value for line in data.splitlines() if (value := _loaded(line)) is not None]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            found.add(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return found


def _loaded(text: bytes | str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _canonical(text: str) -> bytes:
    value = _loaded(text)
    return b"" if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def read(source: LoadedSource, sample: Path) -> Read:
    """Read one file as of a source, and map it."""
    found = Read()
    mapper = Mapper(source)
    stream = Stream(sample)
    stream.name = sample.name
    for _, parsed in reading.read(stream, Sources({source.name: source}), source):
        found.rejects += parsed.rejects
        if not len(parsed.records):
            continue
        found.parsed.append(parsed)
        raw = RawBatch(source.name, stream.name, parsed.records, parsed.fields, parsed.positions)
        mapped = mapper.map(raw, origin_key=sample.name, now=SAMPLE_TIME)
        found.rejects += mapped.rejects
        found.tables += [(batch.class_uid, batch.table) for batch in mapped.batches]
    return found


def normalise(source: LoadedSource, sample: Path) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Read one file as of a source; return its events in the order of the file, and its rejects."""
    found = read(source, sample)
    records = [record for one in found.parsed for record in one.records.to_pylist()]
    places = {record: place for place, record in reversed(list(enumerate(records)))}
    events = [
        (places.get(row.get("raw_data"), 0), _lean(row))
        for _, table in found.tables
        for row in table.to_pylist()
    ]
    return [event for _, event in sorted(events, key=lambda pair: pair[0])], found.rejects


def _lean(value: Any) -> Any:
    """Leave out what is absent."""
    if isinstance(value, dict):
        inner = {key: _lean(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in inner.items() if item not in ({}, [])}
    if isinstance(value, list):
        return [_lean(item) for item in value]
    return value


def _difference(golden: Any, found: Any) -> str:
    """Say where what was found first differs from what should be."""
    if not isinstance(golden, list) or len(golden) != len(found):
        return f"{counted(len(found), 'event')}, golden has {len(golden)}"
    for number, (want, have) in enumerate(zip(golden, found, strict=True), 1):
        for path, old, new in _changes(want, have, ""):
            return f"event {number}: {path} is {_short(new)}, golden has {_short(old)}"
    return "the golden file is written otherwise; --update writes it anew"


def _changes(want: Any, have: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(want, dict) and isinstance(have, dict):
        for key in sorted(want.keys() | have.keys()):
            yield from _changes(want.get(key), have.get(key), f"{path}.{key}" if path else key)
    elif want != have:
        yield path, want, have


def _short(value: Any) -> str:
    text = "absent" if value is None else orjson.dumps(value, default=str).decode()
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004
