"""Writes a drawn gate as content: the policy with its test, and the check that it goes by, with examples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from lemnis.contracts.findings import Finding, Suppression, Vulnerability
from lemnis.contracts.ids import Json
from lemnis.contracts.resources import UNKNOWN, Steps
from lemnis.lessons.gate import Scope
from lemnis.lessons.prevent.base import Drawn, NewCheck, literal
from lemnis.policy.document import finding_document


def write(drawn: Drawn, scope: Scope | None, name: str, lesson: str, incident: str) -> dict[str, bytes]:
    """Return the files of a gate, by path; ``scope`` is which of its scopes was chosen.

    Raises ValueError for a scope that the gate does not have, and for one over findings without any.
    """
    message = f"this brings in what led to incident {incident}"
    if drawn.text:
        package, head = f"lemnis.{name}", _head(lesson)
        fix = f"see lesson {lesson}; {drawn.fix}"
        text = head + drawn.text.replace("PACKAGE", package)
        text = text.replace("MESSAGE", literal(message)).replace("FIX", literal(fix))
        test = drawn.test.replace("PACKAGE", package)
    elif scope is None or scope not in drawn.scopes or drawn.example is None:
        raise ValueError(f"{drawn.kind}: the gate has no scope {scope.name if scope else None!r}")
    else:
        text = policy(scope, name, lesson, message, f"see lesson {lesson}; {drawn.fix}")
        test = policy_test(scope, name, drawn.example)
    files = {
        f"content/policies/{name}/policy.rego": text.encode(),
        f"content/policies/{name}/policy_test.rego": test.encode(),
        f"content/policies/{name}/policy.yaml": _yaml(
            {
                "id": name,
                "title": f"What led to incident {incident} does not come back",
                "description": (
                    f"Lesson {lesson}: refuses {drawn.says}. Seen from {drawn.earliest} on: {drawn.because}."
                ),
                "stages": list(drawn.stages),
                "effect": "deny",
                "severity": "high",
                "controls": list(dict.fromkeys(drawn.controls)),
            }
        ),
    }
    if drawn.check is not None:
        files |= check_files(drawn.check, name, lesson)
    return files | dict(drawn.files)


def policy(scope: Scope, name: str, lesson: str, message: str, fix: str) -> str:
    """Return the Rego of a gate over new findings that a scope covers."""
    lines = ["some finding in input.findings", "finding.new"]
    if scope.judged:
        lines.append("not finding.suppressed # accepted by somebody, or answered by VEX")
    if scope.kind:
        lines.append(f"finding.kind == {literal(scope.kind)}")
    if scope.rules:
        lines.append(f'sprintf("%s:%s", [finding.tool, finding.rule_id]) in {_set(scope.rules)}')
    if scope.folder:
        lines.append(f"startswith(finding.path, {literal(scope.folder)})")
    if scope.cwes:
        lines.append(f"count({{cwe | some cwe in finding.cwes; cwe in {_set(scope.cwes)}}}) > 0")
    if scope.packages:
        lines.append(f'regex.split("[@?#]", finding.vulnerability.purl)[0] in {_set(scope.packages)}')
    if scope.vulnerabilities:
        ids = _set(scope.vulnerabilities)
        lines.append(f"count({{id | some id in finding.vulnerability.ids; id in {ids}}}) > 0")
    body = "\n".join(f"    {line}" for line in lines)
    return f"""{_head(lesson)}package lemnis.{name}

import rego.v1

deny contains reason if {{
{body}
    reason := {{
        "message": sprintf("%s (%s, %s)", [{literal(message)}, finding.rule_id, finding.title]),
        "where": finding.where,
        "fix": {literal(fix)},
        "finding": finding.fingerprint,
    }}
}}
"""


def policy_test(scope: Scope, name: str, cause: Finding) -> str:
    """Return the gate's own test: the cause is refused; what was there or is beside it is not."""
    beside = {"another_rule": replace(cause, rule_id=f"{cause.rule_id}_another")} if scope.rules else {}
    if scope.folder:
        beside["another_folder"] = replace(cause, path=f"beside/{cause.path}")
    if scope.cwes:
        beside["another_weakness"] = replace(cause, cwes=())
    about = cause.vulnerability or Vulnerability((), "")
    if scope.packages:
        other = replace(about, purl="pkg:generic/another@1.0")
        beside["another_package"] = replace(cause, vulnerability=other)
    if scope.vulnerabilities:
        beside["another_vulnerability"] = replace(cause, vulnerability=replace(about, ids=("CVE-1999-0001",)))
    if scope.kind and not scope.rules:
        beside["another_kind"] = replace(cause, kind=next(k for k in type(cause.kind) if k != scope.kind))
    if scope.judged:
        answered = replace(cause, suppression=Suppression("external", "vulnerable_code_not_in_execute_path"))
        beside["what_was_answered"] = answered
    cases = [
        ("test_the_cause_is_refused", 1, cause, True),
        ("test_what_was_there_before_is_let_be", 0, cause, False),
    ]
    cases += [(f"test_{what}_is_let_be", 0, finding, True) for what, finding in beside.items()]
    tests = "\n\n".join(
        f"{case} if count(policy.deny) == {count} with input as {_findings(finding, new=new)}"
        for case, count, finding, new in cases
    )
    return f"""package lemnis.{name}_test

import rego.v1

import data.lemnis.{name} as policy

{tests}
"""


def check_files(check: NewCheck, name: str, lesson: str) -> dict[str, bytes]:
    """Return the files of a check, with examples that fail, pass and cannot be judged."""
    folder = f"content/checks/{name}"
    manifest: dict[str, Json] = {
        "title": check.title,
        "kinds": list(check.kinds),
        "severity": "high",
        "cwe": list(check.cwes),
        "controls": list(check.controls),
        "why": f"Lesson {lesson}: {check.why}",
        "fix": check.fix,
    }
    hidden = _hide(check.fails[0], check.unknown)
    return {
        f"{folder}/check.yaml": _yaml(manifest),
        f"{folder}/check.rego": (
            f"# {_one_line(check.title)}\npackage lemnis.{name}\n\nimport rego.v1\n\n{check.body}\n"
        ).encode(),
        f"{folder}/fails.json": _examples(check, check.fails),
        f"{folder}/passes.json": _examples(check, check.passes),
        f"{folder}/unknown.json": _examples(check, [hidden], check.unknown),
    }


def _examples(check: NewCheck, data: Sequence[Mapping[str, Json]], unknown: Steps = ()) -> bytes:
    ways = [list(unknown)] if unknown else []
    made = [
        {"kind": check.kinds[0], "name": f"example {number}", "data": one, "unknown": ways}
        for number, one in enumerate(data, 1)
    ]  # fmt: skip
    return (json.dumps(made, indent=2, ensure_ascii=False) + "\n").encode()


def _hide(value: Any, way: Steps) -> Any:
    """Return data with ``UNKNOWN`` at the end of a way; what is not there is put there."""
    if not way:
        return UNKNOWN
    if isinstance(value, list):
        return [_hide(one, way[1:]) if number == way[0] else one for number, one in enumerate(value)]
    return {**value, way[0]: _hide(value.get(way[0], {}), way[1:])}


def _findings(finding: Finding, *, new: bool) -> str:
    keys = ("fingerprint", "tool", "rule_id", "title", "kind", "cwes", "path", "where", "new", "suppressed")
    whole = finding_document(finding, new=new)
    made: dict[str, Json] = {key: whole[key] for key in keys}
    if finding.vulnerability is not None:
        made["vulnerability"] = {
            "ids": list(finding.vulnerability.ids), "purl": finding.vulnerability.purl,
        }  # fmt: skip
    return literal({"findings": [made]})


def _head(lesson: str) -> str:
    return f"# Lesson {lesson}: what led to an incident is refused when it would come in again.\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _set(values: Sequence[str] | Sequence[int]) -> str:
    return "{" + ", ".join(literal(value) for value in values) + "}"


def _yaml(document: Mapping[str, Json]) -> bytes:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100).encode()
