"""Routes of rules, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Problem


class LintFinding(TypedDict):
    """Something wrong with a rule's text, by which check, and where (from 1); a warning may be left."""

    check: str
    level: str
    what: str
    fix: str
    line: NotRequired[int | None]
    column: NotRequired[int | None]


class Linted(TypedDict):
    """What is wrong with a rule's text."""

    findings: list[LintFinding]


class PageRule(TypedDict):
    """PageRule."""

    items: list[Rule]
    next: NotRequired[str | None]


class ProposedRule(TypedDict):
    """The branch that a proposal is on."""

    name: str
    branch: str


class Rule(TypedDict):
    """A detection. One that is not `usable` has no id and title."""

    name: str
    id: str
    title: str
    level: str
    tags: list[str]
    cases: int
    own: bool
    usable: bool


class RuleDetail(TypedDict):
    """A detection with the text of its file."""

    name: str
    id: str
    title: str
    level: str
    tags: list[str]
    cases: int
    own: bool
    usable: bool
    text: str


class RuleText(TypedDict):
    """The text of a rule."""

    text: str


class RuleVersion(TypedDict):
    """A text that a detection had: `how` is ships, kept, committed, proposed, or here (not committed)."""

    id: str
    how: str
    at_ms: int
    by: str
    why: str
    tag: str
    commit: str
    branch: str
    text: str


class SavingRule(TypedDict):
    """A rule to be kept, and why."""

    text: str
    reason: NotRequired[str]


class TriedAlert(TypedDict):
    """An alert that a rule would have given: the fields that matched, and its event."""

    id: str
    rule_id: str
    title: str
    time: str
    entities: list[str]
    matched: list[dict[str, Any]]
    event_uids: list[str]
    event: dict[str, Any]


class TriedRule(TypedDict):
    """What a rule would have found: how many alerts (a thousand at most) in how many events, and the newest."""

    findings: list[LintFinding]
    sound: bool
    count: int
    events: int
    whole: bool
    alerts: list[TriedAlert]


class TryingRule(TypedDict):
    """A rule to be tried on the events of the last days; seconds after which it is ended."""

    text: str
    days: NotRequired[float]
    timeout: NotRequired[float]


class RulesClient(Caller):
    """Routes of rules by their operations."""

    def list_rules(
        self,
        *,
        level: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> PageRule:
        """List the detections by name."""
        found: PageRule = self.call(
            "GET", "/rules", query={"level": level, "tag": tag, "limit": limit, "after": after}
        )
        return found

    def lint_rules(self, body: RuleText) -> Linted:
        """Say what is wrong with a rule's text, and where."""
        found: Linted = self.call("POST", "/rules/lint", body=body)
        return found

    def try_rules(self, body: TryingRule, *, purpose: str = "") -> TriedRule:
        """Check a rule, and say what it would have found in the last days: the newest hundred alerts."""
        found: TriedRule = self.call("POST", "/rules/try", headers={"X-Purpose": purpose}, body=body)
        return found

    def show_rules(self, name: str) -> RuleDetail:
        """Show a detection with the text of its file; its tag is for changes."""
        found: RuleDetail = self.call("GET", f"/rules/{self.part(name)}")
        return found

    def save_rules(self, name: str, body: SavingRule, *, if_match: str = "") -> RuleDetail:
        """Write a detection into the workspace's content; it counts from then on."""
        found: RuleDetail = self.call(
            "PUT", f"/rules/{self.part(name)}", headers={"If-Match": if_match}, body=body
        )
        return found

    def propose_rules(
        self, name: str, body: SavingRule, *, if_match: str = "", key: str = ""
    ) -> ProposedRule:
        """Write a detection to a branch of its own, to be reviewed and merged; nothing that runs is changed."""
        found: ProposedRule = self.call(
            "POST",
            f"/rules/{self.part(name)}/propose",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def versions_rules(self, name: str, *, purpose: str = "") -> list[RuleVersion]:
        """List what a detection was, newest first: of git's history, and of what was kept and proposed here."""
        found: list[RuleVersion] = self.call(
            "GET", f"/rules/{self.part(name)}/versions", headers={"X-Purpose": purpose}
        )
        return found
