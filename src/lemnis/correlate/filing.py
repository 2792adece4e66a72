"""Filing: under which sets of its entities an alert lies, and what lies there already.

A look files many alerts. Where they lie is worked out once for alerts that are alike, and what lies there is
read and written back at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.correlate.components import State
from lemnis.correlate.islands import Track
from lemnis.correlate.ties import Tied, Ties

_ENTITIES = 100_000
_Known = tuple[str, tuple[EntityKind, int]]


@dataclass(slots=True, eq=False)
class Place:
    """One set of entities: what lies under it near the alerts that come between two times.

    ``weak`` are alerts that tie only to those of at least the severity ``one``, which are in ``track``.
    """

    key: bytes
    window: int
    one: int
    low: int
    high: int
    track: Track
    weak: Track | None


Laid = tuple[tuple[Place, tuple[str, ...]], ...]
"""Where an alert lies, and the names of the entities that it shares with what lies there."""


@dataclass(slots=True, eq=False)
class Like:
    """Alerts about the same entities, of severities that tie alike: where they lie, with what they share.

    ``tying`` is what two of them share that ties them whatever else lies there. ``number`` is the first of
    those of a ``time``, the latest so far.
    """

    places: Laid
    tying: tuple[str, ...] | None
    time: int | None = None
    number: int = 0


class Files:
    """Where the alerts of a look lie, over what is kept."""

    def __init__(self, ties: Ties, state: State) -> None:
        """Begin with nothing read."""
        self._ties, self._state = ties, state
        self._known: dict[Entity, _Known] = {}
        self.forget()

    def forget(self) -> None:
        """Forget what was read."""
        self._likes: dict[tuple[int, tuple[Entity, ...]], Like] = {}
        self._places: dict[bytes, Place] = {}
        self._named: dict[tuple[int, int, tuple[str, ...]], Place] = {}

    def like(self, entities: tuple[Entity, ...], severity: Severity, time: int) -> Like:
        """Return where an alert lies; alerts are asked for by event time."""
        asked = self._ties.rank(severity), entities
        found = self._likes.get(asked)
        if found is None:
            found = self._likes[asked] = self._work_out(entities, severity, time)
        for place, _ in found.places:
            place.high = time
        return found

    def _work_out(self, entities: Sequence[Entity], severity: Severity, time: int) -> Like:
        names, ties = self._tied(entities, severity)
        named, found = self._named, []
        tying = None
        for tied in ties:
            shared = tuple([names[place] for place in tied.places])
            called = tied.window, tied.one, shared
            place = named.get(called)
            if place is None:
                place = named[called] = self._place(_key(tied, shared), tied, time)
            found.append((place, shared))
            if tying is None and severity >= tied.one:
                tying = shared
        return Like(tuple(found), tying)

    def _place(self, key: bytes, tied: Tied, time: int) -> Place:
        found = self._places.get(key)
        if found is None:
            weak = Track() if tied.one else None
            found = self._places[key] = Place(key, tied.window, tied.one, time, time, Track(), weak)
        return found

    def keys(self, entities: Sequence[Entity], severity: Severity) -> Iterator[tuple[Tied, bytes]]:
        """Yield the sets of entities under which an alert is filed, with their keys."""
        names, ties = self._tied(entities, severity)
        for tied in ties:
            yield tied, _key(tied, [names[place] for place in tied.places])

    def _tied(self, entities: Sequence[Entity], severity: Severity) -> tuple[list[str], Sequence[Tied]]:
        """Return the names of entities, and which sets of them tie."""
        known = self._known
        these = [known.get(entity) or self._know(entity) for entity in entities]
        ties = self._ties.of(tuple([shape for _, shape in these]), severity)
        return [name for name, _ in these], ties

    def _know(self, entity: Entity) -> _Known:
        """Return an entity's name, its kind, and the most that sharing it weighs."""
        if len(self._known) >= _ENTITIES:
            self._known.clear()
        found = self._known[entity] = str(entity), (entity.kind, self._ties.cap(entity))
        return found

    def load(self) -> None:
        """Read what lies within reach of the alerts that were asked for."""
        state, places = self._state, self._places.values()
        there = state.filed([*self._places, *(weak_key(one.key) for one in places if one.weak)])
        for one in places if there else ():
            window, weak = one.window, weak_key(one.key)
            if one.key in there:
                one.track = Track.of(state.islands(one.key, one.low - window, one.high + window))
            if one.weak and weak in there:
                pieces = state.pieces(weak, one.low - 2 * window, one.high + window, window)
                one.weak = Track.of(pieces)

    def save(self) -> None:
        """Write back what changed, and forget it."""
        gone: list[tuple[bytes, int, int]] = []
        put: list[tuple[bytes, int, int, int, int]] = []
        for _, one in sorted(self._places.items()):  # in the order in which they are kept
            for key, track in ((one.key, one.track), (weak_key(one.key), one.weak)):
                left, changed = track.changes() if track else ((), ())
                gone += [(key, low, first) for low, first in left]
                put += [(key, island.low, island.first, island.high, island.last) for island in changed]
        self._state.drop_islands(gone)
        self._state.put_islands(put)
        self.forget()


def _key(tied: Tied, shared: Sequence[str]) -> bytes:
    """Return the key under which alerts that share these are kept."""
    text = "\0".join((f"{tied.window}\0{tied.one}", *sorted(shared)))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def weak_key(key: bytes) -> bytes:
    """Return the key of what is not serious enough by itself, beside that of what is."""
    return key + b"w"
