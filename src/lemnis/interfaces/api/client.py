"""A typed client of the API, made by ``python -m lemnis.interfaces.api.generate``: change that."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from lemnis.interfaces.api.calling import Caller

# ruff: noqa: E501


class Account(TypedDict):
    """An account."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    disabled: bool
    second: bool
    passkeys: int
    outside: NotRequired[str | None]


class Acknowledging(TypedDict):
    """That one takes an incident into work."""

    reason: NotRequired[str]


class Adding(TypedDict):
    """An account that is to be: its owner sets the password by the link that is answered."""

    name: str
    roles: list[str]
    teams: NotRequired[list[str]]


class Alert(TypedDict):
    """An alert with the event that fired, as the reader may see it."""

    id: str
    rule_id: str
    title: str
    severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
    time: str
    count: int
    source: str
    entities: list[str]
    tags: list[str]
    incident: NotRequired[str | None]
    matched: list[dict[str, Any]]
    event_uids: list[str]
    content_digest: str
    event: dict[str, Any]


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


class Answering(TypedDict):
    """What a run is answered."""

    step: str
    answer: str
    reason: NotRequired[str]


class Approved(TypedDict):
    """An approval: until when a run may begin, and how many are missing still."""

    approval: str
    digest: str
    actor: str
    expires: str
    missing: int
    people: list[str]


class Approving(TypedDict):
    """Why a plan may be run; `digest` repeats which one, so that nobody approves what they did not see."""

    digest: str
    reason: str


class Assigning(TypedDict):
    """Who owns an incident from now on."""

    owner: str


class Bar(TypedDict):
    """A bar of a histogram: when it begins, and how many events are in it."""

    time_ms: int
    count: int


class Cancelling(TypedDict):
    """Why a run does nothing more."""

    reason: str


class Changing(TypedDict):
    """What an account is from now on; what is left out stays."""

    roles: NotRequired[list[str] | None]
    teams: NotRequired[list[str] | None]
    disabled: NotRequired[bool | None]


class ChangingPassword(TypedDict):
    """The old password, and the new one."""

    old: str
    new: str


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


class Confirming(TypedDict):
    """A code of the second factor that was begun."""

    key: str
    code: str


class EntityCount(TypedDict):
    """An entity of an incident, and in how many of its alerts it is."""

    entity: str
    kind: str
    value: str
    alerts: int


class Event(TypedDict):
    """An event that was found."""

    uid: str
    time_ms: int
    class_name: str
    event: dict[str, Any]
    more: NotRequired[dict[str, Any] | None]


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


class Histogram(TypedDict):
    """When the events of a query were."""

    bars: list[Bar]


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


class Invited(TypedDict):
    """An account with the link by which its owner sets the password: it counts once, until then."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    disabled: bool
    second: bool
    passkeys: int
    outside: NotRequired[str | None]
    key: str
    until: str


class JournalEntry(TypedDict):
    """An entry of the journal; `hash` covers all of it and `previous`."""

    seq: int
    at: str
    kind: str
    subject: str
    actor: str
    reason: str
    payload: dict[str, Any]
    previous: str
    hash: str


class Lesson(TypedDict):
    """A lesson, and how far it is: proposed, proven or merged."""

    id: str
    incident: str
    state: str
    proven: bool
    title: str
    gate: NotRequired[str | None]
    detection: NotRequired[str | None]
    threat: NotRequired[str | None]


class MakingToken(TypedDict):
    """What a token is for, what it may, and for how many days."""

    name: str
    scopes: list[str]
    days: NotRequired[float]


class Me(TypedDict):
    """Who one is here, and what one may."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    how: str
    permissions: list[str]
    csrf: NotRequired[str | None]


class Moving(TypedDict):
    """To which status an incident moves, and why. Closing is another request: it needs a verdict."""

    status: Literal["in_progress", "on_hold", "resolved"]
    reason: str


class NewToken(TypedDict):
    """A token that was just made, with its key."""

    id: str
    name: str
    scopes: list[str]
    created: str
    until: str
    used: NotRequired[str | None]
    key: str


class Noting(TypedDict):
    """What is written down of an incident."""

    text: str


class PageAccount(TypedDict):
    """PageAccount."""

    items: list[Account]
    next: NotRequired[str | None]


class PageAlertSummary(TypedDict):
    """PageAlertSummary."""

    items: list[AlertSummary]
    next: NotRequired[str | None]


class PageAlert(TypedDict):
    """PageAlert."""

    items: list[Alert]
    next: NotRequired[str | None]


class PageFinding(TypedDict):
    """PageFinding."""

    items: list[Finding]
    next: NotRequired[str | None]


class PageIncidentSummary(TypedDict):
    """PageIncidentSummary."""

    items: list[IncidentSummary]
    next: NotRequired[str | None]


class PageJournalEntry(TypedDict):
    """PageJournalEntry."""

    items: list[JournalEntry]
    next: NotRequired[str | None]


class PageLesson(TypedDict):
    """PageLesson."""

    items: list[Lesson]
    next: NotRequired[str | None]


class PagePlan(TypedDict):
    """PagePlan."""

    items: list[Plan]
    next: NotRequired[str | None]


class PagePlaybook(TypedDict):
    """PagePlaybook."""

    items: list[Playbook]
    next: NotRequired[str | None]


class PageQuestion(TypedDict):
    """PageQuestion."""

    items: list[Question]
    next: NotRequired[str | None]


class PageRule(TypedDict):
    """PageRule."""

    items: list[Rule]
    next: NotRequired[str | None]


class PageRun(TypedDict):
    """PageRun."""

    items: list[Run]
    next: NotRequired[str | None]


class PageSource(TypedDict):
    """PageSource."""

    items: list[Source]
    next: NotRequired[str | None]


class PageTimelineItem(TypedDict):
    """PageTimelineItem."""

    items: list[TimelineItem]
    next: NotRequired[str | None]


class Passkey(TypedDict):
    """A passkey of one's own."""

    id: str
    name: str
    created: str
    used: NotRequired[str | None]


class PasskeyMade(TypedDict):
    """What the browser answered when it made a passkey (as JSON), and what to call it."""

    answer: dict[str, Any]
    name: NotRequired[str]


class PasskeyProven(TypedDict):
    """What the browser answered when it proved a passkey."""

    answer: dict[str, Any]


class Plan(TypedDict):
    """A plan: exactly what would be done. Its digest is what is approved; a plan of another digest is not."""

    digest: str
    playbook: str
    incident: str
    by: str
    at: str
    undoes: str
    approvable: bool
    writes: bool
    given: list[str]
    quorum: int
    missing: int
    roles: list[str]
    people: list[str]
    actions: list[dict[str, Any]]
    program: list[dict[str, Any]]
    blast: list[dict[str, Any]]


class Planning(TypedDict):
    """For which incident a playbook is to be planned, and inputs by hand."""

    playbook: str
    incident: str
    inputs: NotRequired[dict[str, list[str]]]


class Playbook(TypedDict):
    """A playbook."""

    name: str
    title: str
    kind: str
    trigger: str
    inputs: list[str]


class Problem(TypedDict):
    """What is wrong (RFC 9457): `type` is a word that stays; `title` says what, `fix` what to do."""

    type: str
    title: str
    status: int
    fix: NotRequired[str]


class Provider(TypedDict):
    """A provider of OpenID Connect, and where one begins to sign in by it."""

    name: str
    title: str
    url: str


class Proving(TypedDict):
    """The own password: an open session alone is not enough."""

    password: str


class Question(TypedDict):
    """What a run asks."""

    run: str
    step: str
    incident: str
    text: str
    role: str
    until: str


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


class Run(TypedDict):
    """A run of a plan, with the outcome of each step so far."""

    id: str
    incident: str
    plan: str
    playbook: str
    undoes: str
    actor: str
    started: str
    finished: NotRequired[str | None]
    outcome: str
    waits_until: NotRequired[str | None]
    results: list[dict[str, Any]]


class Searched(TypedDict):
    """What a search found: events, newest first, or rows. `more`: there may be more than `limit`."""

    events: NotRequired[list[Event] | None]
    columns: NotRequired[list[str] | None]
    rows: NotRequired[list[dict[str, Any]] | None]
    more: bool
    cancelled: bool
    reached_ms: NotRequired[int | None]


class SecondBegun(TypedDict):
    """A second factor that is to be confirmed: the secret for an authenticator, and that as an address."""

    key: str
    secret: str
    uri: str


class Session(TypedDict):
    """A session of one's own."""

    id: str
    how: str
    began: str
    seen: str
    until: str
    address: str
    agent: str
    current: bool


class SigningIn(TypedDict):
    """Name and password, and a code where the account has a second factor."""

    name: str
    password: str
    code: NotRequired[str]


class Source(TypedDict):
    """How a source does: what came of it, what was usual, what is wrong and what is blind meanwhile."""

    name: str
    host: str
    state: str
    why: list[str]
    learning: bool
    events: int
    rejects: int
    reasons: dict[str, int]
    rate: float
    last_ms: NotRequired[int | None]
    alarms: list[dict[str, Any]]
    blind: list[dict[str, Any]]


class Spare(TypedDict):
    """Codes that count once each."""

    codes: list[str]


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


class Token(TypedDict):
    """A token for the API. Its key is told once, when it is made."""

    id: str
    name: str
    scopes: list[str]
    created: str
    until: str
    used: NotRequired[str | None]


class Welcoming(TypedDict):
    """An invitation, and the password (and, for the first account, the name) that it is taken with."""

    key: str
    name: NotRequired[str]
    password: str


class Client(Caller):
    """The API's routes by their operations."""

    def list_people(self, *, limit: int | None = None, after: str | None = None) -> PageAccount:
        """List the accounts by name."""
        found: PageAccount = self.call("GET", "/accounts", query={"limit": limit, "after": after})
        return found

    def add_people(self, body: Adding) -> Invited:
        """Add an account; the answer has the key of the link by which its owner sets the password."""
        found: Invited = self.call("POST", "/accounts", body=body)
        return found

    def show_people(self, id: str) -> Account:
        """Show an account."""
        found: Account = self.call("GET", f"/accounts/{self.part(id)}")
        return found

    def change_people(self, id: str, body: Changing, *, key: str = "") -> Account:
        """Change roles or teams of an account, or disable it."""
        found: Account = self.call(
            "POST", f"/accounts/{self.part(id)}/change", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def reset_people(self, id: str) -> Invited:
        """Take password, second factor and passkeys of an account away, and invite its owner anew."""
        found: Invited = self.call("POST", f"/accounts/{self.part(id)}/reset")
        return found

    def end_sessions_people(self, id: str) -> None:
        """End every session of an account."""
        self.call("DELETE", f"/accounts/{self.part(id)}/sessions")

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

    def search_events(
        self,
        *,
        query: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        purpose: str = "",
    ) -> Searched:
        """Find events, newest first, or the rows that a query's stages make. To hang up ends the search."""
        found: Searched = self.call(
            "GET",
            "/events",
            query={"query": query, "since": since, "until": until, "limit": limit, "timeout": timeout},
            headers={"X-Purpose": purpose},
        )
        return found

    def histogram_events(
        self,
        *,
        query: str | None = None,
        since: str | None = None,
        until: str | None = None,
        bars: int | None = None,
        timeout: float | None = None,
        purpose: str = "",
    ) -> Histogram:
        """Say when the events of a query were: how many in each of some bars."""
        found: Histogram = self.call(
            "GET",
            "/events/histogram",
            query={"query": query, "since": since, "until": until, "bars": bars, "timeout": timeout},
            headers={"X-Purpose": purpose},
        )
        return found

    def list_findings(
        self,
        *,
        severity: Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
        | None = None,
        resource: str | None = None,
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
                "fixed": fixed,
                "limit": limit,
                "after": after,
            },
            headers={"X-Purpose": purpose},
        )
        return found

    def show_findings(self, id: str, *, purpose: str = "") -> Finding:
        """Show a problem, by its id or that of one of its findings."""
        found: Finding = self.call("GET", f"/findings/{self.part(id)}", headers={"X-Purpose": purpose})
        return found

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

    def list_journal(
        self,
        *,
        kind: list[str] | None = None,
        subject: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageJournalEntry:
        """List the journal's entries, the newest first. Masked payloads no longer match their hashes."""
        found: PageJournalEntry = self.call(
            "GET",
            "/journal",
            query={"kind": kind, "subject": subject, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def list_lessons(
        self, *, limit: int | None = None, after: str | None = None, purpose: str = ""
    ) -> PageLesson:
        """List the lessons, proposed, proven and merged."""
        found: PageLesson = self.call(
            "GET", "/lessons", query={"limit": limit, "after": after}, headers={"X-Purpose": purpose}
        )
        return found

    def show_lessons(self, id: str, *, purpose: str = "") -> Lesson:
        """Show a lesson: its cause, and the last verdict on it."""
        found: Lesson = self.call("GET", f"/lessons/{self.part(id)}", headers={"X-Purpose": purpose})
        return found

    def me_oneself(self) -> Me:
        """Say who one is, and what one may."""
        found: Me = self.call("GET", "/me")
        return found

    def list_keys(self) -> list[Passkey]:
        """List one's own passkeys."""
        found: list[Passkey] = self.call("GET", "/me/passkeys")
        return found

    def add_keys(self, body: PasskeyMade) -> Passkey:
        """Keep the passkey that the browser made."""
        found: Passkey = self.call("POST", "/me/passkeys", body=body)
        return found

    def begin_keys(self, body: Proving) -> dict[str, Any]:
        """Return what the browser makes a passkey by (`navigator.credentials.create`)."""
        found: dict[str, Any] = self.call("POST", "/me/passkeys/begin", body=body)
        return found

    def drop_keys(self, id: str) -> None:
        """Forget a passkey of one's own."""
        self.call("DELETE", f"/me/passkeys/{self.part(id)}")

    def change_password_oneself(self, body: ChangingPassword) -> None:
        """Change the own password; other sessions end."""
        self.call("POST", "/me/password", body=body)

    def begin_second_oneself(self, body: Proving) -> SecondBegun:
        """Begin a second factor: an authenticator takes the secret, and a code of it confirms it."""
        found: SecondBegun = self.call("POST", "/me/second", body=body)
        return found

    def confirm_second_oneself(self, body: Confirming) -> Spare:
        """Let the second factor count, by its first code; the spare codes are told this once."""
        found: Spare = self.call("POST", "/me/second/confirm", body=body)
        return found

    def drop_second_oneself(self, body: Proving) -> None:
        """Take the own second factor away."""
        self.call("POST", "/me/second/drop", body=body)

    def sessions_oneself(self) -> list[Session]:
        """List one's own sessions, the last used first."""
        found: list[Session] = self.call("GET", "/me/sessions")
        return found

    def end_session_oneself(self, id: str) -> None:
        """End a session of one's own."""
        self.call("DELETE", f"/me/sessions/{self.part(id)}")

    def list_tokens_oneself(self) -> list[Token]:
        """List one's own tokens, the newest first."""
        found: list[Token] = self.call("GET", "/me/tokens")
        return found

    def make_token_oneself(self, body: MakingToken) -> NewToken:
        """Make a token: its key is told this once. It may what its scopes say, and never more than oneself."""
        found: NewToken = self.call("POST", "/me/tokens", body=body)
        return found

    def revoke_token_oneself(self, id: str) -> None:
        """End a token of one's own."""
        self.call("DELETE", f"/me/tokens/{self.part(id)}")

    def list_openid(self) -> list[Provider]:
        """List the providers that one can sign in with."""
        found: list[Provider] = self.call("GET", "/openid")
        return found

    def begin_openid(self, name: str, *, next: str | None = None) -> None:
        """Go to the provider to sign in; what comes back counts in this browser alone."""
        self.call("GET", f"/openid/{self.part(name)}", query={"next": next})

    def finish_openid(
        self, name: str, *, state: str | None = None, code: str | None = None, error: str | None = None
    ) -> None:
        """Come back from the provider, signed in."""
        self.call(
            "GET", f"/openid/{self.part(name)}/callback", query={"state": state, "code": code, "error": error}
        )

    def plans_playbooks(
        self,
        *,
        incident: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PagePlan:
        """List the plans, the newest first."""
        found: PagePlan = self.call(
            "GET",
            "/plans",
            query={"incident": incident, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def plan_playbooks(self, body: Planning, *, key: str = "", purpose: str = "") -> Plan:
        """Say exactly what a playbook would do about an incident: targets are read, nothing is changed."""
        found: Plan = self.call(
            "POST", "/plans", headers={"Idempotency-Key": key, "X-Purpose": purpose}, body=body
        )
        return found

    def show_plan_playbooks(self, digest: str, *, purpose: str = "") -> Plan:
        """Show a plan: what would be done to what, how far its approval is, what depends on its targets."""
        found: Plan = self.call("GET", f"/plans/{self.part(digest)}", headers={"X-Purpose": purpose})
        return found

    def approve_playbooks(self, digest: str, body: Approving, *, key: str = "") -> Approved:
        """Approve exactly this plan, for a while. The body repeats its digest: another plan is not approved."""
        found: Approved = self.call(
            "POST", f"/plans/{self.part(digest)}/approve", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def run_playbooks(self, digest: str, *, key: str = "") -> Run:
        """Let a plan be run: `lemnis serve` begins it once it is approved."""
        found: Run = self.call("POST", f"/plans/{self.part(digest)}/run", headers={"Idempotency-Key": key})
        return found

    def list_playbooks(self, *, limit: int | None = None, after: str | None = None) -> PagePlaybook:
        """List the playbooks by name."""
        found: PagePlaybook = self.call("GET", "/playbooks", query={"limit": limit, "after": after})
        return found

    def questions_playbooks(self, *, limit: int | None = None, after: str | None = None) -> PageQuestion:
        """List what runs ask, what is to be answered soonest first."""
        found: PageQuestion = self.call("GET", "/questions", query={"limit": limit, "after": after})
        return found

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

    def show_rules(self, name: str) -> RuleDetail:
        """Show a detection with the text of its file."""
        found: RuleDetail = self.call("GET", f"/rules/{self.part(name)}")
        return found

    def runs_playbooks(
        self,
        *,
        incident: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageRun:
        """List the runs, the newest first; those that wait for approval too."""
        found: PageRun = self.call(
            "GET",
            "/runs",
            query={"incident": incident, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def show_run_playbooks(self, id: str, *, purpose: str = "") -> Run:
        """Show a run with the outcome of each step so far."""
        found: Run = self.call("GET", f"/runs/{self.part(id)}", headers={"X-Purpose": purpose})
        return found

    def answer_playbooks(self, id: str, body: Answering, *, key: str = "") -> Run:
        """Answer what a run asks in a step."""
        found: Run = self.call(
            "POST", f"/runs/{self.part(id)}/answers", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def cancel_playbooks(self, id: str, body: Cancelling, *, key: str = "") -> Run:
        """Let a run do nothing more: what it has begun is settled, then it ends."""
        found: Run = self.call(
            "POST", f"/runs/{self.part(id)}/cancel", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def undo_playbooks(self, id: str, *, key: str = "", purpose: str = "") -> Plan:
        """Plan to take back what a run did, last first; the plan is approved and run as any other."""
        found: Plan = self.call(
            "POST", f"/runs/{self.part(id)}/undo", headers={"Idempotency-Key": key, "X-Purpose": purpose}
        )
        return found

    def sign_in_oneself(self, body: SigningIn) -> Me:
        """Sign in: the answer sets the session's cookie. Needs the token of the page's form, as every change."""
        found: Me = self.call("POST", "/session", body=body)
        return found

    def sign_out_oneself(self) -> None:
        """Sign out: the session is worth nothing any more."""
        self.call("DELETE", "/session")

    def sign_in_keys(self, body: PasskeyProven) -> Me:
        """Sign in by a passkey: the answer sets the session's cookie."""
        found: Me = self.call("POST", "/session/passkey", body=body)
        return found

    def ask_keys(self) -> dict[str, Any]:
        """Return what the browser proves a passkey by (`navigator.credentials.get`)."""
        found: dict[str, Any] = self.call("POST", "/session/passkey/begin")
        return found

    def list_sources(self, *, limit: int | None = None, after: str | None = None) -> PageSource:
        """List the sources that ever spoke: rate, lag, rejects, silence, and what is blind meanwhile."""
        found: PageSource = self.call("GET", "/sources", query={"limit": limit, "after": after})
        return found

    def welcome_oneself(self, body: Welcoming) -> Me:
        """Take an invitation: set the password, and sign in."""
        found: Me = self.call("POST", "/welcome", body=body)
        return found
