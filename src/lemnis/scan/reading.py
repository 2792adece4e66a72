"""Reads a tool's report by the paths that its ``scanner.yaml`` or ``reader.yaml`` gives. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import re2

from lemnis.content.schemas.reader import Report
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import Location, RecordError
from lemnis.contracts.findings import Finding
from lemnis.scan import formats
from lemnis.scan.decoding import decode
from lemnis.scan.fingerprint import Source, fingerprints
from lemnis.scan.losses import lost, tree
from lemnis.scan.paths import absolute, dig, there, walk
from lemnis.scan.places import relative, within
from lemnis.scan.records import Maker, compile_record, paths_of
from lemnis.scan.secrecy import Discreet
from lemnis.scan.values import texts, when

__all__ = ["Read", "dig", "read", "relative"]


@dataclass(frozen=True, slots=True)
class Read:
    """What a report says: findings, the files looked at (None: it does not say), and what went wrong.

    ``lost`` are paths of the report that have no place in a finding, with how often they hold something.
    """

    findings: tuple[Finding, ...]
    examined: tuple[str, ...] | None
    errors: tuple[str, ...]
    lost: Mapping[str, int] = field(default_factory=dict)
    version: str = ""
    data_until: str = ""


def read(
    name: str,
    reports: Sequence[Report],
    data: bytes,
    source: Source,
    *,
    losses: bool = True,
    root: str = "",
) -> Read:
    """Read a report of the tool ``name`` in the first of the layouts that it fits.

    ``source`` gives a file's lines, for fingerprints; paths below ``root`` become relative to it. A result
    that lacks what a finding needs is an error of the report, never silently left out. Raises RecordError
    when the report is of none of the layouts.
    """
    problems: list[str] = []
    for report in reports:
        try:
            decoded = decode(report, data, name)
        except RecordError as error:
            problems.append(str(error))
            continue
        if not recognised(report, decoded.document):
            problems.append(f"{name}: the report has not the parts by which it is known")
            continue
        found = _read(name, report, decoded.document, losses=losses)
        findings = (_masked(f, report.mask) for f in found.findings) if report.mask else found.findings
        prefix = f"{root.strip('/')}/" if root else ""
        placed = (_below(f, prefix) for f in findings) if prefix else findings
        return Read(
            tuple(fingerprints(map(Discreet(source), placed), source)),
            None if found.examined is None else tuple(one.removeprefix(prefix) for one in found.examined),
            tuple(
                one.replace(f"/{prefix}", "") if prefix else one for one in (*decoded.errors, *found.errors)
            ),
            found.lost,
            found.version,
            found.data_until,
        )
    raise RecordError("; ".join(dict.fromkeys(problems)) or "no layout is known", at=Location(name))


def recognised(report: Report, document: Any) -> bool:
    """Say whether a report has the parts that its layout is known by; one without such parts always has."""
    if document in ([], None) and report.format != "csv":
        return any(path.startswith("[]") for way in report.fits for path in way)
    return not report.fits or any(all(there(document, path) for path in way) for way in report.fits)


def _read(name: str, report: Report, document: Any, *, losses: bool) -> Read:
    special = formats.SPECIAL.get(report.format)
    if special is not None:
        return Read(*special(name, document, report.kind, losses=losses))
    drafts: list[Finding] = []
    errors = list(_errors(report, document))
    for number, made in enumerate(_made(name, report, document), 1):
        if isinstance(made, str):
            errors.append(f"result {number}: {made}")
        else:
            drafts.append(made)
    return Read(
        tuple(_deepest(drafts) if report.deepest else drafts),
        _examined(report, document),
        tuple(errors),
        lost(document, _read_paths(report)) if losses else {},
        ", ".join(texts(dig(document, report.version))) if report.version else "",
        ", ".join(texts(dig(document, report.data_until))) if report.data_until else "",
    )


def _deepest(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield of the findings about one vulnerability in one package the most severe, each once."""
    worst: dict[tuple[str, str], Severity] = {}
    keys = [(one.rule_id, one.vulnerability.purl if one.vulnerability else "") for one in findings]
    for key, one in zip(keys, findings, strict=True):
        worst[key] = max(one.severity, worst.get(key, one.severity))
    kept = (one for key, one in zip(keys, findings, strict=True) if one.severity == worst[key])
    yield from dict.fromkeys(kept)


def _made(name: str, report: Report, document: Any) -> Iterator[Finding | str]:
    """Yield each record as a finding, or what it lacks."""
    for record, maker, tests in _compiled(report):
        for spot in walk(document, record):
            if all(test(spot) for test in tests):
                yield maker(name, spot)


@lru_cache(maxsize=128)
def _compile(text: str) -> tuple[tuple[str, Maker, tuple[Any, ...]], ...]:
    report = Report.model_validate_json(text)
    return tuple((one.at, compile_record(one), tuple(map(when, one.when))) for one in report.records)


def _compiled(report: Report) -> tuple[tuple[str, Maker, tuple[Any, ...]], ...]:
    return _compile(report.model_dump_json(by_alias=True))


def _read_paths(report: Report) -> Any:
    """Return the tree of all that is read of a report, or is no part of a finding."""
    own = [report.version, report.data_until, *report.aside]
    own += [report.examined.at] if report.examined is not None else []
    if report.errors is not None and not report.errors.when:
        own.append(report.errors.at)
    records = [absolute(one.at, path) for one in report.records for path in paths_of(one)]
    if report.errors is not None and report.errors.when:  # some of what may be findings too
        records += [absolute(report.errors.at, path) for path in report.errors.fields]
    return tree([*records, *(absolute("", path) for path in own if path)])


def _errors(report: Report, document: Any) -> Iterator[str]:
    if report.errors is None:
        return
    tests = tuple(map(when, report.errors.when))
    for spot in walk(document, report.errors.at):
        if not all(test(spot) for test in tests):
            continue
        entries = spot.value if isinstance(spot.value, list) else [spot.value]
        for entry in entries:
            parts = [", ".join(texts(dig(entry, one))) for one in report.errors.fields] or texts(entry)
            if any(parts):
                yield ": ".join(parts)


def _examined(report: Report, document: Any) -> tuple[str, ...] | None:
    if report.examined is None:
        return None
    names: list[str] = []
    for spot in walk(document, report.examined.at):
        names += texts(list(spot.value) if isinstance(spot.value, dict | list) else spot.value)
    return tuple(dict.fromkeys(within(one)[0] for one in names if one not in report.examined.leave_out))


def _below(finding: Finding, prefix: str) -> Finding:
    """Make the paths of a finding relative to the scanned folder, where a tool writes whole paths."""
    return replace(
        finding,
        path=finding.path.removeprefix(prefix),
        flow=tuple(replace(one, path=one.path.removeprefix(prefix)) for one in finding.flow),
        edits=tuple(replace(one, path=one.path.removeprefix(prefix)) for one in finding.edits),
    )


def _masked(finding: Finding, mask: Sequence[str]) -> Finding:
    """Cut what the expressions' first groups match out of a finding's texts."""
    words = {name: getattr(finding, name) for name in ("title", "message", "resource", "fix", "snippet")}
    for expression in mask:
        pattern = re2.compile(expression)
        for name, text in words.items():
            words[name] = pattern.sub(lambda hit: hit.group().replace(hit.group(1), "…"), text)
    return replace(finding, **words)
