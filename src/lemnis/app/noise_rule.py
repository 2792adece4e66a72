"""What one rule costs: its alerts week by week, what came of them, exceptions and what one would save."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lemnis import app
from lemnis.app import exceptions, noise, noise_filter
from lemnis.app.detection import detection
from lemnis.app.exceptions import Called, Compiled
from lemnis.app.noise import PROTECTED, Noise
from lemnis.app.noise_filter import Proposal
from lemnis.app.rates import DAY
from lemnis.content.library import Item, Library
from lemnis.contracts.alerts import Entity, Verdict
from lemnis.contracts.events import EventBatch
from lemnis.contracts.incidents import Incident
from lemnis.detect.rules import Rule, load_rules
from lemnis.store.lakes import Readable

WEEK, WEEKS = 7 * DAY, 12
SECONDS = 20.0
"""So long the lake is looked at, for what an exception would take away."""
_SHARED = 50
Hides = Callable[[Rule, Entity, Iterable[str]], bool]
"""Says of an entity, and of the fields in which a rule's events hold it, whether somebody does not see it."""


@dataclass(frozen=True, slots=True)
class Week:
    """A week of a rule's alerts: in incidents that were judged harmless, judged real, and the others."""

    start: int
    harmless: int
    real: int
    open: int

    @property
    def alerts(self) -> int:
        """Return how many there were."""
        return self.harmless + self.real + self.open


@dataclass(frozen=True, slots=True)
class Cost:
    """What a rule made over the lake, and exceptions that would help, the best first.

    ``whole`` says that all events of the time were looked at.
    """

    noise: tuple[Noise, ...]
    proposals: tuple[Proposal, ...]
    events: int
    whole: bool


def weeks(incidents: Iterable[Incident], loose: Iterable[Any], keys: Collection[str], now: int) -> list[Week]:
    """Return the alerts of the last weeks, oldest first; ``loose`` are groups in no incident. Pure."""
    first = now - WEEKS * WEEK
    found: dict[str, Counter[int]] = {"harmless": Counter(), "real": Counter(), "open": Counter()}
    for one in incidents:
        for group in one.groups:
            if group.rule_id in keys:
                kind = _judged(one)
                found[kind].update((at - first) // WEEK for _, at in group.alerts if at >= first)
    for group in loose:
        if group.rule_id in keys:
            found["open"].update((at - first) // WEEK for _, at in group.alerts if at >= first)
    return [
        Week(first + n * WEEK, *(found[kind][n] for kind in ("harmless", "real", "open")))
        for n in range(WEEKS)
    ]


def _judged(one: Incident) -> str:
    if one.open or one.verdict is Verdict.UNKNOWN:
        return "open"
    return "real" if one.verdict in PROTECTED else "harmless"


def over(library: Library, item: Item) -> tuple[Compiled, ...]:
    """Return the exceptions that are laid over a detection's rules; those that cannot be used are none."""
    loaded = load_rules([item.manifest])
    called = Called(loaded.rules)
    return tuple(one for one in exceptions.load(library)[0] if called.meant(one))


class _Bounded:
    """A lake of which is read for some seconds."""

    def __init__(self, lake: Readable, deadline: float) -> None:
        self._lake, self._deadline = lake, deadline
        self.whole, self.events = True, 0

    def scan(self, *, start: int | None = None, end: int | None = None, **more: Any) -> Iterator[EventBatch]:
        """Yield batches until the time is over."""
        for batch in self._lake.scan(start=start, end=end, **more):
            yield batch
            self.events += len(batch)
            if time.monotonic() > self._deadline:
                self.whole = False
                return

    def __getattr__(self, name: str) -> Any:
        """Return what else a lake has."""
        return getattr(self._lake, name)


def cost(
    workspace: app.Workspace,
    library: Library,
    item: Item,
    *,
    owner: str,
    days: float = 30,
    real: Collection[str] = (),
    seconds: float = SECONDS,
    lake: Readable | None = None,
    hides: Hides | None = None,
) -> Cost:
    """Replay one detection over the last days and measure exceptions from it; nothing is written.

    ``real`` are the events of alerts that are open or judged real: none of them may be taken away. ``lake``
    is what is looked at, such as what somebody sees; else all of the workspace's. No exception is proposed
    for what ``hides`` says that they do not see.
    """
    lake = lake or app.events(workspace)
    start = workspace.clock.now() - int(days * DAY)
    loaded = load_rules([item.manifest])
    detecting = detection(library, rules=[item.manifest])
    half = _Bounded(lake, time.monotonic() + seconds / 2)
    found = noise.measure(half, detecting, loaded.rules, start=start)  # type: ignore[arg-type] # as much as is read
    if hides is not None:
        for one in found.values():
            for entity in [entity for entity, names in one.fields.items() if hides(one.rule, entity, names)]:
                del one.fields[entity]
    tried = noise_filter.candidates(found, owner=owner, now=workspace.clock.now())
    rest = _Bounded(lake, time.monotonic() + seconds / 2)
    measured = noise_filter.measured(rest, library, tried, real=real, start=start)  # type: ignore[arg-type] # the same
    return Cost(tuple(found.values()), best(measured), half.events, half.whole and rest.whole)


def best(proposals: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """Return those that take something away: what may be taken first, then the most first. Pure."""
    some = [one for one in proposals if one.removed]
    return tuple(sorted(some, key=lambda one: (bool(one.against), -one.removed, one.hidden)))[:_SHARED]
