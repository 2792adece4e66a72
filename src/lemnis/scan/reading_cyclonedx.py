"""Vulnerabilities in CycloneDX 1.4 to 1.7 (ECMA-424), JSON or XML, as findings: one a component affected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import Location, RecordError
from lemnis.contracts.findings import Finding, Kind, Suppression, Vulnerability
from lemnis.scan import values
from lemnis.scan.losses import lost, tree
from lemnis.scan.places import within

Object = Mapping[str, Any]
_ALIASES = {"unknown": Severity.INFORMATIONAL}
_VULNERABILITY = ("vulnerabilities", "*")
_READ = tree(
    [
        ("bomFormat",), ("specVersion",), ("serialNumber",), ("version",), ("$schema",), ("metadata",),
        ("components",), ("services",), ("dependencies",), ("compositions",),
        *(
            (*_VULNERABILITY, *path)
            for path in (
                ("bom-ref",), ("id",), ("cwes",), ("description",), ("detail",), ("recommendation",),
                ("source", "url"), ("references", "*", "id"), ("ratings", "*", "severity"),
                ("ratings", "*", "score"), ("ratings", "*", "vector"), ("ratings", "*", "method"),
                ("advisories", "*", "url"), ("affects", "*", "ref"), ("affects", "*", "versions"),
                ("analysis", "state"), ("analysis", "justification"), ("analysis", "detail"),
            )
        ),
    ]
)  # fmt: skip
_VOID = frozenset({"not_affected", "false_positive", "resolved", "resolved_with_pedigree"})


def read(
    tool: str, document: Any, kind: str, *, losses: bool = True
) -> tuple[tuple[Finding, ...], tuple[str, ...], tuple[str, ...], Mapping[str, int]]:
    """Read a bill of materials; what was looked at are its components.

    A vulnerability without ``affects`` is about the whole subject. An analysis that says that it does not
    count (``not_affected``, ``false_positive``, ``resolved``) is a suppression. Raises RecordError.
    """
    if not isinstance(document, dict) or ("bomFormat" not in document and "specVersion" not in document):
        raise RecordError("no CycloneDX: neither bomFormat nor specVersion", at=Location(tool))
    subject = _object(_object(document.get("metadata")).get("component"))
    components = list(_components(document))
    known = {str(one.get("bom-ref") or ""): one for one in components}
    known |= {str(subject.get("bom-ref") or "subject"): subject}
    findings: list[Finding] = []
    errors: list[str] = []
    for number, one in enumerate(_objects(document.get("vulnerabilities")), 1):
        try:
            refs = [str(a.get("ref") or "") for a in _objects(one.get("affects"))] or [""]
            findings += [_finding(tool, one, ref, known.get(ref) or subject, Kind(kind)) for ref in refs]
        except (ValueError, TypeError, AttributeError) as error:
            errors.append(f"vulnerability {number}: {error}")
    names = (str(one.get("bom-ref") or one.get("purl") or one.get("name") or "") for one in components)
    examined = tuple(sorted({name for name in names if name}))
    return tuple(findings), examined, tuple(errors), lost(document, _READ) if losses else {}


def _finding(tool: str, one: Object, ref: str, component: Object, kind: Kind) -> Finding:
    rule = str(one.get("id") or "")
    if not rule:
        raise ValueError("no id")
    name = "/".join(str(component[part]) for part in ("group", "name") if component.get(part))
    purl = str(component.get("purl") or (ref if ref.startswith("pkg:") else ""))
    analysis = _object(one.get("analysis"))
    ratings = _objects(one.get("ratings"))
    severities = [s for rating in ratings if (s := _severity(rating)) is not None]
    scores = [float(r["score"]) for r in ratings if isinstance(r.get("score"), int | float)]
    said = str(one.get("description") or one.get("detail") or rule)
    aliases = [str(r.get("id")) for r in _objects(one.get("references")) if r.get("id")]
    resource = purl or name or ref or str(component.get("bom-ref") or "the subject of the bill of materials")
    locations = _objects(_object(component.get("evidence")).get("occurrences"))
    path, _ = within(str(locations[0].get("location") or "")) if locations else ("", "")
    return Finding(
        fingerprint="", tool=tool, rule_id=rule, title=f"{rule} in {name or resource}",
        severity=max(severities, default=Severity.INFORMATIONAL), path=path, line=0, end_line=0,
        cwes=tuple(n for cwe in values.texts(one.get("cwes")) for n in values.cwe_numbers(cwe)), message=said,
        help_uri=str(
            _object(one.get("source")).get("url")
            or next((a.get("url") for a in _objects(one.get("advisories"))), "") or ""
        ),
        kind=kind, resource=resource, fix=str(one.get("recommendation") or ""),
        vulnerability=Vulnerability(
            ids=tuple(dict.fromkeys([rule, *aliases])), purl=purl, score=max(scores, default=None),
            vector=next((str(r["vector"]) for r in ratings if r.get("vector")), ""),
            vex=" ".join(str(analysis[k]) for k in ("state", "justification") if analysis.get(k)),
        ),
        suppression=_suppression(analysis),
    )  # fmt: skip


def _severity(rating: Object) -> Severity | None:
    word = str(rating.get("severity") or "").lower()
    score = rating.get("score")
    by_score = values.score(str(score)) if isinstance(score, int | float) else None
    return values.WORDS.get(word) or by_score or _ALIASES.get(word)


def _suppression(analysis: Object) -> Suppression | None:
    if analysis.get("state") not in _VOID:
        return None
    words = [str(analysis[key]) for key in ("state", "justification", "detail") if analysis.get(key)]
    return Suppression("external", ": ".join(words))


def _components(document: Object) -> Iterator[Object]:
    """Yield components however they are nested, without recursion: a document may be deep."""
    waiting = _objects(document.get("components")) + _objects(document.get("services"))
    while waiting:
        one = waiting.pop()
        yield one
        waiting += _objects(one.get("components"))


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Object]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
