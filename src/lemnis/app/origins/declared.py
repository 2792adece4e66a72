"""Where what runs in a cluster is declared: the repository and commit it was deployed of, and its manifest.

What says of which commit it was, strongest first: a record of a deployment, what a GitOps tool says that it
applied, tags that were put on it, and at last nothing but that a manifest has its kind and name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lemnis.app import settings
from lemnis.app.origins import code
from lemnis.app.origins.base import Asked
from lemnis.app.origins.code import Place
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import InputError
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.contracts.resources import Resource
from lemnis.graph import code_edges
from lemnis.scan import resources
from lemnis.scan.readers import mapping

RELATION = "defined_by"
_UNRECORDED = "no record says of which commit it was deployed: a manifest has its kind and name"
_PARTS = ("kubernetes.pod", "kubernetes.container")


@dataclass(frozen=True, slots=True)
class Object:
    """An object of a cluster: its kind, namespace (empty: of the whole cluster) and name."""

    kind: str
    space: str
    name: str

    @classmethod
    def of(cls, entity: Entity) -> Object:
        """Read it from an entity: ``SCOPE/Kind/namespace/name``, or without namespace, or without scope."""
        kind, space, name = ("", "", *entity.value.split("/"))[-3:]
        if space[:1].isupper() or not kind:  # kinds begin with a capital letter, namespaces cannot
            return cls(space, "", name)
        return cls(kind, space, name)

    def __str__(self) -> str:
        """Render as people write it."""
        return "/".join(part for part in (self.kind, self.space, self.name) if part)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest of an object: the object itself, then its pod and containers if it makes any."""

    path: str
    resources: tuple[Resource, ...]
    within: bool
    """Whether it names the object's namespace; else whoever applies it says which."""


@dataclass(frozen=True, slots=True)
class Home:
    """A repository at a commit that something was deployed of, and how that is known."""

    place: Place
    method: str
    strength: Strength
    evidence: Mapping[str, Json] = field(default_factory=dict)

    def manifests(self, wanted: Object) -> list[Manifest]:
        """Return the manifests of an object: those of the folder that was applied, if it has any."""
        found = list(manifests(self.place.files, wanted))
        folder = str(self.evidence.get("folder", ""))
        return [one for one in found if folder and one.path.startswith(f"{folder}/")] or found

    def edge(self, source: Entity) -> Edge:
        """Return the edge from what was deployed to the commit."""
        commit = Entity(EntityKind.COMMIT, self.place.commit)
        facts: dict[str, Json] = {"repository": self.place.name, **self.evidence}
        return Edge(source, commit, RELATION, self.method, self.strength, facts)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the graph says of where something came from: repository, commit (empty: not said), and how."""

    repository: str
    commit: str
    method: str
    strength: Strength
    evidence: Mapping[str, Json]


def home(asked: Asked, things: Sequence[Entity], wanted: Object) -> Home | Edge:
    """Return where an object is declared; else the broken edge of the first of ``things`` that says why not.

    ``things`` are what may be said to be of a commit: the object, and the workload that it makes.
    """
    said = sorted(_said(asked, things), key=lambda one: -one.strength)
    troubles = []
    for one in said:
        try:
            place = code.place(asked, one.repository, one.commit)
        except InputError as error:
            troubles.append(f"{one.method}: {error}")
            continue
        if any(manifests(place.files, wanted)):
            return _doubted(Home(place, one.method, one.strength, one.evidence), one, said, troubles)
        troubles.append(f"{one.method}: {place.name} at {place.commit[:12]} has no manifest of {wanted}")
    if troubles:  # what a record says and does not hold is no ground for a guess
        return _broken(things[0], said[0].method, "; ".join(troubles))
    return _by_name(asked, things[0], wanted)


def _doubted(home: Home, chosen: _Said, said: Sequence[_Said], troubles: Sequence[str]) -> Home:
    """Return a home with what speaks against it; if as much speaks for another commit, it is a mere name."""
    others = {one.commit: one for one in said if one.commit[:7] != chosen.commit[:7]}
    facts: dict[str, Json] = dict(home.evidence)
    if others:
        facts["contradicted_by"] = [f"{one.method}: {one.commit}" for one in others.values()]
    if troubles:
        facts["weaker"] = list(troubles)
    even = any(one.strength >= chosen.strength for one in others.values())
    return replace(home, evidence=facts, strength=Strength.NAME_MATCH if even else home.strength)


def manifests(files: Mapping[str, bytes], wanted: Object) -> Iterator[Manifest]:
    """Yield the manifests of an object in some files, those first that name its namespace."""
    found = [
        one
        for path, data in files.items()
        if resources.fits(path) and wanted.name.encode() in data
        for one in _manifests(path, data.decode(errors="replace"), wanted)
    ]
    yield from sorted(found, key=lambda one: (not one.within, one.path))


def _manifests(path: str, text: str, wanted: Object) -> Iterator[Manifest]:
    groups: list[list[Resource]] = []
    for one in resources.read(path, text).resources:
        if one.kind in _PARTS and groups:
            groups[-1].append(one)
        else:
            groups.append([one])
    for group in groups:
        meta = mapping(group[0].data.get("metadata"))
        space = meta.get("namespace", "")
        if (
            group[0].kind == f"kubernetes.{wanted.kind}"
            and meta.get("name") == wanted.name
            and space in ("", wanted.space)
        ):
            yield Manifest(path, tuple(group), space == wanted.space)


def _said(asked: Asked, things: Sequence[Entity]) -> Iterator[_Said]:
    """Yield what the graph says, as of the incident: records, GitOps tools, tags."""
    for relations in (("deployed_by", "triggered_by"), (RELATION, "built_from"), ("introduced_by",)):
        for way in _ways(asked, things, relations):
            if way[-1].target.kind is EntityKind.COMMIT:
                yield from _of(asked, way, way[-1].target)


def _ways(asked: Asked, things: Sequence[Entity], relations: Sequence[str]) -> Iterator[tuple[Edge, ...]]:
    """Yield the ways through the graph along relations, one after another."""
    for edge in asked.graph.leaving(things, asked.at, relations[:1]):
        if edge.holds and len(relations) == 1:
            yield (edge,)
        elif edge.holds:
            yield from ((edge, *rest) for rest in _ways(asked, [edge.target], relations[1:]))


def _of(asked: Asked, way: Sequence[Edge], commit: Entity) -> Iterator[_Said]:
    """Yield where a commit is that a way leads to, with the way as evidence."""
    homes = asked.graph.leaving([commit], asked.at, ["in_repository"])
    told = [str(edge.evidence.get("repository", "")) for edge in way]
    names = dict.fromkeys([*(edge.target.value for edge in homes if edge.holds), *filter(None, told)])
    weakest = min(way, key=lambda edge: edge.strength)
    facts: dict[str, Json] = {
        "way": [f"{edge.relation} {edge.target} ({edge.strength.name.lower()})" for edge in way],
        "records": [
            str(r) for edge in way if (r := edge.evidence.get("record") or edge.evidence.get("digest"))
        ],
    }
    if folder := next((str(one) for edge in way if (one := edge.evidence.get("folder"))), ""):
        facts["folder"] = folder
    for name in names:
        yield _Said(name, commit.value, way[0].method, weakest.strength, facts)


def _by_name(asked: Asked, thing: Entity, wanted: Object) -> Home | Edge:
    """Look through all repositories for a manifest of that kind and name: only one may have any."""
    found = [one.name for one in settings.load(asked.workspace).repositories if _has(asked, one.name, wanted)]
    if len(found) == 1:
        place = code.place(asked, found[0])
        return Home(place, "manifest_name", Strength.NAME_MATCH, {"weaker": [_UNRECORDED]})
    return _broken(
        thing, "manifest_name",
        f"{wanted} is declared in several repositories: {', '.join(found)}" if found
        else f"no record of a deployment, and no repository of the settings has a manifest of {wanted}",
    )  # fmt: skip


def _has(asked: Asked, name: str, wanted: Object) -> bool:
    """Say whether a repository had a manifest of an object at the time; one that began later had none."""
    try:
        repository = settings.repository(asked.workspace, name)
        files = dict(repository.tree(code.newest(repository, asked.at)))
    except InputError:
        return False
    return any(manifests(files, wanted))


def _broken(source: Entity, method: str, reason: str) -> Edge:
    return code_edges.broken(source, RELATION, EntityKind.COMMIT, method, reason)
