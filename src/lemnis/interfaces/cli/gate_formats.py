"""A gate's decision in the forms that others read: Markdown, SARIF, JUnit, GitHub and GitLab."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import orjson

from lemnis.contracts.findings import Decision, Effect, Reason
from lemnis.contracts.ids import stable_id

_SIGNS = {Effect.ALLOW: "✅ allowed", Effect.DENY: "⛔ denied", Effect.UNKNOWN: "❔ unknown"}
_GITHUB = {Effect.ALLOW: "notice", Effect.DENY: "error", Effect.UNKNOWN: "warning"}
_SARIF = {Effect.ALLOW: "note", Effect.DENY: "error", Effect.UNKNOWN: "warning"}
_QUALITY = {"critical": "blocker", "high": "critical", "medium": "major", "low": "minor"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def markdown(decision: Decision, stage: str) -> str:
    """Return a summary for a pull request or a job's page (CommonMark with tables)."""
    lines = [f"## Lemnis gate `{stage}`: {_SIGNS[decision.effect]}", ""]
    if decision.reasons:
        lines += ["| | where | what | fix | exception by |", "|---|---|---|---|---|"]
    for reason in decision.reasons:
        controls = f" <sub>{_cell(', '.join(reason.controls))}</sub>" if reason.controls else ""
        lines.append(
            f"| {_SIGNS[reason.effect][0]} | {_code(reason.where)} "
            f"| {_cell(reason.message)} ({_code(reason.policy)}){controls} "
            f"| {_cell(reason.fix)} | {_cell(reason.grants)} |"
        )
    if not decision.reasons:
        lines.append("Nothing speaks against it.")
    if decision.exceptions:
        lines += ["", "Exceptions used: " + ", ".join(map(_code, decision.exceptions))]
    return "\n".join([*lines, "", f"<sub>content {decision.content_digest[:19]}</sub>", ""])


def sarif(decision: Decision, stage: str) -> str:
    """Return the reasons as results (SARIF 2.1.0, OASIS), each with our fingerprint."""
    policies = list(dict.fromkeys(reason.policy for reason in decision.reasons))
    rules = [{"id": name, "properties": {"tags": list(_first(decision, name).controls)}} for name in policies]
    run = {
        "tool": {"driver": {"name": "Lemnis gate", "rules": rules}},
        "automationDetails": {"id": f"lemnis-gate/{stage}"},
        "invocations": [{"executionSuccessful": decision.effect is not Effect.UNKNOWN}],
        "results": [_result(reason, policies) for reason in decision.reasons],
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"


def _result(reason: Reason, policies: list[str]) -> dict[str, Any]:
    path, line = _place(reason.where)
    words = f"{reason.message}\n\nFix: {reason.fix}" if reason.fix else reason.message
    result: dict[str, Any] = {
        "ruleId": reason.policy, "ruleIndex": policies.index(reason.policy),
        "level": _SARIF[reason.effect], "message": {"text": words},
        "partialFingerprints": {"lemnis/v1": reason.finding or _identity(reason)},
    }  # fmt: skip
    if path:
        where: dict[str, Any] = {"artifactLocation": {"uri": _uri(path)}}
        if line:
            where["region"] = {"startLine": line}
        result["locations"] = [{"physicalLocation": where}]
    elif reason.where:
        result["locations"] = [{"logicalLocations": [{"fullyQualifiedName": reason.where}]}]
    return result


def junit(decision: Decision, stage: str) -> str:
    """Return a test suite with a case for each reason, and one that says what was decided."""
    failing = [reason for reason in decision.reasons if reason.effect is not Effect.ALLOW]
    suite = ET.Element(
        "testsuite", name=f"lemnis gate {stage}", tests=str(len(decision.reasons) + 1),
        failures=str(sum(r.effect is Effect.DENY for r in failing)),
        errors=str(sum(r.effect is Effect.UNKNOWN for r in failing)),
    )  # fmt: skip
    ET.SubElement(suite, "testcase", classname=f"lemnis.{stage}", name=f"decision: {decision.effect.value}")
    for reason in decision.reasons:
        name = _clean(f"{reason.where} {reason.message}".strip())
        case = ET.SubElement(suite, "testcase", classname=f"lemnis.{stage}.{reason.policy}", name=name)
        if reason.effect is not Effect.ALLOW:
            kind = "failure" if reason.effect is Effect.DENY else "error"
            failure = ET.SubElement(case, kind, message=_clean(reason.message), type=reason.policy)
            failure.text = _clean(reason.fix)
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n"


def github(decision: Decision, stage: str) -> str:
    """Return workflow commands, which GitHub shows beside the lines of a change."""
    lines = []
    for reason in decision.reasons:
        path, line = _place(reason.where)
        at = {"file": path, "line": str(line or 1)} if path else {}
        told = {**at, "title": f"Lemnis {stage}: {reason.policy}"}
        values = ",".join(f"{name}={_property(value)}" for name, value in told.items())
        words = f"{reason.message}. Fix: {reason.fix}" if reason.fix else reason.message
        lines.append(f"::{_GITHUB[reason.effect]} {values}::{_data(words)}")
    return "".join(f"{line}\n" for line in lines)


def gitlab(decision: Decision, stage: str) -> str:
    """Return a Code Quality report (GitLab), shown in the merge request."""
    issues = []
    for reason in decision.reasons:
        path, line = _place(reason.where)
        issues.append(
            {
                "description": f"{reason.message}. Fix: {reason.fix}" if reason.fix else reason.message,
                "check_name": f"{stage}/{reason.policy}",
                "fingerprint": reason.finding or _identity(reason),
                "severity": "info"
                if reason.effect is Effect.ALLOW
                else _QUALITY.get(reason.severity, "major"),
                "location": {"path": path or reason.where or ".", "lines": {"begin": line or 1}},
            }
        )
    return orjson.dumps(issues, option=orjson.OPT_INDENT_2).decode() + "\n"


FORMATS: Mapping[str, Callable[[Decision, str], str]] = MappingProxyType(
    {"markdown": markdown, "sarif": sarif, "junit": junit, "github": github, "gitlab": gitlab}
)


def _first(decision: Decision, policy: str) -> Reason:
    return next(reason for reason in decision.reasons if reason.policy == policy)


def _identity(reason: Reason) -> str:
    return stable_id("gr", reason.policy, reason.where, reason.message)


def _place(where: str) -> tuple[str, int]:
    """Return the file and line that a reason names; an empty path if it names something else."""
    path, _, line = where.rpartition(":")
    return (path, int(line)) if path and line.isdigit() else ("", 0)


def _uri(path: str) -> str:
    return quote(path, safe="/-._~")


def _cell(text: str) -> str:
    """Return a text that stays in its cell and says nothing in Markdown or HTML."""
    flat = " ".join(text.split())
    for sign in "\\`*_[]<>|#!@":
        flat = flat.replace(sign, f"&#{ord(sign)};")
    return flat


def _code(text: str) -> str:
    return f"<code>{_cell(text)}</code>" if text else ""


def _clean(text: str) -> str:
    """Return a text without what XML 1.0 cannot hold."""
    return "".join(sign for sign in text if sign in "\t\n" or (sign >= " " and sign not in "\ufffe\uffff"))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
