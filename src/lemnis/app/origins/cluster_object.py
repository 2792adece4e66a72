"""From what broke out of a container to the line of the manifest that gave the container the power to.

The chain goes from the process, its container and workload (or from the object that the API server's log
names) to the object that defines the workload, to the commit it was deployed of, and to the line there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from lemnis.app.origins import code, declared, image
from lemnis.app.origins.base import Asked, Chain, Event, hops, noted
from lemnis.app.origins.declared import Home, Manifest, Object
from lemnis.app.scene import Seen
from lemnis.contracts.alerts import Alert, Entity, EntityKind
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.contracts.resources import Resource, Steps
from lemnis.graph import code_edges
from lemnis.graph.process_tree import Container
from lemnis.lessons.prevent.base import Setting, Traced
from lemnis.scan.readers import listed, mapping

ESCAPE = "attack.t1611"
"""ATT&CK: Escape to Host."""
_API = 6003
_KINDS = {
    "deployments": "Deployment", "daemonsets": "DaemonSet", "statefulsets": "StatefulSet", "jobs": "Job",
    "cronjobs": "CronJob", "pods": "Pod", "replicasets": "ReplicaSet",
}  # fmt: skip
"""Objects that make pods, as requests to the API server name them."""
_MADE = ("create", "update", "patch")
_ROOT = frozenset({"ALL", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF"})
"""Capabilities that are as good as root of the node (capabilities(7))."""
_AFTER = 600_000  # ms: what was started so long after breaking out belongs to it
_CHANGED = re.compile(r"\bchroot\s+(\S+)")
_Value = Callable[[object], bool]


@dataclass(frozen=True, slots=True)
class _Way:
    """A way out of a container: where it stands in a resource, what it is there, and what is right."""

    kind: str
    steps: tuple[str, ...]
    opens: _Value
    good: Json = None


_WAYS = (
    _Way("kubernetes.container", ("securityContext", "privileged"), lambda one: one is True, good=False),
    _Way("kubernetes.pod", ("spec", "hostPID"), lambda one: one is True, good=False),
    _Way("kubernetes.pod", ("spec", "volumes", "*", "hostPath", "path"), lambda one: isinstance(one, str)),
    _Way(
        "kubernetes.container", ("securityContext", "capabilities", "add", "*"),
        lambda one: str(one).upper().removeprefix("CAP_") in _ROOT,
    ),
    _Way("kubernetes.pod", ("spec", "hostIPC"), lambda one: one is True, good=False),
    _Way("kubernetes.pod", ("spec", "hostNetwork"), lambda one: one is True, good=False),
)  # fmt: skip
"""Gravest first (Pod Security Standards, Baseline)."""


@dataclass(frozen=True, slots=True)
class _Out:
    """A way out that a manifest opens: the resource, where in it, its value, and what is right."""

    resource: Resource
    steps: Steps
    value: Json
    good: Json


@dataclass(slots=True)
class _Begun:
    """A workload, the edges to it, and the alerts about it."""

    begin: Entity
    workload: Entity
    edges: list[Edge]
    alerts: list[Alert]
    commands: list[str] = field(default_factory=list)
    object: Entity | None = None
    seen: list[Seen] = field(default_factory=list)


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a workload that alerts saw somebody break out of, or get the power to."""
    if not any(ESCAPE in alert.tags for alert in asked.alerts):
        return []
    found: dict[Entity, _Begun] = {}
    for one in (*_processes(asked), *_requests(asked)):
        known = found.setdefault(one.workload, one)
        known.object = known.object or one.object
        if known is not one:
            known.alerts += [alert for alert in one.alerts if alert not in known.alerts]
    return [_chain(asked, one) for one in found.values()]


def _processes(asked: Asked) -> Iterator[_Begun]:
    """Yield the workloads of containers in which alerts saw a process break out."""
    for begun in image.begun(asked):
        alerts = [asked.alert([one]) for one in begun.alerts]
        container = begun.first.container
        if container is None or not any(ESCAPE in alert.tags for alert in alerts):
            continue
        edge = part_of(asked, container)
        if edge is None:
            continue
        commands = [link.command for seen in begun.group for link in seen.chain]
        yield _Begun(
            begun.first.entity, edge.target, [begun.edges[0], edge], alerts, commands, seen=list(begun.group)
        )


def part_of(asked: Asked, container: Container) -> Edge | None:
    """Return the edge to the workload of a container: what the cluster says, else what the sensor says."""
    here = Entity(EntityKind.CONTAINER, container.id)
    known = [one for one in asked.graph.edges_from(here, asked.at, ["part_of"]) if one.holds]
    if known:
        return known[0]
    if "/" not in container.workload:
        return None
    return Edge(
        here, Entity(EntityKind.WORKLOAD, container.workload), "part_of", "runtime_record", Strength.LABEL,
        {"events": list(container.uids)}, container.since, container.until,
    )  # fmt: skip


def _requests(asked: Asked) -> Iterator[_Begun]:
    """Yield the workloads that requests to the API server made or changed."""
    for event in asked.named():
        alerts = [alert for alert in asked.alerts if alert.id in event.alerts and ESCAPE in alert.tags]
        made = requested(event)
        if not alerts or made is None or event.get("api.operation") not in _MADE:
            continue
        workload = Entity(EntityKind.WORKLOAD, f"{made.space or 'default'}/{made.name}")
        known = [
            edge.target
            for edge in asked.graph.edges_from(workload, asked.at, [declared.RELATION])
            if edge.target.kind is EntityKind.CLUSTER_OBJECT
        ]
        here = known[0] if known else Entity(EntityKind.CLUSTER_OBJECT, str(made))
        yield _Begun(here, workload, [], alerts, object=here)


def requested(event: Event) -> Object | None:
    """Return the object that makes pods that a request to the API server is about."""
    about = mapping(next(iter(listed(event.get("resources"))), None))
    kind, name = _KINDS.get(str(about.get("type") or "")), about.get("name")
    if event.kind != _API or kind is None or not name:
        return None
    return Object(kind, str(about.get("namespace") or ""), str(name))


def _chain(asked: Asked, begun: _Begun) -> Chain:
    edges, ended, facts = list(begun.edges), None, Traced()
    if begun.object is None:
        edges.append(defined_by(asked, begun.workload))
        here = edges[-1]
    else:
        here = None
    thing = begun.object or (here.target if here and here.holds else None)
    if thing is not None:
        home = declared.home(asked, [thing, begun.workload], Object.of(thing))
        if isinstance(home, Edge):
            edges.append(home)
        else:
            edges.append(home.edge(thing))
            more, ended, facts = _line(asked, home, Object.of(thing), begun.commands)
            edges += more
    first = begun.seen[0] if begun.seen else None
    return Chain(
        begin=begun.begin,
        alert=begun.alerts[0],
        hops=hops(edges),
        source=ended.source if ended else None,
        facts=facts,
        alerts=tuple(alert.id for alert in begun.alerts),
        events=tuple(_started(asked, begun.seen)),
        first=first,
        others=max(0, len(begun.seen) - 1),
        beside=ended.beside if ended else (),
    )


def _started(asked: Asked, seen: Sequence[Seen]) -> Iterator[str]:
    """Yield the starts of what was run by who broke out: what alerts saw, and what that started."""
    tree = asked.scene.tree
    for one in seen:
        yield from (link.uid for link in asked.scene.inside(one))
        yield from (link.uid for link in tree.descendants(one.process, one.process.at + _AFTER))


def defined_by(asked: Asked, workload: Entity) -> Edge:
    """Return the edge to the object of the cluster that defines a workload; broken if none is known."""
    known = [
        edge
        for edge in asked.graph.edges_from(workload, asked.at, [declared.RELATION])
        if edge.target.kind is EntityKind.CLUSTER_OBJECT and edge.holds
    ]
    return known[0] if known else code_edges.broken(
        workload, declared.RELATION, EntityKind.CLUSTER_OBJECT, "kubernetes",
        "nothing that was collected of the cluster at that time defines it (`lemnis graph collect`)",
    )  # fmt: skip


def _line(
    asked: Asked, home: Home, wanted: Object, commands: Sequence[str]
) -> tuple[list[Edge], code.End | None, Traced]:
    """Return the edges from the commit to the line that let the container out, its end and its facts."""
    commit = home.edge(Entity(EntityKind.CLUSTER_OBJECT, str(wanted))).target
    found = [(one, out) for one in home.manifests(wanted) for out in _outs(one, commands)]
    if not found:
        reason = f"no manifest of {wanted} lets a container out: what runs is not what was committed"
        return [code.broken(commit, "manifest", reason)], None, Traced()
    manifest, out = found[0]
    spot = out.resource.at(out.steps)
    others = sorted(
        {one.path for one, other in found if one.path != manifest.path and other.steps == out.steps}
    )
    strength = Strength.NAME_MATCH if others else Strength.RECORDED if manifest.within else Strength.LABEL
    edge, located = code.line(commit, home.place, spot.path, spot.line, method="manifest", strength=strength)
    edge = _told(edge, wanted, out, [other for _, other in found[1:]], others)
    ended = code.end(asked, home.place, edge.target, located)
    setting = Setting(out.resource.kind, out.resource.name, out.steps, out.value, out.good)
    facts = Traced(located.findings, spot.path, spot.line, ended.source.text, setting=setting)
    return [edge, *ended.edges], ended, facts


def _told(edge: Edge, wanted: Object, out: _Out, more: Sequence[_Out], others: Sequence[str]) -> Edge:
    also: list[Json] = [f"{_way(one.steps)} (line {one.resource.at(one.steps).line})" for one in more]
    return noted(
        edge, object=str(wanted), attribute=_way(out.steps), value=out.value, also=also,
        several=list(others),
    )  # fmt: skip


def _outs(manifest: Manifest, commands: Sequence[str]) -> list[_Out]:
    """Return the ways out that a manifest opens: the one that was gone first, then the gravest."""
    found = [
        _Out(resource, steps, value, way.good)
        for way in _WAYS
        for resource in manifest.resources
        if resource.kind == way.kind
        for steps, value in _values(resource.data, way.steps)
        if way.opens(value)
    ]
    gone = [root for command in commands for root in _CHANGED.findall(command)]
    mounts = {
        str(mapping(one).get("name"))
        for resource in manifest.resources
        for one in listed(resource.data.get("volumeMounts"))
        if str(mapping(one).get("mountPath")).rstrip("/") in {root.rstrip("/") for root in gone}
    }
    return sorted(found, key=lambda out: _volume(out) not in mounts) if mounts else found


def _volume(out: _Out) -> str:
    """Return the name of the volume that a way out leads through; empty for others."""
    if "volumes" not in out.steps:
        return ""
    volumes = listed(mapping(out.resource.data.get("spec")).get("volumes"))
    number = out.steps[2]
    return str(mapping(volumes[number]).get("name")) if isinstance(number, int) else ""


def _values(value: Json, steps: Sequence[str], way: Steps = ()) -> Iterator[tuple[Steps, Json]]:
    """Yield the values at the end of steps, ``*`` being each place of a list, and the ways to them."""
    if not steps:
        yield way, value
    elif steps[0] == "*":
        for number, one in enumerate(listed(value)):
            yield from _values(one, steps[1:], (*way, number))
    elif steps[0] in mapping(value):
        yield from _values(mapping(value)[steps[0]], steps[1:], (*way, steps[0]))


def _way(steps: Steps) -> str:
    return ".".join(map(str, steps))
