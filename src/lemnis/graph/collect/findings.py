"""What scanners found: what findings are about, and which packages vulnerabilities affect. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.findings import Finding, Kind
from lemnis.graph.collect import Collected, Gatherer

METHOD: Final = "scanner"
_DIGEST = re.compile(r"(?:^|@)(sha256:[0-9a-f]{64})$")


@dataclass(frozen=True, slots=True)
class Found:
    """A finding, in which resource, and when it was first and (ms; None: still there) last there."""

    finding: Finding
    resource: str
    since: int
    until: int | None = None


def collect(found: Iterable[Found]) -> Collected:
    """Say of findings what they are about, while they were there; one that is suppressed says so.

    That a vulnerability affects a package, and what an image contains, was so before anybody saw it.
    """
    said = Gatherer(METHOD, dated=True)
    for one in found:
        said.read += 1
        if one.finding.fingerprint:
            _tell(said, one)
        else:
            said.refuse(f"{one.finding.tool}:{one.finding.rule_id}", "a finding without fingerprint")
    return said.done()


def _tell(said: Gatherer, one: Found) -> None:
    finding = one.finding
    where = f"{one.resource}#{finding.fingerprint}"
    facts: dict[str, Any] = {
        "tool": finding.tool, "rule": finding.rule_id, "line": finding.line or None,
        "resource": one.resource, "confidence": finding.confidence,
        "suppressed": finding.suppression.reason or finding.suppression.kind if finding.suppression else None,
    }  # fmt: skip

    def say(source: Entity, relation: str, target: Entity, *, ever: bool = False) -> None:
        since, until = (None, None) if ever else (one.since, one.until)
        said.say(source, relation, target, where, since=since, until=until, **facts)

    itself = Entity(EntityKind.FINDING, finding.fingerprint)
    said.note(
        itself, title=finding.title, severity=finding.severity.name.lower(), kind=finding.kind.value,
        tool=finding.tool, rule=finding.rule_id,
    )  # fmt: skip
    about = _about(one)
    for entity in about:
        say(itself, "about", entity)
        if finding.rule_id and entity.kind in {EntityKind.FILE, EntityKind.CLOUD_RESOURCE}:
            say(entity, "matches", Entity(EntityKind.PATTERN, f"{finding.tool}:{finding.rule_id}"))
    known = finding.vulnerability
    if known is None or not known.purl:
        return
    package = Entity(EntityKind.PACKAGE, known.purl)
    for identity in dict.fromkeys(known.ids):
        vulnerability = Entity(EntityKind.VULNERABILITY, identity)
        say(vulnerability, "affects", package, ever=True)
        said.note(vulnerability, score=known.score, exploited=known.exploited, fixed_in=list(known.fixed_in))
    for entity in about:
        if entity.kind is EntityKind.IMAGE:
            say(entity, "contains", package, ever=True)


def _about(one: Found) -> list[Entity]:
    """Return what a finding is about: image, package, file, or else the resource that it names."""
    finding, about = one.finding, []
    for name in (finding.resource, one.resource):
        if digest := _DIGEST.search(name):
            about.append(Entity(EntityKind.IMAGE, digest[1]))
            break
    if finding.vulnerability is not None and finding.vulnerability.purl:
        about.append(Entity(EntityKind.PACKAGE, finding.vulnerability.purl))
    if finding.path and finding.kind is not Kind.IMAGE and not any(e.kind is EntityKind.IMAGE for e in about):
        about.append(Entity(EntityKind.FILE, finding.path))
    if not about and (name := finding.resource or one.resource):
        kind = (
            EntityKind.CLOUD_RESOURCE
            if name.startswith(("arn:", "/subscriptions/"))
            else EntityKind.REPOSITORY
        )
        about.append(Entity(kind, name))
    return about
