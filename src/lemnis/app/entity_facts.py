"""What an entity is besides its alerts: owners, deploys, findings, posture, data, exposure.

What lies in what runs is followed from a container to its code; a host has what runs on it, an image,
commit or repository what runs of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lemnis import app
from lemnis.app import gates, posture_paths
from lemnis.app.feedback_live import RUNNING, Living, counts
from lemnis.app.findings_life import store
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.findings import Kind
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph.store import Graph
from lemnis.store.findings import Row

K = EntityKind
MOST: Final = 200
"""So many of each are told, and so many things are followed."""
_RUNS: Final = frozenset({K.WORKLOAD, K.CONTAINER, K.PROCESS})
_BACK: Final[Mapping[EntityKind, tuple[tuple[str, ...], ...]]] = {
    K.HOST: (("runs_on",),), K.IMAGE: (("instance_of",),), K.ENDPOINT: (("exposes",),),
    K.COMMIT: (("built_from",), ("built_by", "instance_of"), ("instance_of",)),
    K.REPOSITORY: (("built_from", "in_repository"), ("built_from", "built_by", "instance_of"),
                   ("built_by", "instance_of"), ("instance_of",)),
    K.SERVICE_ACCOUNT: (("runs_as",),), K.BUILD: (("built_by",), ("instance_of",)),
}  # fmt: skip
"""Against which relations, hop by hop, what runs of something is found."""
_CONTROLLERS: Final = frozenset(
    {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod", "Rollout"}
)
_TRACED: Final = frozenset({K.PROCESS, K.CONTAINER, K.IMAGE, K.BUILD, K.COMMIT})
_TRACES: Final = 5
"""What a way to an owner is looked for from, and from how many."""
_PARTS_OF_OBJECT: Final = 3


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns something: the owner, what of it is theirs, and how that is known."""

    owner: Entity
    through: Entity
    edge: Edge


@dataclass(frozen=True, slots=True)
class Deploy:
    """Which image a workload ran by an edge, who deployed it, and what the last gate said of it."""

    workload: Entity
    image: Entity
    edge: Edge
    by: tuple[Entity, ...] = ()
    gate: str = ""
    gate_seq: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """A data set that something holds, reads or comes to: its labels, how, in how many hops."""

    data: Entity
    labels: tuple[str, ...]
    how: str
    hops: int
    strength: Strength


@dataclass(frozen=True, slots=True)
class Exposed:
    """An endpoint of something, and whether it is reached from outside the cluster."""

    endpoint: Entity
    workload: Entity
    outside: bool
    edge: Edge


@dataclass(frozen=True, slots=True)
class Problem:
    """An open finding in something: its id, what it is, how bad, in what it lives, and by which tie."""

    id: str
    title: str
    severity: Severity
    where: str
    exploited: bool
    through: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. ``knows`` says whether the graph knows the entity at all; ``runs`` is what runs of it.

    ``members`` are what is part of it or runs it, so that alerts about them are about it: containers.
    """

    knows: bool
    runs: tuple[Entity, ...]
    members: tuple[Entity, ...]
    owners: tuple[Owner, ...]
    deploys: tuple[Deploy, ...]
    held: tuple[Held, ...]
    exposed: tuple[Exposed, ...]
    posture: tuple[Row, ...]

    @property
    def entities(self) -> set[Entity]:
        """Every entity that is named here."""
        found = {*self.runs, *self.members, *(one.data for one in self.held)}
        for one in self.owners:
            found |= {one.owner, one.through}
        for deploy in self.deploys:
            found |= {deploy.workload, deploy.image, *deploy.by}
        return found | {end for one in self.exposed for end in (one.endpoint, one.workload)}


def facts(workspace: app.Workspace, entity: Entity, config: Iterable[Row], at: int) -> Facts:
    """Return what is known of an entity as of an instant (ms); ``config`` are open findings of posture."""
    graph = Graph(app.engine(workspace))
    runs = running(graph, entity, at)
    return Facts(
        knows=graph.node(entity) is not None,
        runs=tuple(runs),
        members=tuple(_members(graph, entity)),
        owners=tuple(_owners(graph, entity, _parts(Living(workspace), entity, runs, at)[:MOST], at)),
        deploys=tuple(_deploys(workspace, graph, entity, runs)),
        held=tuple(_held(workspace, graph, entity, runs, at)),
        exposed=tuple(_exposed(graph, entity, runs, at)),
        posture=tuple(concerning(config, [entity, *runs]))[:MOST],
    )


def running(graph: Graph, entity: Entity, at: int | None) -> list[Entity]:
    """Return what runs of an entity: itself, its workload, what runs on a host or of an image."""
    here: list[Entity] = [entity]
    found = dict.fromkeys([entity] if entity.kind in _RUNS else [])
    for relations in _BACK.get(entity.kind, ()):
        edges = graph.edges_to(here, at, relations, limit=MOST) if here else []
        here = list(dict.fromkeys(one.source for one in edges if one.holds))
        found |= dict.fromkeys(one for one in here if one.kind in _RUNS)
    inside = graph.leaving(list(found), at, ["runs_in", "part_of"]) if found else []
    found |= dict.fromkeys(one.target for one in inside if one.holds and one.target.kind in _RUNS)
    wholes = graph.leaving(list(found), at, ["part_of"]) if found else []
    found |= dict.fromkeys(one.target for one in wholes if one.holds and one.target.kind in _RUNS)
    return list(found)[:MOST]


def _members(graph: Graph, entity: Entity) -> list[Entity]:
    """Return the containers of a workload or an image, of all times: alerts are about those that were."""
    if entity.kind not in {K.WORKLOAD, K.IMAGE}:
        return []
    edges = graph.edges_to([entity], None, ["part_of", "instance_of"], limit=MOST)
    return list(dict.fromkeys(one.source for one in edges if one.holds and one.source.kind is K.CONTAINER))


def _owners(graph: Graph, entity: Entity, parts: Sequence[Entity], at: int) -> list[Owner]:
    """Return who owns it: as it is said of itself, of what it is made of, or where its trace ends."""
    found = {
        edge.target: Owner(edge.target, edge.source, edge)
        for edge in sorted(graph.leaving(parts, at, ["owned_by"]), key=lambda one: int(one.strength))
        if edge.holds
    }
    for start in [one for one in parts if one.kind in _TRACED][:_TRACES]:
        hops = graph.trace(start, at)
        last = hops[-1] if hops else None
        if last is not None and not last.broken and last.edge.relation == "owned_by":
            found.setdefault(last.edge.target, Owner(last.edge.target, last.edge.source, last.edge))
    return sorted(found.values(), key=lambda one: (one.through != entity, -one.edge.strength))


def _deploys(workspace: app.Workspace, graph: Graph, entity: Entity, runs: Sequence[Entity]) -> list[Deploy]:
    """Return which image ran when, the newest first."""
    edges = [one for one in graph.leaving(runs, None, ["instance_of"]) if one.holds] if runs else []
    if entity.kind is K.IMAGE:
        edges = [one for one in edges if one.target == entity]
    by: dict[Entity, list[Edge]] = {}
    for edge in graph.leaving(runs, None, ["deployed_by"]) if runs else ():
        by.setdefault(edge.source, []).append(edge)
    journal, said = app.journal(workspace), dict[Entity, tuple[str, int]]()
    edges = list({(one.source, one.target, one.valid_from): one for one in reversed(edges)}.values())
    edges.sort(key=lambda one: -(one.valid_from or 0))
    for image in dict.fromkeys(one.target for one in edges[:MOST]):
        told = journal.entries(kind=gates.DECISION, subject=f"image:{image.value}")
        said[image] = next(
            ((str(one.payload.get("decision", "")), one.seq) for one in reversed(list(told))), ("", 0)
        )
    return [
        Deploy(
            one.source, one.target, one,
            tuple(other.target for other in by.get(one.source, ()) if other.at(one.valid_from)),
            *said[one.target],
        )
        for one in edges[:MOST]
    ]  # fmt: skip


def _held(
    workspace: app.Workspace, graph: Graph, entity: Entity, runs: Sequence[Entity], at: int
) -> list[Held]:
    """Return the data sets: what it is, holds, reads, and what it comes to by its rights."""
    direct: dict[Entity, tuple[str, int, Strength]] = {}
    if entity.kind is K.DATA_SET:
        direct[entity] = "is", 0, Strength.VERIFIED
    for edge in graph.edges_to([entity, *runs], at, ["stored_in"]):
        direct.setdefault(edge.source, ("holds", 1, edge.strength))
    for edge in graph.leaving([entity, *runs], at, ["processes"]):
        direct.setdefault(edge.target, ("reads or writes", 1, edge.strength))
    for ways in posture_paths.comes_to(workspace, [entity, *runs], at).values():
        for data, _, steps in ways:
            if steps:
                weakest = min(one.edge.strength for one in steps)
                direct.setdefault(data, ("comes to by its rights", len(steps), weakest))
    labels = {one.entity: one.properties.get("labels") for one in graph.nodes(direct)}
    return [
        Held(data, tuple(map(str, told)) if isinstance(told := labels.get(data), list) else (), *how)
        for data, how in direct.items()
        if data.kind is K.DATA_SET
    ][:MOST]


def _exposed(graph: Graph, entity: Entity, runs: Sequence[Entity], at: int) -> list[Exposed]:
    edges = graph.leaving(runs, at, ["exposes"]) if runs else []
    some = {
        (one.target, one.source): Exposed(one.target, one.source, posture_paths.outside(one), one)
        for one in reversed(edges)
        if one.holds and (entity.kind is not K.ENDPOINT or one.target == entity)
    }
    return sorted(some.values(), key=lambda one: (not one.outside, one.endpoint))[:MOST]


def _parts(living: Living, entity: Entity, runs: Sequence[Entity], at: int) -> list[Entity]:
    """Return an entity with what runs of it and what that is made of."""
    return list(dict.fromkeys([entity, *runs, *(one.entity for one in living.reached([entity, *runs], at))]))


def problems(workspace: app.Workspace, entity: Entity, at: int) -> list[Problem]:
    """Return the open findings that live in an entity, the gravest first; the lake may be asked for them."""
    living = Living(workspace)
    parts = _parts(living, entity, running(Graph(app.engine(workspace)), entity, at), at)
    found: dict[str, Problem] = {}
    running_parts = tuple(one for one in parts if one.kind in RUNNING)[:MOST]
    for one in living.of(running_parts, at) if running_parts else ():
        made = Problem(one.finding, one.name, one.severity, one.where, one.exploited, one.through)
        found.setdefault(one.finding, made)
    for resource in living.aliases(entity):
        for row in store(workspace).rows(resource=resource, limit=MOST):
            told, known = row.finding, row.finding.vulnerability
            if told.kind is not Kind.CONFIG and counts(told):
                made = Problem(
                    told.fingerprint, told.title, told.severity, resource, bool(known and known.exploited)
                )
                found.setdefault(told.fingerprint, made)
    return sorted(found.values(), key=lambda one: (not one.exploited, -one.severity, one.title))[:MOST]


def concerning(config: Iterable[Row], entities: Collection[Entity]) -> list[Row]:
    """Return the findings of configuration that are about any of these entities. Pure."""
    return [
        row
        for row in config
        if row.finding.kind is Kind.CONFIG
        and any(is_about(one, row.finding.resource) or is_about(one, row.resource) for one in entities)
    ]


def is_about(entity: Entity, name: str) -> bool:
    """Say whether checks call an entity, or a part of it, by a name. Pure.

    Objects of a cluster are ``NAMESPACE/KIND/NAME``, with a container after that; what AWS has goes by ARNs.
    """
    if not name:
        return False
    value, parts = entity.value, name.split("/")
    if entity.kind is K.WORKLOAD:
        space, _, own = value.partition("/")
        return (
            len(parts) >= _PARTS_OF_OBJECT
            and (parts[0], parts[2]) == (space, own)
            and parts[1] in _CONTROLLERS
        )
    if entity.kind is K.CLUSTER_OBJECT:
        kind, space, own = ("", "", *value.split("/"))[-_PARTS_OF_OBJECT:]
        return parts[:_PARTS_OF_OBJECT] == [one for one in (space, kind, own) if one]
    if entity.kind is K.IMAGE:
        digest = value.rpartition("@")[2]
        return digest in name if digest.startswith("sha256:") else name == value
    return name == value or name.startswith((f"{value}/", f"{value}."))
