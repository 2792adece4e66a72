"""Attack paths: from the internet to a workload that can be exploited, and on by its rights to personal data.

A path is hops of the graph, each with its evidence: endpoint, workload, image, what is wrong in it, identity,
roles, resource, data set. A hop says that something is so, not that an attack along it was tried.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import re2
import sqlalchemy as sa

from lemnis import app
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.provenance import Edge, Node, Strength
from lemnis.graph.store import Graph
from lemnis.graph.walks import Step

RIGHTS: Final = ("runs_as", "has_role", "grants", "processes")
"""Relations by which a workload comes to what it may do and read."""
DEPTH: Final = 10
"""So many hops from a workload to a data set at most."""
_SCORES: Final = ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM), (0.1, Severity.LOW))
_NOT_PERSONAL: Final = frozenset({"public", "internal", "confidential", "restricted", "secret", "none"})
_SERVICE: Final = 2
"""Where in an ARN its service stands."""
_OUTSIDE: Final = frozenset({"Ingress", "LoadBalancer"})
Said = tuple[Entity, str, Entity]
"""What an edge says, whoever says it: a relation between two entities."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """What can be exploited in a workload: the steps to what is wrong, how bad it is, what it is called."""

    steps: tuple[Step, ...]
    severity: Severity
    exploited: bool
    title: str

    @property
    def rank(self) -> tuple[bool, int, int]:
        """By what the gravest is found: exploited before merely bad, recorded before guessed."""
        return self.exploited, int(self.severity), min(int(one.edge.strength) for one in self.steps)


@dataclass(frozen=True, slots=True)
class AttackPath:
    """One way in: by which endpoint, into which workload, by what weakness, to which data set."""

    entry: Step
    workload: Entity
    weakness: Weakness
    onward: tuple[Step, ...]
    data: Entity
    labels: tuple[str, ...]
    others: int
    """So many more weaknesses the workload has that would do as well."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All hops, in order."""
        return (self.entry, *self.weakness.steps, *self.onward)

    @property
    def id(self) -> str:
        """What it is called: there is one of each workload and data set."""
        return stable_id("path", str(self.workload), str(self.data))

    @property
    def personal(self) -> str:
        """Whether there is personal data: yes, or unknown where nobody said what is in it."""
        return "yes" if self.labels else "unknown"

    @property
    def strength(self) -> Strength:
        """How sure it is: its weakest hop."""
        return min(one.edge.strength for one in self.steps)

    def document(self) -> dict[str, Json]:
        """Return it for machines."""
        from lemnis.app.graph_files import edge_document

        return {
            "entry": str(self.entry.edge.target), "workload": str(self.workload), "data": str(self.data),
            "personal": self.personal, "labels": list(self.labels),
            "weakness": self.weakness.title, "severity": self.weakness.severity.name.lower(),
            "exploited": self.weakness.exploited, "other_weaknesses": self.others,
            "strength": self.strength.name.lower(),
            "hops": [{**edge_document(one.edge), "back": one.back} for one in self.steps],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """The paths, the gravest first, and of how many workloads and endpoints the graph knows."""

    paths: tuple[AttackPath, ...]
    workloads: int
    outside: int
    """So many workloads can be reached from outside."""
    weak: int
    """So many of these have a weakness that is grave enough."""
    at: int | None = None
    """As of when (ms); None: ever."""


def refresh(workspace: app.Workspace) -> None:
    """Take what the scanners of a workspace found by now into its graph; the same again changes nothing."""
    from lemnis.app.graph_collect import settle
    from lemnis.app.graph_collect_kinds import of_findings

    settle(workspace, of_findings(workspace), "", None)


def paths(
    workspace: app.Workspace,
    at: int | None,
    *,
    least: Severity = Severity.HIGH,
    without: Collection[Said] = (),
) -> Found:
    """Find the attack paths as of an instant (ms; None: ever), by weaknesses of at least a severity.

    What is known to be exploited counts whatever its severity; what was suppressed, and what VEX says is not
    affected, does not. ``without`` are hops that are taken away: what would be left.
    """
    graph = _Less(app.engine(workspace), frozenset(without))
    entries = _entries(graph.related("exposes", at))
    weak = _weaknesses(graph, set(entries), at, least)
    reached = _reached(graph, set(weak), at)
    found = [
        AttackPath(
            entries[workload], workload, max(some, key=lambda one: one.rank), onward, data, labels,
            len(some) - 1,
        )
        for workload, some in weak.items()
        for data, labels, onward in reached.get(workload, ())
    ]  # fmt: skip
    found.sort(key=_gravity)
    return Found(tuple(found), graph.count(EntityKind.WORKLOAD), len(entries), len(weak), at)


def said(step: Step) -> Said:
    """Return what a hop says."""
    return step.edge.source, step.edge.relation, step.edge.target


class _Less(Graph):
    """The graph as it would be without some of what is said in it."""

    def __init__(self, engine: sa.Engine, without: frozenset[Said]) -> None:
        super().__init__(engine)
        self._without = without

    def left(self, step: Step) -> bool:
        """Say whether a hop is not among those that were taken away."""
        return said(step) not in self._without

    def _read(
        self, connection: sa.Connection, query: sa.Select[Any], values: Mapping[str, Any] | None = None
    ) -> list[Edge]:
        found = super()._read(connection, query, values)
        return [one for one in found if self.left(Step(one, back=False))] if self._without else found


def _gravity(one: AttackPath) -> tuple[Any, ...]:
    worst = one.weakness
    return (
        one.personal != "yes", not worst.exploited, -worst.severity, -one.strength, len(one.steps),
        str(one.workload), str(one.data),
    )  # fmt: skip


def _entries(edges: Iterable[Edge]) -> dict[Entity, Step]:
    """Return the workloads that can be reached from outside, with the strongest edge that says so."""
    found: dict[Entity, Step] = {}
    for edge in edges:
        if edge.source.kind is EntityKind.WORKLOAD and edge.holds and outside(edge):
            found.setdefault(edge.source, Step(edge, back=True))
    return found


def outside(edge: Edge) -> bool:
    """Say whether an endpoint that a workload exposes is reached from outside its cluster.

    An Ingress, and a load balancer with an address that is not private, are; what else is known of an
    endpoint is its address alone: one that everybody can reach counts.
    """
    host = urlsplit(edge.target.value).hostname or ""
    if host.endswith((".svc", ".internal", ".local", ".cluster.local")) or host == "localhost":
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        how = {str(edge.evidence.get("of", "")), str(edge.evidence.get("type", ""))}
        return not _OUTSIDE.isdisjoint(how)


def _weaknesses(
    graph: Graph, workloads: set[Entity], at: int | None, least: Severity
) -> dict[Entity, list[Weakness]]:
    """Return what is wrong in the images of workloads, and is grave enough."""
    runs = [edge for edge in graph.leaving(workloads, at, ["instance_of"]) if edge.holds]
    images = {edge.target for edge in runs}
    holds = [edge for edge in graph.leaving(images, at, ["contains"]) if edge.holds]
    told = _open(graph.edges_to(images, at, ["about"]))
    packages = {edge.target for edge in holds}
    flaws = _open(graph.edges_to(packages, at, ["affects"]))
    known = {one.entity: one for one in graph.nodes({edge.source for edge in (*told, *flaws)})}
    in_package: dict[Entity, list[Edge]] = defaultdict(list)
    for edge in flaws:
        in_package[edge.target].append(edge)
    of_image: dict[Entity, list[tuple[Step, ...]]] = defaultdict(list)
    for edge in told:
        of_image[edge.target].append((Step(edge, back=True),))
    for edge in holds:
        of_image[edge.source] += (
            (Step(edge, back=False), Step(one, back=True)) for one in in_package[edge.target]
        )
    found: dict[Entity, list[Weakness]] = defaultdict(list)
    for edge in runs:
        for steps in of_image[edge.target]:
            one = _weakness((Step(edge, back=False), *steps), known)
            if one.exploited or one.severity >= least:
                found[edge.source].append(one)
    return found


def _open(edges: Iterable[Edge]) -> list[Edge]:
    """Return what is still said of something: not suppressed, not about what is unknown."""
    wrong = {EntityKind.FINDING, EntityKind.VULNERABILITY}
    return [
        one for one in edges if one.source.kind in wrong and one.holds and not one.evidence.get("suppressed")
    ]


def _weakness(steps: tuple[Step, ...], known: Mapping[Entity, Node]) -> Weakness:
    what = steps[-1].edge.source
    said: Mapping[str, Any] = known[what].properties if what in known else {}
    name = str(said.get("severity", "")).upper()
    severity = Severity[name] if name in Severity.__members__ else _scored(said.get("score"))
    title = str(said.get("title") or what.value)
    return Weakness(steps, severity, said.get("exploited") is True, title)


def _scored(score: Any) -> Severity:
    """Return the severity of a CVSS score (CVSS 3.1, 5); unknown without one."""
    if not isinstance(score, int | float):
        return Severity.UNKNOWN
    return next((level for least, level in _SCORES if score >= least), Severity.INFORMATIONAL)


_Way = tuple[Entity, tuple[str, ...], tuple[Step, ...]]
"""A data set, its labels of personal data (none: nobody said what is in it), and the steps to it."""


def comes_to(
    workspace: app.Workspace, entities: Collection[Entity], at: int | None
) -> dict[Entity, list[_Way]]:
    """Return the data sets that entities come to by their rights: labels of personal data, shortest way.

    Those that hold no personal data are left out.
    """
    return _reached(_Less(app.engine(workspace), frozenset()), set(entities), at)


def _reached(graph: _Less, workloads: set[Entity], at: int | None) -> dict[Entity, list[_Way]]:
    """Return the data sets that each workload comes to by its rights, their labels, the shortest way."""
    out: dict[Entity, list[Step]] = defaultdict(list)
    seen, here = set(workloads), set(workloads)
    stored = {edge.target for edge in graph.related("stored_in", at) if edge.holds}
    for _ in range(DEPTH):
        if not here:
            break
        fresh: set[Entity] = set()
        for step in (*_onward(graph, here, at), *filter(graph.left, _by_pattern(graph, here, stored))):
            before, after = _ends(step)
            out[before].append(step)
            fresh.add(after)
        here = fresh - seen
        seen |= here
    sets = {entity for entity in seen if entity.kind is EntityKind.DATA_SET}
    labels = {one.entity: one.properties.get("labels") for one in graph.nodes(sets)}
    found: dict[Entity, list[_Way]] = {}
    for workload in workloads:
        ways = _ways(workload, out)
        found[workload] = [
            (data, personal, ways[data])
            for data in sorted(sets & set(ways))
            if (personal := _personal(labels.get(data))) is not None
        ]
    return found


def _onward(graph: Graph, here: set[Entity], at: int | None) -> Iterator[Step]:
    """Yield the steps on from entities: their rights, and the data sets that are stored in them."""
    for edge in graph.leaving(here, at, RIGHTS):
        if edge.holds:
            yield Step(edge, back=False)
    for edge in graph.edges_to(here, at, ["stored_in"]):
        if edge.holds:
            yield Step(edge, back=True)


def _by_pattern(graph: Graph, here: set[Entity], stored: set[Entity]) -> Iterator[Step]:
    """Yield what roles grant by a pattern: each resource with data that it means, as a name match."""
    roles = [one for one in here if one.kind is EntityKind.ROLE]
    for node in graph.nodes(roles):
        said = node.properties.get("grants")
        for text in said if isinstance(said, list) else ():
            for resource in sorted(one for one in stored if grants(str(text), one.value)):
                evidence: dict[str, Json] = {"pattern": str(text), "noted_on": str(node.entity)}
                edge = Edge(node.entity, resource, "grants", "pattern", Strength.NAME_MATCH, evidence)
                yield Step(edge, back=False)


def grants(said: str, resource: str) -> bool:
    """Say whether what a role lets be done (``s3:Get*, s3:List* on arn:aws:s3:::a-*``) is about a resource.

    It is if the pattern means it, or what is in it, and one of the actions is of its service. IAM's wildcards
    are ``*`` and ``?`` (IAM JSON policy elements: Resource).
    """
    actions, _, pattern = said.rpartition(" on ")
    parts = resource.split(":")
    service = parts[2] if len(parts) > _SERVICE else ""
    services = {one.partition(":")[0] for one in actions.split(", ")}
    about = "*" in services or service in services or any(one.startswith("not ") for one in services)
    words = "".join({"*": ".*", "?": "."}.get(letter) or re2.escape(letter) for letter in pattern)
    return about and any(re2.fullmatch(f"(?s){words}", one) for one in (resource, f"{resource}/x"))


def _ends(step: Step) -> tuple[Entity, Entity]:
    one, other = step.edge.source, step.edge.target
    return (other, one) if step.back else (one, other)


def _ways(start: Entity, out: Mapping[Entity, Sequence[Step]]) -> dict[Entity, tuple[Step, ...]]:
    """Return the shortest way to everything that can be reached."""
    ways: dict[Entity, tuple[Step, ...]] = {start: ()}
    left = deque([start])
    while left:
        here = left.popleft()
        for step in out.get(here, ()):
            after = _ends(step)[1]
            if after not in ways and len(ways[here]) < DEPTH:
                ways[after] = (*ways[here], step)
                left.append(after)
    return ways


def _personal(labels: Any) -> tuple[str, ...] | None:
    """Return the labels of personal data; none where nobody said what is in it, None where there is none."""
    if not isinstance(labels, list) or not labels:
        return ()
    return tuple(sorted({str(one).casefold() for one in labels} - _NOT_PERSONAL)) or None
