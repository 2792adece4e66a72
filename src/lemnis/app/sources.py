"""The sources of a workspace: which there are, whether their mappings hold, whether they speak."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from lemnis import app
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.events import EventBatch, RawBatch, Reject
from lemnis.ingest import reading
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream

SAMPLE_TIME = 1_735_689_600_000
"""2025-01-01: the time of reading for samples, from which times without a year take theirs."""
_SILENT_AFTER = 24 * 3_600_000
_AHEAD = 86_400_000


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """One source: what it is and which OCSF classes its records become."""

    name: str
    title: str
    classes: tuple[str, ...]
    samples: int
    parser: str
    own: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One sample read and mapped: whether it gives its golden events, and what it leaves over."""

    sample: str
    passed: bool
    records: int
    mapped: int
    why: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class Health:
    """How a source does: its newest event (ms), how long ago that was, and its rejects."""

    name: str
    events: int
    last: int | None
    lag: int | None
    rejects: int
    silent: bool
    reasons: Mapping[str, int] = field(default_factory=dict)


def listing(library: Library) -> list[SourceInfo]:
    """Return every source that can be read; raises ContentError for the first that is wrong."""
    sources = Sources.load(library)
    if sources.problems:
        raise sources.problems[0]
    items = library.items("sources")
    return [
        SourceInfo(
            name, one.file.title, tuple(sorted({entry.class_ for entry in one.mapping.events})),
            len(_samples(one)), one.file.parser, items[name].own,
        )
        for name, one in sources.by_name.items()
    ]  # fmt: skip


def check(library: Library, names: Sequence[str] = (), *, update: bool = False) -> Iterator[Tested]:
    """Read the samples of the sources (all, or those named), and compare with their golden events.

    With ``update``, what is found becomes golden. Raises NotFoundError for a source that there is not, and
    ContentError for one that is wrong.
    """
    sources = Sources.load(library)
    if sources.problems and not names:
        raise sources.problems[0]
    for name in names or sources.by_name:
        source = sources.get(name)
        cases = tuple(_case(source, sample, sources, update=update) for sample in _samples(source))
        yield Tested(name, cases)


def _samples(source: LoadedSource) -> list[Path]:
    folder = source.folder / "samples"
    return sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []


def _case(source: LoadedSource, sample: Path, sources: Sources, *, update: bool) -> Case:
    events, rejects = normalise(source, sample)
    golden = source.folder / "golden" / f"{sample.name}.json"
    text = orjson.dumps(events, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
    if update:
        golden.parent.mkdir(exist_ok=True)
        golden.write_bytes(text)
    why = [f"{reject.at}: {reject.reason}" for reject in rejects]
    unmapped = sorted({name for event in events for name in orjson.loads(event.get("unmapped") or "{}")})
    if not events and not rejects:
        why.append("nothing was read")
    recognised = sources.recognise(Stream(sample))
    if recognised is None or recognised.name != source.name:
        why.append(f"it is recognised as {recognised.name if recognised else 'of no source'}")
    if not golden.is_file():
        why.append(f"there is no golden/{golden.name}")
    elif golden.read_bytes() != text:
        why.append(_difference(orjson.loads(golden.read_bytes()), events))
    count = len(events) + len(rejects)
    return Case(sample.name, not why, count, len(events), tuple(why), tuple(unmapped))


def _difference(golden: Any, found: Any) -> str:
    """Say where what was found first differs from what should be."""
    if not isinstance(golden, list) or len(golden) != len(found):
        return f"{len(found)} events, golden has {len(golden)}"
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


def normalise(source: LoadedSource, sample: Path) -> tuple[list[dict[str, Any]], list[Reject]]:
    """Read one file as of a source; return its events in the order of the file, and its rejects."""
    events: list[tuple[int, dict[str, Any]]] = []
    rejects: list[Reject] = []
    mapper = Mapper(source)
    stream = Stream(sample)
    stream.name = sample.name
    for _, parsed in reading.read(stream, Sources({source.name: source}), source):
        rejects += parsed.rejects
        if not len(parsed.records):
            continue
        raw = RawBatch(source.name, stream.name, parsed.records, parsed.fields, parsed.positions)
        mapped = mapper.map(raw, origin_key=sample.name, now=SAMPLE_TIME)
        rejects += mapped.rejects
        for batch in mapped.batches:
            events += _rows(batch, parsed.records.to_pylist())
    return [event for _, event in sorted(events, key=lambda pair: pair[0])], rejects


def _rows(batch: EventBatch, records: list[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    places = {record: place for place, record in reversed(list(enumerate(records)))}
    for row in batch.table.to_pylist():
        yield places.get(row.get("raw_data"), 0), _lean(row)


def _lean(value: Any) -> Any:
    """Leave out what is absent."""
    if isinstance(value, dict):
        inner = {key: _lean(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in inner.items() if item not in ({}, [])}
    if isinstance(value, list):
        return [_lean(item) for item in value]
    return value


def health(workspace: app.Workspace, *, silent_after: int = _SILENT_AFTER) -> list[Health]:
    """Return how each source does that the lake has events, rejects or cursors of.

    Events from the future (a clock that is wrong, a record that lies) do not hide that a source is silent:
    the newest is the newest up to a day from now.
    """
    lake = app.lake(workspace)
    now = workspace.clock.now()
    names = set(lake.schemas())
    found: dict[str, tuple[int, int | None]] = {}
    if names - {"rejects"}:
        rows = lake.query(
            "SELECT metadata.log_name AS name, count(*) AS n, max(time) FILTER (time <= ?) AS last "
            "FROM events GROUP BY ALL",
            parameters=[now + _AHEAD],
            limit=10_000,
        ).to_pylist()
        found = {row["name"] or "": (row["n"], row["last"]) for row in rows}
    reasons: dict[str, dict[str, int]] = {}
    if "rejects" in names:
        sql = (
            "SELECT metadata.log_name AS name, split_part(reason, ':', 1) AS reason, count(*) AS n "
            "FROM rejects GROUP BY ALL ORDER BY n DESC"
        )
        for row in lake.query(sql, limit=10_000).to_pylist():
            reasons.setdefault(row["name"] or "", {})[row["reason"]] = row["n"]
    every = found.keys() | reasons.keys() | {cursor.source for cursor in lake.cursors()}
    return [
        _health(name, found.get(name, (0, None)), reasons.get(name, {}), now, silent_after)
        for name in sorted(every)
    ]


def _health(
    name: str, events: tuple[int, int | None], reasons: Mapping[str, int], now: int, silent_after: int
) -> Health:
    count, last = events
    lag = None if last is None else max(0, now - last)
    silent = lag is None or lag > silent_after
    return Health(name, count, last, lag, sum(reasons.values()), silent, reasons)
