"""Raw records to events by sources that may change meanwhile; a defect costs only the rows it shows on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from lemnis.app.reloading import Reloading
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import ContentError, Location
from lemnis.contracts.events import EventBatch, Mapped, RawBatch, Reject
from lemnis.ingest import parsers
from lemnis.ingest.identity import Joined
from lemnis.ingest.mapping import Mapper
from lemnis.ingest.parsers import Parsed
from lemnis.ingest.sources import Sources

LOG = logging.getLogger("lemnis.ingest")
_FAILURES = 64
_SHOWN = 200
Rows = npt.NDArray[np.int64]


class Normalising:
    """The sources of a workspace's content and their mappers."""

    def __init__(self, overlay: Path) -> None:
        """Read the built-in content with ``overlay`` (a workspace's ``content/``) laid over it."""
        self._overlay = overlay
        library = Library.open(overlay)
        self.sources = Sources.load(library)
        self._library = library
        self._mappers: dict[str, Mapper] = {}
        self._reloading: Reloading[_Read] | None = None
        self._told: frozenset[str] = frozenset(map(str, self.sources.problems))

    def refresh(self) -> bool:
        """Take over sources that changed, of a broken one its last sound state; say if anything changed."""
        if self._reloading is None:
            self._reloading = Reloading(self._library, _Read(self.sources), self._overlay, self._read)
        newer = self._reloading.newer()
        if newer is None:
            return False
        before, self.sources = self.sources, newer[1].sources
        for name, source in before.by_name.items():
            now = self.sources.by_name.get(name)
            if now is None or now.digest != source.digest:
                self._mappers.pop(name, None)
        problems = [problem for problem in self.sources.problems if str(problem) not in self._told]
        self._told = frozenset(map(str, self.sources.problems))
        for problem in problems:
            LOG.warning("this source is not used as it is now, a sound one of before goes on: %s", problem)
        return True

    def _read(self, library: Library) -> _Read:
        """Read the sources; one that is broken now stays as it was."""
        found = Sources.load(library)
        kept = {name: one for name, one in self.sources.by_name.items() if found.problem(name) is not None}
        by_name = dict(sorted({**found.by_name, **kept}.items()))
        return _Read(Sources(by_name, found.problems, found.own | (self.sources.own & kept.keys())))

    def map(
        self, source: LoadedSource, parsed: Parsed, *, origin: str, origin_key: str | Joined, now: int
    ) -> tuple[tuple[EventBatch, ...], list[Reject]]:
        """Map records; what the parser refused is among the rejects.

        Where the mapping itself fails, which it should not, the rows that it fails on are rejects too.
        """
        if not len(parsed.records):
            return (), list(parsed.rejects)
        raw = RawBatch(source.name, origin, parsed.records, parsed.fields, parsed.positions)
        mapper = self._mappers.setdefault(source.name, Mapper(source))
        mapped = guarded(mapper, raw, origin_key=origin_key, now=now)
        return mapped.batches, [*parsed.rejects, *complete(mapped.rejects, parsed, source)]


@dataclass(frozen=True, slots=True)
class _Read:
    """Sources read anew. Of a broken one the last state goes on, so that no problem stops the others."""

    sources: Sources
    problems: tuple[ContentError, ...] = ()


def guarded(mapper: Mapper, raw: RawBatch, *, origin_key: str | Joined, now: int) -> Mapped:
    """Map a batch; where that raises, it is parted until only the rows that raise are left, as rejects.

    The parting is bounded: of a mapping that always fails, whole parts are rejected.
    """
    batches: list[EventBatch] = []
    rejects: list[Reject] = []
    waiting: list[Rows] = [np.arange(len(raw), dtype=np.int64)]
    failures = 0
    while waiting:
        rows = waiting.pop()
        some = raw if len(rows) == len(raw) else _taken(raw, rows)
        try:
            mapped = mapper.map(some, origin_key=origin_key, now=now)
        except Exception as error:
            failures += 1
            if failures == 1:
                LOG.exception("the mapping of %s failed; the rows that it fails on are rejected", raw.source)
            if len(rows) > 1 and failures < _FAILURES:
                middle = len(rows) // 2
                waiting += [rows[middle:], rows[:middle]]
                continue
            reason = f"a defect of the mapping: {type(error).__name__}: {str(error)[:_SHOWN]}"
            rejects += _refused(some, reason)
        else:
            batches += mapped.batches
            rejects += mapped.rejects
    rejects.sort(key=lambda reject: reject.at.record or 0)
    return Mapped(tuple(batches), tuple(rejects))


def _taken(raw: RawBatch, rows: Rows) -> RawBatch:
    some: Any = pa.array(rows)
    return RawBatch(
        raw.source, raw.origin, raw.records.take(some), raw.fields.take(some), raw.positions.take(some)
    )


def _refused(raw: RawBatch, reason: str) -> Iterator[Reject]:
    for record, number in zip(raw.records.to_pylist(), raw.positions.to_pylist(), strict=True):
        data = record.encode("utf-8", "surrogatepass") if isinstance(record, str) else record or b""
        yield Reject(Location(raw.origin, record=number), reason, data)


def complete(rejects: Sequence[Reject], parsed: Parsed, source: LoadedSource) -> Iterable[Reject]:
    """Give rejects of the mapping their parsed fields, where the record alone would not be read as it was."""
    if not rejects or alone(source):
        return rejects
    numbers = parsed.positions.to_numpy()
    order = np.argsort(numbers, kind="stable")
    wanted = np.array([reject.at.record or 0 for reject in rejects], np.int64)
    places = order[np.minimum(np.searchsorted(numbers, wanted, sorter=order), len(order) - 1)]
    chosen: Any = pa.array(places)
    rows = parsed.fields.take(chosen).to_pylist()
    return [replace(reject, fields=_said(row)) for reject, row in zip(rejects, rows, strict=True)]


def alone(source: LoadedSource) -> bool:
    """Say whether a record of a source, by itself, is read as it was in its stream."""
    parser = parsers.get(source.file.parser)
    return bool(getattr(parser, "LINES", False)) or hasattr(parser, "lined")


def _said(row: dict[str, Any]) -> str:
    return orjson.dumps({name: value for name, value in row.items() if value is not None}).decode()
