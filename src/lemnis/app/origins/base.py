"""What every origin is asked and gives: the scene of an incident, and chains of hops into the code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pyarrow as pa

from lemnis import app
from lemnis.app.scene import Scene, Seen
from lemnis.contracts.alerts import Alert, Entity, EntityKind
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Hop, Strength
from lemnis.graph.code import forges
from lemnis.graph.requests import Behind
from lemnis.graph.source_line import Located
from lemnis.graph.store import Graph
from lemnis.lessons.prevent.base import Traced
from lemnis.store.git import Repository
from lemnis.store.lakes import Readable
from lemnis.store.rows import table_class
from lemnis.store.searching.fields import quote

NOTHING = Traced()
"""What is known of a cause where nothing is."""
_MOST = 20


@dataclass(frozen=True, slots=True)
class Source:
    """Where a chain ends in the code: repository, deployed commit, line, and who brought it in.

    ``name`` is the repository's in the settings; ``deployed`` the commit that ran or was applied, or where
    nobody knows which, the newest before the incident; ``culprit`` the commit that wrote the line.
    """

    name: str
    repository: Repository
    deployed: str
    located: Located
    culprit: str = ""
    text: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """One way from what alerts are about into the code.

    ``begin`` is where it starts, ``alert`` the first alert about that, ``alerts`` the ids of all. ``events``
    are uids of the attack that no alert has (other calls with the same key). ``facts`` is what a gate can be
    drawn from. ``first``, ``others`` and ``behind`` are known where it begins with a process.
    """

    begin: Entity
    alert: Alert
    hops: tuple[Hop, ...]
    source: Source | None
    facts: Traced = NOTHING
    alerts: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    first: Seen | None = None
    others: int = 0
    behind: tuple[Behind, ...] = ()
    beside: tuple[Edge, ...] = ()
    """What is known of its commits and is no hop: who wrote them, how they came in."""

    @property
    def holds(self) -> bool:
        """Say whether every hop holds."""
        return bool(self.hops) and not any(hop.broken for hop in self.hops)

    @property
    def lost(self) -> bool:
        """Say whether not even the first hop holds: then it says no more than that nothing is known."""
        return not self.hops or bool(self.hops[0].broken)

    @property
    def strength(self) -> Strength:
        """Return the weakest hop to the line; who owns it does not count, nor what is signed otherwise."""
        told = [
            hop.edge.strength
            for hop in self.hops
            if hop.edge.relation != "owned_by" and "contradicts" not in hop.edge.evidence
        ]
        return min(told, default=Strength.BROKEN)


@dataclass(frozen=True, slots=True)
class Event:
    """An event that alerts name: its class, source, time (ms) and the ids of the alerts."""

    uid: str
    at: int
    kind: int
    source: str
    alerts: tuple[str, ...]
    row: dict[str, Any] = field(repr=False)

    def get(self, path: str) -> Any:
        """Return what is at a dotted path of the event; None if there is nothing."""
        return at_path(self.row, path)


@dataclass(frozen=True, slots=True)
class Started:
    """How a chain begins that follows events: where, these, the first alert about them, the ids of all."""

    begin: Entity
    events: Sequence[Event]
    alert: Alert
    alerts: tuple[str, ...]

    @property
    def told(self) -> dict[str, Json]:
        """What its first hop says of that."""
        uids: list[Json] = [event.uid for event in self.events[:_MOST]]
        return {"alert": self.alert.id, "rule": self.alert.title, "events": uids}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an origin may look at: the incident's alerts and their events, the lake, the graph as of then.

    ``at`` is the time of the incident's first alert (ms): the graph is asked as of then. ``told`` and
    ``named`` are read once for all origins, when one first asks.
    """

    workspace: app.Workspace
    subject: str
    scene: Scene
    at: int
    told: Callable[[], forges.Told]
    """What forges say of the time before."""
    named: Callable[[], Sequence[Event]]
    """The events that the alerts name, earliest first."""

    @property
    def lake(self) -> Readable:
        """The event lake."""
        return app.events(self.workspace)

    @property
    def graph(self) -> Graph:
        """The provenance graph."""
        return Graph(app.engine(self.workspace))

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The incident's alerts, earliest first."""
        return self.scene.alerts

    def alert(self, ids: Iterable[str]) -> Alert:
        """Return the first of some alerts of the incident."""
        wanted = set(ids)
        return next(one for one in self.alerts if one.id in wanted)

    def started(self, begin: Entity, events: Sequence[Event]) -> Started:
        """Begin a chain at what events are about."""
        ids = tuple(dict.fromkeys(alert for event in events for alert in event.alerts))
        return Started(begin, events, self.alert(ids), ids)


class Origin(Protocol):
    """Follows what it knows of a scene into the code. Pure but for reading; gives no chain for nothing."""

    def __call__(self, asked: Asked, /) -> Sequence[Chain]:
        """Return the chains that begin here."""
        ...


def events(lake: Readable, alerts: Sequence[Alert]) -> list[Event]:
    """Return the events that some alerts name, earliest first."""
    by: dict[str, list[str]] = {}
    for alert in alerts:
        for uid in alert.event_uids:
            by.setdefault(uid, []).append(alert.id)
    if not by:
        return []
    first, last = min(one.began for one in alerts), max(one.ended for one in alerts)
    found = [
        Event(row["metadata"]["uid"], row["time"], table_class(name), row["metadata"]["log_name"],
              tuple(by[row["metadata"]["uid"]]), row)
        for name, snapshot in lake.snapshots().items()
        if "class_uid" in snapshot.schema.names and snapshot.reaches(first, last + 1)
        for row in _named(lake, name, by, first, last + 1).to_pylist()
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.at, one.uid))


def _named(lake: Readable, name: str, wanted: Collection[str], start: int, end: int) -> pa.Table:
    """Return the events of a table that have these uids: of the others only their uids are read."""
    sql = (
        f"SELECT * EXCLUDE day FROM {quote(name)} "  # noqa: S608 - the lake's own name
        "WHERE time >= ? AND time < ? AND list_contains(?, metadata.uid)"
    )
    return lake.query(sql, parameters=[start, end, list(wanted)], limit=len(wanted), start=start, end=end)


def at_path(row: Any, path: str) -> Any:
    """Return what is at a dotted path of nested objects; None if there is nothing."""
    for name in path.split("."):
        if not isinstance(row, dict):
            return None
        row = row.get(name)
    return row


def hops(edges: Iterable[Edge]) -> tuple[Hop, ...]:
    """Return edges as hops, up to the first that does not hold, which says why."""
    return tuple(_hops(edges))


def _hops(edges: Iterable[Edge]) -> Iterator[Hop]:
    for edge in edges:
        if edge.strength is Strength.BROKEN:
            yield Hop(edge, str(edge.evidence.get("reason", "it did not hold")))
            return
        yield Hop(edge)


def line_entity(repository: str, path: str, line: int) -> Entity:
    """Return a line of source as an entity: ``repository:path:line``."""
    return Entity(EntityKind.SOURCE_LINE, f"{repository}:{path}:{line}")


def noted(edge: Edge, **facts: Json) -> Edge:
    """Return an edge with more evidence; what is empty is left out."""
    return replace(edge, evidence={**edge.evidence, **{name: one for name, one in facts.items() if one}})
