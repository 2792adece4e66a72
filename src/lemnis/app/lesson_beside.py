"""What stands beside a lesson's change set: the risk, exceptions that are void, a response that was slow.

Nothing of it is written into other content: exceptions and playbooks are changed by whoever owns them. Where
a playbook contained the incident slowly, the change set has one of its own that calls it (``drafted``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.content import yaml
from lemnis.content.schemas.threat import Threat
from lemnis.contracts.clock import span
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.ids import Json

if TYPE_CHECKING:
    from lemnis.app.shelf import Written
    from lemnis.contracts.handling import Timer
    from lemnis.contracts.incidents import Incident

_LATE = ("missed", "breached")


@dataclass(frozen=True, slots=True)
class Beside:
    """The threat's risk (1 to 25; None: it cannot be read), and what its incident says of other content.

    ``void`` pairs exceptions with why; ``late`` pairs what was due (acknowledge, contain, resolve) with how
    late it was (ms); ``ran`` pairs the playbooks that ran with how long after the incident was opened;
    ``drafted`` is the playbook in the change set, if there is one.
    """

    risk: int | None = None
    void: tuple[tuple[str, str], ...] = ()
    late: tuple[tuple[str, int], ...] = ()
    ran: tuple[tuple[str, int], ...] = ()
    problems: tuple[str, ...] = ()
    drafted: str = ""

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {
            "risk": self.risk,
            "void_exceptions": [{"name": name, "why": why} for name, why in self.void],
            "late": dict(self.late), "playbooks": dict(self.ran), "problems": list(self.problems),
            "drafted": self.drafted,
        }  # fmt: skip

    def points(self) -> list[str]:
        """Return it in words, a sentence each."""
        risk = "cannot be read" if self.risk is None else f"its risk is {self.risk} of 25"
        found = [f"threat: {risk}; does the threat model of the service say the same?"]
        found += [f"exceptions: {name} is void, {why}: drop it" for name, why in self.void]
        if self.late:
            much = ", ".join(f"{span(by)} too long to {name}" for name, by in self.late)
            ran = ", ".join(f"{name} began {span(after)} after it was opened" for name, after in self.ran)
            todo = "" if self.drafted else ": let one begin by itself (`triggers`)"
            found.append(f"playbooks: it took {much}; {ran or 'none ran'}{todo}")
        if self.drafted:
            found.append(
                f"playbooks: {self.drafted} is drafted: it begins with the lesson's alert once it is merged "
                "and turned on (`playbooks.start`)"
            )
        return found + [f"not looked at: {one}" for one in self.problems]


def look(workspace: app.Workspace, written: Written) -> Beside:
    """Say what stands beside a lesson, as of now; nothing is written down."""
    from lemnis.app import incidents, respond

    problems: list[str] = []
    drafted = _drafted(workspace, written)
    risk: int | None = None
    void: tuple[tuple[str, str], ...] = ()
    try:
        risk = _risk(workspace, written)
    except LemnisError as error:
        problems.append(str(error))
    try:
        one = incidents.get(workspace, written.lesson.incident)
        void = _void(workspace, one)
        from lemnis.app.incidents_handling import standing

        late = tuple(slow(standing(workspace, one).timers))
        ran = first(((run.playbook, run.started) for run in respond.runs(workspace, one.id)), one.opened)
    except LemnisError as error:
        return Beside(risk, void, problems=(*problems, str(error)), drafted=drafted)
    return Beside(risk, void, late, tuple(ran.items()), tuple(problems), drafted)


def slow(timers: Iterable[Timer]) -> Iterator[tuple[str, int]]:
    """Yield what was not done in time, with by how much it was late (ms). Pure."""
    return ((one.name, -one.left) for one in timers if one.state in _LATE)


def first(runs: Iterable[tuple[str, int]], opened: int) -> Mapping[str, int]:
    """Return how long (ms) after an incident was opened each playbook ran first. Pure."""
    found: dict[str, int] = {}
    for playbook, at in sorted(runs, key=lambda one: one[1]):
        found.setdefault(playbook, max(0, at - opened))
    return found


def _drafted(workspace: app.Workspace, written: Written) -> str:
    """Return the name of the playbook in the change set, empty if there is none."""
    from lemnis.app import shelf

    name = written.lesson.gate
    there = f"{shelf.PLAYBOOK.format(name)}playbook.yaml" in shelf.lesson_files(workspace, written)
    return name if there else ""


def _risk(workspace: app.Workspace, written: Written) -> int:
    from lemnis.app import shelf

    file = f"content/threats/{written.lesson.threat}/threat.yaml"
    text = shelf.repository(workspace).read(written.commit, file).decode(errors="replace")
    return yaml.load(text, Threat, file=file).figure


def _void(workspace: app.Workspace, incident: Incident) -> tuple[tuple[str, str], ...]:
    """Return the exceptions that alerts of this incident made void."""
    from lemnis.app import feedback

    alerts: Sequence[str] = tuple(incident.alert_ids)
    some = feedback.exempt(workspace, app.library(workspace))
    return tuple((one.name, one.void) for one in some if any(f"alert {a} " in one.void for a in alerts))
