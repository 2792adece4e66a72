"""The shapes of what the API takes and gives. Times are RFC 3339 in UTC unless a field ends in ``_ms``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

VerdictName = Literal[
    "unknown", "false_positive", "true_positive", "disregard", "suspicious", "benign", "test",
    "insufficient_data", "security_risk", "managed_externally", "duplicate",
]  # fmt: skip
StatusName = Literal["unknown", "new", "in_progress", "on_hold", "resolved", "closed"]
SeverityName = Literal["unknown", "informational", "low", "medium", "high", "critical", "fatal"]
PriorityName = Literal["low", "medium", "high", "critical"]
Text = Annotated[str, pydantic.Field(min_length=1, max_length=10_000, pattern=r"\S")]
Reason = Annotated[str, pydantic.Field(min_length=1, max_length=2000, pattern=r"\S")]
PersonName = Annotated[
    str, pydantic.Field(min_length=1, max_length=100, pattern=r"^[^\s\x00-\x1f][^\x00-\x1f]*$")
]


class Given(pydantic.BaseModel):
    """What is sent to us: fields that are not known are a mistake."""

    model_config = pydantic.ConfigDict(extra="forbid")


class Told(pydantic.BaseModel):
    """What is told: further fields may come."""

    model_config = pydantic.ConfigDict(extra="allow")


class Problem(Told):
    """What is wrong (RFC 9457): ``type`` is a word that stays; ``title`` says what, ``fix`` what to do."""

    type: str
    title: str
    status: int
    fix: str = ""


class Timer(Told):
    """Until when something is due."""

    timer: str
    state: str
    due: str
    done: str | None = None


class IncidentSummary(Told):
    """An incident in a list."""

    id: str
    title: str
    severity: SeverityName
    priority: str
    status: StatusName
    verdict: VerdictName
    owner: str
    phase: str
    alerts: int
    rules: int
    risk: int
    breached: bool
    open_tasks: int
    due: Timer | None = None
    first_event: str
    last_event: str
    opened: str
    updated: str
    merged_into: str = ""


class EntityCount(Told):
    """An entity of an incident, and in how many of its alerts it is."""

    entity: str
    kind: str
    value: str
    alerts: int


class Incident(Told):
    """An incident, whole but for its timeline. ``version`` grows with each change of it."""

    id: str
    title: str
    version: int
    status: StatusName
    verdict: VerdictName
    severity: SeverityName
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


class TimelineItem(Told):
    """One line of a timeline: ``time`` is when it happened, ``recorded`` when Lemnis learnt of it."""

    time: str
    recorded: str
    kind: str
    title: str
    severity: SeverityName
    actor: str
    reference: str


class AlertSummary(Told):
    """An alert in a list."""

    id: str
    rule_id: str
    title: str
    severity: SeverityName
    time: str
    count: int
    source: str
    entities: list[str]
    tags: list[str]


class Alert(AlertSummary):
    """An alert with the event that fired, as the reader may see it."""

    incident: str | None = None
    matched: list[dict[str, Any]]
    event_uids: list[str]
    content_digest: str
    event: dict[str, Any]


class Assigning(Given):
    """Who owns an incident from now on."""

    owner: PersonName


class Acknowledging(Given):
    """That one takes an incident into work."""

    reason: Annotated[str, pydantic.Field(max_length=2000)] = ""


class Moving(Given):
    """To which status an incident moves, and why. Closing is another request: it needs a verdict."""

    status: Literal["in_progress", "on_hold", "resolved"]
    reason: Reason


class Closing(Given):
    """That an incident is over: what it was, and why."""

    verdict: Literal[
        "false_positive", "true_positive", "disregard", "suspicious", "benign", "test", "insufficient_data",
        "security_risk", "managed_externally", "duplicate",
    ]  # fmt: skip
    reason: Reason


class Noting(Given):
    """What is written down of an incident."""

    text: Text


class Event(Told):
    """An event that was found."""

    uid: str
    time_ms: int
    class_name: str
    event: dict[str, Any]
    more: dict[str, Any] | None = None


class Searched(Told):
    """What a search found: events, newest first, or rows. ``more``: there may be more than ``limit``.

    ``reached_ms`` is how far back it looked, where it was ended before it was through.
    """

    events: list[Event] | None = None
    columns: list[str] | None = None
    rows: list[dict[str, Any]] | None = None
    more: bool
    cancelled: bool
    reached_ms: int | None = None


class Bar(pydantic.BaseModel):
    """A bar of a histogram: when it begins, and how many events are in it."""

    time_ms: int
    count: int


class Histogram(pydantic.BaseModel):
    """When the events of a query were."""

    bars: list[Bar]


class Finding(Told):
    """What is to be mended: findings of several tools about one thing are one."""

    id: str
    severity: SeverityName
    kind: str
    title: str
    path: str
    line: int
    resource: str
    tools: list[str]
    findings: list[str]
    first_seen: str
    fixed_at: str | None = None
    fix: str


class Rule(Told):
    """A detection. One that is not ``usable`` has no id and title."""

    name: str
    id: str
    title: str
    level: str
    tags: list[str]
    cases: int
    own: bool
    usable: bool


class RuleDetail(Rule):
    """A detection with the text of its file."""

    text: str


class Source(Told):
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
    last_ms: int | None = None
    alarms: list[dict[str, Any]]
    blind: list[dict[str, Any]]


class Playbook(Told):
    """A playbook."""

    name: str
    title: str
    kind: str
    trigger: str
    inputs: list[str]


class Planning(Given):
    """For which incident a playbook is to be planned, and inputs by hand."""

    playbook: Annotated[str, pydantic.Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    incident: Annotated[str, pydantic.Field(pattern=r"^in-[0-9a-f]{16}$")]
    inputs: dict[
        Annotated[str, pydantic.Field(max_length=100)],
        Annotated[list[Annotated[str, pydantic.Field(max_length=1000)]], pydantic.Field(max_length=100)],
    ] = pydantic.Field(default_factory=dict, max_length=50)


class Plan(Told):
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


class Approving(Given):
    """Why a plan may be run; ``digest`` repeats which one, so that nobody approves what they did not see."""

    digest: Annotated[str, pydantic.Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    reason: Reason


class Approved(Told):
    """An approval: until when a run may begin, and how many are missing still."""

    approval: str
    digest: str
    actor: str
    expires: str
    missing: int
    people: list[str]


class Run(Told):
    """A run of a plan, with the outcome of each step so far."""

    id: str
    incident: str
    plan: str
    playbook: str
    undoes: str
    actor: str
    started: str
    finished: str | None = None
    outcome: str
    waits_until: str | None = None
    results: list[dict[str, Any]]


class Cancelling(Given):
    """Why a run does nothing more."""

    reason: Reason


class Question(Told):
    """What a run asks."""

    run: str
    step: str
    incident: str
    text: str
    role: str
    until: str


class Answering(Given):
    """What a run is answered."""

    step: Annotated[str, pydantic.Field(min_length=1, max_length=100)]
    answer: Annotated[str, pydantic.Field(min_length=1, max_length=1000)]
    reason: Annotated[str, pydantic.Field(max_length=2000)] = ""


class Lesson(Told):
    """A lesson, and how far it is: proposed, proven or merged."""

    id: str
    incident: str
    state: str
    proven: bool
    title: str
    gate: str | None = None
    detection: str | None = None
    threat: str | None = None


class JournalEntry(Told):
    """An entry of the journal; ``hash`` covers all of it and ``previous``."""

    seq: int
    at: str
    kind: str
    subject: str
    actor: str
    reason: str
    payload: dict[str, Any]
    previous: str
    hash: str


class Me(Told):
    """Who one is here, and what one may."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    how: str
    permissions: list[str]
    csrf: str | None = None


class Provider(Told):
    """A provider of OpenID Connect, and where one begins to sign in by it."""

    name: str
    title: str
    url: str


class SigningIn(Given):
    """Name and password, and a code where the account has a second factor."""

    name: Annotated[str, pydantic.Field(max_length=100)]
    password: Annotated[str, pydantic.Field(max_length=1000)]
    code: Annotated[str, pydantic.Field(max_length=40)] = ""


class Welcoming(Given):
    """An invitation, and the password (and, for the first account, the name) that it is taken with."""

    key: Annotated[str, pydantic.Field(max_length=100)]
    name: Annotated[str, pydantic.Field(max_length=100)] = ""
    password: Annotated[str, pydantic.Field(max_length=1000)]


class Token(Told):
    """A token for the API. Its key is told once, when it is made."""

    id: str
    name: str
    scopes: list[str]
    created: str
    until: str
    used: str | None = None


class NewToken(Token):
    """A token that was just made, with its key."""

    key: str


class MakingToken(Given):
    """What a token is for, what it may, and for how many days."""

    name: Annotated[str, pydantic.Field(min_length=1, max_length=100, pattern=r"\S")]
    scopes: Annotated[
        list[Annotated[str, pydantic.Field(max_length=60)]], pydantic.Field(min_length=1, max_length=50)
    ]
    days: Annotated[float, pydantic.Field(gt=0, le=366)] = 30


class Session(Told):
    """A session of one's own."""

    id: str
    how: str
    began: str
    seen: str
    until: str
    address: str
    agent: str
    current: bool


class Account(Told):
    """An account."""

    id: str
    name: str
    roles: list[str]
    teams: list[str]
    disabled: bool
    second: bool
    passkeys: int
    outside: str | None = None


class Adding(Given):
    """An account that is to be: its owner sets the password by the link that is answered."""

    name: Annotated[str, pydantic.Field(min_length=1, max_length=64)]
    roles: Annotated[list[Annotated[str, pydantic.Field(max_length=63)]], pydantic.Field(max_length=20)]
    teams: Annotated[list[Annotated[str, pydantic.Field(max_length=100)]], pydantic.Field(max_length=50)] = []


class Changing(Given):
    """What an account is from now on; what is left out stays."""

    roles: (
        Annotated[list[Annotated[str, pydantic.Field(max_length=63)]], pydantic.Field(max_length=20)] | None
    ) = None
    teams: (
        Annotated[list[Annotated[str, pydantic.Field(max_length=100)]], pydantic.Field(max_length=50)] | None
    ) = None
    disabled: bool | None = None


class Invited(Account):
    """An account with the link by which its owner sets the password: it counts once, until then."""

    key: str
    until: str


class Changed(Told):
    """What a word says: it was done."""

    done: bool = True


class ChangingPassword(Given):
    """The old password, and the new one."""

    old: Annotated[str, pydantic.Field(max_length=1000)]
    new: Annotated[str, pydantic.Field(max_length=1000)]


class Proving(Given):
    """The own password: an open session alone is not enough."""

    password: Annotated[str, pydantic.Field(max_length=1000)]


class SecondBegun(Told):
    """A second factor that is to be confirmed: the secret for an authenticator, and that as an address."""

    key: str
    secret: str
    uri: str


class Confirming(Given):
    """A code of the second factor that was begun."""

    key: Annotated[str, pydantic.Field(max_length=100)]
    code: Annotated[str, pydantic.Field(max_length=40)]


class Spare(Told):
    """Codes that count once each."""

    codes: list[str]


class Passkey(Told):
    """A passkey of one's own."""

    id: str
    name: str
    created: str
    used: str | None = None


class PasskeyMade(Given):
    """What the browser answered when it made a passkey (as JSON), and what to call it."""

    answer: dict[str, Any]
    name: Annotated[str, pydantic.Field(max_length=100)] = ""


class PasskeyProven(Given):
    """What the browser answered when it proved a passkey."""

    answer: dict[str, Any]
