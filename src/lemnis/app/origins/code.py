"""The end of every chain: a repository at a commit, the line in it, the commit that wrote it, the owner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lemnis.app import scans, settings, trace_code
from lemnis.app.origins.base import Asked, Chain, Source, Started, hops, line_entity, noted
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import InputError, NotFoundError
from lemnis.contracts.findings import Finding, Kind
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph import code_edges
from lemnis.graph.code import history
from lemnis.graph.codeowners import PLACES
from lemnis.graph.source_line import Located
from lemnis.lessons.prevent.base import Traced
from lemnis.scan.secrecy import hidden
from lemnis.store.git import Commit, Repository

MOST_UNREAD = 20


@dataclass(frozen=True, slots=True)
class Place:
    """A repository at a commit: its files, what scanners find in it, and what they could not look at."""

    name: str
    repository: Repository
    commit: str
    files: Mapping[str, bytes]
    findings: tuple[Finding, ...]
    trouble: str

    def at(self, path: str, line: int) -> tuple[Finding, ...]:
        """Return the findings whose lines hold a line."""
        return tuple(
            one
            for one in self.findings
            if one.path == path and one.line <= line <= max(one.line, one.end_line)
        )

    def text(self, path: str, first: int, last: int = 0) -> str:
        """Return some lines of a file as one, without their indents; without values if they hold a secret."""
        last = max(first, last)
        lines = self.files[path].decode(errors="replace").splitlines()[first - 1 : last]
        text = " ".join(part.strip() for part in lines)
        secret = any(
            one.kind is Kind.SECRET
            and one.path == path
            and one.line <= last
            and first <= max(one.line, one.end_line)
            for one in self.findings
        )
        return hidden(text) if secret else text


@dataclass(frozen=True, slots=True)
class End:
    """How a chain ends behind its line: where that is, the edges from it, and what is known beside."""

    source: Source
    edges: tuple[Edge, ...]
    beside: tuple[Edge, ...]


def chain(
    started: Started,
    edges: Sequence[Edge],
    ended: End | None,
    facts: Traced,
    *,
    events: Iterable[str] = (),
    beside: Iterable[Edge] = (),
) -> Chain:
    """Return the chain from where it started along some edges to where it ended, if it did."""
    return Chain(
        begin=started.begin,
        alert=started.alert,
        hops=hops(edges),
        source=ended.source if ended else None,
        facts=facts,
        alerts=started.alerts,
        events=tuple(events),
        beside=(*beside, *(ended.beside if ended else ())),
    )


def place(asked: Asked, wanted: str, commit: str = "") -> Place:
    """Open a repository (name or address) at a commit, or at the newest of HEAD before the incident.

    The commit is scanned, or was before. Raises NotFoundError where the settings have no such repository or
    it has no such commit; a forced push that took it away is told.
    """
    repository = settings.repository(asked.workspace, wanted)
    try:
        whole = repository.resolve(commit) if commit else newest(repository, asked.at)
    except InputError as error:
        gone = trace_code.missing(asked.told(), commit) if commit else ""
        raise NotFoundError("; ".join(filter(None, (str(error), gone)))) from error
    findings, trouble = _findings(asked, repository, whole)
    return Place(name(asked, wanted), repository, whole, dict(repository.tree(whole)), findings, trouble)


def name(asked: Asked, wanted: str) -> str:
    """Return a repository's name in the settings, whichever name or address it was called by."""
    root = settings.repository(asked.workspace, wanted).path
    known = settings.load(asked.workspace).repositories
    same = (one.name for one in known if settings.resolve(asked.workspace, one.path) == root)
    return next(same, wanted)


def line(
    source: Entity,
    place: Place,
    path: str,
    number: int,
    *,
    method: str,
    strength: Strength,
    relation: str = "has_line",
    findings: Sequence[Finding] | None = None,
) -> tuple[Edge, Located]:
    """Return the edge from anything to a line of code, and the line; findings not given are those at it.

    Raises NotFoundError where the commit has no such line.
    """
    if path not in place.files or not 1 <= number <= len(place.files[path].splitlines()):
        raise NotFoundError(f"{place.name} at {place.commit[:12]} has no line {path}:{number}")
    here = place.at(path, number) if findings is None else tuple(findings)
    edge = Edge(
        source, line_entity(place.name, path, number), relation, method, strength,
        {
            "file": f"{path}:{number}", "repository": place.name, "commit": place.commit,
            "text": place.text(path, number),
            "findings": [f"{f.tool}:{f.rule_id} {f.severity.name.lower()}" for f in here],
        },
    )  # fmt: skip
    return edge, Located(path, number, method, strength, "", (), here)


def end(asked: Asked, place: Place, target: Entity, located: Located) -> End:
    """Say who wrote a line (``target`` as an entity) and who owns it, as of the place's commit."""
    last = max((finding.end_line for finding in located.findings), default=located.line)
    introduced, about = _blame(asked, target, place, located)
    owners = next((one for one in PLACES if one in place.files), "")
    rules = place.files[owners].decode(errors="replace") if owners else ""
    owned = code_edges.owned(target, located.path, owners, rules)
    source = Source(
        name=place.name,
        repository=place.repository,
        deployed=place.commit,
        located=located,
        culprit=introduced.target.value,
        text=place.text(located.path, located.line, last),
        owner="" if owned.strength is Strength.BROKEN else owned.target.value,
    )
    return End(source, (introduced, owned), tuple(trace_code.around(asked.told(), about)))


def broken(source: Entity, method: str, reason: str) -> Edge:
    """Return the edge to a line that nothing leads to, and why."""
    return code_edges.broken(source, "has_line", EntityKind.SOURCE_LINE, method, reason)


def newest(repository: Repository, at: int) -> str:
    """Return the newest commit of HEAD that was made before an instant (ms)."""
    before = [one for one in repository.commits() if one.at <= at]
    if not before:
        raise NotFoundError("no commit is as old as the incident")
    return before[-1].id


def _findings(asked: Asked, repository: Repository, commit: str) -> tuple[tuple[Finding, ...], str]:
    """Scan a commit; return its findings, and what a scanner could not look at."""
    deployed = [one for one in repository.commits(commit) if one.id == commit]
    report = scans.reports(asked.workspace, repository, deployed)[commit]
    return report.findings, scans.trouble(report)


def _blame(asked: Asked, target: Entity, place: Place, located: Located) -> tuple[Edge, list[Commit]]:
    """Return the edge to the commit that wrote the line, and the commits that things are told of."""
    written = history.written(place.repository, place.commit, located.path, located.line)
    blame, commits = written.blame, place.repository.commits(place.commit)
    places = {one.id: number for number, one in enumerate(commits)}
    wrote = commits[places[blame.commit]] if blame.commit in places else None
    after = len(commits) - 1 - places.get(blame.commit, len(commits) - 1)
    edge = written.weaken(code_edges.introduced(target, blame, wrote, place.commit, after))
    unread = [f"{uid}: {why}" for uid, why in asked.told().problems.items()][:MOST_UNREAD]
    about = [one for one in (wrote, commits[-1], written.original) if one is not None]
    text = place.text(located.path, located.line)
    return noted(edge, text=text, unread_events=list(unread)), list(dict.fromkeys(about))
