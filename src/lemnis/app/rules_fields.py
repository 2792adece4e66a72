"""Which Sigma fields the sources serve: a rule that asks for another one never matches, and nothing says so.

Known are the fields that a source names for Sigma, those that its mapping reads, those of its samples, and
those listed in ``fields.txt`` beside its ``source.yaml`` (names, or patterns such as ``requestParameters.*``,
apart by blanks; ``#`` begins a comment).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cached_property
from types import MappingProxyType

import pyarrow as pa

from lemnis.content import yaml
from lemnis.content.schemas.source import LoadedSource, SigmaField
from lemnis.contracts.detection import Offers
from lemnis.contracts.events import RawBatch
from lemnis.enrich.view import FIELDS
from lemnis.ingest.frames import offered
from lemnis.ingest.mapping_conditions import fields
from lemnis.ingest.reading import open_path
from lemnis.ingest.sources import Sources

LIST = "fields.txt"
_FIXED: Mapping[str, tuple[str, ...]] = MappingProxyType({"access": (), "syslog": ("sd.*",)})
"""Parsers whose records have no fields but those that a source's samples show, and these patterns."""
_ALIKE = 0.8


@dataclass(frozen=True)
class Served:
    """What one source is known to serve; ``several`` are fields with more than one value in a record.

    ``fixed`` says that its records cannot have other fields.
    """

    offers: Offers
    names: frozenset[str]
    patterns: tuple[str, ...]
    several: frozenset[str]
    fixed: bool

    def has(self, name: str) -> bool:
        """Say whether it serves a field."""
        return name in self.names or any(fnmatchcase(name, pattern) for pattern in self.patterns)


@dataclass(frozen=True)
class Vocabulary:
    """What all sources serve."""

    served: tuple[Served, ...]

    def of(self, product: str | None, category: str | None, service: str | None) -> tuple[Served, ...]:
        """Return the sources that a rule of this log source looks at."""
        return tuple(one for one in self.served if one.offers.serves(product, category, service))

    @cached_property
    def everything(self) -> tuple[str, ...]:
        """Return the names of all fields that some source serves."""
        return tuple(sorted(frozenset[str]().union(*(one.names for one in self.served))))


def vocabulary(sources: Sources) -> Vocabulary:
    """Read what the sources serve; their samples are read for that."""
    return Vocabulary(tuple(_served(source, sources) for source in sources.by_name.values()))


def alike(name: str, names: Iterable[str]) -> str:
    """Return the name that a misspelt one may have been meant to be; "" if none is like it."""
    known = sorted(names)
    folded = next((one for one in known if one.lower() == name.lower()), None)
    return folded or next(iter(get_close_matches(name, known, n=1, cutoff=_ALIKE)), "")


def _served(source: LoadedSource, sources: Sources) -> Served:
    names, patterns = set(_named(source)), list(_FIXED.get(source.file.parser, ()))
    listed = source.folder / LIST
    if listed.is_file():
        for line in yaml.read_text(listed).splitlines():
            for word in line.partition("#")[0].split():
                if set(word) & set("*?["):
                    patterns.append(word)
                else:
                    names.add(word)
    sampled, several = sample_fields(source, sources)
    return Served(
        offered(source), frozenset(names | sampled | FIELDS), tuple(patterns), frozenset(several),
        source.file.parser in _FIXED,
    )  # fmt: skip


def _named(source: LoadedSource) -> Iterator[str]:
    """Yield the fields that a source's files name."""
    view, mapping = source.file.sigma, source.mapping
    yield from view.fields
    for route in view.routes:
        yield from route.fields
        yield from fields(route.when)
    for line in (line for field in _sigma(source) for line in (field.line,) if line is not None):
        yield from line.source
    for entry in (mapping.common, *mapping.events):
        for line in (line for lines in entry.set.values() for line in lines):
            yield from line.source
        for time in entry.time or ():
            yield from time.source
    for event in mapping.events:
        yield from fields(event.when)


def _sigma(source: LoadedSource) -> tuple[SigmaField, ...]:
    view = source.file.sigma
    return (*view.fields.values(), *(field for route in view.routes for field in route.fields.values()))


def sample_fields(source: LoadedSource, sources: Sources) -> tuple[set[str], set[str]]:
    """Return the fields of a source's samples, and those of them that have several values."""
    names: set[str] = set()
    several: set[str] = set()
    folder = source.folder / "samples"
    for read in open_path(folder, sources, source=source.name) if folder.is_dir() else ():
        if isinstance(read, RawBatch):
            for field in read.fields.schema:
                names.add(field.name)
                if pa.types.is_list(field.type) or pa.types.is_large_list(field.type):
                    several.add(field.name)
    return names, several
