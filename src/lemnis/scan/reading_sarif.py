"""SARIF 2.1.0 (OASIS) of other tools as findings, result by result: a broken one is told, the others kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import Location, RecordError
from lemnis.contracts.findings import Edit, Finding, Kind, Place, Suppression
from lemnis.scan import values
from lemnis.scan.losses import lost, tree
from lemnis.scan.places import within

Object = Mapping[str, Any]
# Section 3.27.10: error, warning, note, none.
_LEVELS = {
    "error": Severity.HIGH, "warning": Severity.MEDIUM, "note": Severity.LOW, "none": Severity.INFORMATIONAL,
}  # fmt: skip
_STAR = "*"
_RESULT = ("runs", _STAR, "results", _STAR)
_DRIVER = ("runs", _STAR, "tool", "driver")
_RULE = (*_DRIVER, "rules", _STAR)
_EXTENSION = ("runs", _STAR, "tool", "extensions", _STAR, "rules", _STAR)
_PLACE = ("physicalLocation", "artifactLocation")
_REGION = ("physicalLocation", "region")
_CORNERS = ("startLine", "startColumn", "endLine", "endColumn")
_STEP = ("codeFlows", _STAR, "threadFlows", _STAR, "locations", _STAR, "location")
_CHANGE = ("fixes", _STAR, "artifactChanges", _STAR)
_RULES = [
    (*rule, *path)
    for rule in (_RULE, _EXTENSION)
    for path in (
        ("id",), ("name",), ("shortDescription", "text"), ("fullDescription", "text"), ("helpUri",),
        ("messageStrings",), ("defaultConfiguration", "level"), ("relationships",), ("help", "text"),
        *(("properties", name) for name in ("security-severity", "tags", "precision", "cwe", "severity")),
    )
]  # fmt: skip
_READ = tree(
    [
        ("$schema",), ("version",), ("runs", _STAR, "taxonomies"), ("runs", _STAR, "columnKind"),
        ("runs", _STAR, "originalUriBaseIds"), ("runs", _STAR, "invocations", _STAR, "executionSuccessful"),
        ("runs", _STAR, "invocations", _STAR, "toolExecutionNotifications", _STAR, "message", "text"),
        ("runs", _STAR, "artifacts", _STAR, "location"), (*_DRIVER, "name"), (*_DRIVER, "version"),
        (*_DRIVER, "semanticVersion"), *_RULES,
        *(
            (*_RESULT, *path)
            for path in (
                ("ruleId",), ("ruleIndex",), ("rule",), ("level",), ("kind",), ("message", "text"),
                ("message", "id"), ("message", "arguments"), ("suppressions",), ("taxa",),
                *(("locations", _STAR, *_PLACE, one) for one in ("uri", "index", "uriBaseId")),
                *(("locations", _STAR, *_REGION, one) for one in _CORNERS),
                ("locations", _STAR, *_REGION, "snippet", "text"),
                ("locations", _STAR, "logicalLocations", _STAR, "fullyQualifiedName"),
                *((*_STEP, *_PLACE, one) for one in ("uri", "index", "uriBaseId")),
                *((*_STEP, *_REGION, one) for one in ("startLine", "startColumn")),
                (*_STEP, "message", "text"), (*_CHANGE, "artifactLocation"),
                ("fixes", _STAR, "description", "text"),
                *((*_CHANGE, "replacements", _STAR, "deletedRegion", one) for one in _CORNERS),
                (*_CHANGE, "replacements", _STAR, "insertedContent", "text"),
            )
        ),
    ]
)  # fmt: skip


def read(
    tool: str, document: Any, kind: str, *, losses: bool = True
) -> tuple[tuple[Finding, ...], None, tuple[str, ...], Mapping[str, int]]:
    """Read a log. ``tool`` names the findings' tool where a run does not.

    Only results of kind ``fail``, ``review`` and ``open`` (section 3.27.9) are findings. Raises RecordError
    for what is no SARIF log.
    """
    runs = document.get("runs") if isinstance(document, dict) else None
    if not isinstance(runs, list):
        raise RecordError("no SARIF log: it has no list of runs", at=Location(tool))
    findings: list[Finding] = []
    errors: list[str] = []
    for index, run in enumerate(runs):
        if not isinstance(run, dict):
            errors.append(f"run {index + 1}: no object")
            continue
        errors += _notifications(run)
        reader = _Run(run, tool, Kind(kind))
        results = run.get("results")
        for number, result in enumerate(results if isinstance(results, list) else [], 1):
            try:
                made = reader.finding(result)
            except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
                errors.append(f"run {index + 1}, result {number}: {error}")
            else:
                findings += [made] if made is not None else []
    return tuple(findings), None, tuple(errors), lost(document, _READ) if losses else {}


def _notifications(run: Object) -> Iterator[str]:
    """Yield what the tool says went wrong (section 3.20)."""
    for invocation in _objects(run.get("invocations")):
        told = [
            values.plain(_object(note.get("message")).get("text"))
            for note in _objects(invocation.get("toolExecutionNotifications"))
            if note.get("level") == "error"
        ]
        yield from (one for one in told if one)
        if invocation.get("executionSuccessful") is False and not told:
            yield "the tool says that it was not successful"


class _Run:
    """One run: its results refer to its rules, files and words."""

    def __init__(self, run: Object, tool: str, kind: Kind) -> None:
        self._kind = kind
        driver = _object(_object(run.get("tool")).get("driver"))
        self.tool = tool if tool != "sarif" else str(driver.get("name") or tool)
        self._rules = _objects(driver.get("rules"))
        self._by_id = {str(rule.get("id")): rule for rule in reversed(self._rules)}
        self._artifacts = _objects(run.get("artifacts"))
        self._extensions = _objects(_object(run.get("tool")).get("extensions"))

    def finding(self, result: Any) -> Finding | None:
        """Return a result's finding, None if it says that nothing is wrong; raises ValueError."""
        if not isinstance(result, dict):
            raise ValueError("no object")  # noqa: TRY004 - told like every other result that is broken
        if result.get("kind", "fail") not in {"fail", "review", "open"}:
            return None
        rule = self._rule(result)
        rule_id = str(result.get("ruleId") or _object(result.get("rule")).get("id") or rule.get("id") or "")
        message = self._message(result, rule)
        if not rule_id and not message:
            raise ValueError("neither a rule nor a message")
        location = next(iter(_objects(result.get("locations"))), {})
        physical = _object(location.get("physicalLocation"))
        path, elsewhere = self._path(_object(physical.get("artifactLocation")))
        region = _object(physical.get("region"))
        line, column, end_line, end_column = (_number(region, corner) for corner in _CORNERS)
        logical = next(iter(_objects(location.get("logicalLocations"))), {})
        resource = elsewhere or str(logical.get("fullyQualifiedName") or "")
        properties = _object(rule.get("properties"))
        title = _words(rule.get("shortDescription")) or str(rule.get("name") or "") or message
        return Finding(
            fingerprint="",
            tool=self.tool,
            rule_id=rule_id or message[:80],
            title=(title or rule_id).strip().splitlines()[0][:500],
            severity=self._severity(result, rule),
            path=path,
            line=line,
            end_line=max(line, end_line),
            cwes=_cwes(result, rule),
            snippet="" if self._kind is Kind.SECRET else _words(region.get("snippet")),
            message=message or title,
            confidence=str(properties.get("precision") or ""),
            help_uri=str(rule.get("helpUri") or ""),
            kind=self._kind,
            column=column,
            end_column=end_column,
            resource=resource or ("" if path else "the scanned whole"),
            fix=next((_words(fix.get("description")) for fix in _objects(result.get("fixes"))), ""),
            edits=tuple(self._edits(result)),
            flow=tuple(self._flow(result)),
            suppression=_suppression(result),
        )

    def _rule(self, result: Object) -> Object:
        """Return the rule's descriptor (section 3.52.3): by index, by id, or in an extension."""
        reference = _object(result.get("rule"))
        index = result.get("ruleIndex", reference.get("index", -1))
        component = _object(reference.get("toolComponent")).get("index")
        rules = self._rules
        if isinstance(component, int) and 0 <= component < len(self._extensions):
            rules = _objects(self._extensions[component].get("rules"))
        if isinstance(index, int) and 0 <= index < len(rules):
            return rules[index]
        return self._by_id.get(str(result.get("ruleId")), {})

    def _message(self, result: Object, rule: Object) -> str:
        message = _object(result.get("message"))
        words = str(message.get("text") or "")
        if not words and message.get("id"):
            words = _words(_object(rule.get("messageStrings")).get(str(message["id"])))
        for number, argument in enumerate(message.get("arguments") or []):
            words = words.replace(f"{{{number}}}", str(argument))
        return words

    def _severity(self, result: Object, rule: Object) -> Severity:
        """Return the CVSS band that code hosts sort by, else the level (section 3.27.10 has its default)."""
        properties = _object(rule.get("properties"))
        own = _object(result.get("properties"))
        for given in (own.get("security-severity"), properties.get("security-severity")):
            found = values.score(str(given)) if given is not None else None
            if found is not None:
                return found
        level = result.get("level") or _object(rule.get("defaultConfiguration")).get("level") or "warning"
        if level not in _LEVELS:
            raise ValueError(f"level {str(level)[:40]!r} is not known")
        return _LEVELS[level]

    def _path(self, artifact: Object) -> tuple[str, str]:
        uri = artifact.get("uri")
        index = artifact.get("index")
        if not uri and isinstance(index, int) and 0 <= index < len(self._artifacts):
            uri = _object(self._artifacts[index].get("location")).get("uri")
        return within(values.unquoted(str(uri or "")))

    def _flow(self, result: Object) -> Iterator[Place]:
        """Yield the places of the first thread of the first flow."""
        for flow in _objects(result.get("codeFlows"))[:1]:
            for thread in _objects(flow.get("threadFlows"))[:1]:
                for step in _objects(thread.get("locations")):
                    location = _object(step.get("location"))
                    physical = _object(location.get("physicalLocation"))
                    region = _object(physical.get("region"))
                    path, elsewhere = self._path(_object(physical.get("artifactLocation")))
                    line, column = _number(region, "startLine"), _number(region, "startColumn")
                    yield Place(path or elsewhere, line, column, _words(location.get("message")))

    def _edits(self, result: Object) -> Iterator[Edit]:
        """Yield the replacements of the first fix (section 3.55)."""
        for fix in _objects(result.get("fixes"))[:1]:
            for change in _objects(fix.get("artifactChanges")):
                path, _ = self._path(_object(change.get("artifactLocation")))
                for replacement in _objects(change.get("replacements")):
                    region = _object(replacement.get("deletedRegion"))
                    line, column, end, last = (_number(region, corner) for corner in _CORNERS)
                    text = _words(replacement.get("insertedContent"))
                    yield Edit(path, line, column or 1, end or line, last or column or 1, text)


def _cwes(result: Object, rule: Object) -> tuple[int, ...]:
    """Return weaknesses from taxa, relationships, tags and properties: tools use each of them."""
    words = [
        str(taxon.get("id", ""))
        for taxon in _objects(result.get("taxa"))
        if str(_object(taxon.get("toolComponent")).get("name", "CWE")).upper() == "CWE"
    ]
    for relation in _objects(rule.get("relationships")):
        target = _object(relation.get("target"))
        if str(_object(target.get("toolComponent")).get("name", "")).upper() == "CWE":
            words.append(str(target.get("id", "")))
    properties = _object(rule.get("properties"))
    words += [one for one in values.texts(properties.get("tags")) if "cwe" in one.lower()]
    words += values.texts(properties.get("cwe")) + values.texts(_object(result.get("properties")).get("cwe"))
    return tuple(dict.fromkeys(n for one in words for n in values.cwe_numbers(one)))


def _suppression(result: Object) -> Suppression | None:
    """Return the first suppression that counts (section 3.35): a rejected one does not."""
    for one in _objects(result.get("suppressions")):
        status = str(one.get("status") or "accepted")
        kind = "in_source" if one.get("kind") == "inSource" else "external"
        if status != "rejected":
            return Suppression(kind, str(one.get("justification") or ""), status)
    return None


def _number(region: Object, name: str) -> int:
    value = region.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} {str(value)[:40]!r} is no number from 1")
    return value


def _words(message: Any) -> str:
    found = _object(message)
    return str(found.get("text") or found.get("markdown") or "")


def _object(value: Any) -> Object:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Object]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
