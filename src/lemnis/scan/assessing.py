"""What a matched vulnerability means: score, exploitation, decision, VEX; and its finding. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lemnis.contracts.alerts import Severity
from lemnis.contracts.findings import Edit, Finding, Kind, Suppression, Vulnerability
from lemnis.contracts.ids import stable_id
from lemnis.scan import cvss, ssvc, versions
from lemnis.scan.exploitation import Exploited, Likely
from lemnis.scan.matching import Match
from lemnis.scan.vex_statements import Statement, applying

TOOL: Final = "lemnis_vulnerabilities"
MALICIOUS: Final = "MAL-"
"""How OSV names advisories of packages that were made to do harm (ossf/malicious-packages)."""
_LABELS: Final = {
    "critical": Severity.CRITICAL, "high": Severity.HIGH, "important": Severity.HIGH,
    "moderate": Severity.MEDIUM, "medium": Severity.MEDIUM, "low": Severity.LOW,
}  # fmt: skip
_DECIDED: Final = {
    "immediate": Severity.CRITICAL, "out-of-cycle": Severity.HIGH, "scheduled": Severity.MEDIUM,
    "defer": Severity.LOW,
}  # fmt: skip
_PINNED: Final = re.compile(r"==\s*([^\s;,\\#]+)")


@dataclass(frozen=True, slots=True)
class Data:
    """What is known beside the advisories, by name; None where that feed is not there.

    ``context`` are values of SSVC's decision points that are known of the service, with why. ``statements``
    are VEX of the operator, ``told`` those that lie in what is scanned.
    """

    exploited: Mapping[str, Exploited] | None = None
    likely: Mapping[str, Likely] | None = None
    context: Mapping[str, tuple[str, str]] | None = None
    statements: Sequence[Statement] = ()
    told: Sequence[Statement] = ()


@dataclass(frozen=True, slots=True)
class Assessed:
    """A match with everything that is known of it; None and empty are unknown."""

    match: Match
    vector: cvss.Vector | None
    exploited: Exploited | None
    likely: Likely | None
    decision: ssvc.Decision
    statement: Statement | None
    in_source: bool
    severity: Severity
    rated: str
    """What the severity is by: ``malicious``, ``cvss``, ``database`` or ``ssvc``."""
    catalogued: bool
    """Whether CISA's catalogue was looked into."""


def assess(match: Match, data: Data, subject: Collection[str] = ()) -> Assessed:
    """Return what is known of a match; ``subject`` names what the component is part of, for VEX."""
    vector = _vector(match)
    exploited = _first(data.exploited or {}, match.names)
    likely = max(
        (data.likely[name] for name in match.names if name in (data.likely or {})) if data.likely else (),
        key=lambda one: one.score,
        default=None,
    )
    decision = ssvc.decide(_points(match, vector, exploited, data))
    refs = (match.component.ref,)
    outside = applying(data.statements, match.names, purl=match.component.purl, refs=refs, subject=subject)
    inside = applying(data.told, match.names, purl=match.component.purl, refs=refs, subject=subject)
    severity, rated = _severity(match, vector, decision)
    return Assessed(
        match, vector, exploited, likely, decision, outside or inside, outside is None and inside is not None,
        severity, rated, data.exploited is not None,
    )  # fmt: skip


def _first(known: Mapping[str, Exploited], names: Iterable[str]) -> Exploited | None:
    return next((known[name] for name in names if name in known), None)


def _vector(match: Match) -> cvss.Vector | None:
    """Return the vector of the newest CVSS that can be read; of several, the one that scores highest."""
    found: list[cvss.Vector] = []
    for why in match.whys:
        for text in why.advisory.vectors:
            try:
                found.append(cvss.parse(text))
            except ValueError:
                continue  # a vector of another version or a broken one: the advisory still counts, unscored
    return max(found, key=lambda one: (one.version, one.score), default=None)


def _points(
    match: Match, vector: cvss.Vector | None, exploited: Exploited | None, data: Data
) -> dict[str, tuple[str, str]]:
    known = dict(data.context or {})
    shown = next((why.advisory.id for why in match.whys if why.advisory.exploit), "")
    if exploited is not None:
        known["exploitation"] = ("active", f"in CISA's catalogue since {exploited.added}")
    elif shown:
        known["exploitation"] = ("public poc", f"{shown} refers to evidence")
    elif vector is not None and vector.proven:
        known["exploitation"] = ("public poc", f"exploit maturity in {vector.text}")
    elif data.exploited is not None:
        known["exploitation"] = ("none", "not in CISA's catalogue, no exploit is told")
    if vector is not None and vector.automatable is not None:
        known["automatable"] = ("yes" if vector.automatable else "no", vector.text)
    return known


def _severity(match: Match, vector: cvss.Vector | None, decision: ssvc.Decision) -> tuple[Severity, str]:
    """Return the severity by CVSS, else by the database's word, else by what SSVC decides.

    Most advisories of some ecosystems have no score: as unknown they would pass below every threshold. What
    was made to do harm is as bad as can be, and never scored: who has run it has been attacked.
    """
    if any(name.startswith(MALICIOUS) for name in match.names):
        return Severity.CRITICAL, "malicious"
    if vector is not None:
        return vector.severity, "cvss"
    labels = [_LABELS[why.advisory.label] for why in match.whys if why.advisory.label in _LABELS]
    if labels:
        return max(labels), "database"
    return _DECIDED.get(decision.value, Severity.MEDIUM), "ssvc"


def mending(matches: Iterable[Match]) -> dict[tuple[str, str], str]:
    """Return for components (place, reference) the version that mends all of it; none if one has none."""
    lowest: dict[tuple[str, str], list[str]] = {}
    ecosystems: dict[tuple[str, str], str] = {}
    for match in matches:
        key = (match.component.path, match.component.ref)
        lowest.setdefault(key, []).append(match.fixed_in[0] if match.fixed_in else "")
        ecosystems[key] = match.package.ecosystem
    return {
        key: max(many, key=lambda one: versions.key(ecosystems[key], one))
        for key, many in lowest.items()
        if all(many)
    }


def findings(
    assessed: Sequence[Assessed],
    *,
    chains: Mapping[tuple[str, str], Sequence[str]],
    lines: Mapping[str, Sequence[str]],
) -> Iterator[Finding]:
    """Yield a finding for each; ``chains`` are the ways to components (place, reference) by their names.

    ``lines`` are the texts of files, for edits. A finding is known again by package and vulnerability, in
    whichever version.
    """
    mended = mending(one.match for one in assessed)
    seen: Counter[tuple[str, ...]] = Counter()
    for one in assessed:
        component, package = one.match.component, one.match.package
        key = (package.ecosystem, package.name, one.match.names[0], component.path)
        seen[key] += 1
        place = (component.path, component.ref)
        yield _finding(
            one,
            stable_id("fp", TOOL, *key, str(seen[key])),
            chain=chains.get(place, ()),
            to=mended.get(place, ""),
            line=_line(lines, component.path, component.line),
        )


def _line(lines: Mapping[str, Sequence[str]], path: str, number: int) -> str:
    found = lines.get(path, ())
    return found[number - 1] if 0 < number <= len(found) else ""


def _finding(one: Assessed, fingerprint: str, *, chain: Sequence[str], to: str, line: str) -> Finding:
    match, component = one.match, one.match.component
    advisory = match.whys[0].advisory
    shown = match.names[0]
    title = f"{match.package.name} {match.package.version}: {shown}"
    said = next((why.advisory.summary for why in match.whys if why.advisory.summary), "")
    parts = [said, "; ".join(f"{why.advisory.id}: {why.words}" for why in match.whys)]
    if len(chain) > 1:
        parts.append("needed by " + " > ".join(chain))
    if one.rated == "malicious":
        parts.append("the package was made to do harm: what it ran on and could reach is no longer one's own")
    if one.rated == "ssvc":
        parts.append("no severity is published: rated by the SSVC decision")
    return Finding(
        fingerprint=fingerprint,
        tool=TOOL,
        rule_id=shown,
        title=title,
        severity=one.severity,
        path=component.path,
        line=component.line,
        end_line=component.line,
        cwes=tuple(sorted({cwe for why in match.whys for cwe in why.advisory.cwes})),
        snippet=line,
        message=". ".join(part.rstrip(".") for part in parts if part),
        confidence="high",
        help_uri=next((why.advisory.url for why in match.whys if why.advisory.url), ""),
        kind=Kind.DEPENDENCY,
        resource=component.purl,
        fix=_fix(one, to),
        edits=tuple(_edits(one, to, line)),
        vulnerability=Vulnerability(
            ids=tuple(dict.fromkeys([*match.names, advisory.id])),
            purl=component.purl,
            fixed_in=match.fixed_in,
            score=one.vector.score if one.vector else None,
            vector=one.vector.text if one.vector else "",
            epss=one.likely.score if one.likely else None,
            exploited=one.exploited is not None if one.catalogued else None,
            decision=one.decision.value,
            vex=str(one.statement) if one.statement else "",
        ),
        suppression=_suppression(one),
    )


def _suppression(one: Assessed) -> Suppression | None:
    if one.statement is None or not one.statement.suppresses:
        return None
    kind = "in_source" if one.in_source else "external"
    return Suppression(kind, f"VEX in {one.statement.file}: {one.statement}")


def _fix(one: Assessed, to: str) -> str:
    name, own = one.match.package.name, one.match.fixed_in
    if not own:
        return f"no version of {name} is told to mend it: remove it, or record why it does not matter"
    also = f" ({to} mends all that is known)" if to and to != own[0] else ""
    return f"update {name} to {own[0]} or later{also}"


def _edits(one: Assessed, to: str, line: str) -> Iterator[Edit]:
    """Yield the change of a pinned requirement; not where hashes pin the file too."""
    component = one.match.component
    found = _PINNED.search(line)
    if (
        to
        and found
        and found[1] == component.version
        and "--hash" not in line
        and not line.rstrip().endswith("\\")
    ):
        begin, end = found.start(1) + 1, found.end(1) + 1
        yield Edit(component.path, component.line, begin, component.line, end, to)
