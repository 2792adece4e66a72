"""Why a package is vulnerable, or why an advisory is not about it: every step that was decided by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lemnis import app
from lemnis.app import feeds, vulnerabilities
from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.ids import Json
from lemnis.scan import sbom
from lemnis.scan.advisories_db import Advisories
from lemnis.scan.assessing import Assessed
from lemnis.scan.ecosystems import package
from lemnis.scan.matching import judge


@dataclass(frozen=True, slots=True)
class Passed:
    """An advisory about the package but not about this version, or one that could not be decided."""

    id: str
    names: tuple[str, ...]
    why: str
    undecided: bool


@dataclass(frozen=True, slots=True)
class Explained:
    """What is known of one package URL: the vulnerabilities that it has, and those that it has not."""

    purl: str
    assessed: tuple[Assessed, ...]
    passed: tuple[Passed, ...]
    problems: tuple[str, ...]
    until: int | None


def explain(
    workspace: app.Workspace | None, purl: str, *, vulnerability: str = "", service: str = ""
) -> Explained:
    """Explain a package URL with its version; only one vulnerability if one is named.

    Raises UsageError for what is no such URL, NotFoundError where the vulnerability is in no advisory of the
    data.
    """
    found = sbom.purl(purl)
    if found is None or not found.version:
        raise UsageError(f"{purl!r} is no package URL with a version", fix="such as pkg:pypi/django@4.2.1")
    root = feeds.place(workspace)
    component = sbom.Component(purl, found.name, found.version, purl)
    statements, errors = vulnerabilities.vex_of(workspace)
    result = vulnerabilities.look(
        [sbom.Sbom("package URL", (component,))], root,
        context=partial(vulnerabilities.context_of, workspace, service), statements=statements,
    )  # fmt: skip
    passed = tuple(_passed(root, purl)) if root and result.outcome else ()
    assessed = result.assessed
    if vulnerability:
        wanted = vulnerability.upper()
        assessed = tuple(one for one in assessed if wanted in map(str.upper, one.match.names))
        passed = tuple(one for one in passed if wanted in map(str.upper, one.names))
        if not assessed and not passed and result.outcome is not None:
            raise NotFoundError(
                f"no advisory here says anything of {vulnerability} in {found.name}",
                fix="; ".join(result.problems) or "`lemnis content feeds` tells what is covered",
            )
    return Explained(purl, assessed, passed, (*errors, *result.problems), result.until)


def _passed(root: Path, purl: str) -> Iterator[Passed]:
    """Yield the advisories about the package that are not (surely) about this version."""
    about = package(purl)
    if about is None:
        return
    with Advisories(root / "osv.db") as advisories:
        affected = advisories.affected({(about.ecosystem, about.name)}).get((about.ecosystem, about.name), [])
        known = advisories.known({number for number, _ in affected})
    for number, one in affected:
        words, _, sure = judge(about, one)
        if sure:
            continue
        spans = [
            f"{ranged.kind}: " + ", ".join(f"{event} {version}" for event, version in ranged.events)
            for ranged in one.ranges
            if ranged.kind != "GIT"
        ]
        outside = f"{about.version} is in none of {'; '.join(spans) or 'the versions that are listed'}"
        advisory = known[number]
        yield Passed(advisory.id, advisory.names, words or outside, bool(words))


def document(one: Assessed) -> dict[str, Json]:
    """Return an assessed vulnerability as JSON, with every step."""
    vector, exploited, likely, said = one.vector, one.exploited, one.likely, one.statement
    return {
        "ids": list(one.match.names),
        "purl": one.match.component.purl,
        "place": one.match.component.path,
        "line": one.match.component.line,
        "matched": [
            {"advisory": why.advisory.id, "why": why.words, "fixed": why.fixed, "url": why.advisory.url,
             "summary": why.advisory.summary}
            for why in one.match.whys
        ],
        "ecosystem": one.match.package.ecosystem,
        "fixed_in": list(one.match.fixed_in),
        "severity": one.severity.name.lower(),
        "rated_by": one.rated,
        "cvss": {"vector": vector.text, "version": vector.version, "score": vector.score} if vector else None,
        "kev": (
            {"added": exploited.added, "due": exploited.due, "ransomware": exploited.ransomware}
            if exploited
            else None
        ),
        "kev_looked": one.catalogued,
        "epss": {"score": likely.score, "percentile": likely.percentile} if likely else None,
        "ssvc": {
            "decision": one.decision.value,
            "path": [
                {"point": p.name, "value": p.value, "why": p.why, "assumed": p.assumed}
                for p in one.decision.path
            ],
        },
        "vex": (
            {"status": said.status.value, "justification": said.justification, "detail": said.detail,
             "file": said.file, "in_source": one.in_source}
            if said
            else None
        ),
    }  # fmt: skip


def lines(one: Assessed) -> Iterator[tuple[str, str]]:
    """Yield what people are told of a vulnerability, as names and words."""
    vector = one.vector
    yield "also known as", ", ".join(one.match.names[1:]) or "-"
    for why in one.match.whys:
        yield f"by {why.advisory.id}", why.words
    yield "fixed in", ", ".join(one.match.fixed_in) or "no version is told"
    yield "severity", f"{one.severity.name.lower()}, by {_RATED[one.rated]}"
    yield "CVSS", f"{vector.score} ({vector.text})" if vector else "none is published"
    yield "KEV", _kev(one)
    likely = one.likely
    yield (
        "EPSS",
        (
            f"{likely.score:.2%} within 30 days, more than {likely.percentile:.1%} of all"
            if likely
            else "unknown"
        ),
    )
    yield "SSVC", one.decision.value or "unknown"
    for point in one.decision.path:
        yield f"  {point.name}", f"{point.value}{' (assumed)' if point.assumed else ''}: {point.why}"
    said = one.statement
    yield "VEX", f"{said} (in {said.file})" if said else "nobody says anything"


_RATED = {
    "cvss": "CVSS",
    "database": "the advisory's word",
    "malicious": "an advisory that it was made to do harm",
    "ssvc": "the SSVC decision, as no score is published",
}


def _kev(one: Assessed) -> str:
    if one.exploited is None:
        return "not in it" if one.catalogued else "unknown: the catalogue is not here"
    by = ", by ransomware too" if one.exploited.ransomware else ""
    return f"exploited{by}; in it since {one.exploited.added}, due {one.exploited.due}"


def listed(
    workspace: app.Workspace | None, path: Path
) -> tuple[Sequence[Assessed], Sequence[str], int | None]:
    """Look at a folder or a single file; return its vulnerabilities, the most urgent first, and the problems.

    Raises NotFoundError if there is neither.
    """
    from lemnis.scan.inventory import take

    folder = path if path.is_dir() else path.parent
    names = sorted(name for name in take(path).files if path.is_file() or vulnerabilities.fits(name))
    parts = vulnerabilities.read(folder, names)
    statements, errors = vulnerabilities.vex_of(workspace)
    result = vulnerabilities.look(
        parts.sboms, feeds.place(workspace),
        context=partial(vulnerabilities.context_of, workspace, folder.resolve().name),
        statements=statements, told=parts.statements,
    )  # fmt: skip
    return sorted(result.assessed, key=_urgency), (*parts.errors, *errors, *result.problems), result.until


def _urgency(one: Assessed) -> tuple[Any, ...]:
    from lemnis.scan.ssvc import DECISIONS

    rank = DECISIONS.index(one.decision.value) if one.decision.value else -1
    quiet = one.statement is not None and one.statement.suppresses
    likely = one.likely.score if one.likely else 0.0
    return (quiet, -rank, -int(one.severity), -likely, one.match.component.path, one.match.names[0])
