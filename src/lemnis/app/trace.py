"""From an incident to the line of code and its owner: each hop with its evidence, or broken and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial

from lemnis import app
from lemnis.app import attest, incidents, scans, settings, trace_code
from lemnis.app import scene as scenes
from lemnis.app.scene import Scene, Seen
from lemnis.contracts.alerts import Alert, Entity, EntityKind
from lemnis.contracts.errors import InputError, NotFoundError
from lemnis.contracts.findings import Finding
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Hop, Strength
from lemnis.graph import code_edges
from lemnis.graph.attestation import Build
from lemnis.graph.code import forges, history
from lemnis.graph.code import lines as code_lines
from lemnis.graph.code.lines import Found
from lemnis.graph.codeowners import PLACES
from lemnis.graph.process_tree import Container, instance_of, runs_in
from lemnis.graph.requests import Behind
from lemnis.graph.source_line import Located, locate, read
from lemnis.graph.store import Graph, walk
from lemnis.store.git import Repository

MOST_UNREAD = 20
NEAR = 3  # how many requests that were merely near in time are shown


@dataclass(frozen=True, slots=True)
class Source:
    """Where a chain ends in the code: repository, deployed commit, line, and who brought it in."""

    name: str
    repository: Repository
    deployed: str
    located: Located
    culprit: str = ""
    text: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain, from the first process that an alert saw in a container; ``others`` are seen there too."""

    first: Seen
    others: int
    behind: tuple[Behind, ...]
    hops: tuple[Hop, ...]
    source: Source | None
    beside: tuple[Edge, ...] = ()
    """What is known of its commits and is no hop: who wrote them, how they came in."""

    @property
    def holds(self) -> bool:
        """Say whether every hop holds."""
        return not any(hop.broken for hop in self.hops)


@dataclass(frozen=True, slots=True)
class Trace:
    """The chains of an incident or alert, one a container, and the alerts that name no process."""

    subject: str
    scene: Scene
    chains: tuple[Chain, ...]

    @property
    def holds(self) -> bool:
        """Say whether there is a chain and every hop of every chain holds."""
        return bool(self.chains) and all(chain.holds for chain in self.chains)

    @property
    def hops(self) -> list[Hop]:
        """Return the hops of all chains."""
        return [hop for chain in self.chains for hop in chain.hops]


def trace(workspace: app.Workspace, subject: str) -> Trace:
    """Trace an incident or an alert; the edges that were found are added to the graph.

    Raises NotFoundError where there is no such incident or alert, or none of its alerts is about a process.
    """
    known = subject if subject.startswith("al-") else incidents.get(workspace, subject).id
    return trace_alerts(workspace, known, incidents.alerts_of(workspace, known))


def trace_alerts(workspace: app.Workspace, subject: str, alerts: Sequence[Alert]) -> Trace:
    """Trace some alerts."""
    scene = scenes.look(app.events(workspace), alerts)
    if not scene.seen:
        raise NotFoundError(
            f"no alert of {subject} is about a process that the lake has",
            fix="a trace starts from a process: is a source of process starts read (`lemnis sources`)?",
        )
    moments = [one.process.at for one in scene.seen]
    span = min(moments) - trace_code.FORGES_BACK, max(moments) + 1
    told = cache(partial(forges.of_lake, app.events(workspace), *span))  # for all chains, if one needs it
    chains = tuple(_chain(workspace, scene, group, told) for group in _by_container(scene))
    graph = Graph(app.engine(workspace))
    graph.renew([hop.edge for chain in chains for hop in chain.hops])
    graph.add([edge for chain in chains for edge in chain.beside])
    return Trace(subject, scene, chains)


def _by_container(scene: Scene) -> list[list[Seen]]:
    """Group what was seen by container; what ran in none counts only where nothing ran in one."""
    groups: dict[str, list[Seen]] = {}
    for one in scene.seen:
        groups.setdefault(one.container.id if one.container else "", []).append(one)
    bare = groups.pop("", [])
    return list(groups.values()) or [bare]


def _chain(
    workspace: app.Workspace, scene: Scene, group: Sequence[Seen], forge: Callable[[], forges.Told]
) -> Chain:
    """Follow one container's chain to its end."""
    told = [(one, found) for one in group if (found := scene.behind(one)) and found[0].text]
    first, behind = told[0] if told else (group[0], scene.behind(group[0])[:NEAR])
    behind = [one for one in behind if one.injected] or [one for one in behind if one.text] or behind
    follower = _Follower(workspace, scene, first, behind, forge)
    source = follower.follow()
    hops = walk(first.entity, lambda entity: [edge for edge in follower.edges if edge.source == entity])
    return Chain(first, len(group) - 1, tuple(behind), tuple(hops), source, tuple(follower.beside))


@dataclass(slots=True)
class _Follower:
    """Gathers edge after edge, up to the first that does not hold."""

    workspace: app.Workspace
    scene: Scene
    first: Seen
    behind: Sequence[Behind]
    told: Callable[[], forges.Told]
    edges: list[Edge] = field(default_factory=list)
    beside: list[Edge] = field(default_factory=list)

    def follow(self) -> Source | None:
        """Go from the process to the code; return where that is."""
        edge = runs_in(self.first.entity, self.first.process, self.scene.tree, self.scene.containers)
        if edge is None or self.first.container is None:
            self.edges.append(_no_container(self.first, self.scene.containers))
            return None
        self.edges.append(_with(edge, alert=self.first.alert.id, rule=self.first.alert.title))
        self.edges.append(_image(self.first.container))
        if self.edges[-1].strength is Strength.BROKEN:
            return None
        build, found = _build(self.workspace, self.edges[-1].target)
        self.edges.extend(found)
        if build is None:
            return None
        try:
            repository = settings.repository(self.workspace, build.repository)
            repository.resolve(build.commit)
        except InputError as error:
            gone = trace_code.missing(self.told(), build.commit)
            self._break(
                "has_line", EntityKind.SOURCE_LINE, "repository", "; ".join(filter(None, (str(error), gone)))
            )
            return None
        return self._code(build, repository)

    def _code(self, build: Build, repository: Repository) -> Source | None:
        """Add the hops in the code: line, introducing commit, owner."""
        findings, trouble = _findings(self.workspace, repository, build.commit)
        files = dict(repository.tree(build.commit))
        commands = [link.command for link in self.scene.inside(self.first)]
        paths = [one.request.path for one in self.behind]
        code = code_lines.Source(files)
        found = self._find(code, locate(read(files.items()), paths, findings, commands), findings)
        if found is None:
            reason = trouble or "no scanner reports anything in this commit"
            told = (reason, "no route or stack trace leads to a line", code.unread)
            self._break("has_line", EntityKind.SOURCE_LINE, "findings", "; ".join(filter(None, told)))
            return None
        located = found.located
        lines = files[located.path].decode(errors="replace").splitlines()
        end = max((finding.end_line for finding in located.findings), default=located.line)
        text = " ".join(part.strip() for part in lines[located.line - 1 : max(end, located.line)])
        edge = code_edges.line(self.edges[-1].target, located, text, self.behind)
        rewritten, copies = history.deployed(repository, build.commit)
        self.edges.append(_with(edge, **_told(found, trouble, rewritten, copies)))
        line = edge.target
        culprit = self._blame(line, repository, build.commit, located)
        place = next((place for place in PLACES if place in files), "")
        rules = files[place].decode(errors="replace") if place else ""
        owned = code_edges.owned(line, located.path, place, rules)
        self.edges.append(owned)
        known = settings.load(self.workspace).repository(build.repository)
        return Source(
            name=known.name if known else build.repository,
            repository=repository,
            deployed=build.commit,
            located=located,
            culprit=culprit,
            text=text,
            owner="" if owned.strength is Strength.BROKEN else owned.target.value,
        )

    def _find(
        self, code: code_lines.Source, located: Located | None, findings: Sequence[Finding]
    ) -> Found | None:
        """Ask findings, stack traces and routes for the line."""
        requests = [(one.request.verb, one.request.path) for one in self.behind]
        logged = trace_code.logged(app.events(self.workspace), self.first, self.behind)
        return code.find(located, requests, findings, logged)

    def _blame(self, line: Entity, repository: Repository, deployed: str, located: Located) -> str:
        """Add the commit that wrote the line; return it."""
        written = history.written(repository, deployed, located.path, located.line)
        blame, commits = written.blame, repository.commits(deployed)
        places = {one.id: number for number, one in enumerate(commits)}
        wrote = commits[places[blame.commit]] if blame.commit in places else None
        after = len(commits) - 1 - places.get(blame.commit, len(commits) - 1)
        edge = written.weaken(code_edges.introduced(line, blame, wrote, deployed, after))
        unread = [f"{uid}: {why}" for uid, why in self.told().problems.items()]
        self.edges.append(_with(edge, unread_events=unread[:MOST_UNREAD]) if unread else edge)
        about = [one for one in (wrote, commits[-1], written.original) if one is not None]
        self.beside = trace_code.around(self.told(), list(dict.fromkeys(about)))
        return blame.commit

    def _break(self, relation: str, kind: EntityKind, method: str, reason: str) -> None:
        self.edges.append(code_edges.broken(self.edges[-1].target, relation, kind, method, reason))


def _findings(
    workspace: app.Workspace, repository: Repository, commit: str
) -> tuple[tuple[Finding, ...], str]:
    """Scan a commit; return its findings, and what a scanner could not look at."""
    deployed = [one for one in repository.commits(commit) if one.id == commit]
    report = scans.reports(workspace, repository, deployed)[commit]
    return report.findings, scans.trouble(report)


def _image(container: Container) -> Edge:
    if container.image_digest:
        return instance_of(container)
    return code_edges.broken(
        Entity(EntityKind.CONTAINER, container.id), "instance_of", EntityKind.IMAGE, "runtime_record",
        "the runtime did not say which image it runs", events=list(container.uids),
    )  # fmt: skip


def _no_container(first: Seen, containers: Sequence[Container]) -> Edge:
    known = "no container's first process is among its ancestors" if containers else "no container is known"
    return code_edges.broken(
        first.entity, "runs_in", EntityKind.CONTAINER, "process_tree",
        f"{known} on {first.process.host or '?'}",
        events=[link.uid for link in first.chain],
        chain=[f"{link.pid} {link.program}".strip() for link in first.chain],
    )  # fmt: skip


def _build(workspace: app.Workspace, image: Entity) -> tuple[Build | None, list[Edge]]:
    """Return the build that an image's attestations prove, and the edges to it."""
    found = attest.of_image(workspace, image.value)
    if found.build is not None:
        edges = code_edges.built(image, found.build, found.attestation)
        rest = [name for name in found.known if name != found.attestation]
        others = trace_code.builds(workspace, image.value, rest)
        return found.build, trace_code.compared(edges, found.build, others)
    facts: dict[str, Json] = {"attestations": list(found.known)}
    return None, [
        code_edges.broken(image, "built_by", EntityKind.BUILD, "attestation", found.problem, **facts)
    ]


def _told(found: Found, trouble: str, rewritten: str, copies: Sequence[str]) -> dict[str, Json]:
    """Return what is to be said of a line beside the findings, without what is empty."""
    facts: dict[str, Json] = {
        "scanners": trouble, "notes": list(found.notes), "events": list(found.events), "rewritten": rewritten,
        "copies": list(copies), "route": found.route,
    }  # fmt: skip
    return {name: value for name, value in facts.items() if value}


def _with(edge: Edge, **facts: Json) -> Edge:
    """Return an edge with more evidence."""
    return replace(edge, evidence={**edge.evidence, **facts})
