"""How an incident is worked on: how urgent, by whom, how soon, with which tasks; and cases over several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from lemnis.contracts.alerts import Severity


class Priority(IntEnum):
    """OCSF Incident Finding ``priority_id``."""

    UNKNOWN = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Phase(StrEnum):
    """The functions of NIST SP 800-61r3 that an incident goes through, then Improvement (ID.IM)."""

    DETECT = "detect"
    RESPOND = "respond"
    RECOVER = "recover"
    IMPROVE = "improve"

    @property
    def place(self) -> int:
        """Return how far along this is, from 0."""
        return tuple(Phase).index(self)


class Role(StrEnum):
    """Who does what in an incident. Roles are recorded; they allow and forbid nothing."""

    COMMANDER = "commander"
    ANALYST = "analyst"
    DEVELOPER = "developer"
    COMMUNICATIONS = "communications"


class TaskState(StrEnum):
    """How far a task is."""

    OPEN = "open"
    DOING = "doing"
    DONE = "done"
    DROPPED = "dropped"

    @property
    def over(self) -> bool:
        """Say whether nothing is left to do."""
        return self in {TaskState.DONE, TaskState.DROPPED}


@dataclass(frozen=True, slots=True)
class Said:
    """What someone decided: when (ms), who, what, why. ``value`` is the name of a severity or priority."""

    at: int
    actor: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class PhaseChange:
    """A step from one phase to another: when (ms), by whom, why."""

    at: int
    actor: str
    phase: Phase
    reason: str


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do: its id, what, who does it, until when (ms; None: no date), and how far it is."""

    id: str
    title: str
    assignee: str
    due: int | None
    state: TaskState
    added: int
    by: str
    changed: int

    def late(self, now: int) -> bool:
        """Say whether it should be done by now, and is not."""
        return self.due is not None and not self.state.over and now > self.due


@dataclass(frozen=True, slots=True)
class Link:
    """Something elsewhere: a ticket, a pull request, a page; ``kind`` is what it is."""

    at: int
    actor: str
    url: str
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A time in which timers stood still: since when, until when (None: it lasts), by whom, why."""

    start: int
    end: int | None
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Handling:
    """How an incident is worked on: a fold over its entries, beside the incident itself.

    Instants are by Lemnis' clock: ``acknowledged`` is when a person first moved it, ``contained`` when the
    first containing action took effect or a person said so, ``resolved`` when it was last resolved or closed
    (None while it is open). ``told`` are the breaches that were written down.
    """

    phase: Phase = Phase.DETECT
    phases: tuple[PhaseChange, ...] = ()
    severity: Said | None = None
    priority: Said | None = None
    roles: Mapping[Role, str] = field(default_factory=dict)
    tasks: tuple[Task, ...] = ()
    links: tuple[Link, ...] = ()
    holds: tuple[Hold, ...] = ()
    acknowledged: int | None = None
    contained: int | None = None
    resolved: int | None = None
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asset:
    """What is known of something that an incident is about: its names, and what it is worth."""

    entity: str
    id: str
    criticality: str = ""
    privileged: bool = False
    team: str = ""
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """An open finding of the pipeline that lives in what an incident is about.

    ``finding`` is its fingerprint, ``name`` what people call it, ``names`` are all names of its vulnerability
    and ``cwes`` the numbers of its weaknesses. ``where`` is what it lives in; ``through`` says what ties the
    finding to that, empty where it was found there itself.
    """

    finding: str
    name: str
    severity: Severity
    where: str
    exploited: bool = False
    names: tuple[str, ...] = ()
    cwes: tuple[int, ...] = ()
    through: str = ""


@dataclass(frozen=True, slots=True)
class Weighed:
    """How severe and urgent an incident is, and why: what each part adds, or who decided otherwise.

    ``risk`` is that of the riskiest entity with what lives there added, and ``live`` are the sentences that
    say what does. ``parts`` are what the points come from, none where a person decided; ``step`` is from how
    many on which priority begins, the next one if there is one.
    """

    severity: Severity
    severity_because: str
    priority: Priority
    priority_because: str
    points: int
    risk: int = 0
    live: tuple[str, ...] = ()
    parts: tuple[tuple[str, int], ...] = ()
    step: str = ""


@dataclass(frozen=True, slots=True)
class Timer:
    """One promise about time: ``name`` (acknowledge, contain, resolve), when it is due, when it was kept.

    ``state`` is ``running``, ``near`` (little time is left), ``paused``, ``breached`` (due and not done),
    ``met`` or ``missed`` (done late). ``left`` is the time that remains, or remained, in ms; negative if it
    was too late. ``near`` is from when on little time is left.
    """

    name: str
    due: int
    done: int | None
    state: str
    left: int
    paused: int
    near: int = 0


@dataclass(frozen=True, slots=True)
class CaseNote:
    """What someone wrote down about a case."""

    at: int
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """The human work file over one or more incidents."""

    id: str
    title: str
    owner: str
    opened: int
    by: str
    updated: int
    incidents: tuple[str, ...] = ()
    notes: tuple[CaseNote, ...] = ()
    closed: int | None = None
    closed_by: str = ""
    closed_because: str = ""

    @property
    def open(self) -> bool:
        """Say whether someone still works on it."""
        return self.closed is None
