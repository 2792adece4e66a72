"""From what ran in or out of a package's folder to the line of the lock file that names the package.

A script that runs as a package is installed runs in the package's folder, and nothing else does: it is seen.
A program that lies there may as well run one's own code, as servers and tests do: then an advisory that calls
the package malicious makes the difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lemnis.app.origins import code, image
from lemnis.app.origins.base import Asked, Chain, hops, noted
from lemnis.app.origins.code import Place
from lemnis.app.origins.image import Begun
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import InputError, LemnisError
from lemnis.contracts.findings import Finding
from lemnis.contracts.ids import Json
from lemnis.contracts.provenance import Edge, Strength
from lemnis.graph import runners
from lemnis.graph.process_tree import Started
from lemnis.graph.runners import Told
from lemnis.lessons.prevent.base import Action, Traced
from lemnis.scan import sbom_locks
from lemnis.scan.assessing import MALICIOUS
from lemnis.scan.sbom import Component


@dataclass(frozen=True, slots=True)
class Line:
    """A line that brought in what ran: how it was found, what it brought in, what a gate is drawn from.

    ``findings`` None are those at the line.
    """

    path: str
    number: int
    method: str
    strength: Strength
    brings: Entity
    evidence: dict[str, Json] = field(default_factory=dict)
    findings: tuple[Finding, ...] | None = None
    action: Action | None = None
    within: str = ""
    """The folder in which everything that ran is of what the line brought in; empty if there is none."""

    def began(self, ran: Sequence[Started]) -> Started:
        """Return what of some processes (the last first) was the first that the line brought in, if known.

        Without a folder of its own that is the last: what ran above it may be as harmless as ever.
        """
        inside = [one for one in ran if self.within and f"{one.folder}/".startswith(f"{self.within}/")]
        return inside[-1] if inside else ran[0]

    def uses(self, source: Entity) -> Edge:
        """Return the edge from what ran, or from what it was made into, to what the line brought in."""
        relation = "uses" if source.kind is EntityKind.WORKFLOW_RUN else "contains"
        return Edge(source, self.brings, relation, self.method, self.strength, self.evidence)


def chains(asked: Asked) -> Sequence[Chain]:
    """Return one chain a container in which something ran in or out of a folder of a package."""
    return [chain for one in image.begun(asked) if (chain := _chain(asked, one)) is not None]


def _chain(asked: Asked, begun: Begun) -> Chain | None:
    if begun.build is None or begun.image is None or any(one.injected for one in begun.behind):
        return None  # what a stranger sent is told by the process's own chain
    for seen in begun.group:
        ran = asked.scene.tree.ancestors(seen.process)
        if not any(True for _ in runners.packages(ran)):
            continue
        try:
            place = code.place(asked, begun.build.repository, begun.build.commit)
        except InputError:
            return None
        if (found := find(place, ran)) is not None:
            return _ended(asked, begun, place, found, asked.scene.began(found.began(ran)))
    return None


def _ended(asked: Asked, begun: Begun, place: Place, found: Line, events: tuple[str, ...]) -> Chain:
    edge, located = code.line(
        begun.edges[-1].target, place, found.path, found.number, method=found.method, strength=found.strength,
        findings=found.findings,
    )  # fmt: skip
    ended = code.end(asked, place, edge.target, located)
    uses = [found.uses(begun.image)] if begun.image else []
    return Chain(
        begin=begun.first.entity,
        alert=begun.first.alert,
        hops=hops([*begun.edges, noted(edge, **found.evidence), *ended.edges]),
        source=ended.source,
        facts=Traced(located.findings, located.path, located.line, ended.source.text),
        alerts=begun.alerts,
        events=events,
        first=begun.first,
        others=len(begun.group) - 1,
        behind=begun.behind,
        beside=(*uses, *ended.beside),
    )


def find(place: Place, ran: Iterable[Started], *, within: bool = False) -> Line | None:
    """Return the line of a lock file that names the package in whose folder something ran, the nearest first.

    With ``within`` only what ran in the folder counts, not what lies there.
    """
    told = [(kind, one) for kind, one in runners.packages(ran) if one.within or not within]
    for kind, one in sorted(told, key=lambda pair: not pair[1].within):
        found = sorted(
            _locked(place, kind, one.name), key=lambda each: (each.path.count("/"), each.path, each.line)
        )
        if found:
            return _line(place, found, one)
    return None


def _line(place: Place, found: Sequence[Component], told: Told) -> Line:
    """Return the line of the first of a package's places in lock files."""
    one = found[0]
    here = tuple(
        finding
        for finding in place.findings
        if finding.vulnerability is not None
        and finding.path == one.path
        and finding.vulnerability.purl == one.purl
    )
    malicious = [
        name
        for each in here
        if each.vulnerability
        for name in each.vulnerability.ids
        if name.startswith(MALICIOUS)
    ]
    sure = len({other.version for other in found}) == 1
    strength = Strength.LABEL if malicious else Strength.NAME_MATCH
    if told.within:
        strength = Strength.OBSERVED if sure else Strength.LABEL
    evidence: dict[str, Json] = {
        "package": one.purl, "folder": told.text, "events": [told.uid],
        "advisories": list(dict.fromkeys(malicious)),
        "others": [f"{other.path}:{other.line} {other.version}" for other in found[1:]],
    }  # fmt: skip
    return Line(
        one.path, one.line, "package_folder" if told.within else "package_program", strength,
        Entity(EntityKind.PACKAGE, one.purl), evidence, here, within=told.text if told.within else "",
    )  # fmt: skip


def _locked(place: Place, kind: str, name: str) -> Iterator[Component]:
    """Yield what lock files name of a package, with a line."""
    for path, data in place.files.items():
        if sbom_locks.reader(path) is None:
            continue
        try:
            made = sbom_locks.read(data, path)
        except LemnisError:  # the scan tells of what it cannot read
            continue
        for one in made.components:
            if one.line and one.purl.startswith(f"pkg:{kind}/") and _same(one.name, name, kind):
                yield one


def _same(one: str, other: str, kind: str) -> bool:
    """Say whether two names are of one package; Python's are alike in case and ``-_.`` (PEP 503)."""
    if kind != "pypi":
        return one == other
    plain = [name.casefold().replace("_", "-").replace(".", "-") for name in (one, other)]
    return plain[0] == plain[1]
