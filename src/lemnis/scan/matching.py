"""Which advisories are about which components: ranges by the order of the ecosystem, aliases taken together.

Nothing is assumed to be clean: an ecosystem without advisories, a component without a version, and a range
that cannot be decided are told beside the matches.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from lemnis.scan import versions
from lemnis.scan.advisories import Affected, Event, Range
from lemnis.scan.advisories_db import Advisories, Known
from lemnis.scan.ecosystems import Package, kind, matchable, package
from lemnis.scan.sbom import Component

_CODE: Final = frozenset({"library", "framework"})
_RANK: Final = {"fixed": 0, "introduced": 1, "last_affected": 2}


@dataclass(frozen=True, slots=True)
class Why:
    """Why an advisory is about a version, and the version that mends it, empty if none is told."""

    advisory: Known
    words: str
    fixed: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """One vulnerability in one component, with every advisory of its group that says so."""

    component: Component
    package: Package
    names: tuple[str, ...]
    whys: tuple[Why, ...]

    @property
    def fixed_in(self) -> tuple[str, ...]:
        """Return the versions that mend it, the lowest first, by the order of the ecosystem."""
        return tuple(
            sorted(
                {why.fixed for why in self.whys if why.fixed},
                key=lambda one: versions.key(self.package.ecosystem, one),
            )
        )


@dataclass(slots=True)
class Outcome:
    """What came of matching: the matches, and what could not be looked at.

    ``uncovered`` counts components by the ecosystem that no advisory is of, ``looked`` those that were looked
    up; ``unversioned`` have no version; ``undecided`` are (component, advisory, reason).
    """

    matches: list[Match] = field(default_factory=list)
    looked: int = 0
    uncovered: Counter[str] = field(default_factory=Counter)
    unversioned: list[Component] = field(default_factory=list)
    undecided: list[tuple[Component, str, str]] = field(default_factory=list)


def match(components: Iterable[Component], advisories: Advisories) -> Outcome:
    """Return what is known of the components' vulnerabilities, in their order."""
    made = Outcome()
    covered = advisories.ecosystems()
    wanted: list[tuple[Component, Package]] = []
    for one in components:
        found = package(one.purl)
        if found is None or found.ecosystem not in covered:
            if found is not None or (matchable(one.purl) if one.purl else one.kind in _CODE):
                made.uncovered[found.ecosystem if found else kind(one.purl)] += 1
        elif found.version:
            wanted.append((one, found))
        else:
            made.unversioned.append(one)
    made.looked = len(wanted)
    affected = advisories.affected({(found.ecosystem, found.name) for _, found in wanted})
    judged: dict[Package, list[tuple[int, str, str, bool]]] = {}
    for _, found in wanted:
        about = affected.get((found.ecosystem, found.name))
        if about and found not in judged:
            judged[found] = list(_judge(found, about))
    known = advisories.known({number for many in judged.values() for number, *_ in many})
    for one, found in wanted:
        if judged.get(found):
            _add(made, one, found, judged[found], known)
    return made


def _add(
    made: Outcome,
    one: Component,
    found: Package,
    judged: list[tuple[int, str, str, bool]],
    known: Mapping[int, Known],
) -> None:
    groups: dict[tuple[str, ...], list[Why]] = defaultdict(list)
    doubtful: dict[tuple[str, ...], tuple[str, str]] = {}
    for number, words, fixed, sure in judged:
        advisory = known[number]
        if sure:
            groups[advisory.names].append(Why(advisory, words, fixed))
        else:
            doubtful[advisory.names] = (advisory.id, words)
    made.matches += [Match(one, found, names, tuple(whys)) for names, whys in groups.items()]
    made.undecided += [(one, *said) for names, said in doubtful.items() if names not in groups]


def _judge(found: Package, affected: Iterable[tuple[int, Affected]]) -> Iterator[tuple[int, str, str, bool]]:
    """Yield the numbers of advisories about a version: why, what mends it, and whether that is sure."""
    for number, one in affected:
        words, fixed, sure = judge(found, one)
        if words:
            yield number, words, fixed, sure


def judge(found: Package, one: Affected) -> tuple[str, str, bool]:
    """Return why a version is affected, what mends it, and True; or why it cannot be told, and False.

    Both are empty where it is not affected.
    """
    doubts: list[str] = []
    for ranged in one.ranges:
        if ranged.kind == "GIT":
            continue
        try:
            inside = within(found.ecosystem, found.version, ranged)
        except ValueError as error:
            doubts.append(str(error))
            continue
        if inside is not None:
            begin, end, fixed = inside
            order = "semantic versions" if ranged.kind == "SEMVER" else found.ecosystem
            return f"{found.version} lies in {begin}, {end} by the order of {order}", fixed, True
    if _listed(found, one.versions):
        return f"{found.version} is listed", _next_fixed(found, one), True
    if doubts:
        return doubts[0], "", False
    if not one.versions and all(ranged.kind == "GIT" for ranged in one.ranges):
        return "told by commits only" if one.ranges else "told without versions", "", False
    return "", "", False


def within(ecosystem: str, version: str, ranged: Range) -> tuple[str, str, str] | None:
    """Return begin and end of the interval that a version lies in, and what mends it; None if in none.

    Raises ValueError where the version or an event has no place in the order.
    """
    order = "SEMVER" if ranged.kind == "SEMVER" else versions.ecosystem(ecosystem)
    now = versions.key(order, version)
    spans, limits = intervals(order, ranged.events)
    if limits and not any(now < limit for limit in limits):
        return None
    for begin, lowest, end, highest, inclusive in spans:
        if lowest is not None and now < lowest:
            continue
        if highest is None:
            return (f"[{begin}", "…)", "")
        if now < highest or (inclusive and now == highest):
            return (f"[{begin}", f"{end}]" if inclusive else f"{end})", "" if inclusive else end)
    return None


Span = tuple[str, Any, str, Any, bool]
"""Begin and its key (None: from the first), end and its key (None: open), and whether the end is within."""


@lru_cache(maxsize=200_000)
def intervals(order: str, events: tuple[Event, ...]) -> tuple[tuple[Span, ...], tuple[Any, ...]]:
    """Return the intervals that events stand for, and the keys of limits; raises ValueError."""
    keyed: list[tuple[Any, str, str]] = [
        (None if version == "0" and event == "introduced" else versions.key(order, version), event, version)
        for event, version in events
        if event != "limit"
    ]
    first = [one for one in keyed if one[0] is None]
    later = sorted(
        sorted((one for one in keyed if one[0] is not None), key=lambda one: _RANK[one[1]]),
        key=lambda one: one[0],
    )
    spans: list[Span] = []
    begin: tuple[str, Any] | None = None
    for place, event, version in [*first, *later]:
        if event == "introduced":
            begin = begin or (version, place)
        elif begin is not None:
            spans.append((*begin, version, place, event == "last_affected"))
            begin = None
    if begin is not None:
        spans.append((*begin, "", None, False))
    limits = [version for event, version in events if event == "limit" and version != "*"]
    return tuple(spans), tuple(versions.key(order, version) for version in limits)


def _listed(found: Package, listed: tuple[str, ...]) -> bool:
    if found.version in listed:
        return True
    try:
        now = versions.key(found.ecosystem, found.version)
    except ValueError:
        return False
    return any(_same(found.ecosystem, now, one) for one in listed)


def _same(ecosystem: str, now: Any, version: str) -> bool:
    try:
        return bool(versions.key(ecosystem, version) == now)
    except ValueError:
        return False


def _next_fixed(found: Package, one: Affected) -> str:
    """Return the lowest version after this one that is told to be fixed; empty if none or not comparable."""
    try:
        now = versions.key(found.ecosystem, found.version)
        after = [
            (versions.key(found.ecosystem, version), version)
            for ranged in one.ranges
            if ranged.kind != "GIT"
            for event, version in ranged.events
            if event == "fixed"
        ]
    except ValueError:
        return ""
    later = [pair for pair in after if now < pair[0]]
    return min(later, key=lambda pair: pair[0])[1] if later else ""
