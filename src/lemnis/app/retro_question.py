"""What can be asked of history, and where its answer can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from lemnis.app.detection import Detection, detection
from lemnis.app.retro_pieces import Work
from lemnis.app.retro_reach import reach
from lemnis.app.retro_units import Wanted
from lemnis.app.retro_work import Alerted, Detecting
from lemnis.content.library import Library
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.ids import Json
from lemnis.detect.rules import load_rules
from lemnis.ingest.sources import Sources


class Question(Protocol):
    """What is asked of history."""

    @property
    def known_by(self) -> Mapping[str, Json]:
        """What makes it this question: equal for the same one."""
        ...

    @property
    def work(self) -> Work:
        """What is asked of each batch."""
        ...

    def wanted(self, table: str) -> Wanted:
        """Return the sources of a table's events that can matter; none: the table need not be read."""
        ...

    def columns(self, table: str, schema: pa.Schema) -> pa.Schema:
        """Return what of a table's columns is read."""
        ...


@dataclass(frozen=True)
class Rules:
    """Rules over history: those of the content, or those in files and folders."""

    library: Library
    detection: Detection
    reach: Mapping[str, Wanted]
    known_by: Mapping[str, Json]
    unserved: tuple[str, ...] = ()
    paths: tuple[Path, ...] | None = None

    @classmethod
    def of(
        cls,
        library: Library,
        schemas: Mapping[str, pa.Schema],
        *,
        paths: Sequence[Path] | None = None,
        cache: Path | None = None,
    ) -> Rules:
        """Load rules, and find out where they can match; what cannot be used is in ``problems``."""
        own = [item.manifest for item in library.items("detections").values()]
        chosen = paths if paths is not None else own
        detecting = detection(library, rules=paths, cache=cache)
        loaded = load_rules(chosen, cache=cache)
        found = reach(loaded.rules, loaded.atoms, Sources.load(library).by_name, schemas)
        correlating = detecting.correlating
        everywhere = correlating is not None and correlating.waits  # how far a source came says something
        return cls(
            library,
            detecting,
            {name: None if everywhere else some for name, some in found.sources.items()},
            {"rules": loaded.digest, "content": library.digest},
            tuple(rule.title for rule in found.unserved),
            None if paths is None else tuple(paths),
        )

    @property
    def problems(self) -> Sequence[LemnisError]:
        """The rules and sources that cannot be used, and why."""
        return self.detection.problems

    @property
    def work(self) -> Work:
        """The function that live detection calls."""
        return Detecting(self.detection)

    def wanted(self, table: str) -> Wanted:
        """Return the sources that some rule can match there."""
        return self.reach.get(table, frozenset())

    def columns(self, table: str, schema: pa.Schema) -> pa.Schema:  # noqa: ARG002 - of any table
        """Return all columns: an alert tells its whole event."""
        return schema

    def gathering(self) -> Alerted:
        """Begin to put pieces together."""
        return Alerted(self.detection)
