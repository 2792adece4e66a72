"""When services were deployed: what they taught before may not hold for what they log since.

A deploy is a container of another image than the same name had on the same host (as runtimes report starts,
in the lake), or, by the graph's deployment records, a workload that runs another image than before or was
``deployed_by`` someone.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from lemnis import app
from lemnis.contracts.alerts import EntityKind
from lemnis.contracts.clock import to_iso
from lemnis.contracts.provenance import Edge
from lemnis.contracts.watching import ALL, HOUR
from lemnis.store.columns import leaf
from lemnis.store.database import filled

if TYPE_CHECKING:
    from lemnis.store.lakes import Readable

KEPT = 35 * 24 * HOUR
"""As long as what sources teach is kept."""
_LATE = 2 * HOUR
_ANEW_S = 600.0
_WORKLOADS, _ROWS = 5_000, 100_000
_PART = 2
"""A deploy on one of so many of its hosts is one of the whole source."""
_POD = re.compile(r"(.+)-[a-z0-9]{5,10}-[a-z0-9]{5}")
_NEEDED = (
    "process.container.uid", "process.container.image.uid", "process.container.image.name", "device.hostname",
)  # fmt: skip
_STARTS = """
    SELECT min(time) AS began, process.container.image.name AS name, process.container.image.uid AS image,
           device.hostname AS host
    FROM process_activity
    WHERE activity_id = 1 AND process.container.uid IS NOT NULL AND process.container.image.uid IS NOT NULL
      AND process.container.image.name IS NOT NULL AND device.hostname IS NOT NULL AND time >= ? AND time < ?
    GROUP BY name, image, host, time // 3600000
    ORDER BY began DESC
"""


class Start(NamedTuple):
    """A container began to run: when (ms), the name and digest of its image, on which host."""

    at: int
    name: str
    image: str
    host: str


@dataclass(frozen=True, slots=True, order=True)
class Deploy:
    """A service was deployed: when (ms), what in words, on which hosts, and what it is called."""

    at: int
    what: str
    hosts: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def __str__(self) -> str:
        """Say it in words."""
        return f"the deploy of {self.what} at {to_iso(self.at)[:19]}Z"


def of_starts(starts: Iterable[Start]) -> Iterator[Deploy]:
    """Yield a deploy for each start of another image than the last of that name on that host. Pure."""
    for (name, host), some in placed(starts).items():
        yield from _of_place(name, host, some)


def placed(starts: Iterable[Start]) -> dict[tuple[str, str], list[Start]]:
    """Return starts by what a service is called and the host that it ran on. Pure."""
    services: dict[str, str] = {}
    found: dict[tuple[str, str], list[Start]] = {}
    for one in starts:
        service = services.get(one.name)
        if service is None:
            service = services[one.name] = _service(one.name)
        found.setdefault((service, one.host), []).append(one)
    return found


def _of_place(name: str, host: str, starts: Iterable[Start]) -> tuple[Deploy, ...]:
    """Return the deploys of a service on a host. Pure."""
    hosts, names = frozenset({host.lower()}), frozenset({_last(name)})
    return tuple(
        Deploy(one.at, f"{name} on {host}", hosts, names)
        for before, one in pairwise(sorted(starts))
        if before.image != one.image
    )


def of_edges(edges: Iterable[Edge]) -> Iterator[Deploy]:
    """Yield a deploy for each workload's image after another, and each ``deployed_by`` with a time. Pure."""
    images: dict[str, list[Edge]] = {}
    hosts: dict[str, set[str]] = {}
    deployed: list[Edge] = []
    for edge in edges:
        if not edge.holds:
            continue
        if edge.relation == "instance_of":
            images.setdefault(edge.source.value, []).append(edge)
        elif edge.relation == "runs_on":
            hosts.setdefault(edge.source.value, set()).add(edge.target.value.lower())
        elif edge.relation == "deployed_by":
            deployed.append(edge)
    for some in images.values():
        some.sort(key=lambda edge: (edge.valid_from or 0, edge.target.value))
        deployed += [one for before, one in pairwise(some) if before.target != one.target]
    for edge in deployed:
        name = edge.source.value
        if edge.valid_from is not None:
            on = frozenset(hosts.get(name, ()))
            yield Deploy(edge.valid_from, name, on, frozenset({_last(name)}))


class Known:
    """Deploys by the hosts that they are of: a service's own, those with its name, and pods of it. Pure."""

    def __init__(self, deploys: Iterable[Deploy] = ()) -> None:
        self._by_name: dict[str, list[Deploy]] = {}
        self._by_host: dict[str, list[Deploy]] = {}
        for one in sorted(deploys, key=attrgetter("at", "what")):
            for name in one.names:
                self._by_name.setdefault(name, []).append(one)
            for host in one.hosts:
                self._by_host.setdefault(host, []).append(one)

    def __bool__(self) -> bool:
        """Say whether there is any."""
        return bool(self._by_name or self._by_host)

    def of_host(self, host: str, now: int) -> Deploy | None:
        """Return the last deploy of a host up to now; None if there was none."""
        return max((one for one in self._of(host) if one.at <= now), default=None)

    def of_source(self, source: str, hosts: Sequence[str], now: int) -> Deploy | None:
        """Return the last deploy of a source up to now: of its name, or of half of its hosts in an hour."""
        named = (one for one in self._by_name.get(source.lower(), ()) if one.at <= now)
        found = [max(named, default=None), self._rolled_out(hosts, now)]
        return max((one for one in found if one is not None), default=None)

    def _of(self, host: str) -> list[Deploy]:
        name = host.lower()
        pod = _POD.fullmatch(name)
        names = {name, pod[1] if pod else name}
        return [*self._by_host.get(name, ()), *(one for key in names for one in self._by_name.get(key, ()))]

    def _rolled_out(self, hosts: Sequence[str], now: int) -> Deploy | None:
        """Return the last deploy with which half of some hosts had one, in the hour up to it."""
        events = sorted(
            ((one, host) for host in hosts for one in self._of(host) if one.at <= now),
            key=lambda of: of[0].at,
        )
        first = len(events)
        seen: Counter[str] = Counter()
        for place in range(len(events) - 1, -1, -1):
            one, host = events[place]
            while first and events[first - 1][0].at > one.at - HOUR:
                first -= 1
                seen[events[first][1]] += 1
            if len(seen) * _PART >= len(hosts):
                return one
            seen[host] -= 1
            if not seen[host]:
                del seen[host]
        return None


def _service(image: str) -> str:
    """Return an image's name without tag and digest."""
    path, slash, name = image.partition("@")[0].rpartition("/")
    return path + slash + name.partition(":")[0]


def _last(name: str) -> str:
    return name.rpartition("/")[2].lower()


class Deploys:
    """The deploys of the last weeks; who looks again and again reads only what is new of the lake.

    They are worked out again only of the hosts that something new started on. The lake is asked not more
    often than every ``every_s`` seconds.
    """

    def __init__(self, workspace: app.Workspace, *, every_s: float = 0.0) -> None:
        self._workspace, self._every_s = workspace, every_s
        self._lock = threading.Lock()
        self._looked = -math.inf
        self._starts: dict[tuple[str, str], set[Start]] = {}
        self._deploys: dict[tuple[str, str], tuple[Deploy, ...]] = {}
        self._until = self._oldest = 0
        self._of_graph: tuple[float, tuple[Deploy, ...]] = (0.0, ())
        self._hosts: tuple[float, Mapping[str, list[str]]] = (0.0, {})
        self._known = Known()

    def look(self, lake: Readable, now: int) -> None:
        """Take what is new."""
        with self._lock:
            if time.monotonic() - self._looked < self._every_s:
                return
            changed = self._read(lake, now)
            looked, before = self._of_graph
            if not looked or time.monotonic() - looked > _ANEW_S:
                of_graph = tuple(one for one in self._told() if one.at > now - KEPT)
                self._of_graph = time.monotonic(), of_graph
                changed |= of_graph != before
            if changed:
                self._known = Known([*chain.from_iterable(self._deploys.values()), *self._of_graph[1]])
            self._looked = time.monotonic()

    def latest(self, lake: Readable, source: str, host: str, now: int) -> Deploy | None:
        """Return the last deploy of what a source, or a host of it, hears; None if there was none."""
        if not self._known:
            return None
        if host != ALL:
            return self._known.of_host(host, now)
        return self._known.of_source(source, self._hosts_of(lake, source), now)

    def _read(self, lake: Readable, now: int) -> bool:
        """Read the starts that are new, and let go those that are old; return whether there were any."""
        schema = lake.schemas().get("process_activity")
        if schema is None:
            return False
        empty = schema.empty_table()
        if any(leaf(empty, path) is None for path in _NEEDED):
            return False
        start = max(self._until - _LATE, now - KEPT)
        found = lake.query(_STARTS, parameters=[start, now + 1], limit=_ROWS, start=start, end=now + 1)
        columns = (found.column(name).to_pylist() for name in ("began", "name", "image", "host"))
        touched = self._let_go(now - KEPT)
        for place, some in placed(map(Start._make, zip(*columns, strict=True))).items():
            known = self._starts.setdefault(place, set())
            before = len(known)
            known.update(some)
            if len(known) > before:
                touched.add(place)
        for place in touched:
            self._deploys[place] = _of_place(*place, self._starts[place])
            if not self._starts[place]:
                del self._starts[place], self._deploys[place]
        if touched:
            self._oldest = min((one.at for some in self._starts.values() for one in some), default=now)
        self._until = now
        return bool(touched)

    def _let_go(self, before: int) -> set[tuple[str, str]]:
        """Let go the starts that were then or earlier; return where those were."""
        touched: set[tuple[str, str]] = set()
        if self._oldest > before:
            return touched
        for place, some in self._starts.items():
            kept = {one for one in some if one.at > before}
            if len(kept) < len(some):
                self._starts[place] = kept
                touched.add(place)
        return touched

    def _told(self) -> Iterator[Deploy]:
        """Yield what the graph says of workloads."""
        engine = app.engine(self._workspace)
        if not filled(engine, "graph_edge"):
            return
        from lemnis.graph.store import Graph

        graph = Graph(engine)
        workloads = graph.beginning(EntityKind.WORKLOAD, "", _WORKLOADS)
        if workloads:
            yield from of_edges(graph.leaving(workloads, None, ("instance_of", "runs_on", "deployed_by")))

    def _hosts_of(self, lake: Readable, source: str) -> list[str]:
        looked, hosts = self._hosts
        if not looked or time.monotonic() - looked > _ANEW_S:
            found: dict[str, list[str]] = {}
            for one in lake.histories():
                if one.host != ALL:
                    found.setdefault(one.source, []).append(one.host)
            self._hosts = time.monotonic(), found
            hosts = found
        return hosts.get(source, [])
