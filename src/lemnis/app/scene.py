"""What the lake shows of an incident: processes, containers of their hosts, requests around them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.alerts import Alert, Entity, EntityKind
from lemnis.graph import observed
from lemnis.graph.connections import NETWORK_ACTIVITY, Reached, reached, sent
from lemnis.graph.process_tree import Container, Started, Tree, container_of
from lemnis.graph.requests import AFTER, BEFORE, Behind, Request, behind
from lemnis.store.columns import leaf
from lemnis.store.lakes import Readable
from lemnis.store.leaves import selected
from lemnis.store.rows import table_name, uids

REACH = 30 * 86_400_000  # ms: how long before an alert a container may have been started
LASTS = 600_000  # ms: how long after its start what a process starts is of one piece with it
_FILE_ACTIVITY = 1001
_NAMED = ("device", "process", "actor")
_CONNECTED = ("device", "actor", "dst_endpoint")
_REQUESTED = ("device", "src_endpoint", "http_request")
"""Those by which a process is named, a connection, and a request."""
_AT_ONCE, _ROWS = 5 * 86_400_000, 1_000_000
"""So many milliseconds of processes are read at once, and so many rows at most."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A process that an alert is about, with its ancestors, and its container if it ran in one."""

    alert: Alert
    process: Started
    chain: tuple[Started, ...]
    container: Container | None
    at: int
    """When the alert saw it (ms): a server that connects somewhere was started long before."""

    @property
    def entity(self) -> Entity:
        """The process as an entity: as the alert has it, if it has one only."""
        own = [one for one in self.alert.entities if one.kind is EntityKind.PROCESS]
        return (
            own[0] if len(own) == 1 else Entity(EntityKind.PROCESS, f"{self.process.host}/{self.process.pid}")
        )


@dataclass(frozen=True, slots=True)
class Scene:
    """The processes behind an incident's alerts, earliest first, and all that was read around them."""

    alerts: tuple[Alert, ...]
    seen: tuple[Seen, ...]
    tree: Tree
    containers: tuple[Container, ...]
    requests: tuple[Request, ...]
    connections: tuple[Reached, ...] = ()

    def inside(self, one: Seen) -> list[Started]:
        """Return the chain of a process below its container's first process: what was started in it."""
        if one.container is None:
            return list(one.chain)
        return [link for link in one.chain if link.pid != one.container.pid]

    def behind(self, one: Seen) -> list[Behind]:
        """Return the requests behind a process, the most telling first.

        Those whose text stands in a command line, and those that named where its container connected to;
        where there are none, those that came shortly before.
        """
        told = behind(self.inside(one) or [replace(one.process, at=one.at, command="")], self.requests)
        sure = [found for found in told if found.injected]
        known = {found.request.uid for found in sure}
        sent_ = sent(one.process, self.reached(one), self.requests)
        more = [found for found in sent_ if found.request.uid not in known]
        rest = [found for found in told if not found.injected]
        return [*sure, *more, *(rest if sure or not more else [])]

    def reached(self, one: Seen) -> list[Reached]:
        """Return the connections that the container of a process made about then, or the process itself."""
        near = [found for found in self.connections if -BEFORE <= found.at - one.at <= AFTER]
        if one.container is None:
            return [found for found in near if (found.host, found.pid) == (one.process.host, one.process.pid)]
        return [found for found in near if self._home(found) == one.container.id]

    def _home(self, one: Reached) -> str:
        """Return the container that a connection was made in; empty if in none that is known."""
        direct = (c for c in self.containers if (c.host, c.pid) == (one.host, one.pid) and c.alive(one.at))
        if (container := next(direct, None)) is not None:
            return container.id
        start = self.tree.at(one.host, one.pid, one.at)
        home = container_of(start, self.tree, self.containers) if start else None
        return home[0].id if home else ""

    def began(self, root: Started) -> tuple[str, ...]:
        """Return the events of a process and of what it and its children started within ten minutes."""
        return tuple(one.uid for one in self.tree.descendants(root, root.at + LASTS))

    def of(self, container: Container) -> list[Seen]:
        """Return what was seen in a container."""
        return [one for one in self.seen if one.container and one.container.id == container.id]


def look(lake: Readable, alerts: Sequence[Alert]) -> Scene:
    """Read what the lake has around some alerts."""
    ordered = tuple(sorted(alerts, key=lambda one: (one.time, one.id)))
    if not ordered:
        return Scene((), (), Tree({}), (), ())
    first, last = min(one.began for one in ordered), max(one.ended for one in ordered)
    about = _processes(lake, ordered, first, last)
    hosts = {host for found in about.values() for host, _, _ in found}
    starts: list[Started] = []
    named: list[pa.Table] = []
    for table in _of_hosts(lake, hosts, first - REACH, last + AFTER):
        starts.extend(observed.started(table))
        named.append(table)
    tree, containers = Tree.of(starts), tuple(observed.containers(named))
    seen = [
        one
        for alert in ordered
        for host, pid, at in about.get(alert.id, ())
        if (one := _seen(alert, tree.at(host, pid, at), at, tree, containers)) is not None
    ]
    moments = [one.at for one in seen]
    if not moments:
        return Scene(ordered, (), tree, containers, ())
    requests = _requests(lake, min(moments), max(moments))
    connections = _connections(lake, hosts, min(moments), max(moments))
    return Scene(ordered, tuple(seen), tree, containers, tuple(requests), tuple(connections))


def _of_hosts(lake: Readable, hosts: Collection[str], start: int, end: int) -> Iterator[pa.Table]:
    """Yield what processes of some hosts did, by time, some days at once: the lake skips all other hosts.

    Only what tells of processes is read of them.
    """
    name = table_name(observed.PROCESS_ACTIVITY)
    now = lake.snapshots().get(name) if hosts else None
    if now is None or "device" not in now.schema.names:
        return
    columns = selected(now.schema, observed.OF_PROCESSES)
    known = [one for one in sorted(hosts) if one]
    either = [f"device.hostname IN ({', '.join('?' * len(known))})"] if known else []
    either += ["device.hostname IS NULL"] if "" in hosts else []
    sql = (
        f'SELECT {columns} FROM "{name}" WHERE time >= ? AND time < ? AND ({" OR ".join(either)}) '  # noqa: S608 - own names
        "ORDER BY time, metadata.uid"
    )
    for low in range(start, end, _AT_ONCE):
        high = min(end, low + _AT_ONCE)
        if not now.reaches(low, high):  # a query takes its time where there is nothing, too
            continue
        table = lake.query(sql, parameters=[low, high, *known], limit=_ROWS, start=low, end=high)
        if table.num_rows:
            yield table


def _seen(
    alert: Alert, process: Started | None, at: int, tree: Tree, containers: Sequence[Container]
) -> Seen | None:
    if process is None:
        return None
    found = container_of(process, tree, containers)
    if found is None:
        return Seen(alert, process, tuple(tree.ancestors(process)), None, at)
    return Seen(alert, process, tuple(found[1]), found[0], at)


def _processes(
    lake: Readable, alerts: Sequence[Alert], first: int, last: int
) -> dict[str, list[tuple[str, int, int]]]:
    """Return the processes (host, number, when) that each alert's events name, by alert id."""
    wanted = {uid: alert.id for alert in alerts for uid in alert.event_uids}
    found: dict[str, list[tuple[str, int, int]]] = {}
    for kind, path in (
        (observed.PROCESS_ACTIVITY, "process.pid"),
        (NETWORK_ACTIVITY, "actor.process.pid"),
        (_FILE_ACTIVITY, "actor.process.pid"),
    ):
        for batch in lake.scan(kind, start=first, end=last + 1, columns=_NAMED):
            chosen = batch.table.filter(pc.is_in(uids(batch.table), pa.array(list(wanted), pa.string())))
            for uid, host, pid, at in _rows(chosen, path):
                if pid is not None:
                    found.setdefault(wanted[uid], []).append((host or "", pid, at))
    return found


def _rows(table: pa.Table, path: str) -> Iterator[tuple[Any, ...]]:
    columns = (leaf(table, name) for name in ("metadata.uid", "device.hostname", path, "time"))
    return zip(*([None] * table.num_rows if c is None else c.to_pylist() for c in columns), strict=True)


def _connections(lake: Readable, hosts: Collection[str], first: int, last: int) -> Iterator[Reached]:
    start, end = first - BEFORE, last + AFTER + 1
    for batch in lake.scan(NETWORK_ACTIVITY, start=start, end=end, columns=_CONNECTED):
        yield from reached(observed.on_hosts(batch.table, hosts))


def _requests(lake: Readable, first: int, last: int) -> Iterator[Request]:
    start, end = first - BEFORE, last + AFTER
    for batch in lake.scan(observed.HTTP_ACTIVITY, start=start, end=end, columns=_REQUESTED):
        yield from observed.requests(batch.table)
