"""The sources that a library has, and which of them a file is of."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import re2

from lemnis.content.kept import Values
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource, Recognise
from lemnis.contracts.errors import ContentError, Location, NotFoundError, choices
from lemnis.ingest import parsers
from lemnis.ingest.mapping_columns import RawColumns
from lemnis.ingest.mapping_conditions import holds
from lemnis.ingest.parsers import Parsed, Start
from lemnis.ingest.streams import BrokenStreamError, Head, Stream
from lemnis.store import cache

_SAMPLE = 65_536
_VALUES = "sources.json"


@dataclass(frozen=True)
class Sources:
    """Sources by name, and what was wrong with the others."""

    by_name: Mapping[str, LoadedSource]
    problems: tuple[ContentError, ...] = ()
    own: frozenset[str] = frozenset()
    """The names of those that are the user's own."""

    @classmethod
    def load(cls, library: Library) -> Sources:
        """Read every source of the library; those that are wrong are in ``problems``."""
        found: dict[str, LoadedSource] = {}
        problems: list[ContentError] = []
        items, values = library.items("sources"), Values(cache.folder() / _VALUES)
        for name, item in items.items():
            try:
                source = LoadedSource.load(item, values=values)
                _check(source)
            except ContentError as error:
                problems.append(error)
            else:
                found[name] = source
        values.keep()
        return cls(found, tuple(problems), frozenset(name for name in found if items[name].own))

    @staticmethod
    def alone(library: Library, name: str) -> LoadedSource:
        """Read one source and no other; raises its ContentError, NotFoundError where there is none."""
        items = library.items("sources")
        if name not in items:
            raise NotFoundError(f"no source {name!r}", fix=choices(name, items, "`lemnis sources list`"))
        source = LoadedSource.load(items[name])
        _check(source)
        return source

    def get(self, name: str) -> LoadedSource:
        """Return a source; raises the ContentError of a wrong one, NotFoundError where there is none."""
        if name in self.by_name:
            return self.by_name[name]
        problem = self.problem(name)
        if problem is not None:
            raise problem
        raise NotFoundError(f"no source {name!r}", fix=choices(name, self.by_name, "`lemnis sources list`"))

    def problem(self, name: str) -> ContentError | None:
        """Return what is wrong with a source; None if nothing is, or there is none of this name."""
        mine = (one for one in self.problems if one.at and f"/sources/{name}/" in one.at.file)
        return next(mine, None)

    def recognise(self, stream: Stream) -> LoadedSource | None:
        """Return the source that a file is of, by its bytes and first records; None if none fits.

        The source whose condition the most of the first records meet; then the user's own before one that
        ships; then the one that asks for more.
        """
        head = stream.head(_SAMPLE)
        sample = Head(stream, head, whole=len(head) < _SAMPLE)
        look = _Look(sample)
        scores = []
        for source in self.by_name.values():
            hits = look.hits(source, Path(stream.name).name)
            if hits > 0:
                own = source.name in self.own
                scores.append((hits, own, _strictness(source.file.recognise), source.name))
        if not scores:
            return None
        return self.by_name[max(scores)[3]]


def _check(source: LoadedSource) -> None:
    """Raise ContentError if a source cannot work: it names no parser that there is."""
    if source.file.parser not in parsers.names():
        raise ContentError(
            f"no parser {source.file.parser!r}",
            at=Location(str(source.folder / "source.yaml")),
            fix=f"there are: {', '.join(parsers.names())}",
        )


def _strictness(recognise: Recognise) -> int:
    return sum(bool(part) for part in (recognise.files, recognise.starts, recognise.line, recognise.fields))


class _Look:
    """A look at a file's first bytes by the eyes of several sources; what two of them parse alike, once."""

    def __init__(self, sample: Head) -> None:
        self._sample = sample
        self._parsed: dict[str, list[Parsed]] = {}

    def hits(self, source: LoadedSource, name: str) -> float:
        """Return the share of the first records that a source recognises; 1 where the bytes are enough."""
        recognise, sample = source.file.recognise, self._sample
        plain = name.lower().removesuffix(".gz").removesuffix(".zst")
        if recognise.files and not any(fnmatch(plain, pattern.lower()) for pattern in recognise.files):
            return 0
        if recognise.starts and not any(sample.data.startswith(one.encode()) for one in recognise.starts):
            return 0
        if recognise.line is not None and not re2.search(recognise.line, sample.first_line()):
            return 0
        if recognise.fields is None:
            fits = getattr(parsers.get(source.file.parser), "fits", None)
            return 1 if _strictness(recognise) and (fits is None or fits(sample.data)) else 0
        magic = getattr(parsers.get(source.file.parser), "MAGIC", None)
        if magic and sample.data.startswith(magic):
            return 1
        read = good = 0
        for parsed in self._parse(source):
            read += len(parsed.records) + len(parsed.rejects)
            columns = RawColumns(parsed.fields)
            if len(parsed.records):
                good += int(holds(recognise.fields, columns, frozenset(source.file.ignore_case)).sum())
        return good / read if read else 0

    def _parse(self, source: LoadedSource) -> list[Parsed]:
        encoding, options = source.file.encoding, source.file.options
        parser, sample = parsers.get(source.file.parser), self._sample.decoded(encoding)
        mattering = getattr(parser, "mattering", None)
        said = options if mattering is None else mattering(sample.data, options)
        key = f"{source.file.parser} {encoding} {said!r}"
        if key not in self._parsed:
            fits = getattr(parser, "fits", None)
            self._parsed[key] = []
            if fits is None or fits(sample.data):
                with suppress(BrokenStreamError):
                    found = parser.parse(sample, options, Start(), whole=sample.whole)
                    self._parsed[key] = list(found)
        return self._parsed[key]
