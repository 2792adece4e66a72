"""What exceptions hold back, replayed over the lake: what would have fired without them, or when they end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lemnis.app import exceptions
from lemnis.app.detection import Detection, detection, times
from lemnis.app.exceptions import Compiled
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert
from lemnis.contracts.errors import ContentError
from lemnis.contracts.events import EventBatch
from lemnis.incidents.findings import SOURCE as OWN
from lemnis.store.lakes import Readable

DAY = 86_400_000
SHOWN = 3
Progress = Callable[[int, int], None]
"""Told of how many events were looked at, and the time (ms) of those at hand."""


def quiet(events: int, at: int) -> None:
    """Say nothing."""


@dataclass(slots=True)
class Report:
    """One exception and what it did: ``held`` by the rule, ``alone`` where no other one held it, too.

    ``days_left`` is below zero once it has ended. ``fired`` counts what it would have held back of what came
    after its end, and what was told.
    """

    exception: Compiled
    days_left: int
    held: dict[str, int] = field(default_factory=dict)
    alone: int = 0
    fired: int = 0
    last: int | None = None
    examples: list[Alert] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Say whether its last day is over."""
        return self.days_left < 0

    @property
    def total(self) -> int:
        """Return how many alerts it held back."""
        return sum(self.held.values())


@dataclass(frozen=True, slots=True)
class Reports:
    """All exceptions that can be used, by their last day, and what is wrong with the rest."""

    reports: tuple[Report, ...]
    problems: tuple[ContentError, ...]


def days_left(until: int, now: int) -> int:
    """Return how many whole days are left: 0 on the last day, below zero after it."""
    return (until - 1 - now) // DAY


def report(
    lake: Readable,
    library: Library,
    *,
    now: int,
    start: int | None = None,
    end: int | None = None,
    progress: Progress = quiet,
) -> Reports:
    """Replay the rules that exceptions are for, and tell what each holds back; nothing is written."""
    from lemnis.detect.rules import load_rules

    found, _ = exceptions.load(library)
    loaded = load_rules([item.manifest for item in library.items("detections").values()])
    problems = exceptions.lint(library, loaded)
    called = exceptions.Called(loaded.rules)
    places = {place for one in found for place in called.meant(one)}
    wanted = {(loaded.rules[place].path, loaded.rules[place].id) for place in places}
    by_name = {one.name: Report(one, days_left(one.file.terms.until, now)) for one in found}
    if wanted:
        detecting = detection(library, only=lambda rule: (rule.path, rule.id) in wanted)
        seen = 0
        for batch in lake.scan(start=start, end=end):
            if batch.source == OWN:
                continue
            _count(detecting, batch, by_name)
            seen += len(batch)
            progress(seen, int(times(batch)[-1]))
    order = sorted(by_name.values(), key=lambda one: (one.exception.file.terms.until, one.exception.name))
    return Reports(tuple(order), tuple(problems))


def _count(detecting: Detection, batch: EventBatch, reports: dict[str, Report]) -> None:
    """Add what exceptions hold back in a batch, and what those that have ended do not hold back any more."""
    excepting = detecting.excepting
    if excepting is None:
        return
    matches, at = detecting.all_matches(batch), times(batch)
    for one in excepting.held(matches, at):
        mine, rule = reports[one.exception], detecting.rules[one.match.rule]
        name, count = rule.id or rule.title, len(one.match.rows)
        mine.held[name] = mine.held.get(name, 0) + count
        mine.alone += count if one.alone else 0
        mine.last = max(mine.last or 0, int(at[list(one.match.rows)].max()))
        if len(mine.examples) < SHOWN:
            alerts = detecting.alerts.of(batch, [one.match], detecting.rules)
            mine.examples += list(alerts)[: SHOWN - len(mine.examples)]
    for name, count in excepting.past(matches, at):
        reports[name].fired += count
