"""Components of tied alerts, as far as a look touches them: read from where they are kept, written back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import orjson

from lemnis.contracts.alerts import Alert
from lemnis.contracts.ids import stable_id
from lemnis.correlate.islands import Row
from lemnis.correlate.risk import Points


class State(Protocol):
    """Where grouping keeps what it holds; ``store.groups.Groups`` says what each method does."""

    def last(self) -> int: ...  # noqa: D102 - told there
    def known(self, alerts: Sequence[str]) -> set[str]: ...  # noqa: D102 - told there
    def number(self, alert: str) -> int | None: ...  # noqa: D102 - told there
    def parent(self, no: int) -> int: ...  # noqa: D102 - told there
    def alert(self, no: int) -> tuple[str, int, str, bytes]: ...  # noqa: D102 - told there
    def alerts(self, numbers: Sequence[int]) -> Iterable[tuple[int, str, int, str, bytes]]: ...  # noqa: D102 - told there
    def add_alerts(self, rows: Iterable[tuple[int, str, int, str, int, bytes]]) -> None: ...  # noqa: D102 - told there
    def hang(self, rows: Iterable[tuple[int, int]]) -> None: ...  # noqa: D102 - told there
    def explain(self, rows: Iterable[tuple[bytes, int]]) -> None: ...  # noqa: D102 - told there
    def under(self, root: int) -> list[int]: ...  # noqa: D102 - told there
    def component(self, root: int) -> bytes | None: ...  # noqa: D102 - told there
    def put_components(self, rows: Iterable[tuple[int, bytes]]) -> None: ...  # noqa: D102 - told there
    def drop_components(self, roots: Iterable[int]) -> None: ...  # noqa: D102 - told there
    def loose(self, root: int) -> list[int]: ...  # noqa: D102 - told there
    def add_loose(self, rows: Iterable[tuple[int, int]]) -> None: ...  # noqa: D102 - told there
    def move_loose(self, root: int, to: int) -> None: ...  # noqa: D102 - told there
    def tell_loose(self, root: int, no: int) -> bool: ...  # noqa: D102 - told there
    def drop_loose(self, root: int) -> None: ...  # noqa: D102 - told there
    def filed(self, keys: Sequence[bytes]) -> set[bytes]: ...  # noqa: D102 - told there
    def islands(self, key: bytes, low: int, high: int) -> list[Row]: ...  # noqa: D102 - told there
    def pieces(self, key: bytes, low: int, high: int, longest: int) -> list[Row]: ...  # noqa: D102 - told there
    def drop_islands(self, rows: Iterable[tuple[bytes, int, int]]) -> None: ...  # noqa: D102 - told there
    def put_islands(self, rows: Iterable[tuple[bytes, int, int, int, int]]) -> None: ...  # noqa: D102 - told there
    def incident(self, name: str) -> tuple[int, int] | None: ...  # noqa: D102 - told there
    def put_incident(self, name: str, no: int) -> None: ...  # noqa: D102 - told there
    def rename_incident(self, name: str, to: str) -> None: ...  # noqa: D102 - told there
    def decided(self) -> Iterable[tuple[str, bytes]]: ...  # noqa: D102 - told there
    def decide(self, rows: Iterable[tuple[str, bytes]]) -> None: ...  # noqa: D102 - told there


class Anchor(NamedTuple):
    """What names a component: its earliest alert, of those of one time the one with the least id."""

    time: int
    alert: str
    name: str

    @classmethod
    def of(cls, alert: Alert) -> Anchor:
        """Return the anchor that an alert is, if nobody decided otherwise."""
        return cls(alert.time, alert.id, stable_id("in", alert.id))


@dataclass(slots=True)
class Component:
    """What is tied together: how many alerts, what names it, what its risk depends on, its incidents."""

    anchor: Anchor
    size: int = 0
    points: Points = field(default_factory=Points)
    incidents: list[str] = field(default_factory=list)
    stored: int = 0
    fresh: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, number: int, alert: Alert, anchor: Anchor) -> Component:
        """Make one of an alert that is in no incident."""
        made = cls(anchor, size=1, fresh=[number])
        made.points.add(alert)
        return made

    def absorb(self, other: Component) -> None:
        """Take in what another is."""
        self.anchor = min(self.anchor, other.anchor)
        self.size += other.size
        self.points.merge(other.points)
        self.incidents += [one for one in other.incidents if one not in self.incidents]
        self.stored += other.stored
        self.fresh += other.fresh

    def dump(self) -> bytes:
        """Return it as it is kept: without the alerts that are new and in no incident."""
        known = [
            self.size,
            [*self.anchor],
            self.points.rules,
            self.points.tactics,
            self.incidents,
            self.stored,
        ]
        return orjson.dumps(known, option=orjson.OPT_NON_STR_KEYS)

    @classmethod
    def load(cls, data: bytes) -> Component:
        """Read it back."""
        size, anchor, rules, tactics, incidents, stored = orjson.loads(data)
        points = Points(
            {rule: {int(level): time for level, time in times.items()} for rule, times in rules.items()},
            tactics,
        )
        return cls(Anchor(*anchor), size, points, incidents, stored)


class Forest:
    """Which alert belongs to which component: what was looked at, over what is kept.

    A new alert is a component only when it is asked for: most join another one before.
    """

    def __init__(self, state: State, least: Callable[[Alert, Anchor | None], Anchor]) -> None:
        """Begin with nothing looked at; ``least``: an alert's anchor, or what names a component so far."""
        self._state, self._least = state, least
        self._forgotten()
        self.next = 1

    def begin(self) -> None:
        """Forget what was looked at, and go on after the last alert that is kept."""
        self._forgotten()
        self.next = self._state.last() + 1

    def _forgotten(self) -> None:
        self._parent: dict[int, int] = {}
        self._parts: dict[int, Component] = {}
        self._seeds: dict[int, Alert] = {}
        self._hung: set[int] = set()
        self._dropped: set[int] = set()

    def plant(self, alert: Alert) -> int:
        """Add a new alert as a component of its own; return its number."""
        number = self.next
        self.next += 1
        self._parent[number] = number
        self._seeds[number] = alert
        return number

    def root(self, number: int) -> int:
        """Return the alert that stands for the component of one."""
        parent = self._parent
        if parent.get(number) == number:
            return number
        path = []
        while (above := self._above(number)) != number:
            path.append(number)
            number = above
        for one in path[:-1]:
            parent[one] = number
        return number

    def of(self, root: int) -> Component:
        """Return a component; it counts as changed from then on."""
        found = self._parts.get(root)
        if found is None:
            seed = self._seeds.pop(root, None)
            if seed is not None:
                found = Component.of(root, seed, self._least(seed, None))
            else:
                data = self._state.component(root)
                if data is None:
                    raise KeyError(root)
                found = Component.load(data)
            self._parts[root] = found
        return found

    def unite(self, one: int, other: int) -> int:
        """Make the components of two alerts one; return the alert that stands for it."""
        a, b = self.root(one), self.root(other)
        if a == b:
            return a
        if a in self._seeds:
            a, b = b, a
        mine = self.of(a)
        seed = self._seeds.pop(b, None)
        if seed is not None:
            mine.anchor = self._least(seed, mine.anchor)
            mine.size += 1
            mine.points.add(seed)
            mine.fresh.append(b)
            self._parent[b] = a
            return a
        theirs = self.of(b)
        if mine.size < theirs.size:
            a, b, mine, theirs = b, a, theirs, mine
        mine.absorb(theirs)
        if theirs.stored:
            self._state.move_loose(b, a)
        self._parent[b] = a
        self._hung.add(b)
        del self._parts[b]
        self._dropped.add(b)
        return a

    def tie(self, one: int, other: int) -> None:
        """Make the components of two alerts one; those that hang under the same are so already."""
        above = self._parent.get(one)
        if above is None or above != self._parent.get(other):
            self.unite(one, other)

    def parent(self, number: int) -> int:
        """Return under which alert a new one hangs."""
        return self._parent[number]

    def reset(self, number: int, component: Component) -> None:
        """Make an alert that is known a component of its own again."""
        self._parent[number] = number
        self._hung.add(number)
        self._parts[number] = component
        self._dropped.discard(number)

    def forget(self, root: int) -> None:
        """Forget a component whose alerts are parted anew."""
        self._parts.pop(root, None)
        self._dropped.add(root)

    def save(self, first_new: int) -> None:
        """Write back what changed, and forget it; alerts from ``first_new`` on were not there before."""
        state = self._state
        for root in list(self._seeds):
            self.of(root)
        state.hang((self._parent[no], no) for no in sorted(self._hung) if no < first_new)
        state.drop_components(root for root in self._dropped if root < first_new)
        state.add_loose((root, no) for root, one in self._parts.items() for no in one.fresh)
        for one in self._parts.values():
            one.stored += len(one.fresh)
            one.fresh = []
        state.put_components((root, one.dump()) for root, one in self._parts.items())
        self._forgotten()

    def _above(self, number: int) -> int:
        found = self._parent.get(number)
        if found is None:
            found = self._parent[number] = self._state.parent(number)
        return found


def reasons_of(data: bytes) -> list[tuple[tuple[str, ...], int]]:
    """Read the reasons of an alert back: what it shares, with which other."""
    return [(tuple(shared), other) for shared, other in orjson.loads(data)] if data else []


def dump_reasons(reasons: Iterable[tuple[tuple[str, ...], int]]) -> bytes:
    """Write reasons as they are kept."""
    some = [[shared, other] for shared, other in reasons]
    return orjson.dumps(some) if some else b""
