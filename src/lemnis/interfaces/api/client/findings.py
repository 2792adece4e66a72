"""Routes of findings, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Problem


class DecidingFinding(TypedDict):
    """What is decided about a finding."""

    decision: Literal["accept", "false_positive", "mitigated", "fixed", "reopen", "assign"]
    reason: NotRequired[str]
    until: NotRequired[str | None]
    to: NotRequired[str]


class DecidingFindings(TypedDict):
    """What is decided about several findings."""

    decision: Literal["accept", "false_positive", "mitigated", "fixed", "reopen", "assign"]
    reason: NotRequired[str]
    until: NotRequired[str | None]
    to: NotRequired[str]
    ids: list[str]


class Finding(TypedDict):
    """What is to be mended: findings of several tools about one thing are one."""

    id: str
    severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
    kind: str
    title: str
    path: str
    line: int
    resource: str
    tools: list[str]
    findings: list[str]
    first_seen: str
    fixed_at: NotRequired[str | None]
    fix: str
    state: NotRequired[Literal["open", "accepted", "false_positive", "mitigated", "fixed"]]
    owner: NotRequired[str]
    void: NotRequired[str]
    version: NotRequired[int]
    decided: NotRequired[FindingDecision | None]


class FindingDecided(TypedDict):
    """Whether something was decided about one of several findings; if not, why, and what to do."""

    id: str
    done: bool
    title: NotRequired[str]
    fix: NotRequired[str]


class FindingDecision(TypedDict):
    """What was decided about a finding: when, by whom, why, until which day, or whose it became."""

    decision: Literal["accept", "false_positive", "mitigated", "fixed", "reopen", "assign"]
    at: str
    by: str
    reason: str
    until: NotRequired[str | None]
    to: NotRequired[str | None]


class PageFinding(TypedDict):
    """PageFinding."""

    items: list[Finding]
    next: NotRequired[str | None]


class FindingsClient(Caller):
    """Routes of findings by their operations."""

    def list_findings(
        self,
        *,
        severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
        | None = None,
        resource: str | None = None,
        state: str | None = None,
        owner: str | None = None,
        fixed: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageFinding:
        """List what is to be mended: findings of several tools about one thing are one."""
        found: PageFinding = self.call(
            "GET",
            "/findings",
            query={
                "severity": severity,
                "resource": resource,
                "state": state,
                "owner": owner,
                "fixed": fixed,
                "limit": limit,
                "after": after,
            },
            headers={"X-Purpose": purpose},
        )
        return found

    def decide_all_findings(self, body: DecidingFindings, *, key: str = "") -> list[FindingDecided]:
        """Decide the same about several problems; each is answered on its own, what was refused with why."""
        found: list[FindingDecided] = self.call(
            "POST", "/findings/decisions", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def show_findings(self, id: str, *, purpose: str = "") -> Finding:
        """Show a problem, by its id or that of one of its findings; its tag is for deciding on it as it is."""
        found: Finding = self.call("GET", f"/findings/{self.part(id)}", headers={"X-Purpose": purpose})
        return found

    def decisions_findings(self, id: str, *, purpose: str = "") -> list[FindingDecision]:
        """List what was decided about a problem, the oldest first."""
        found: list[FindingDecision] = self.call(
            "GET", f"/findings/{self.part(id)}/decisions", headers={"X-Purpose": purpose}
        )
        return found

    def decide_findings(
        self, id: str, body: DecidingFinding, *, if_match: str = "", key: str = ""
    ) -> Finding:
        """Decide about a problem: accepted until a day, none, mitigated, mended, open again, or whose it is."""
        found: Finding = self.call(
            "POST",
            f"/findings/{self.part(id)}/decisions",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found
