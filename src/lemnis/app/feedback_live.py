"""Which open findings live in what alerts are about: from a container by its image and build to the code.

As of an instant, by the graph; where it does not say what an image was built from, by the attestations that
hold. A look reads each entity, resource and commit once, whoever asks about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.contracts.alerts import Entity, EntityKind, Severity
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.findings import Finding
from lemnis.contracts.handling import Live
from lemnis.contracts.incidents import Incident
from lemnis.contracts.provenance import Edge
from lemnis.store.database import filled

if TYPE_CHECKING:
    from lemnis.graph.store import Graph
    from lemnis.store.findings import Findings
    from lemnis.store.journal import SqlJournal

RUNNING = frozenset({EntityKind.PROCESS, EntityKind.CONTAINER, EntityKind.WORKLOAD, EntityKind.IMAGE})
"""The kinds of entity from which it is looked for."""
RELATIONS = ("runs_in", "instance_of", "built_by", "built_from", "in_repository", "contains")
_DEPTH, _ENTITIES, _REACHED = 6, 200, 5_000
_OF_A_RESOURCE, _OF_PACKAGES = 2_000, 20_000
_SHORT = 12
_ATTESTATION = "attestation"
_NOT_AFFECTED = ("not_affected", "fixed")


@dataclass(frozen=True, slots=True)
class Reached:
    """Something that what runs is made of: the entity, and what runs it (the image, where one is known)."""

    entity: Entity
    where: Entity


class Living:
    """One look at the open findings of what runs."""

    def __init__(self, workspace: app.Workspace, journal: SqlJournal | None = None) -> None:
        self._workspace, self._engine = workspace, app.engine(workspace)
        self._journal = journal or app.journal(workspace, on=self._engine)
        self._begin()

    def refresh(self) -> None:
        """Begin another look."""
        for name in ("_any", "_graph", "_attests", "_store", "_names", "_repositories", "_of_packages"):
            self.__dict__.pop(name, None)
        self._begin()

    def _begin(self) -> None:
        self._edges: dict[Entity, list[Edge]] = {}
        self._of_resource: dict[str, tuple[Finding, ...]] = {}
        self._of_commit: dict[str, tuple[Live, ...]] = {}
        self._found: dict[tuple[tuple[Entity, ...], int], tuple[Live, ...]] = {}

    def of_incident(self, incident: Incident) -> tuple[Live, ...]:
        """Return the open findings that live in what an incident is about, as of its last event."""
        if not self._any:
            return ()
        some = (one for one in incident.entities if one.kind in RUNNING)
        return self.of(tuple(islice(some, _ENTITIES)), incident.last_event)

    def foresee(self, entities: Iterable[Entity]) -> None:
        """Read at once what leaves entities that will be asked about, and what these lead to."""
        here = list({one: None for one in entities if one.kind in RUNNING})
        for _ in range(_DEPTH):
            here = [one for one in here if one not in self._edges][:_REACHED]
            here = list({edge.target: None for edge in self._leaving(here, None)})

    def foresee_incidents(self, incidents: Iterable[Incident]) -> None:
        """Read at once what leaves the entities of incidents, if there are findings to tell of."""
        if self._any:
            self.foresee(entity for one in incidents for entity in one.entities)

    def of(self, entities: Sequence[Entity], at: int) -> tuple[Live, ...]:
        """Return the open findings that live in entities as of an instant (ms)."""
        key = (tuple(entities), at)
        if key not in self._found:
            found = {(one.finding, one.where): one for one in self._live(self.reached(entities, at))}
            self._found[key] = tuple(found.values())
        return self._found[key]

    def reached(self, entities: Iterable[Entity], at: int) -> list[Reached]:
        """Return what entities are made of as of an instant, themselves first; bounded."""
        found = {one: Reached(one, one) for one in entities if one.kind in RUNNING}
        here = list(found)
        for _ in range(_DEPTH):
            following: list[Entity] = []
            for edge in self._leaving(here, at):
                if edge.target in found or len(found) >= _REACHED:
                    continue
                image = edge.target.kind is EntityKind.IMAGE
                where = edge.target if image else found[edge.source].where
                found[edge.target] = Reached(edge.target, where)
                following.append(edge.target)
            if not following:
                break
            here = following
        return list(found.values())

    def called(self, entities: Iterable[Entity], at: int) -> list[tuple[Entity, str]]:
        """Return what entities are made of as of an instant, by each name that scans and people may use.

        Packages are left out: many things that nobody attacks share them.
        """
        return [
            (one.where, name)
            for one in self.reached(entities, at)
            if one.entity.kind is not EntityKind.PACKAGE
            for name in self.aliases(one.entity)
        ]

    def aliases(self, entity: Entity) -> list[str]:
        """Return the names of an entity, those of the settings for a repository among them."""
        mine = names(entity)
        if entity.kind is EntityKind.REPOSITORY:
            mine += [name for name, url in self._repositories if url in mine and name not in mine]
        return mine

    @cached_property
    def knows(self) -> bool:
        """Say whether anything is known of what runs: the graph has edges, or images are attested."""
        return self._graph is not None or self._attests

    @cached_property
    def _repositories(self) -> list[tuple[str, str]]:
        from lemnis.app import settings

        known = settings.load(self._workspace).repositories
        return [(one.name, _address(one.url)) for one in known if one.url]

    @cached_property
    def _any(self) -> bool:
        """Say whether there are any findings: without, nothing is asked."""
        if filled(self._engine, "finding"):
            return True
        if not self.knows:  # then nothing leads to a commit that the lake may know scans of
            return False
        from lemnis.scan.posture import TABLES

        return any(name in app.events(self._workspace).schemas() for name in TABLES)

    @cached_property
    def _graph(self) -> Graph | None:
        if not filled(self._engine, "graph_edge"):
            return None
        from lemnis.graph.store import Graph

        return Graph(self._engine)

    def _leaving(self, entities: Sequence[Entity], at: int | None) -> Iterator[Edge]:
        """Yield the edges that hold and leave entities; those of an image by its attestations, too."""
        new = [one for one in entities if one not in self._edges]
        for one in new:
            self._edges[one] = []
        for edge in self._graph.leaving(new, None, RELATIONS) if self._graph and new else ():
            if edge.holds:
                self._edges[edge.source].append(edge)
        for one in new:
            if one.kind is EntityKind.IMAGE and not any(e.relation == "built_by" for e in self._edges[one]):
                self._edges[one] += self._attested(one)
        for one in entities:
            yield from (edge for edge in self._edges[one] if edge.at(at))

    def _attested(self, image: Entity) -> list[Edge]:
        """Return what an image was built from by its attestations; nothing where none holds."""
        from lemnis.contracts.provenance import Strength

        if not self._attests:
            return []
        from lemnis.app import attest

        try:
            build = attest.of_image(self._workspace, image.value).build
        except LemnisError:  # a key that cannot be read: `lemnis attest` and the gates say so
            return []
        if build is None:
            return []
        ends = [Entity(EntityKind.COMMIT, build.commit), Entity(EntityKind.REPOSITORY, build.repository)]
        return [Edge(image, end, "built_from", "attestation", Strength.VERIFIED) for end in ends]

    @cached_property
    def _attests(self) -> bool:
        return next(self._journal.entries(kind=_ATTESTATION, bare=True), None) is not None

    def _live(self, reached: Sequence[Reached]) -> Iterator[Live]:
        commits = [one for one in reached if one.entity.kind is EntityKind.COMMIT]
        exact = False
        for one in commits:
            for known in self._scanned(one.entity.value):
                exact = True
                yield _placed(known, one)
        for one in reached:
            code = one.entity.kind is EntityKind.REPOSITORY
            if code and exact:
                continue  # what that very commit has is known
            for resource in self._resources(one.entity):
                through = f"open in {resource}, which it was built from" if code else ""
                for finding in self._open(resource):
                    yield _of(finding, str(one.where), through)
        packages = {one.entity.value: one for one in reached if one.entity.kind is EntityKind.PACKAGE}
        for finding in self._of_packages if packages else ():
            known_as = finding.vulnerability.purl if finding.vulnerability else ""
            if known_as in packages:
                yield _of(finding, str(packages[known_as].where), f"by its package {known_as}")

    @cached_property
    def _store(self) -> Findings:
        from lemnis.store.findings import Findings

        return Findings(self._engine)

    @cached_property
    def _names(self) -> Mapping[str, list[str]]:
        """The resources that findings are kept of, by each name that the graph may have for them."""
        found: dict[str, list[str]] = {}
        for resource in self._store.resources():
            for name in {resource, resource.rpartition("@")[2]}:
                found.setdefault(name, []).append(resource)
        for own, url in self._repositories:
            if own in found:
                found.setdefault(url, []).extend(found[own])
        return found

    def _resources(self, entity: Entity) -> list[str]:
        return list(dict.fromkeys(r for name in names(entity) for r in self._names.get(name, ())))

    def _open(self, resource: str) -> tuple[Finding, ...]:
        if resource not in self._of_resource:
            rows = self._store.rows(resource=resource, limit=_OF_A_RESOURCE)
            self._of_resource[resource] = tuple(row.finding for row in rows if counts(row.finding))
        return self._of_resource[resource]

    @cached_property
    def _of_packages(self) -> tuple[Finding, ...]:
        rows = self._store.rows(severity=int(Severity.HIGH), limit=_OF_PACKAGES)
        return tuple(row.finding for row in rows if row.finding.vulnerability and counts(row.finding))

    def _scanned(self, commit: str) -> tuple[Live, ...]:
        """Return what scans of a commit found, as the lake has it."""
        if commit not in self._of_commit:
            self._of_commit[commit] = tuple(self._of_lake(commit))
        return self._of_commit[commit]

    def _of_lake(self, commit: str) -> Iterator[Live]:
        from lemnis.scan.posture import PROVIDER, SOURCE, TABLES, row

        lake = app.events(self._workspace)
        known = lake.schemas()
        for name in (name for name in TABLES if name in known):
            sql = (
                f'SELECT * FROM "{name}" WHERE resources[1].version = ? '  # noqa: S608 - own names
                f"AND metadata.log_name = '{SOURCE}' AND metadata.log_provider = '{PROVIDER}'"
            )
            for event in lake.query(sql, parameters=[commit], limit=_OF_A_RESOURCE).to_pylist():
                told = row(event)
                if not told["suppressed"]:
                    yield from _of_row(told, event)


def names(entity: Entity) -> list[str]:
    """Return what a resource of scans may be called that an entity is."""
    value = entity.value
    if entity.kind is EntityKind.IMAGE:
        return list(dict.fromkeys([value, value.rpartition("@")[2]]))
    if entity.kind is EntityKind.REPOSITORY:
        return list(dict.fromkeys([value, _address(value), _address(value).rpartition("/")[2]]))
    return [value]


def _address(text: str) -> str:
    from lemnis.graph.builds import address

    return address(text)


def counts(finding: Finding) -> bool:
    """Say whether nobody said of a finding that it does not count: by a suppression, or by VEX."""
    known = finding.vulnerability
    return finding.suppression is None and not (known and known.vex.startswith(_NOT_AFFECTED))


def _of(finding: Finding, where: str, through: str) -> Live:
    known = finding.vulnerability
    return Live(
        finding.fingerprint, known.ids[0] if known and known.ids else finding.title, finding.severity, where,
        bool(known and known.exploited), known.ids if known else (), finding.cwes, through,
    )  # fmt: skip


def _of_row(told: Mapping[str, Any], event: Mapping[str, Any]) -> Iterator[Live]:
    """Yield what a row of the lake tells, unless VEX says that it does not count."""
    known = told["vulnerability"] or {}
    if str(known.get("vex") or "").startswith(_NOT_AFFECTED):
        return
    ids = tuple(map(str, known.get("ids") or ()))
    labels = event["metadata"]["labels"] or ()
    yield Live(
        str(told["id"]), ids[0] if ids else str(told["title"]), Severity[str(told["severity"]).upper()], "",
        bool((known.get("kev") or {}).get("exploited")), ids,
        tuple(int(one[4:]) for one in labels if one.startswith("cwe:") and one[4:].isdigit()),
    )  # fmt: skip


def _placed(one: Live, reached: Reached) -> Live:
    through = f"found in its commit {reached.entity.value[:_SHORT]}"
    return Live(
        one.finding, one.name, one.severity, str(reached.where), one.exploited, one.names, one.cwes, through
    )
