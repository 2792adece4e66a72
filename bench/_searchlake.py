"""A lake of many events for `lemnis bench search`, made once and kept in a scratch folder.

Some thousand records a kind go through the real mapper. Every block of events takes a stretch of what it
made, with the markers in all their columns (``_searchkinds``) replaced by values of their own; a test maps
the records of a block anew and finds the same events. From there on it is the lake's own way: append, flush,
compact.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from bench import _searchkinds as kinds
from lemnis.content.library import Library
from lemnis.contracts.clock import SystemClock, from_iso
from lemnis.contracts.events import EventBatch, RawBatch
from lemnis.ingest import reading
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.sources import Sources
from lemnis.ingest.streams import Stream
from lemnis.store.columns import leaf
from lemnis.store.lake import Lake

DAYS = 5
START = from_iso("2026-03-02T00:00:00Z")
_DAY = 86_400_000
_BASIS, _BLOCK, _FLUSH = 20_000, 100_000, 500_000
_PLANTED = 5
"""How many events have the rare command line, far from each other."""
_VERSION = 1
_HEX = np.array([f"{n:02x}".encode() for n in range(256)], dtype="S2")
_CLOCK = np.array([f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}".encode() for s in range(86_400)])
_THOUSANDTHS = np.array([f".{n:03}".encode() for n in range(1000)])
Texts = npt.NDArray[np.bytes_]
Letters = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Made:
    """A lake that is there: its events, bytes of their records as JSON lines, planted ones; what it took."""

    version: int
    events: int
    raw_bytes: int
    rare: int
    seconds: float
    cpu: float
    append_cpu: float
    flush_cpu: float
    compact_cpu: float


class _Fresh:
    """The values that so many events have of their own: each marker's, as text or as a number."""

    def __init__(self, source: np.random.Generator, times: npt.NDArray[np.int64], first: int) -> None:
        self._count, self._times, self._source = len(times), times, source
        self._first = first
        self._known: dict[str, pa.Array[Any]] = {}
        self._digits_of = {kinds.HEX[0]: self._digits(), kinds.HEX2[0]: self._digits()}
        self._numbers = {
            kinds.PID: source.integers(10_000, 60_000, self._count),
            kinds.PORT: source.integers(10_000, 60_000, self._count),
            kinds.NUMBER: 4_000_000_000 + first + np.arange(self._count),
        }

    def _digits(self) -> Texts:
        raw = self._source.integers(0, 256, (self._count, 8), dtype=np.uint8)
        return _HEX[raw].view("S16").ravel()

    def uids(self) -> pa.Array[Any]:
        """Return new names of events."""
        return _texts(_beside(_constant(b"ev-", self._count), _letters(self._digits())))

    def number(self, marker: int) -> pa.Array[Any]:
        """Return the numbers for a marker that is one."""
        if marker in self._numbers:
            return pa.array(self._numbers[marker])
        whole = marker % 1000 == 0
        return pa.array(self._times // 1000 * 1000 if whole else self._times)

    def text(self, marker: str) -> pa.Array[Any]:
        """Return the texts for a marker."""
        if marker not in self._known:
            self._known[marker] = self._text(marker)
        return self._known[marker]

    def _text(self, marker: str) -> pa.Array[Any]:
        if marker.isdigit():
            return self.number(int(marker)).cast(pa.string())
        if marker[0] == "2":
            return _texts(self._moments(marker[10].encode(), len(marker)))
        letters = _letters(self._digits_of[marker[0]])[:, : len(marker.replace("-", ""))]
        before, dash, _ = marker.partition("-")
        if dash:
            cut = len(before)
            letters = _beside(letters[:, :cut], _constant(b"-", self._count), letters[:, cut:])
        return _texts(letters)

    def _moments(self, between: bytes, width: int) -> Letters:
        """Return the times as ``2026-01-01T12:34:56.789``, so many characters of it."""
        days, left = np.divmod(self._times, _DAY)
        seconds, thousandths = np.divmod(left, 1000)
        names = np.datetime_as_string(np.arange(days[0], days[-1] + 1).astype("datetime64[D]")).astype("S10")
        parts = (names[days - days[0]], _CLOCK[seconds], _THOUSANDTHS[thousandths])
        date, clock, rest = map(_letters, parts)
        return _beside(date, _constant(between, self._count), clock, rest)[:, :width]


def _letters(texts: Texts) -> Letters:
    return np.ascontiguousarray(texts).view(np.uint8).reshape(len(texts), -1)


def _constant(text: bytes, count: int) -> Letters:
    return np.broadcast_to(np.frombuffer(text, dtype=np.uint8), (count, len(text)))


def _beside(*parts: Letters) -> Letters:
    return np.concatenate(parts, axis=1)


def _texts(letters: Letters) -> pa.Array[Any]:
    """Return rows of letters as texts."""
    count, width = letters.shape
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(
        count, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(letters))
    )


def _forms(digits: str) -> list[str]:
    cuts = (digits, f"{digits[:4]}-{digits[4:]}", f"{digits[:8]}-{digits[8:12]}", digits[:12], digits[:8])
    return list(cuts)


_MARKERS = [
    kinds.MOMENT, kinds.SPACED, kinds.SECOND, str(kinds.NUMBER), str(kinds.PID), str(kinds.PORT),
    *_forms(kinds.HEX), *_forms(kinds.HEX2),
]  # fmt: skip
_SPLIT = re.compile("(" + "|".join(sorted(map(re.escape, _MARKERS), key=len, reverse=True)) + ")")
_NUMBERS = {from_iso(f"{kinds.MOMENT}Z"), from_iso(f"{kinds.SECOND}Z"), kinds.NUMBER, kinds.PID, kinds.PORT}


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a column: so many from one on, and from the first again behind the last."""

    first: int
    count: int

    def of(self, array: Any) -> Any:
        """Return these rows of a column."""
        parts, first, left = [], self.first, self.count
        while left > 0:
            parts.append(array.slice(first, left))
            first, left = 0, left - len(parts[-1])
        return parts[0] if len(parts) == 1 else pa.concat_arrays(parts)


class Basis:
    """What the mapper made of records of a kind, cut at the markers."""

    def __init__(self, kind: kinds.Kind, mapped: Sequence[EventBatch]) -> None:
        self.kind, self.class_uid = kind, mapped[0].class_uid
        table = pa.concat_tables([one.table for one in mapped]).combine_chunks()
        raw = table.column("raw_data").to_pylist()
        shapes = [tuple(_SPLIT.findall(text)) for text in raw]
        usual = Counter(shapes).most_common(1)[0][0]
        self._table = table.filter(pa.array([shape == usual for shape in shapes]))
        self._rows = self._table.num_rows
        self._plans: dict[str, _Plan] = {}

    def batch(self, source: np.random.Generator, fresh: _Fresh, count: int) -> EventBatch:
        """Return so many events of this kind."""
        rows = Rows(int(source.integers(0, self._rows)), count)
        columns = [
            self._column(field.name, column.chunk(0), rows, fresh)
            for field, column in zip(self._table.schema, self._table.columns, strict=True)
        ]
        table = pa.Table.from_arrays(columns, schema=self._table.schema)
        return EventBatch(self.class_uid, self.kind.source, "bench", table)

    def _column(self, path: str, array: Any, rows: Rows, fresh: _Fresh) -> pa.Array[Any]:
        if path == "metadata.uid":
            return fresh.uids()
        if pa.types.is_struct(array.type):
            children = [
                self._column(f"{path}.{child.name}", array.field(n), rows, fresh)
                for n, child in enumerate(array.type)
            ]
            gone = rows.of(pc.is_null(array)) if array.null_count else None
            return pa.StructArray.from_arrays(children, fields=list(array.type), mask=gone)
        if path not in self._plans:
            self._plans[path] = _plan(array)
        return self._plans[path].taken(rows, fresh).cast(array.type)


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a column comes about: a value for all, rows of a column, a marker's numbers, or pieces of text."""

    array: Any
    number: int | None = None
    markers: tuple[str, ...] = ()
    pieces: tuple[Any, ...] = ()

    def taken(self, rows: Rows, fresh: _Fresh) -> Any:
        if self.number is not None:
            return fresh.number(self.number)
        if not self.pieces:
            return pa.repeat(self.array[0], rows.count) if len(self.array) == 1 else rows.of(self.array)
        parts = [piece[0] if len(piece) == 1 else rows.of(piece) for piece in self.pieces]
        values = [fresh.text(marker) for marker in self.markers]
        joined = [one for pair in zip(parts, values, strict=False) for one in pair] + [parts[-1]]
        return pc.binary_join_element_wise(*joined, "")


def _plan(array: Any) -> _Plan:
    if array.null_count == 0 and not pa.types.is_nested(array.type):
        one = array[0].as_py()
        if isinstance(one, int) and one in _NUMBERS and pc.all(pc.equal(array, one)).as_py():
            return _Plan(array, number=one)
        if isinstance(one, str):
            cut = [_SPLIT.split(text) for text in array.to_pylist()]
            markers = tuple(cut[0][1::2])
            if any(tuple(text[1::2]) != markers for text in cut):
                raise ValueError(f"markers differ from row to row: {cut[0]}")
            if markers:
                pieces = (_shrunk(pa.array([text[n] for text in cut])) for n in range(0, len(cut[0]), 2))
                return _Plan(array, markers=markers, pieces=tuple(pieces))
    return _Plan(_shrunk(array))


def _shrunk(array: Any) -> Any:
    """Return one value if all are the same."""
    if pa.types.is_nested(array.type):
        return array
    return array.slice(0, 1) if pc.count_distinct(array, mode="all").as_py() == 1 else array


def bases(work: Path, count: int = _BASIS) -> list[Basis]:
    """Map records of every kind, the planted one last."""
    sources, found = Sources.load(Library.open()), []
    for kind in (*kinds.KINDS, kinds.PLANTED):
        many = max(200, round(count * kind.share * len(kinds.KINDS))) if kind.share else 1
        made = random.Random(kind.name)  # noqa: S311 - made-up events, no secret
        file = work / "basis.jsonl"
        file.write_bytes(b"".join(orjson.dumps(kind.make(made)) + b"\n" for _ in range(many)))
        found.append(Basis(kind, mapped(file, kind.source, sources)))
        file.unlink()
    return found


def mapped(file: Path, name: str, sources: Sources) -> list[EventBatch]:
    """Return what ingest makes of a file of one source."""
    source, stream, found = sources.get(name), Stream(file), []
    mapper = Mapper(source)
    for _, parsed in reading.read(stream, sources, source):
        raw = RawBatch(name, stream.name, parsed.records, parsed.fields, parsed.positions)
        done = mapper.map(raw, origin_key="bench", now=0)
        if parsed.rejects or done.rejects:
            raise ValueError(f"{name} refuses a record: {[*parsed.rejects, *done.rejects][0]}")
        found += done.batches
    return found


def blocks(
    bases: Sequence[Basis],
    events: int,
    *,
    seed: int = 7,
    start: int = START,
    days: int = DAYS,
    block: int = _BLOCK,
) -> Iterator[list[EventBatch]]:
    """Yield events in the order of their times, over so many days from ``start`` (ms) on."""
    source = np.random.default_rng(seed)
    count = -(-events // block)
    planted = {count * (2 * n + 1) // (2 * _PLANTED) for n in range(_PLANTED)}
    for number in range(count):
        size = min(block, events - number * block)
        first, last = (start + days * _DAY * n // count for n in (number, number + 1))
        rare = int(number in planted)
        counts = [round(size * one.kind.share) for one in bases[:-1]]
        counts[0] += size - sum(counts) - rare
        made, done = [], 0
        for basis, many in zip(bases, [*counts, rare], strict=True):
            times = np.sort(source.integers(first, last, many))
            fresh = _Fresh(source, times, number * block + done)
            if many:
                made.append(basis.batch(source, fresh, many))
            done += many
        yield made


def raw_bytes(batches: Sequence[EventBatch]) -> int:
    """Return the size of the records as lines of JSON."""
    total = 0
    for batch in batches:
        raw: Any = leaf(batch.table, "raw_data")
        total += pc.sum(pc.binary_length(raw)).as_py() + batch.table.num_rows
    return total


def there(root: Path, events: int) -> Made | None:
    """Return the account of a lake of so many events, if it is there, whole."""
    file = root / "made.json"
    made: Mapping[str, Any] = orjson.loads(file.read_bytes()) if file.exists() else {}
    return Made(**made) if made.get("version") == _VERSION and made["events"] == events else None


def make(root: Path, events: int) -> Made:
    """Make a lake of so many events below a folder, which it replaces; its account is written last."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    began, cpu = time.perf_counter(), time.process_time()
    lake, spent = Lake(root / "lake", SystemClock()), {"append": 0.0, "flush": 0.0, "compact": 0.0}

    def timed(name: str, work: Any) -> None:
        before = time.process_time()
        work()
        spent[name] += time.process_time() - before

    raw = rare = waiting = done = 0
    for batches in blocks(bases(root), events):
        timed("append", lambda some=batches: lake.append(some))
        raw += raw_bytes(batches)
        rare += sum(one.table.num_rows for one in batches if one.table.num_rows == 1)
        count = sum(one.table.num_rows for one in batches)
        waiting, done = waiting + count, done + count
        if waiting >= _FLUSH:
            timed("flush", lake.flush)
            waiting = 0
            _say(f"{done:,} of {events:,} events, {time.perf_counter() - began:.0f} s")
    timed("flush", lake.flush)
    _say("compacting")
    timed("compact", lambda: lake.compact(min_files=2))
    made = Made(
        _VERSION, events, raw, rare, time.perf_counter() - began, time.process_time() - cpu,
        spent["append"], spent["flush"], spent["compact"],
    )  # fmt: skip
    (root / "made.json").write_bytes(orjson.dumps(asdict(made)))
    return made


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
