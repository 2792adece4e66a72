"""Detection as one function, events in and alerts out, whether they come live or from the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert
from lemnis.contracts.detection import Frame, Match
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.events import EventBatch
from lemnis.detect.alerts import Alerts, Matched

Frames = Callable[[EventBatch], Iterable[Frame]]


class Matches(Protocol):
    """Finds the rows of a frame that rules match."""

    def match(self, frame: Frame) -> list[Match]:
        """Return the matches of every rule that the frame's log source is of."""
        ...


@dataclass(frozen=True, slots=True)
class Detection:
    """Rules over events; pure. ``problems`` are rules and sources that cannot be used, and why."""

    frames: Frames
    matcher: Matches
    rules: Sequence[Matched]
    alerts: Alerts
    problems: tuple[LemnisError, ...] = ()

    def detect(self, batch: EventBatch) -> Iterator[Alert]:
        """Yield the alerts of a batch, by event time."""
        matches = [match for frame in self.frames(batch) for match in self.matcher.match(frame)]
        yield from self.alerts.of(batch, matches, self.rules)


def detection(
    library: Library, *, rules: Sequence[Path] | None = None, cache: Path | None = None
) -> Detection:
    """Build detection from a library: its sources, and its rules unless paths to others are given."""
    from lemnis.detect.matcher import Matcher
    from lemnis.detect.rules import load_rules
    from lemnis.ingest.frames import event_frames
    from lemnis.ingest.sources import Sources
    from lemnis.ocsf.entities import entities

    chosen = rules if rules is not None else [item.manifest for item in library.items("detections").values()]
    loaded = load_rules(chosen, cache=cache)
    sources = Sources.load(library)

    def frames(batch: EventBatch) -> Iterable[Frame]:
        source = sources.by_name.get(batch.source)
        return () if source is None else event_frames(batch, source)

    return Detection(
        frames,
        Matcher(loaded.rules, loaded.atoms),
        loaded.rules,
        Alerts(library.digest, entities),
        (*loaded.problems, *sources.problems),
    )
