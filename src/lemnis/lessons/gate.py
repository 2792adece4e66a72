"""Writes the gate of a lesson: a Rego policy that refuses a change which brings the cause in again.

How wide to draw it is a trade: by weakness (CWE) it also stops harmless neighbours, by the scanner's rule
it stops this way of writing it, by folder it stops it in the part of the repository where the cause was. The
scopes are tried widest first over the history, and the first that would have stopped the cause and nothing
else is taken; if none is free, the one that stops the fewest.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lemnis.contracts.findings import Finding
from lemnis.store.git import Commit


@dataclass(frozen=True, slots=True)
class Scope:
    """Which new findings the gate refuses: those for which all that is given here holds.

    Of these weaknesses, by these scanner rules (``tool:rule``), below this folder, of this kind, in these
    packages (package URLs without their version), of these vulnerabilities (any of their names). With
    ``judged``, what somebody accepted or a VEX statement answered is let be. Of ``images`` it refuses no
    finding: its gate asks for what was said of them.
    """

    name: str
    cwes: tuple[int, ...] = ()
    rules: tuple[str, ...] = ()
    folder: str = ""
    kind: str = ""
    packages: tuple[str, ...] = ()
    vulnerabilities: tuple[str, ...] = ()
    judged: bool = False
    images: bool = False

    def __post_init__(self) -> None:
        """Refuse a scope that would refuse everything."""
        named = self.cwes or self.rules or self.kind or self.packages or self.vulnerabilities
        if not (named or self.images):
            raise ValueError(f"scope {self.name!r} names nothing: its gate would refuse every finding")

    def covers(self, finding: Finding) -> bool:
        """Say whether the gate would refuse this finding if a change brought it in."""
        about = finding.vulnerability
        return (
            not self.images
            and (not self.cwes or bool(set(self.cwes) & set(finding.cwes)))
            and (not self.rules or f"{finding.tool}:{finding.rule_id}" in self.rules)
            and finding.path.startswith(self.folder)
            and (not self.kind or finding.kind.value == self.kind)
            and (not self.packages or (about is not None and package(about.purl) in self.packages))
            and (
                not self.vulnerabilities
                or (about is not None and bool(set(self.vulnerabilities) & set(about.ids)))
            )
            and not (self.judged and finding.suppression is not None)
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What a scope would have done to the history: the commits stopped, and those of them wrongly."""

    scope: Scope
    stopped: tuple[str, ...]
    wrongly: tuple[str, ...]


def package(purl: str) -> str:
    """Return a package URL without version (``@``), qualifiers (``?``) and subpath (``#``)."""
    return purl.partition("#")[0].partition("?")[0].partition("@")[0]


def scopes(cause: Sequence[Finding]) -> list[Scope]:
    """Return the scopes that cover the findings at the cause, widest first."""
    cwes = tuple(sorted({cwe for finding in cause for cwe in finding.cwes}))
    rules = tuple(sorted({f"{finding.tool}:{finding.rule_id}" for finding in cause}))
    if not cwes:
        return []
    tops = {finding.path.partition("/")[0] + "/" for finding in cause if "/" in finding.path}
    found = [Scope("weakness", cwes), Scope("scanner rule", cwes, rules)]
    if len(tops) == 1:
        folder = tops.pop()
        found.append(Scope(f"weakness in {folder}", cwes, folder=folder))
        found.append(Scope(f"scanner rule in {folder}", cwes, rules, folder))
    return found


def brought(
    commits: Sequence[Commit], reports: Mapping[str, Sequence[Finding]]
) -> dict[str, tuple[Finding, ...]]:
    """Return the findings that each commit brings in: those that none of its parents has."""
    found = {}
    for commit in commits:
        known = {f.fingerprint for parent in commit.parents for f in reports.get(parent, ())}
        found[commit.id] = tuple(f for f in reports[commit.id] if f.fingerprint not in known)
    return found


def fixes(
    commits: Sequence[Commit], reports: Mapping[str, Sequence[Finding]], cause: Sequence[Finding]
) -> tuple[str, ...]:
    """Return the commits that took the cause out: a parent has it, and they have it no more."""
    marks = {finding.fingerprint for finding in cause}
    has = {commit: any(f.fingerprint in marks for f in found) for commit, found in reports.items()}
    return tuple(
        commit.id
        for commit in commits
        if not has[commit.id] and any(has.get(parent, False) for parent in commit.parents)
    )


def bring(new_in: Mapping[str, Sequence[Finding]], cause: Sequence[Finding]) -> frozenset[str]:
    """Return the commits that bring the cause in: the culprit, and whoever does it once more."""
    marks = {finding.fingerprint for finding in cause}
    return frozenset(
        commit for commit, new in new_in.items() if any(finding.fingerprint in marks for finding in new)
    )


def cost(scope: Scope, new_in: Mapping[str, Sequence[Finding]], again: Collection[str]) -> Cost:
    """Replay a scope over the findings that are new in each commit.

    It is right to stop the commits ``again``, which bring the cause in, and wrong to stop any other.
    """
    stopped = tuple(commit for commit, new in new_in.items() if any(map(scope.covers, new)))
    return Cost(scope, stopped, tuple(commit for commit in stopped if commit not in again))


def choose(costs: Sequence[Cost], cause: str) -> Cost | None:
    """Take the scope that stops the cause and the fewest others; of equals the widest (the first)."""
    able = [one for one in costs if cause in one.stopped]
    return min(able, key=lambda one: len(one.wrongly), default=None)


def rego(package: str, scope: Scope, *, lesson: str, message: str, fix: str) -> str:
    """Return the policy's text. Every value is quoted as JSON, which Rego's strings are."""
    rules = (
        f"""    sprintf("%s:%s", [finding.tool, finding.rule_id]) in {_set(scope.rules)}\n"""
        if scope.rules
        else ""
    )
    rules += f"    startswith(finding.path, {json.dumps(scope.folder)})\n" if scope.folder else ""
    return f"""# Lesson {lesson}: what led to an incident is refused when a change brings it in again.
package {package}

import rego.v1

weaknesses := {_set(scope.cwes)}

deny contains reason if {{
    some finding in input.findings
    finding.new
    some cwe in finding.cwes
    cwe in weaknesses
{rules}    reason := {{
        "message": sprintf("%s (%s, %s)", [{json.dumps(message)}, finding.rule_id, finding.title]),
        "where": sprintf("%s:%d", [finding.path, finding.line]),
        "fix": {json.dumps(fix)},
    }}
}}
"""


def rego_test(package: str, cause: Finding) -> str:
    """Return the policy's own test: the cause is refused when new; old and other findings are let be."""
    document = {
        "tool": cause.tool, "rule_id": cause.rule_id, "cwes": list(cause.cwes), "title": cause.title,
        "path": cause.path, "line": cause.line,
    }  # fmt: skip
    new, old = (json.dumps({"findings": [{**document, "new": flag}]}) for flag in (True, False))
    other = json.dumps({"findings": [{**document, "cwes": [], "rule_id": "another", "new": True}]})
    return f"""package {package}_test

import rego.v1

import data.{package}

test_the_cause_is_refused if count({package.rpartition(".")[2]}.deny) == 1 with input as {new}

test_what_was_there_before_is_let_be if count({package.rpartition(".")[2]}.deny) == 0 with input as {old}

test_another_weakness_is_let_be if count({package.rpartition(".")[2]}.deny) == 0 with input as {other}
"""


def _set(values: Sequence[str] | Sequence[int]) -> str:
    """Render a Rego set."""
    return "{" + ", ".join(json.dumps(value) for value in values) + "}"
