"""Findings of several tools about the same thing, put together, with the reason why. Pure.

Code and configuration: the same file, lines that overlap, and a family of weaknesses in common. Secrets: the
same line. Packages: the same package and a name of the vulnerability in common, whatever else each tool
calls it: names are closed over all findings, so that a GHSA and a CVE meet by a third that knows both.
Nothing else is put together: two rows for one mistake cost a look, one row for two mistakes hides one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lemnis.contracts.findings import Finding, Kind
from lemnis.contracts.ids import stable_id
from lemnis.scan.weaknesses import families

MAX_SPAN = 30
"""Lines beyond which a finding is about a whole block, and overlaps with too much to say anything."""


@dataclass(frozen=True, slots=True)
class Tie:
    """Two findings, by their places in a list, that are one, and why."""

    one: int
    other: int
    because: str


def merge(
    findings: Sequence[Finding], *, apart: Collection[tuple[str, str]] = ()
) -> tuple[list[list[int]], list[Tie]]:
    """Return groups of findings that are one (places in the list, in order), and the ties that made them.

    ``apart`` are pairs of fingerprints, the smaller first, that a person has parted: they are never tied to
    each other, and a group that would hold both is not made.
    """
    parents = list(range(len(findings)))
    parted: Mapping[str, set[str]] = _parted(apart)
    members: dict[int, set[str]] = {n: {f.fingerprint} for n, f in enumerate(findings)}
    ties = []
    for tie in _ties(findings):
        one, other = _root(parents, tie.one), _root(parents, tie.other)
        if one == other:
            continue
        if parted and any(parted.get(name, frozenset()) & members[other] for name in members[one]):
            continue
        first, second = min(one, other), max(one, other)
        parents[second] = first
        members[first] |= members.pop(second)
        ties.append(tie)
    groups: dict[int, list[int]] = defaultdict(list)
    for place in range(len(findings)):
        groups[_root(parents, place)].append(place)
    return list(groups.values()), ties


def assign(
    resource: str,
    findings: Sequence[Finding],
    before: Mapping[str, str],
    *,
    apart: Collection[tuple[str, str]] = (),
    together: Collection[tuple[str, str]] = (),
) -> dict[str, tuple[str, str]]:
    """Return for each fingerprint the problem it is of, and why.

    ``before`` are the problems of fingerprints that are known: a group keeps an id that it has, so that a
    tool more, or less, makes no new problem. ``together`` are pairs that a person has put together.
    """
    groups, ties = merge(findings, apart=apart)
    why = {place: tie.because for tie in ties for place in (tie.other, tie.one)}
    named: dict[str, tuple[str, str]] = {}
    taken: set[str] = set()
    for group in groups:
        names = [findings[place].fingerprint for place in group]
        told = sorted({before[name] for name in names if name in before} - taken)
        one = told[0] if told else stable_id("fd", resource, min(names))
        taken.add(one)
        named |= {name: (one, why.get(place, "")) for name, place in zip(names, group, strict=True)}
    for one, other in together:
        if one in named and other in named and named[one][0] != named[other][0]:
            first, second = named[one][0], named[other][0]
            moved = {name for name, told in named.items() if told[0] == second}
            named |= dict.fromkeys(moved, (first, "put together by a person"))
    return named


def chief(findings: Sequence[Finding]) -> Finding:
    """Return the one of a group that tells it: the gravest, then the one that says most."""
    return max(
        findings, key=lambda one: (one.severity, bool(one.fix), len(one.message), one.tool, one.fingerprint)
    )


def _root(parents: list[int], place: int) -> int:
    while parents[place] != place:
        parents[place] = parents[parents[place]]
        place = parents[place]
    return place


def _parted(apart: Collection[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for one, other in apart:
        found[one].add(other)
        found[other].add(one)
    return found


def _ties(findings: Sequence[Finding]) -> Iterator[Tie]:
    packages = [n for n, one in enumerate(findings) if one.vulnerability is not None]
    yield from _packages(findings, packages)
    files: dict[tuple[str, str], list[int]] = defaultdict(list)
    secrets: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place, one in enumerate(findings):
        if one.vulnerability is not None:
            continue
        if one.kind is Kind.SECRET and one.path:
            secrets[(one.path, one.line)].append(place)
        elif one.end_line - one.line < MAX_SPAN:
            for family in families(one.cwes):
                files[(one.path or one.resource, family)].append(place)
    for (path, line), places in secrets.items():
        yield from _chain(places, f"secrets in {path}:{line}")
    for (where, family), places in files.items():
        yield from _overlaps(findings, places, where, family)


def _overlaps(findings: Sequence[Finding], places: Sequence[int], where: str, family: str) -> Iterator[Tie]:
    """Tie findings whose lines overlap, by a sweep down the file; without lines, those of one resource."""
    last, end = -1, -1
    for place in sorted(places, key=lambda n: (findings[n].line, findings[n].end_line)):
        one = findings[place]
        if last >= 0 and one.line <= end and (one.line or findings[last].rule_id == one.rule_id):
            yield Tie(last, place, f"{family} at {where}:{one.line}" if one.line else f"{family} of {where}")
            end = max(end, one.end_line)
        else:
            last, end = place, max(one.line, one.end_line)


def _packages(findings: Sequence[Finding], places: Sequence[int]) -> Iterator[Tie]:
    """Tie findings of one package whose vulnerabilities have a name in common, by way of all names."""
    names = _closed(findings[n].vulnerability.ids for n in places)  # type: ignore[union-attr]
    seen: dict[Hashable, int] = {}
    for place in places:
        known = findings[place].vulnerability
        if known is None or not known.ids:
            continue
        where = findings[place].resource or findings[place].path
        about = (known.purl.partition("?")[0].lower(), names[known.ids[0]], where)
        if about in seen:
            yield Tie(seen[about], place, f"{', '.join(known.ids[:3])} in {known.purl}")
        else:
            seen[about] = place


def _closed(groups: Iterable[Sequence[str]]) -> dict[str, str]:
    """Return for each name the first of all that it is the same as, by way of groups of names."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for group in groups:
        for name in group:
            one, other = sorted((root(group[0]), root(name)))
            parent[other] = one
    return {name: root(name) for name in list(parent)}


def _chain(places: Sequence[int], because: str) -> Iterator[Tie]:
    for one, other in pairwise(places):
        yield Tie(one, other, because)
