"""From requests to an endpoint that should not have been open to the line of the manifest that opened it.

The chain goes from the name that was asked for to the endpoint, to the object of the cluster that makes it
one (an Ingress, a Service, or the workload behind that lets everybody in), to the commit and the line there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lemnis.app.origins import code, declared
from lemnis.app.origins.base import Asked, Chain, Event, hops, noted
from lemnis.app.origins.declared import Home, Manifest, Object
from lemnis.contracts.alerts import Alert, Entity, EntityKind
from lemnis.contracts.findings import Finding
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.contracts.resources import Resource, Steps
from lemnis.graph import code_edges
from lemnis.lessons.prevent.base import Setting, Traced
from lemnis.scan.readers import listed, mapping
from lemnis.store.columns import leaf

REMOTE = "attack.t1133"
"""ATT&CK: External Remote Services, among them consoles and dashboards that are open to everybody."""
_HTTP = 4002
_HOSTS = ("http_request.url.hostname", "dst_endpoint.hostname", "tls.sni")
_UNGUARDED = (frozenset({287, 306, 862}), frozenset({284, 668}))
"""Weaknesses (CWE) that are to let anybody in, and then to be where everybody is: asked in this order."""
_OPEN = ("LoadBalancer", "NodePort")
_FRONT = ("kubernetes.Ingress", "kubernetes.Service")
_AROUND = 3_600_000  # ms: what the same clients asked so long before and after belongs to the attack


@dataclass(frozen=True, slots=True)
class _Begun:
    """An endpoint that alerts are about: where that begins, the edges to it, what makes it one."""

    begin: Entity
    edges: tuple[Edge, ...]
    objects: tuple[tuple[Edge, ...], ...] = ()
    """Ways from the endpoint to objects of the cluster, the nearest first."""


@dataclass(slots=True)
class _About:
    """What alerts say of a host: where it was asked, by whom."""

    alerts: list[Alert] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    clients: set[str] = field(default_factory=set)


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a host that alerts say was open to whom it should not have been."""
    if not any(REMOTE in alert.tags for alert in asked.alerts):
        return []
    return [_chain(asked, host, about) for host, about in _hosts(asked).items()]


def _hosts(asked: Asked) -> dict[str, _About]:
    told = {alert.id: alert for alert in asked.alerts if REMOTE in alert.tags}
    found: dict[str, _About] = {}
    for event in asked.named():
        alerts = [told[one] for one in event.alerts if one in told]
        host = _host(event)
        if event.kind != _HTTP or not alerts or not host:
            continue
        about = found.setdefault(host, _About())
        about.alerts += [one for one in alerts if one not in about.alerts]
        about.paths.append(str(event.get("http_request.url.path") or "/"))
        about.clients |= {str(client) for client in (event.get("src_endpoint.ip"),) if client}
    return found


def _host(event: Event) -> str:
    name = next((str(value) for path in _HOSTS if (value := event.get(path))), "")
    return (urlsplit(f"//{name}").hostname or "").rstrip(".").lower()


def _chain(asked: Asked, host: str, about: _About) -> Chain:
    begun = _begun(asked, host, about.paths)
    edges, ended, facts = list(begun.edges), None, Traced()
    if begun.objects:
        more, ended, facts = _follow(asked, begun.objects)
        edges += more
    return Chain(
        begin=begun.begin,
        alert=about.alerts[0],
        hops=hops(edges),
        source=ended.source if ended else None,
        facts=facts,
        alerts=tuple(alert.id for alert in about.alerts),
        events=tuple(_requests(asked, host, about.clients)),
        beside=ended.beside if ended else (),
    )


def _begun(asked: Asked, host: str, paths: Sequence[str]) -> _Begun:
    """Return how the chain of a host begins: the endpoint that serves most of the paths asked for."""
    name = Entity(EntityKind.DOMAIN, host)
    ways = [edge for edge in asked.graph.edges_from(name, asked.at, ["resolves_to"]) if edge.holds]
    ways = [
        edge for edge in ways if edge.target.kind is EntityKind.ENDPOINT and _served(edge.target, paths)[0]
    ]
    best = max(ways, key=lambda edge: _served(edge.target, paths), default=None)
    balanced = asked.graph.beginning(EntityKind.ENDPOINT, f"tcp://{host}:", 1)  # a balancer's own address
    edges: tuple[Edge, ...] = ()
    if best is not None:
        begin, edges, thing = name, (best,), best.target
    elif balanced:
        begin = thing = balanced[0]
    else:
        why = "nothing that was collected of a cluster at that time serves it (`lemnis graph collect`)"
        edge = code_edges.broken(name, "resolves_to", EntityKind.ENDPOINT, "kubernetes", why)
        return _Begun(name, (edge,))
    objects = tuple(_objects(asked, thing))
    if objects:
        return _Begun(begin, edges, objects)
    why = "nothing that was collected of the cluster says which object makes it one"
    lost = code_edges.broken(thing, declared.RELATION, EntityKind.CLUSTER_OBJECT, "kubernetes", why)
    return _Begun(begin, (*edges, lost))


def _served(endpoint: Entity, paths: Sequence[str]) -> tuple[int, int]:
    """Return how many of some paths an endpoint serves, and how narrow it is."""
    prefix = urlsplit(endpoint.value).path.rstrip("/")
    return sum(f"{path}/".startswith(f"{prefix}/") for path in paths), len(prefix)


def _objects(asked: Asked, endpoint: Entity) -> Iterator[tuple[Edge, ...]]:
    """Yield the ways to what makes an endpoint one: Ingress or Service, then what runs behind it."""
    for edge in asked.graph.edges_from(endpoint, asked.at, [declared.RELATION]):
        if edge.target.kind is EntityKind.CLUSTER_OBJECT and edge.holds:
            yield (edge,)
    for exposes in asked.graph.edges_to([endpoint], asked.at, ["exposes"]):
        if not exposes.holds:
            continue
        behind = Edge(
            endpoint, exposes.source, "handled_by", exposes.method, exposes.strength, exposes.evidence,
            exposes.valid_from, exposes.valid_to,
        )  # fmt: skip
        for edge in asked.graph.edges_from(exposes.source, asked.at, [declared.RELATION]):
            if edge.target.kind is EntityKind.CLUSTER_OBJECT and edge.holds:
                yield behind, edge


@dataclass(frozen=True, slots=True)
class _Opened:
    """A line that opens an endpoint: where, by which finding or setting, how well that is known."""

    way: tuple[Edge, ...]
    home: Home
    manifest: Manifest
    line: int
    finding: Finding | None
    setting: Setting | None
    rank: tuple[int, int]


def _follow(asked: Asked, ways: Sequence[tuple[Edge, ...]]) -> tuple[list[Edge], code.End | None, Traced]:
    """Return the edges from an endpoint to the line that opens it, its end and its facts."""
    found: list[_Opened] = []
    kept: list[Edge] = []
    lost: list[Edge] = []
    for way in ways:
        thing, wanted = way[-1].target, Object.of(way[-1].target)
        home = declared.home(asked, [thing, *(edge.source for edge in way[1:])], wanted)
        if isinstance(home, Edge):
            lost = lost or [*way, home]
        else:
            kept = kept or [*way, home.edge(thing)]
            found += [one for manifest in home.manifests(wanted) for one in _opened(way, home, manifest)]
    if found:
        return _ended(asked, min(found, key=lambda one: one.rank), found)
    if not kept:
        return lost, None, Traced()
    why = "no manifest of what makes it an endpoint opens it: what runs is not what was committed"
    return [*kept, code.broken(kept[-1].target, "manifest", why)], None, Traced()


def _ended(
    asked: Asked, best: _Opened, found: Sequence[_Opened]
) -> tuple[list[Edge], code.End | None, Traced]:
    """Return the edges to the line that opens it most, its end and its facts; the other lines are told."""
    commit = best.home.edge(best.way[-1].target)
    same = {one.manifest.path for one in found if one.rank == best.rank and one.way == best.way}
    strength = Strength.RECORDED if best.manifest.within else Strength.LABEL
    edge, located = code.line(
        commit.target, best.home.place, best.manifest.path, best.line, method="manifest",
        strength=Strength.NAME_MATCH if len(same) > 1 else strength,
        findings=(best.finding,) if best.finding else None,
    )  # fmt: skip
    also: list[Json] = [f"{one.manifest.path}:{one.line}" for one in found if one is not best]
    edge = noted(edge, object=str(Object.of(best.way[-1].target)), also=also)
    ended = code.end(asked, best.home.place, edge.target, located)
    facts = Traced(located.findings, best.manifest.path, best.line, ended.source.text, setting=best.setting)
    return [*best.way, commit, edge, *ended.edges], ended, facts


def _opened(way: tuple[Edge, ...], home: Home, manifest: Manifest) -> Iterator[_Opened]:
    """Yield the lines of a manifest that open an endpoint: those of findings, then the setting itself.

    What runs behind opens it by letting anybody in; that it could be reached is said before it.
    """
    lines = _lines(manifest)
    weaknesses = _UNGUARDED if manifest.resources[0].kind in _FRONT else _UNGUARDED[:1]
    for finding in home.place.findings:
        rank = next((n for n, cwes in enumerate(weaknesses) if cwes & set(finding.cwes)), None)
        if rank is not None and finding.path == manifest.path and finding.line in lines:
            yield _Opened(way, home, manifest, finding.line, finding, None, (rank, -finding.severity))
    for resource in manifest.resources:
        steps, value, good = _setting(resource)
        if steps:
            setting = Setting(resource.kind, resource.name, steps, value, good) if good else None
            line = resource.at(steps).line
            yield _Opened(way, home, manifest, line, None, setting, (len(_UNGUARDED), 0))


def _setting(resource: Resource) -> tuple[Steps, Json, Json]:
    """Return what opens an endpoint in a Service or an Ingress: where it stands, its value, what is right."""
    spec = mapping(resource.data.get("spec"))
    if resource.kind == "kubernetes.Service" and spec.get("type") in _OPEN:
        return ("spec", "type"), spec["type"], "ClusterIP"
    if resource.kind == "kubernetes.Ingress" and listed(spec.get("rules")):
        return ("spec", "rules", 0), None, None
    return (), None, None


def _lines(manifest: Manifest) -> frozenset[int]:
    return frozenset(
        line for one in manifest.resources for line, _ in (*one.lines.values(), (one.place.line, 1))
    )


def _requests(asked: Asked, host: str, clients: set[str]) -> Iterator[str]:
    """Yield the events of what the same clients asked the host for, about then."""
    first = min((alert.began for alert in asked.alerts), default=0) - _AROUND
    last = max((alert.ended for alert in asked.alerts), default=0) + _AROUND
    for batch in asked.lake.scan(_HTTP, start=first, end=last + 1):
        columns = [leaf(batch.table, path) for path in ("metadata.uid", "src_endpoint.ip", *_HOSTS)]
        rows = zip(
            *([None] * batch.table.num_rows if c is None else c.to_pylist() for c in columns), strict=True
        )
        yield from (uid for uid, client, *names in rows if client in clients and host in names)
