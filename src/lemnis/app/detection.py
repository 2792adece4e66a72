"""Detection as one function, events in and alerts out, whether they come live or from the lake."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt
import pyarrow as pa

from lemnis.app import exceptions
from lemnis.app.correlation import Correlating
from lemnis.app.exceptions import Aside, Excepting
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert
from lemnis.contracts.detection import Frame, Match
from lemnis.contracts.errors import ContentError, LemnisError
from lemnis.contracts.events import EventBatch
from lemnis.detect.alerts import Alerts, Matched, Values

if TYPE_CHECKING:
    from lemnis.detect.facts import Print, Setting
    from lemnis.detect.matched import Matching, Told
    from lemnis.detect.rules import Rule

Frames = Callable[[EventBatch], Iterable[Frame]]


class Matches(Protocol):
    """Finds the rows of a frame that rules match."""

    def match(self, frame: Frame) -> list[Match]:
        """Return the matches of every rule that the frame's log source is of."""
        ...


@dataclass(frozen=True, slots=True)
class Detection:
    """Rules over events; pure. ``problems`` are rules and sources that cannot be used, and why.

    ``excepting`` are the exceptions laid over the rules; the matcher then knows them, too.
    """

    frames: Frames
    matcher: Matches
    rules: Sequence[Matched]
    alerts: Alerts
    problems: tuple[LemnisError, ...] = ()
    excepting: Excepting | None = None
    matching: Matching | None = None
    correlating: Correlating | None = None

    def detect(self, batch: EventBatch) -> Iterator[Alert]:
        """Yield the alerts of a batch, by event time."""
        yield from self.look(batch)[0]

    def look(
        self, batch: EventBatch, aside: list[Aside] | None = None
    ) -> tuple[Iterator[Alert], pa.Table | None]:
        """Return the alerts of a batch, by event time, and the signals that correlations need of it.

        What exceptions hold back is added to ``aside``, but for rules that only correlations draw on.
        """
        held: list[Aside] | None = None if aside is None else []
        found, signals = self.found(batch, held)
        if aside is not None and held:
            silent = self.correlating.silent if self.correlating else frozenset[int]()
            aside += [one for one in held if one.rule not in silent]
        if self.correlating is not None:
            found = [(frame, self.correlating.loud(some)) for frame, some in found]
        return self._alerts(batch, found), signals

    def found(
        self, batch: EventBatch, aside: list[Aside] | None = None
    ) -> tuple[list[tuple[Frame, list[Match]]], pa.Table | None]:
        """Return what the rules match and no exception holds back, by frame, and signals as ``look`` does.

        Rules that only correlations draw on are among them, though they give no alerts of their own. What
        exceptions hold back is added to ``aside``.
        """
        found = [(frame, self.matcher.match(frame)) for frame in self.frames(batch)]
        if self.excepting is not None:
            every = (match for _, some in found for match in some)
            kept = self.excepting.kept(every, times(batch), aside)
            found = [(frame, _within(some, kept)) for frame, some in found]
        return found, None if self.correlating is None else self.correlating.signals(batch, found)

    def _alerts(
        self, batch: EventBatch, found: Sequence[tuple[Frame, Sequence[Match]]], *, alone: bool = False
    ) -> Iterator[Alert]:
        matches = [match for _, some in found for match in some]
        told, values, prints = self._told(found)
        return self.alerts.of(batch, matches, self.rules, told, values, prints=prints, alone=alone)

    def _told(self, found: Sequence[tuple[Frame, Sequence[Match]]]) -> tuple[Told, Values, Values]:
        """Return the fields in which rules matched, the values by which alerts fold, those of prints."""
        from lemnis.detect.matched import values as values_of

        told: Told = {}
        values: dict[tuple[int, int], tuple[str, ...]] = {}
        prints: dict[tuple[int, int], tuple[str, ...]] = {}
        for frame, matches in found:
            if self.matching is not None:
                told |= self.matching.of(frame, matches)
            for match in matches:
                facts = self.alerts.facts(match.rule)
                if facts.suppression is not None and facts.suppression.by:
                    values |= values_of(frame, match, facts.suppression.by)
                if facts.fingerprint.by:
                    prints |= values_of(frame, match, facts.fingerprint.by)
        return told, values, prints

    def suppressed(self, batch: EventBatch, wanted: Mapping[int, Collection[int]]) -> Iterator[Alert]:
        """Yield the alerts that exceptions held back, of some rows by their rules: each stands alone."""
        rows = sorted({row for some in wanted.values() for row in some})
        part = EventBatch(batch.class_uid, batch.source, batch.origin, batch.table.take(pa.array(rows)))
        places = {row: place for place, row in enumerate(rows)}
        mine = {rule: frozenset(places[row] for row in some) for rule, some in wanted.items()}
        found = []
        for frame in self.frames(part):
            every = self.matcher.match(frame)
            narrowed = (Match(m.rule, [r for r in m.rows if r in mine.get(m.rule, ())]) for m in every)
            found.append((frame, [match for match in narrowed if match.rows]))
        return self._alerts(part, found, alone=True)

    def all_matches(self, batch: EventBatch) -> list[Match]:
        """Return what the matcher finds in a batch, what exceptions take away included."""
        return [match for frame in self.frames(batch) for match in self.matcher.match(frame)]


def _within(matches: Iterable[Match], kept: Iterable[Match]) -> list[Match]:
    """Return what was kept of a frame's matches."""
    rows: dict[int, set[int]] = {}
    for match in kept:
        rows.setdefault(match.rule, set()).update(match.rows)
    narrowed = (Match(one.rule, [r for r in one.rows if r in rows.get(one.rule, ())]) for one in matches)
    return [match for match in narrowed if match.rows]


def times(batch: EventBatch) -> npt.NDArray[Any]:
    """Return the times (ms) of a batch's events."""
    column: npt.NDArray[Any] = batch.table.column("time").to_numpy()
    return column


def detection(
    library: Library,
    *,
    rules: Sequence[Path] | None = None,
    cache: Path | None = None,
    only: Callable[[Rule], bool] | None = None,
) -> Detection:
    """Build detection from a library: its sources, exceptions, and rules unless paths to others are given.

    ``only`` chooses among the rules, once all are loaded: filters that narrow them are so in any case.
    """
    from lemnis.detect.facts import FactsOf
    from lemnis.detect.matched import Matching
    from lemnis.detect.matcher import Matcher
    from lemnis.detect.rules import load_rules
    from lemnis.enrich.view import seen
    from lemnis.ingest.frames import event_frames
    from lemnis.ingest.sources import Sources
    from lemnis.ocsf.entities import entities

    chosen = rules if rules is not None else [item.manifest for item in library.items("detections").values()]
    loaded = load_rules(chosen, cache=cache)
    if only is not None:
        loaded = replace(loaded, rules=tuple(rule for rule in loaded.rules if only(rule)))
    found, wrong = exceptions.load(library)
    excepting = exceptions.over(loaded, found) if found else None
    sources = Sources.load(library)
    settings, prints, amiss = _repeats(library)

    def frames(batch: EventBatch) -> Iterable[Frame]:
        source = sources.by_name.get(batch.source)
        return () if source is None else seen(batch, event_frames(batch, source))

    return Detection(
        frames,
        Matcher(*((excepting.rules, excepting.atoms) if excepting else (loaded.rules, loaded.atoms))),
        loaded.rules,
        Alerts(library.digest, entities, FactsOf(loaded.rules, loaded.atoms, settings, prints)),
        (*loaded.problems, *sources.problems, *wrong, *amiss),
        excepting,
        Matching(loaded.rules, loaded.atoms),
        Correlating.of(loaded.rules, loaded.correlations),
    )


def _repeats(library: Library) -> tuple[list[Setting], list[Print], list[ContentError]]:
    """Return how alerts fold by the content's setting, what makes them the same, and what is wrong."""
    from lemnis.content import yaml
    from lemnis.content.schemas.grouping import Grouping
    from lemnis.detect.facts import EVERY
    from lemnis.detect.fingerprint import Fingerprint
    from lemnis.detect.suppress import Suppression

    item = library.items("correlations").get("default")
    if item is None:
        return [], [], []
    try:
        grouping = yaml.load(item.manifest, Grouping)
    except ContentError as error:
        return [], [], [error]
    settings: list[Setting] = [(one.rules, Suppression(one.window, one.by)) for one in grouping.suppress]
    prints: list[Print] = []
    if grouping.fingerprint is not None:
        prints = [(one.rules, Fingerprint(one.by)) for one in grouping.fingerprint.rules]
        prints.append(((EVERY,), Fingerprint((), frozenset(grouping.fingerprint.entities))))
    return settings, prints, []
