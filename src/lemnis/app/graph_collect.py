"""Collectors' files into the graph: as of when they count, and what an earlier snapshot saw that is gone.

A file is kept in the vault and every edge names its digest. Files with secrets in them are only named by it,
unless they are asked for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import orjson

from lemnis import app
from lemnis.content import yaml
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.clock import to_iso
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import ContentError, InputError, Location, RecordError, UsageError
from lemnis.contracts.ids import Json
from lemnis.contracts.ids import digest as digest_of
from lemnis.contracts.provenance import Edge, Node
from lemnis.graph.bulk import LONGEST, key
from lemnis.graph.collect import Collected, instant
from lemnis.graph.store import Graph

MAX_BYTES: Final = 500_000_000
"""A larger file is refused before it is read."""
_TEMPLATE = re.compile(r"\{\{[^{}\n]{1,500}\}\}")
_NDJSON, _YAML = (".ndjson", ".jsonl"), (".yaml", ".yml")
_SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Options:
    """How to read: the kind of file (empty: by its content), of what, about what, as of when."""

    kind: str = ""
    scope: str = ""
    about: str = ""
    at: int | None = None
    whole: bool = False
    keep_secrets: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """What came of a file: of which kind it is, what was read, said, new, ended, and what was wrong.

    ``digest`` names it in the vault, if ``kept``. ``at`` is as of when it counts; ``late`` that a later
    snapshot of the same was there already, so that it ended nothing.
    """

    name: str
    kind: str
    scope: str = ""
    digest: str = ""
    kept: bool = False
    at: int | None = None
    read: int = 0
    edges: int = 0
    new: int = 0
    ended: int = 0
    late: bool = False
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def line(self) -> str:
        """Return it on one line."""
        of = f" of {self.scope}" if self.scope else ""
        if not self.kind:
            return f"{self.name}: not collected"
        late = ", late: nothing ended" if self.late else ""
        return (
            f"{self.name}: {self.kind}{of}: {counted(self.read, 'object')}, "
            f"{counted(self.edges, 'statement')}, {self.new:,} new, {self.ended:,} ended{late}"
        )

    def document(self) -> dict[str, Json]:
        """Return it for machines."""
        return {
            "file": self.name, "kind": self.kind, "scope": self.scope, "digest": self.digest,
            "kept": self.kept, "at": None if self.at is None else to_iso(self.at), "read": self.read,
            "edges": self.edges, "new": self.new, "ended": self.ended, "late": self.late,
            "problems": list(self.problems), "notes": list(self.notes),
        }  # fmt: skip


def every(
    workspace: app.Workspace, paths: Iterable[Path], options: Options, *, findings: bool
) -> Iterator[Account]:
    """Read files one after another; one that cannot be read is told in its account, the others go on."""
    from lemnis.app.graph_collect_kinds import of_findings

    for path in paths:
        try:
            yield collect(workspace, path, options)
        except InputError as error:
            yield Account(
                str(path), "", problems=(f"{error.what} ({error.fix})" if error.fix else error.what,)
            )
    if findings:
        account = settle(workspace, of_findings(workspace), "", None)
        yield replace(account, name="findings", kind="findings")


def collect(workspace: app.Workspace, path: Path, options: Options) -> Account:
    """Read a file into the graph.

    Raises InputError where it cannot be read at all or is of no known kind; what is wrong within it is in the
    account, and the rest is collected.
    """
    from lemnis.app import graph_collect_kinds as kinds

    data = _bytes(path)
    told = decoded(data, str(path))
    kind = options.kind or kinds.recognised(told, data)
    if not kind:
        raise UsageError(
            "nothing that is collected", at=Location(str(path)),
            fix=f"--kind says what it is: {', '.join(kinds.KINDS)}",
        )  # fmt: skip
    if kind not in kinds.KINDS:
        raise UsageError(f"no kind {kind!r}", fix=f"one of {', '.join(kinds.KINDS)}")
    found = kinds.KINDS[kind](told, data, str(path), options)
    partial = found.partial or bool(told.problems)
    found = replace(found, problems=(*told.problems, *found.problems), partial=partial)
    keep = options.keep_secrets or not found.secret
    name = app.vault(workspace).put(data) if keep else digest_of(data)
    account = settle(workspace, found, name, options.at)
    notes = account.notes
    if not keep:
        notes += ("it holds secrets: it is named by its digest and not kept (--keep-secrets keeps it)",)
    return replace(account, name=str(path), kind=kind, kept=keep, notes=notes)


@dataclass(frozen=True, slots=True)
class Told:
    """A file's values: one ``document``, or ``rows`` with the numbers of their lines."""

    document: Any = None
    rows: tuple[tuple[int, Any], ...] = ()
    problems: tuple[str, ...] = ()


def decoded(data: bytes, name: str) -> Told:
    """Read JSON, JSON lines or YAML; lines that are none are told, and an empty result is of no format."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return Told(orjson.loads(data))
    except orjson.JSONDecodeError as error:
        why = error
    if name.endswith(_YAML) or data.lstrip().startswith((b"apiVersion:", b"---")):
        found = _as_json(_yaml(data.decode("utf-8", "replace"), name), name)
        return Told(found[0] if len(found) == 1 else found)
    if not data.lstrip().startswith(b"{"):
        return Told()
    rows, problems = [], []
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            try:
                rows.append((number, orjson.loads(line)))
            except orjson.JSONDecodeError as error:
                problems.append(f"line {number}: no JSON: {error.msg}")
    if not rows:
        raise RecordError(f"no JSON: {why.msg}", at=Location(name, why.lineno, why.colno))
    more = len(problems) - LONGEST
    return Told(
        rows=tuple(rows), problems=(*problems[:LONGEST], *((f"{more:,} more lines",) if more > 0 else ()))
    )


def _yaml(text: str, name: str) -> list[Any]:
    """Read YAML documents; of a template that is to be filled in first (Helm) it is told that it is one."""
    try:
        return yaml.parse_all(text, name)
    except ContentError as error:
        if not _TEMPLATE.search(text):
            raise
        raise ContentError(
            "a template, as of Helm, and no YAML before it is filled in", at=error.at,
            fix="collect what is applied: helm template CHART > FILE, or kubectl get -A -o yaml",
        ) from error  # fmt: skip


def _as_json(value: Any, name: str) -> Any:
    """Return what YAML holds as JSON would: keys are texts, and nothing is anything else than JSON has."""
    try:
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str))
    except TypeError as error:
        raise RecordError(f"holds what JSON cannot: {error}", at=Location(name)) from error


def settle(workspace: app.Workspace, found: Collected, digest: str, at: int | None) -> Account:
    """Write what was collected, with its evidence and bounds, and end what it shows to be gone."""
    graph = Graph(app.engine(workspace))
    snapshot = found.covers is not None
    mark = Entity(EntityKind.ARTIFACT, digest) if digest else None
    before = graph.node(mark) if mark is not None else None
    known = instant(before.properties.get("collected_at")) if before is not None else None
    when = next((one for one in (at, found.at, known) if one is not None), workspace.clock.now())
    edges = _proven(found, digest, when if snapshot else None)
    # Of a snapshot all is needed that its method ever said: what it does not show may be gone.
    known_edges = graph.said(found.method) if snapshot else graph.leaving({edge.source for edge in edges})
    said = [edge for edge in known_edges if edge.method == found.method]
    mine = [edge for edge in said if edge.evidence.get("scope", "") == found.scope]
    late = snapshot and any(_later(edge, when) for edge in mine if _covered(edge, found))
    if snapshot:
        written, ended = _snapshot(edges, mine, when, found, late=late)
    else:
        written, ended = (_following(edges, mine), 0) if found.follow else (edges, 0)
    there = {_key(edge): edge for edge in said}
    fresh = [edge for edge in written if there.get(_key(edge)) != edge]
    nodes = list(found.nodes)
    if mark is not None:
        nodes.append(Node(mark, {"collected": found.method, "collected_at": to_iso(when)}))
    graph.load(fresh, nodes)
    notes = [*found.notes, *_elsewhere(edges, said, found.scope)]
    if snapshot and found.partial:
        notes.append("not all of it could be read: what it does not show was not ended")
    if late and at is None and known is not None:
        notes.append(f"it was collected before, as of {to_iso(known)}: --at says when it was so again")
    return Account(
        name="", kind=found.method, scope=found.scope, digest=digest, at=when if snapshot else None,
        read=found.read, edges=len(edges), new=sum(_key(edge) not in there for edge in fresh), ended=ended,
        late=late, problems=found.problems, notes=tuple(notes),
    )  # fmt: skip


def _proven(found: Collected, digest: str, seen: int | None) -> list[Edge]:
    """Return edges with the digest of their file as evidence, and when it was seen."""
    more: dict[str, Json] = {"digest": digest} if digest else {}
    if seen is not None:
        more["seen"] = to_iso(seen)
    return [
        replace(
            edge, source=_kept(edge.source), target=_kept(edge.target), evidence={**more, **edge.evidence}
        )
        for edge in found.edges
    ]


def _snapshot(
    edges: Sequence[Edge], mine: Sequence[Edge], at: int, found: Collected, *, late: bool
) -> tuple[list[Edge], int]:
    """Return what to write of a snapshot at an instant, and how many statements it ended.

    What held goes on, with new evidence. What is new began when the file says, at the latest now, and after
    what ended before. One that comes late says what was, not what is, and ends nothing.
    """
    periods: dict[tuple[Entity, str, Entity], list[Edge]] = defaultdict(list)
    for edge in mine:
        periods[edge.source, edge.relation, edge.target].append(edge)
    written: list[Edge] = []
    for edge in edges:
        known = periods.get((edge.source, edge.relation, edge.target), ())
        there = next((one for one in known if one.at(at)), None)
        if there is not None:
            if not late:
                written.append(replace(edge, valid_from=there.valid_from, valid_to=there.valid_to))
            continue
        over = max(
            (one.valid_to + 1 for one in known if one.valid_to is not None and one.valid_to < at), default=0
        )
        begins = max(min(at if edge.valid_from is None else edge.valid_from, at), over)
        written.append(replace(edge, valid_from=begins, valid_to=at if late else None))
    if late or found.partial:
        return written, 0
    shown = {(edge.source, edge.relation, edge.target) for edge in edges}
    gone = [
        replace(edge, valid_to=max(at - 1, at if edge.valid_from is None else edge.valid_from))
        for edge in mine
        if edge.at(at) and (edge.source, edge.relation, edge.target) not in shown and _covered(edge, found)
    ]
    return written + gone, len(gone)


def _covered(edge: Edge, found: Collected) -> bool:
    """Say whether a snapshot would show a statement if it still held."""
    space = edge.evidence.get("space", "")
    return edge.evidence.get("of", "") in (found.covers or ()) and (
        not found.within or space in ("", found.within)
    )


def _following(edges: Sequence[Edge], mine: Iterable[Edge]) -> list[Edge]:
    """Return records in which each ends those before it of its source and relation, also those known.

    Statements of one instant stand beside each other. What a record says of its own end holds if earlier.
    Who deployed is ended by whatever was deployed next, whoever did it.
    """
    groups: dict[tuple[Entity, str], dict[tuple[Entity, int | None], Edge]] = defaultdict(dict)
    changed: dict[Entity, set[int]] = defaultdict(set)
    touched = {edge.source for edge in edges}
    for edge in (*mine, *edges):
        if edge.source in touched:
            groups[edge.source, edge.relation][edge.target, edge.valid_from] = edge
            changed[edge.source] |= set() if edge.valid_from is None else {edge.valid_from}
    written: list[Edge] = []
    for (source, relation), some in groups.items():
        own_starts = {edge.valid_from for edge in some.values() if edge.valid_from is not None}
        starts = sorted(changed[source] if relation == "deployed_by" else own_starts)
        after = {one: other - 1 for one, other in pairwise(starts)}
        for edge in some.values():
            ends = [instant(edge.evidence.get("ended")), after.get(edge.valid_from or 0)]
            own = min((one for one in ends if one is not None), default=None)
            written.append(replace(edge, valid_to=own))
    return written


def _elsewhere(edges: Sequence[Edge], said: Iterable[Edge], scope: str) -> list[str]:
    """Tell of sources that another scope of the same method speaks of too: two clusters, one name."""
    own = {edge.source for edge in edges if edge.source.kind is EntityKind.WORKLOAD}
    others: Mapping[Entity, str] = {
        edge.source: str(edge.evidence.get("scope", "")) or "one without a name"
        for edge in said
        if edge.source in own and edge.evidence.get("scope", "") != scope
    }
    if not others:
        return []
    few = ", ".join(f"{one} ({where})" for one, where in sorted(others.items())[:_SAMPLE])
    return [f"{len(others):,} workloads have the name of one in another scope, and are taken as one: {few}"]


def _kept(entity: Entity) -> Entity:
    """Return an entity as the graph names it: what is too long is cut, what no database takes written out."""
    value = key(entity)[1]
    return entity if value == entity.value else Entity(entity.kind, value)


def _key(edge: Edge) -> tuple[Entity, str, Entity, int | None]:
    return edge.source, edge.relation, edge.target, edge.valid_from


def _later(edge: Edge, at: int) -> bool:
    """Say whether a snapshot after an instant spoke of a statement: it was seen, or seen to be gone."""
    return (instant(edge.evidence.get("seen")) or 0) > at or (
        edge.valid_to is not None and edge.valid_to >= at
    )


def _bytes(path: Path) -> bytes:
    at = Location(str(path))
    try:
        if not path.is_file():
            raise InputError("no file", at=at, fix="name files; a folder's are `FOLDER/*`")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"more than {MAX_BYTES:,} bytes", at=at, fix="split it by kind")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", at=at) from error
