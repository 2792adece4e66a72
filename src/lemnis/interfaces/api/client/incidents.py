"""Routes of incidents, made by ``python -m lemnis.interfaces.api.generate``: change that."""

# ruff: noqa: E501, F401, RUF100 - lines and imports are the same for all resources

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller
from lemnis.interfaces.api.client.shared import Alert, Because, Problem


class Acknowledging(TypedDict):
    """That one takes an incident into work."""

    reason: NotRequired[str]


class ActionGiven(TypedDict):
    """What is to be done, by whom, until which day."""

    what: str
    owner: str
    due: str


class AddingLink(TypedDict):
    """Something elsewhere; without a kind it is guessed by the address."""

    url: str
    title: NotRequired[str]
    kind: NotRequired[Literal["ticket", "pull_request", "commit", "document", "chat", "other"] | None]


class AddingTask(TypedDict):
    """Something to do: what, by whom (`me` is oneself), until when (a time, or how long: `4h`)."""

    title: str
    assignee: NotRequired[str]
    due: NotRequired[str | None]


class Assigning(TypedDict):
    """Who owns an incident from now on."""

    owner: str


class ChangingTask(TypedDict):
    """What changes of a task; what is left out stays. To drop one takes a reason."""

    state: NotRequired[Literal["open", "doing", "done", "dropped"] | None]
    assignee: NotRequired[str | None]
    due: NotRequired[str | None]
    reason: NotRequired[str]


class Closing(TypedDict):
    """That an incident is over: what it was, and why."""

    verdict: Literal[
        "false_positive",
        "true_positive",
        "disregard",
        "suspicious",
        "benign",
        "test",
        "insufficient_data",
        "security_risk",
        "managed_externally",
        "duplicate",
    ]
    reason: str


class EntityCount(TypedDict):
    """An entity of an incident, and in how many of its alerts it is."""

    entity: str
    kind: str
    value: str
    alerts: int


class FactGiven(TypedDict):
    """Something that happened, and what shows it."""

    at: str
    what: str
    reference: NotRequired[str]


class Incident(TypedDict):
    """An incident, whole but for its timeline. `version` grows with each change of it."""

    id: str
    title: str
    version: int
    status: Literal["unknown", "new", "in_progress", "on_hold", "resolved", "closed"]
    verdict: Literal[
        "unknown",
        "false_positive",
        "true_positive",
        "disregard",
        "suspicious",
        "benign",
        "test",
        "insufficient_data",
        "security_risk",
        "managed_externally",
        "duplicate",
    ]
    severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
    priority: str
    phase: str
    owner: str
    because: str
    alert_ids: list[str]
    entities: list[EntityCount]
    notes: list[dict[str, Any]]
    transitions: list[dict[str, Any]]
    evidence: list[dict[str, Any]]
    timers: list[Timer]
    tasks: list[dict[str, Any]]
    metrics: dict[str, Any]


class IncidentSummary(TypedDict):
    """An incident in a list."""

    id: str
    title: str
    severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
    priority: str
    status: Literal["unknown", "new", "in_progress", "on_hold", "resolved", "closed"]
    verdict: Literal[
        "unknown",
        "false_positive",
        "true_positive",
        "disregard",
        "suspicious",
        "benign",
        "test",
        "insufficient_data",
        "security_risk",
        "managed_externally",
        "duplicate",
    ]
    owner: str
    phase: str
    alerts: int
    rules: int
    risk: int
    breached: bool
    open_tasks: int
    due: NotRequired[Timer | None]
    first_event: str
    last_event: str
    opened: str
    updated: str
    merged_into: NotRequired[str]


class Merging(TypedDict):
    """With which incident one is merged, and why."""

    other: str
    reason: str


class Moving(TypedDict):
    """To which status an incident moves, and why. Closing is another request: it needs a verdict."""

    status: Literal["in_progress", "on_hold", "resolved"]
    reason: str


class Noting(TypedDict):
    """What is written down of an incident."""

    text: str


class PageAlert(TypedDict):
    """PageAlert."""

    items: list[Alert]
    next: NotRequired[str | None]


class PageIncidentSummary(TypedDict):
    """PageIncidentSummary."""

    items: list[IncidentSummary]
    next: NotRequired[str | None]


class PageTimelineItem(TypedDict):
    """PageTimelineItem."""

    items: list[TimelineItem]
    next: NotRequired[str | None]


class RemovingLink(TypedDict):
    """Which link is taken away, and why."""

    url: str
    reason: str


class Reviewed(TypedDict):
    """An incident's review, or the facts that one would begin with."""

    recorded: bool
    review: NotRequired[dict[str, Any] | None]
    facts: list[dict[str, Any]]


class Reviewing(TypedDict):
    """A review; its timeline is the journal's where none is given."""

    timeline: NotRequired[list[FactGiven] | None]
    went_well: list[str]
    went_badly: list[str]
    lucky: list[str]
    contributing_causes: list[str]
    detection_gap: str
    control_that_failed: str
    actions: list[ActionGiven]


class Splitting(TypedDict):
    """What is parted from an incident: these alerts, all of these rules, all about these entities."""

    alerts: NotRequired[list[str]]
    rules: NotRequired[list[str]]
    entities: NotRequired[list[str]]
    reason: str


class TimelineItem(TypedDict):
    """One line of a timeline: `time` is when it happened, `recorded` when Lemnis learnt of it."""

    time: str
    recorded: str
    kind: str
    title: str
    severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
    actor: str
    reference: str


class Timer(TypedDict):
    """Until when something is due."""

    timer: str
    state: str
    due: str
    done: NotRequired[str | None]


class IncidentsClient(Caller):
    """Routes of incidents by their operations."""

    def list_incidents(
        self,
        *,
        state: str | None = None,
        owner: str | None = None,
        severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
        | None = None,
        priority: Literal["low", "medium", "high", "critical"] | None = None,
        entity: str | None = None,
        rule: str | None = None,
        breached: bool | None = None,
        sort: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageIncidentSummary:
        """List incidents: the most urgent first, or the newest, the last changed, those of most risk."""
        found: PageIncidentSummary = self.call(
            "GET",
            "/incidents",
            query={
                "state": state,
                "owner": owner,
                "severity": severity,
                "priority": priority,
                "entity": entity,
                "rule": rule,
                "breached": breached,
                "sort": sort,
                "limit": limit,
                "after": after,
            },
            headers={"X-Purpose": purpose},
        )
        return found

    def show_incidents(self, id: str, *, purpose: str = "") -> Incident:
        """Show an incident; its tag is for changes that are to be made only if nobody changed it meanwhile."""
        found: Incident = self.call("GET", f"/incidents/{self.part(id)}", headers={"X-Purpose": purpose})
        return found

    def acknowledge_incidents(
        self, id: str, body: Acknowledging, *, if_match: str = "", key: str = ""
    ) -> Incident:
        """Take an incident into work; it is one's own if nobody has it."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/acknowledge",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def alerts_incidents(
        self, id: str, *, limit: int | None = None, after: str | None = None, purpose: str = ""
    ) -> PageAlert:
        """List the alerts of an incident by the time of their events."""
        found: PageAlert = self.call(
            "GET",
            f"/incidents/{self.part(id)}/alerts",
            query={"limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def assign_incidents(self, id: str, body: Assigning, *, if_match: str = "", key: str = "") -> Incident:
        """Give an incident an owner."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/assign",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def close_incidents(self, id: str, body: Closing, *, if_match: str = "", key: str = "") -> Incident:
        """Close an incident with a verdict; refused without a review where the settings require one."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/close",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def add_link_handling(self, id: str, body: AddingLink, *, if_match: str = "", key: str = "") -> Incident:
        """Write down where more about an incident is: a ticket, a pull request, a page."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/links",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def remove_link_handling(
        self, id: str, body: RemovingLink, *, if_match: str = "", key: str = ""
    ) -> Incident:
        """Take a link away; that it was there stays in the timeline."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/links/remove",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def merge_handling(self, id: str, body: Merging, *, if_match: str = "", key: str = "") -> Incident:
        """Merge two incidents; the answer is the one that they are then, that of the earlier alert."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/merge",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def move_incidents(self, id: str, body: Moving, *, if_match: str = "", key: str = "") -> Incident:
        """Move an incident to another status; refused where that does not follow from where it is."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/move",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def note_incidents(self, id: str, body: Noting, *, key: str = "") -> Incident:
        """Write a note to an incident."""
        found: Incident = self.call(
            "POST", f"/incidents/{self.part(id)}/notes", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def review_handling(self, id: str, *, purpose: str = "") -> Reviewed:
        """Show an incident's review; where there is none, the facts that one would begin with."""
        found: Reviewed = self.call(
            "GET", f"/incidents/{self.part(id)}/review", headers={"X-Purpose": purpose}
        )
        return found

    def keep_review_handling(self, id: str, body: Reviewing, *, key: str = "", purpose: str = "") -> Reviewed:
        """Record an incident's review, in the place of the one from before; its actions become tasks."""
        found: Reviewed = self.call(
            "POST",
            f"/incidents/{self.part(id)}/review",
            headers={"Idempotency-Key": key, "X-Purpose": purpose},
            body=body,
        )
        return found

    def split_handling(self, id: str, body: Splitting, *, if_match: str = "", key: str = "") -> Incident:
        """Part alerts from an incident: these, all of a rule, all about an entity; the answer is the new one."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/split",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def add_task_handling(self, id: str, body: AddingTask, *, if_match: str = "", key: str = "") -> Incident:
        """Write down something to do, by whom, until when (a time, or `4h`)."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/tasks",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def change_task_handling(
        self, id: str, task: str, body: ChangingTask, *, if_match: str = "", key: str = ""
    ) -> Incident:
        """Take a task (`assignee: me, state: doing`), do or drop it, give it to somebody, or set its date."""
        found: Incident = self.call(
            "POST",
            f"/incidents/{self.part(id)}/tasks/{self.part(task)}",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def timeline_incidents(
        self,
        id: str,
        *,
        kind: list[str] | None = None,
        since: str | None = None,
        newest: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageTimelineItem:
        """Tell what happened, was seen, built, decided and done, in the order of time."""
        found: PageTimelineItem = self.call(
            "GET",
            f"/incidents/{self.part(id)}/timeline",
            query={"kind": kind, "since": since, "newest": newest, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def unmerge_handling(self, id: str, body: Because, *, key: str = "") -> Incident:
        """Take an incident out of the one that it was merged into, with the alerts that it had then."""
        found: Incident = self.call(
            "POST", f"/incidents/{self.part(id)}/unmerge", headers={"Idempotency-Key": key}, body=body
        )
        return found
