"""The fold: alerts in any order, with what is known of incidents → which incidents they make.

What is tied belongs together, and what belongs together with something belongs together with all of it
(connected components). Components only grow when alerts are added, so the grouping does not depend on the
order in which alerts arrive, an incident is never taken apart, and its id can stay.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import Alert, Entity, EntityKind, IncidentChange
from lemnis.contracts.clock import span
from lemnis.contracts.ids import stable_id
from lemnis.correlate.risk import assess
from lemnis.correlate.ties import Ties

MAX_REASONS = 4


@dataclass(slots=True)
class _Island:
    """Alerts under one set of entities without a gap longer than its window: they are together."""

    low: int
    high: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Known:
    """What the journal knows: each incident that took alerts, in the order they were opened, with them.

    An incident that was merged into another is not in it; its alerts are the other's.
    """

    incidents: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Fold:
    """Holds the alerts seen and what ties them. Alerts may be added in any order; each takes O(its ties)."""

    def __init__(self, grouping: Grouping) -> None:
        """Begin with nothing seen."""
        self._grouping = grouping
        self._ties = Ties(grouping)
        self._alerts: list[Alert] = []
        self._parent: list[int] = []
        self._islands: dict[tuple[int, ...], list[_Island]] = {}
        self._mixed: dict[tuple[int, ...], list[tuple[int, int, tuple[int, ...], bool]]] = {}
        self._reasons: list[list[tuple[tuple[int, ...], int]]] = []
        self._numbers: dict[Entity, int] = {}
        self._entities: list[tuple[EntityKind, int]] = []

    def add(self, alert: Alert) -> None:
        """Take an alert that was not added before."""
        number = len(self._alerts)
        self._alerts.append(alert if not alert.event else replace(alert, event={}))
        self._parent.append(number)
        self._reasons.append([])
        entities = [self._number(entity) for entity in alert.entities]
        for tied in self._ties.of(tuple(self._entities[e] for e in entities), alert.severity):
            key = (tied.window, tied.one, *(entities[place] for place in tied.places))
            if tied.one:
                strong = alert.severity >= tied.one
                self._mixed.setdefault(key, []).append((alert.time, number, tied.places, strong))
            else:
                self._because(number, tied.places, self._file(key, tied.window, alert.time, number))

    def changes(self, known: Known) -> tuple[IncidentChange, ...]:
        """Compare the components with the incidents there are; pure."""
        for key, track in self._mixed.items():
            self._sweep(key[0], track)
        members: dict[int, list[int]] = {}
        for number in range(len(self._alerts)):
            members.setdefault(self._root(number), []).append(number)
        incident_of = {alert: incident for incident, inside in known.incidents.items() for alert in inside}
        order = {incident: place for place, incident in enumerate(known.incidents)}
        found = []
        for numbers in members.values():
            there = {incident_of[a] for n in numbers if (a := self._alerts[n].id) in incident_of}
            change = self._change(numbers, sorted(there, key=order.__getitem__), incident_of)
            if change is not None:
                found.append((self._alerts[numbers[0]].time, change))
        return tuple(change for _, change in sorted(found, key=lambda pair: (pair[0], pair[1].incident_id)))

    # -- inside --------------------------------------------------------------------------------------------

    def _number(self, entity: Entity) -> int:
        """Return the entity's number here; its kind and cap are kept by it."""
        number = self._numbers.get(entity)
        if number is None:
            number = self._numbers[entity] = len(self._entities)
            self._entities.append((entity.kind, self._ties.cap(entity)))
        return number

    def _change(
        self, numbers: list[int], there: Sequence[str], incident_of: Mapping[str, str]
    ) -> IncidentChange | None:
        numbers.sort(key=lambda n: (self._alerts[n].time, self._alerts[n].id))
        new = [n for n in numbers if self._alerts[n].id not in incident_of]
        if not new and len(there) == 1:
            return None
        risk = assess((self._alerts[n] for n in numbers), self._grouping.risk)
        if not there and risk.decisive is None:
            return None
        first = self._alerts[numbers[0]]
        return IncidentChange(
            incident_id=there[0] if there else stable_id("in", first.id),
            alerts=tuple(self._alerts[n] for n in new),
            reasons=self._explain(numbers, new),
            merged_from=tuple(there[1:]),
            risk=risk.total,
            because=risk.because,
            decisive=first.time if risk.decisive is None else risk.decisive,
        )

    def _explain(self, numbers: Sequence[int], new: Sequence[int]) -> dict[str, tuple[str, ...]]:
        """Say of each new alert why it is in; of what is the same again, that it is."""
        like: dict[tuple[str, tuple[Entity, ...]], int] = {}
        wanted, reasons = set(new), {}
        for n in numbers:
            alert = self._alerts[n]
            same = like.setdefault((alert.rule_id, alert.entities), n)
            if n in wanted:
                text = self._told(n) if same == n else (f"the same as {self._alerts[same].id}, again",)
                reasons[alert.id] = text or ("the first; what follows is tied to it",)
        return reasons

    def _told(self, number: int) -> tuple[str, ...]:
        """Tell an alert's reasons, what it shares with one other alert in one."""
        shared: dict[int, set[int]] = {}
        for places, other in self._reasons[number]:
            shared.setdefault(other, set()).update(places)
        return tuple(self._reason(number, tuple(sorted(some)), other) for other, some in shared.items())

    def _reason(self, number: int, shared: tuple[int, ...], other: int) -> str:
        alert, earlier = self._alerts[number], self._alerts[other]
        what = " and ".join(f"{e.kind.value} {e.value}" for e in (alert.entities[place] for place in shared))
        apart = alert.time - earlier.time
        when = f"{span(apart)} after" if apart >= 0 else f"{span(-apart)} before"
        return f"shares {what} with {earlier.id} ({earlier.title}), {when} it"

    def _file(self, key: tuple[int, ...], window: int, time: int, number: int) -> int | None:
        """File an alert under a set of entities; return the alert there that it is tied to."""
        islands = self._islands.setdefault(key, [])
        place = bisect_right(islands, time, key=lambda island: island.low)
        before = islands[place - 1] if place else None
        after = islands[place] if place < len(islands) else None
        left = before is not None and time - before.high <= window
        right = after is not None and after.low - time <= window
        if before is not None and left:
            other = before.last if time >= before.high else before.first
            self._join(number, before.last)
            if time >= before.high:
                before.high, before.last = time, number
            if after is not None and right:
                self._join(number, after.first)
                before.high, before.last = after.high, after.last
                del islands[place]
            return other
        if after is not None and right:
            other = after.first
            self._join(number, other)
            after.low, after.first = time, number
            return other
        islands.insert(place, _Island(time, time, number, number))
        return None

    def _sweep(self, window: int, track: list[tuple[int, int, tuple[int, ...], bool]]) -> None:
        """Tie what is serious enough to what lies within the window of it, and not the rest to each other.

        The nearest serious ones before and after are enough: others within the window are tied to them.
        """
        track.sort()
        for step in (1, -1):
            last: tuple[int, int] | None = None
            for time, number, places, strong in track[::step]:
                if last is not None and abs(time - last[0]) <= window:
                    self._join(number, last[1])
                    self._because(number, places, last[1])
                if strong:
                    last = (time, number)

    def _because(self, number: int, places: tuple[int, ...], other: int | None) -> None:
        """Keep a reason for an alert; the first few are enough."""
        reasons = self._reasons[number]
        if other is not None and len(reasons) < MAX_REASONS and (places, other) not in reasons:
            reasons.append((places, other))

    def _root(self, number: int) -> int:
        parent = self._parent
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    def _join(self, one: int, other: int) -> None:
        a, b = self._root(one), self._root(other)
        if a != b:
            self._parent[max(a, b)] = min(a, b)
