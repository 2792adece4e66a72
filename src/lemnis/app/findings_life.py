"""The life of findings: scans are held against what was known, and several tools' findings put together.

A person may part what was put together, or put together what was not; that is written to the journal and
holds from then on. Every finding stays what its tool said: a problem is a view over them, and can be undone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import InputError, NotFoundError, UsageError
from lemnis.contracts.findings import Finding, Health, ScanReport
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import NewEntry

if TYPE_CHECKING:
    from lemnis.scan.tracking import Tracked
    from lemnis.store.findings import Brief, Findings, Placed, Row
    from lemnis.store.git import Repository

APART, TOGETHER = "findings_apart", "findings_together"
"""Kinds of journal entries: a person's word on which findings are one problem."""
_PULL = re.compile(r"\(#(\d+)\)|Merge pull request #(\d+)|!(\d+)\b")


@dataclass(frozen=True, slots=True)
class Life:
    """What a scan changed: how many findings are new, were seen again, moved, came back, are gone."""

    new: int = 0
    again: int = 0
    moved: int = 0
    back: int = 0
    fixed: int = 0
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Findings that are one: the one that tells it, all of them, and why they are one."""

    id: str
    chief: Row
    rows: tuple[Row, ...]

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        one = self.chief.finding
        gone = [row.fixed_at for row in self.rows]
        return {
            "id": self.id, "severity": one.severity.name.lower(), "kind": one.kind.value, "title": one.title,
            "path": one.path, "line": one.line, "resource": self.chief.resource, "cwes": list(one.cwes),
            "ids": list(one.vulnerability.ids) if one.vulnerability else [],
            "tools": sorted({row.finding.tool for row in self.rows}),
            "findings": [row.finding.fingerprint for row in self.rows],
            "because": sorted({row.because for row in self.rows if row.because}),
            "first_seen": to_iso(min(row.first_seen for row in self.rows)),
            "fixed_at": None if None in gone else to_iso(max(at for at in gone if at is not None)),
            "fix": one.fix,
        }  # fmt: skip


def store(workspace: app.Workspace) -> Findings:
    """Open the workspace's findings."""
    from lemnis.store.findings import Findings

    return Findings(app.engine(workspace))


def remember(
    workspace: app.Workspace, report: ScanReport, *, resource: str, revision: str, told: str = ""
) -> Life:
    """Hold a scan against what was known of a resource, and keep what changed.

    ``told`` is a digest of what was looked at: the same again changes nothing and costs next to nothing. Of
    a tool that did not look, or could not look at everything, nothing counts as gone.
    """
    from lemnis.scan.tracking import Known, track

    kept = store(workspace)
    looked = {one.tool for one in report.health if one.state is Health.OK}
    counts: dict[str, int] = defaultdict(int)
    for finding in report.findings:
        counts[finding.tool] += 1
    inputs = kept.inputs(resource)
    if told and looked and all(inputs.get(tool) == (revision, told) for tool in looked):
        return Life(again=len(report.findings), unchanged=True)
    before = kept.briefs(resource)
    known = [Known(one.fingerprint, one.tool, one.context, one.path, one.open) for one in before]
    said = track(known, report.findings, looked)
    placed, regrouped = _placed(workspace, resource, before, report.findings, said)
    kept.write(
        resource, revision=revision, now=workspace.clock.now(), placed=placed, regrouped=regrouped,
        back=said.back, gone=said.gone, looked={tool: (told, counts[tool]) for tool in looked},
    )  # fmt: skip
    return Life(len(said.new), len(said.again), len(said.moved), len(said.back), len(said.gone))


def _placed(
    workspace: app.Workspace,
    resource: str,
    before: Sequence[Brief],
    found: Sequence[Finding],
    said: Tracked,
) -> tuple[list[Placed], dict[str, tuple[str, str]]]:
    """Say which problem each new or moved finding is of, and which known ones change theirs."""
    from lemnis.scan.merging import assign
    from lemnis.store.findings import Placed

    fresh = sorted({*said.moved, *said.new})
    if not fresh:
        return [], {}
    apart, together = words(workspace)
    known = {one.fingerprint: one.problem for one in before}
    known |= {found[place].fingerprint: known[old] for place, old in said.moved.items()}
    away = {finding.fingerprint for finding in found} | set(said.moved.values())
    kept = store(workspace).rows(resource=resource) if before else ()
    others = [row.finding for row in kept if row.finding.fingerprint not in away]
    named = assign(resource, [*found, *others], known, apart=apart, together=together)
    placed = []
    for place in fresh:
        one, because = named[found[place].fingerprint]
        placed.append(Placed(found[place], one, because, said.moved.get(place, "")))
    moved = {found[place].fingerprint for place in fresh}
    changed = {
        name: told
        for name, told in named.items()
        if name in known and name not in moved and known[name] != told[0]
    }
    return placed, changed


def words(workspace: app.Workspace) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Return the pairs of findings that people parted, and those put together; the last word counts."""
    found: dict[tuple[str, str], str] = {}
    journal = app.journal(workspace)
    entries = [*journal.entries(kind=APART), *journal.entries(kind=TOGETHER)]
    for entry in sorted(entries, key=lambda one: one.seq):
        pair = entry.payload.get("pair")
        if isinstance(pair, list):
            one, other = sorted(map(str, pair))
            found[(one, other)] = entry.kind
    said = {kind: {pair for pair, word in found.items() if word == kind} for kind in (APART, TOGETHER)}
    return said[APART], said[TOGETHER]


def part(workspace: app.Workspace, one: str, other: str, *, actor: str, reason: str) -> None:
    """Part two findings that were taken for one problem; raises NotFoundError and UsageError."""
    _say(workspace, APART, one, other, actor=actor, reason=reason)


def join(workspace: app.Workspace, one: str, other: str, *, actor: str, reason: str) -> None:
    """Put together two findings of a resource; raises NotFoundError and UsageError."""
    _say(workspace, TOGETHER, one, other, actor=actor, reason=reason)


def _say(workspace: app.Workspace, kind: str, one: str, other: str, *, actor: str, reason: str) -> None:
    kept = store(workspace)
    rows = [row for name in (one, other) for row in kept.rows(fingerprint=name, open_only=False)]
    missing = {one, other} - {row.finding.fingerprint for row in rows}
    if missing or one == other:
        raise NotFoundError(
            f"no finding {min(missing) if missing else one!r} to do that with",
            fix="`lemnis findings list --json` shows their ids under `findings`",
        )
    places: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        places[row.resource].append(row)
    shared = {name: both for name, both in places.items() if len(both) == 2}  # noqa: PLR2004 - a pair
    if not shared:
        raise UsageError("the two are of different resources", fix="only findings of one resource can be one")
    same = all(len({row.problem for row in both}) == 1 for both in shared.values())
    if same is (kind == TOGETHER):
        raise UsageError(f"the two are {'one' if same else 'two'} problem{'' if same else 's'} already")
    pair = sorted((one, other))
    journal = app.journal(workspace)
    count = sum(
        1 for entry in journal.entries(subject=f"findings:{pair[0]}") if entry.payload.get("pair") == pair
    )
    key = stable_id("fw", kind, *pair, str(count))
    journal.append(
        NewEntry(kind, f"findings:{pair[0]}", key, {"pair": list(pair)}, actor=actor, reason=reason)
    )
    for resource in shared:
        _regroup(workspace, kept, resource)


def _regroup(workspace: app.Workspace, kept: Findings, resource: str) -> None:
    """Work the problems of a resource out again."""
    from lemnis.scan.merging import assign

    rows = list(kept.rows(resource=resource, open_only=False))
    before = {row.finding.fingerprint: (row.problem, row.because) for row in rows}
    apart, together = words(workspace)
    named = assign(
        resource, [row.finding for row in rows], {name: told[0] for name, told in before.items()},
        apart=apart, together=together,
    )  # fmt: skip
    changed = {name: told for name, told in named.items() if before[name] != told}
    kept.write(resource, now=workspace.clock.now(), regrouped=changed)


def problems(
    workspace: app.Workspace, *, resource: str = "", severity: int = 0, fixed: bool = False, limit: int = 1000
) -> list[Problem]:
    """Return the problems that are there (with ``fixed`` those too that are gone), the gravest first."""
    return _grouped(store(workspace).rows(resource=resource, severity=severity, open_only=not fixed))[:limit]


def problem(workspace: app.Workspace, name: str) -> Problem:
    """Return a problem by its id, or by that of one of its findings; raises NotFoundError."""
    kept = store(workspace)
    ids = [name]
    if name.startswith("fp-"):
        ids = [row.problem for row in kept.rows(fingerprint=name, open_only=False)]
    found = _grouped(kept.rows(problems=ids, open_only=False)) if ids else []
    if not found:
        raise NotFoundError(f"no finding {name!r}", fix="`lemnis findings list` shows them")
    return found[0]


def _grouped(rows: Any) -> list[Problem]:
    from lemnis.scan.merging import chief

    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.problem].append(row)
    found = []
    for name, many in groups.items():
        told = chief([row.finding for row in many])
        found.append(Problem(name, next(row for row in many if row.finding is told), tuple(many)))
    return found


def introduced(
    workspace: app.Workspace, row: Row, repository: Repository, revision: str = "HEAD"
) -> Mapping[str, Any]:
    """Return who brought a finding in: commit, author, time, pull request; kept once it is known.

    Empty where git does not know the file or the line.
    """
    if row.introduced is not None:
        return row.introduced
    one = row.finding
    if not one.path or not one.line:
        return {}
    try:
        blame = repository.blame(revision, one.path, one.line)
        commit = next(c for c in repository.commits(blame.commit) if c.id == blame.commit)
    except (InputError, StopIteration):
        return {}
    match = _PULL.search(commit.subject)
    told = {
        "commit": commit.id, "author": f"{commit.author} <{commit.email}>", "at": to_iso(commit.at),
        "subject": commit.subject, "pull_request": next(filter(None, match.groups())) if match else "",
    }  # fmt: skip
    store(workspace).introduce(row.resource, one.fingerprint, told)
    return told
