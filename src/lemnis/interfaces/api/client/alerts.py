"""Routes of alerts, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Alert, Problem


class AlertSummary(TypedDict):
    """An alert in a list."""

    id: str
    rule_id: str
    title: str
    severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
    time: str
    count: int
    source: str
    entities: list[str]
    tags: list[str]


class PageAlertSummary(TypedDict):
    """PageAlertSummary."""

    items: list[AlertSummary]
    next: NotRequired[str | None]


class AlertsClient(Caller):
    """Routes of alerts by their operations."""

    def list_alerts(
        self,
        *,
        severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
        | None = None,
        rule: str | None = None,
        source: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageAlertSummary:
        """List alerts, the last that was written down first; an alert that was amended comes again."""
        found: PageAlertSummary = self.call(
            "GET",
            "/alerts",
            query={"severity": severity, "rule": rule, "source": source, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def show_alerts(self, id: str, *, purpose: str = "") -> Alert:
        """Show an alert as it stands, with the event that fired and the incident that it is in."""
        found: Alert = self.call("GET", f"/alerts/{self.part(id)}", headers={"X-Purpose": purpose})
        return found
