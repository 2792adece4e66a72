"""The sources of a workspace: which there are, and whether their mappings hold."""

from __future__ import annotations

from dataclasses import dataclass

from lemnis.app.source_tests import check, normalise, samples
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.ingest.sources import Sources

__all__ = ["SourceInfo", "check", "listing", "normalise"]


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """One source: what it is, which OCSF classes its records become, which Sigma log sources they are."""

    name: str
    title: str
    vendor: str
    product: str
    classes: tuple[str, ...]
    samples: int
    parser: str
    own: bool
    sigma: tuple[str, ...]


def listing(library: Library) -> list[SourceInfo]:
    """Return every source that can be read; raises ContentError for the first that is wrong."""
    sources = Sources.load(library)
    if sources.problems:
        raise sources.problems[0]
    items = library.items("sources")
    return [
        SourceInfo(
            name, one.file.title, one.file.vendor, one.file.product,
            tuple(sorted({entry.class_ for entry in one.mapping.events})), len(samples(one)), one.file.parser,
            items[name].own, routes(one),
        )
        for name, one in sources.by_name.items()
    ]  # fmt: skip


def routes(source: LoadedSource) -> tuple[str, ...]:
    """Return the Sigma log sources of a source, each as ``product/category/service`` without what is open."""
    found: dict[str, None] = {}
    for route in source.file.sigma.routes:
        parts = ("|".join(part) for part in (route.product, route.category, route.service) if part)
        found["/".join(parts)] = None
    return tuple(found)
