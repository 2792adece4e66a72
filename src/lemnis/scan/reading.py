"""Reads a scanner's JSON report by the paths that its ``scanner.yaml`` gives. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from lemnis.content.schemas.scanner import Scanner
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import Location, RecordError
from lemnis.contracts.findings import Finding
from lemnis.scan.fingerprint import Source, fingerprints


@dataclass(frozen=True, slots=True)
class Read:
    """What a report says: findings, the files looked at (None: it does not say), and what went wrong."""

    findings: tuple[Finding, ...]
    examined: tuple[str, ...] | None
    errors: tuple[str, ...]


def read(scanner: Scanner, report: bytes, source: Source) -> Read:
    """Read a report; ``source`` gives a file's lines, for fingerprints.

    A result that lacks its path, line or rule is an error of the report, never silently left out.
    Raises RecordError when the report is no JSON object.
    """
    try:
        document = orjson.loads(report)
    except orjson.JSONDecodeError as error:
        raise RecordError(f"the report is no JSON: {error}", at=Location(scanner.name)) from error
    results = dig(document, scanner.results)
    if not isinstance(results, list):
        raise RecordError(f"the report has no list {scanner.results!r}", at=Location(scanner.name))
    drafts: list[Finding] = []
    errors = list(_errors(scanner, document))
    for number, result in enumerate(results, 1):
        draft = _finding(scanner, result)
        if isinstance(draft, str):
            errors.append(f"result {number}: {draft}")
        else:
            drafts.append(draft)
    return Read(tuple(fingerprints(drafts, source)), _examined(scanner, document), tuple(errors))


def dig(value: Any, path: str) -> Any:
    """Follow a dotted path; numbers index lists (negative from the end); None where it leads nowhere."""
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def relative(path: str) -> str:
    """Return a path as the repository has it: no leading ``./``; empty if it leads outside."""
    clean = posixpath.normpath(path.replace("\\", "/"))
    return "" if clean.startswith(("../", "/")) or clean in {"..", "."} else clean


def _finding(scanner: Scanner, result: Any) -> Finding | str:
    fields = scanner.fields
    text: Callable[[str], str] = lambda path: str(dig(result, path) or "") if path else ""  # noqa: E731 - read nine times below
    path, rule, line = relative(text(fields.path)), text(fields.rule_id), dig(result, fields.line)
    level = scanner.fields.severity.map.get(text(fields.severity.source))
    if not path or not rule:
        return "no path inside the scanned folder, or no rule"
    if not isinstance(line, int) or line < 0:
        return f"line {line!r} is no line number"
    if level is None:
        return f"severity {text(fields.severity.source)!r} is not mapped in scanner.yaml"
    end = dig(result, fields.end_line) if fields.end_line else None
    cwe = text(fields.cwe).upper().removeprefix("CWE-")
    return Finding(
        fingerprint="",
        tool=scanner.name,
        rule_id=rule,
        title=text(fields.title),
        severity=Severity[level.upper()],
        path=path,
        line=line,
        end_line=end if isinstance(end, int) and end >= line else line,
        cwes=(int(cwe),) if cwe.isdigit() else (),
        snippet=text(fields.snippet),
        message=text(fields.title),
        confidence=text(fields.confidence).lower(),
        help_uri=text(fields.help_uri),
    )


def _errors(scanner: Scanner, document: Any) -> Iterator[str]:
    if scanner.errors is None:
        return
    listed = dig(document, scanner.errors.at)
    for entry in listed if isinstance(listed, list) else []:
        yield ": ".join(str(dig(entry, field) or "") for field in scanner.errors.fields)


def _examined(scanner: Scanner, document: Any) -> tuple[str, ...] | None:
    if scanner.examined is None:
        return None
    listed = dig(document, scanner.examined.at)
    names: Sequence[str] = list(listed) if isinstance(listed, dict | list) else []
    return tuple(relative(name) for name in names if name not in scanner.examined.leave_out)
