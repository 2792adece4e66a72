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


class ActionGiven(TypedDict):
    """What is to be done, by whom, until which day."""

    what: str
    owner: str
    due: str


class Adding(TypedDict):
    """An account that is to be: its owner sets the password by the link that is answered."""

    name: str
    roles: list[str]
    teams: NotRequired[list[str]]
    outside: NotRequired[str]


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


class AddingToCase(TypedDict):
    """Which incident a case is about, too."""

    incident: str
    reason: NotRequired[str]


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


class AssigningCase(TypedDict):
    """Who owns a case from now on."""

    owner: str


class Bar(TypedDict):
    """A bar of a histogram: when it begins, and how many events are in it."""

    time_ms: int
    count: int


class Because(TypedDict):
    """Why something is done."""

    reason: str


class Cancelling(TypedDict):
    """Why a run does nothing more."""

    reason: str


class Case(TypedDict):
    """The work file over some incidents. `version` grows with each change of it."""

    id: str
    title: str
    version: int
    owner: str
    open: bool
    incidents: list[str]
    opened: str
    by: str
    updated: str
    closed: NotRequired[str | None]
    closed_by: NotRequired[str | None]
    closed_because: NotRequired[str | None]
    notes: list[dict[str, Any]]


class Changing(TypedDict):
    """What an account is from now on; what is left out stays."""

    roles: NotRequired[list[str] | None]
    teams: NotRequired[list[str] | None]
    disabled: NotRequired[bool | None]


class ChangingPassword(TypedDict):
    """The old password, and the new one."""

    old: str
    new: str


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


class Confirming(TypedDict):
    """A code of the second factor that was begun."""

    key: str
    code: str


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


class Evidence(TypedDict):
    """A piece of evidence: its digest, what it is, who has it, and every act on it."""

    id: str
    incident: str
    title: str
    holder: str
    custody: list[dict[str, Any]]


class FactGiven(TypedDict):
    """Something that happened, and what shows it."""

    at: str
    what: str
    reference: NotRequired[str]


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


class HandingOver(TypedDict):
    """Why a package is made, and for whom, if it is handed on."""

    reason: str
    to: NotRequired[str]


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
    """An account with the key of the link by which its owner sets the password: it counts once, until then."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    disabled: bool
    second: bool
    passkeys: int
    outside: NotRequired[str | None]
    key: NotRequired[str | None]
    until: NotRequired[str | None]


class JournalEntry(TypedDict):
    """An entry of the journal; `hash` covers all of it and `previous`."""

    seq: int
    at: str
    kind: str
    subject: str
    actor: str
    reason: str
    payload: dict[str, Any]
    previous: NotRequired[str | None]
    hash: NotRequired[str | None]


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


class Linking(TypedDict):
    """By which identity elsewhere somebody signs in: `ISSUER#SUBJECT` or `ISSUER?email=ADDRESS`."""

    outside: str


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


class Merging(TypedDict):
    """With which incident one is merged, and why."""

    other: str
    reason: str


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


class NotingCase(TypedDict):
    """What is written down of a case."""

    text: str


class OpeningCase(TypedDict):
    """What a case is called, and why it is opened."""

    title: str
    reason: NotRequired[str]


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


class PageCase(TypedDict):
    """PageCase."""

    items: list[Case]
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


class ProposedRule(TypedDict):
    """The branch that a proposal is on."""

    name: str
    branch: str


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


class RemovingLink(TypedDict):
    """Which link is taken away, and why."""

    url: str
    reason: str


class Renaming(TypedDict):
    """What something is to be called."""

    name: str


class Requested(TypedDict):
    """A run that was asked for and has not begun: `state` is what it waits for, `says` so for people."""

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
    state: Literal["begins", "waits_for_approval", "waits_for_serve"]
    says: str


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


class SavingRule(TypedDict):
    """A rule to be kept, and why."""

    text: str
    reason: NotRequired[str]


class Searched(TypedDict):
    """What a search found: events, newest first, or rows. `more`: there may be more than `limit`."""

    events: NotRequired[list[Event] | None]
    columns: NotRequired[list[str] | None]
    rows: NotRequired[list[dict[str, Any]] | None]
    more: bool
    cancelled: bool
    reached_ms: NotRequired[int | None]


class Second(TypedDict):
    """Whether codes are asked for, how many spare ones are left, and when one was taken last."""

    on: bool
    spare: NotRequired[int]
    used: NotRequired[str | None]


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


class Token(TypedDict):
    """A token for the API. Its key is told once, when it is made."""

    id: str
    name: str
    scopes: list[str]
    created: str
    until: str
    used: NotRequired[str | None]


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

    def link_people(self, id: str, body: Linking, *, key: str = "") -> Account:
        """Let an account sign in by an identity of an OpenID provider, in the place of the one from before."""
        found: Account = self.call(
            "POST", f"/accounts/{self.part(id)}/link", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def reset_people(self, id: str) -> Invited:
        """Take password, second factor and passkeys of an account away, and invite its owner anew."""
        found: Invited = self.call("POST", f"/accounts/{self.part(id)}/reset")
        return found

    def end_sessions_people(self, id: str) -> None:
        """End every session of an account."""
        self.call("DELETE", f"/accounts/{self.part(id)}/sessions")

    def unlink_people(self, id: str) -> Invited:
        """Take the identity elsewhere from an account and end its sessions; if nothing is left, invite anew."""
        found: Invited = self.call("POST", f"/accounts/{self.part(id)}/unlink")
        return found

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

    def list_cases(
        self,
        *,
        state: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageCase:
        """List the cases, the last opened first."""
        found: PageCase = self.call(
            "GET",
            "/cases",
            query={"state": state, "limit": limit, "after": after},
            headers={"X-Purpose": purpose},
        )
        return found

    def create_cases(self, body: OpeningCase, *, key: str = "") -> Case:
        """Open a case; it is owned by who opens it."""
        found: Case = self.call("POST", "/cases", headers={"Idempotency-Key": key}, body=body)
        return found

    def show_cases(self, id: str, *, purpose: str = "") -> Case:
        """Show a case; its tag is for changes that are to be made only if nobody changed it meanwhile."""
        found: Case = self.call("GET", f"/cases/{self.part(id)}", headers={"X-Purpose": purpose})
        return found

    def assign_cases(self, id: str, body: AssigningCase, *, if_match: str = "", key: str = "") -> Case:
        """Give a case an owner."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/assign",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def close_cases(self, id: str, body: Because, *, if_match: str = "", key: str = "") -> Case:
        """Close a case; refused while incidents in it are open."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/close",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def add_cases(self, id: str, body: AddingToCase, *, if_match: str = "", key: str = "") -> Case:
        """Put an incident into a case; it may be in several."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/incidents",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def remove_cases(
        self, id: str, incident: str, body: Because, *, if_match: str = "", key: str = ""
    ) -> Case:
        """Take an incident out of a case."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/incidents/{self.part(incident)}/remove",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def note_cases(self, id: str, body: NotingCase, *, key: str = "") -> Case:
        """Write a note to a case."""
        found: Case = self.call(
            "POST", f"/cases/{self.part(id)}/notes", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def reopen_cases(self, id: str, body: Because, *, if_match: str = "", key: str = "") -> Case:
        """Open a closed case again."""
        found: Case = self.call(
            "POST",
            f"/cases/{self.part(id)}/reopen",
            headers={"If-Match": if_match, "Idempotency-Key": key},
            body=body,
        )
        return found

    def search_events(
        self,
        *,
        query: str | None = None,
        since: str | None = None,
        until: str | None = None,
        limit: int | None = None,
        timeout: float | None = None,
        name: str | None = None,
        purpose: str = "",
    ) -> Searched:
        """Find events, newest first, or the rows that a query's stages make."""
        found: Searched = self.call(
            "GET",
            "/events",
            query={
                "query": query,
                "since": since,
                "until": until,
                "limit": limit,
                "timeout": timeout,
                "name": name,
            },
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
        name: str | None = None,
        purpose: str = "",
    ) -> Histogram:
        """Say when the events of a query were: how many in each of some bars."""
        found: Histogram = self.call(
            "GET",
            "/events/histogram",
            query={
                "query": query,
                "since": since,
                "until": until,
                "bars": bars,
                "timeout": timeout,
                "name": name,
            },
            headers={"X-Purpose": purpose},
        )
        return found

    def end_events(self, name: str) -> None:
        """End a search of yours that goes on: it answers with what it found until then."""
        self.call("DELETE", f"/events/searches/{self.part(name)}")

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

    def list_evidence(self, id: str, *, purpose: str = "") -> list[Evidence]:
        """List an incident's evidence with every act on it, in the order in which it was collected."""
        found: list[Evidence] = self.call(
            "GET", f"/incidents/{self.part(id)}/evidence", headers={"X-Purpose": purpose}
        )
        return found

    def package_evidence(self, id: str, body: HandingOver, *, purpose: str = "") -> None:
        """Make and get the evidence package of an incident, which `lemnis incident verify` checks anywhere."""
        self.call(
            "POST", f"/incidents/{self.part(id)}/evidence/package", headers={"X-Purpose": purpose}, body=body
        )

    def read_evidence(self, id: str, digest: str, body: Because, *, purpose: str = "") -> None:
        """Get a piece of evidence as it was collected; that, and why, is in its chain of custody."""
        self.call(
            "POST",
            f"/incidents/{self.part(id)}/evidence/{self.part(digest)}/read",
            headers={"X-Purpose": purpose},
            body=body,
        )

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

    def list_journal(
        self,
        *,
        kind: list[str] | None = None,
        subject: str | None = None,
        limit: int | None = None,
        after: str | None = None,
        purpose: str = "",
    ) -> PageJournalEntry:
        """List the journal's entries, the newest first; their hashes are told with a purpose alone."""
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

    def rename_keys(self, id: str, body: Renaming, *, key: str = "") -> Passkey:
        """Call a passkey of one's own something else."""
        found: Passkey = self.call(
            "POST", f"/me/passkeys/{self.part(id)}/rename", headers={"Idempotency-Key": key}, body=body
        )
        return found

    def change_password_oneself(self, body: ChangingPassword) -> None:
        """Change the own password; other sessions end."""
        self.call("POST", "/me/password", body=body)

    def show_second_oneself(self) -> Second:
        """Say whether codes of an authenticator are asked for, and how many spare ones are left."""
        found: Second = self.call("GET", "/me/second")
        return found

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

    def renew_spare_oneself(self, body: Proving) -> Spare:
        """Make new spare codes, told this once; those from before count no more."""
        found: Spare = self.call("POST", "/me/second/spare", body=body)
        return found

    def sessions_oneself(self) -> list[Session]:
        """List one's own sessions, the last used first."""
        found: list[Session] = self.call("GET", "/me/sessions")
        return found

    def end_sessions_oneself(self) -> None:
        """Sign out everywhere, here too; tokens stay."""
        self.call("DELETE", "/me/sessions")

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

    def run_playbooks(self, digest: str, *, key: str = "") -> Requested:
        """Ask for a run of a plan, which `lemnis serve` begins once it is approved."""
        found: Requested = self.call(
            "POST", f"/plans/{self.part(digest)}/run", headers={"Idempotency-Key": key}
        )
        return found

    def list_playbooks(self, *, limit: int | None = None, after: str | None = None) -> PagePlaybook:
        """List the playbooks by name."""
        found: PagePlaybook = self.call("GET", "/playbooks", query={"limit": limit, "after": after})
        return found

    def questions_playbooks(
        self, *, limit: int | None = None, after: str | None = None, purpose: str = ""
    ) -> PageQuestion:
        """List what runs ask, what is to be answered soonest first."""
        found: PageQuestion = self.call(
            "GET", "/questions", query={"limit": limit, "after": after}, headers={"X-Purpose": purpose}
        )
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
