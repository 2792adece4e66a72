"""The risk register: what can go wrong by the threat models, and what was accepted, in one list.

Threats of the content (a lesson brings its own), threat models beside the code of the repositories in the
settings, and exceptions from policies: a risk that somebody accepted until a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from lemnis import app
from lemnis.app import settings, threats
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.exemption import Exemption
from lemnis.content.schemas.policy import Policy
from lemnis.content.schemas.threat import Threat
from lemnis.content.schemas.threat_model import Risk as Modelled
from lemnis.content.schemas.threat_model import ThreatModel
from lemnis.contracts.errors import ContentError, LemnisError

if TYPE_CHECKING:
    from lemnis.store.findings import Row

THREAT, MODEL, EXCEPTION = KINDS = ("threat", "model", "exception")
"""Where a risk is written down: the content, a repository's threat model, the exceptions."""
_GUARDS: Final = ("gate", "detection", "playbook", "lesson")


@dataclass(frozen=True, slots=True)
class Risk:
    """One risk: what it is about, whose it is, how great, what is done about it, when it is looked at again.

    ``figure`` is 1 to 25 (likelihood times impact, each 1 to 5), None where nobody weighed it. ``guards`` are
    pairs of what guards against it: a gate, detection, playbook or lesson with its name, else ``text``.
    ``gaps`` say what is missing of it.
    """

    kind: str
    name: str
    title: str
    about: tuple[str, ...]
    owner: str
    state: str
    likelihood: int | None = None
    impact: int | None = None
    figure: int | None = None
    review: date | None = None
    days: int | None = None
    guards: tuple[tuple[str, str], ...] = ()
    controls: tuple[str, ...] = ()
    incidents: tuple[str, ...] = ()
    cwes: tuple[int, ...] = ()
    techniques: tuple[str, ...] = ()
    policy: str = ""
    finding: str = ""
    reason: str = ""
    approved_by: str = ""
    repository: str = ""
    gaps: tuple[str, ...] = field(default=())

    @property
    def id(self) -> str:
        """What it is called among all."""
        return f"{self.kind}/{self.name}"

    @property
    def treatment(self) -> str:
        """What is done about it: mitigate, accept, or nothing yet."""
        if self.state == "accepted":
            return "accept"
        guarded = any(kind in {"gate", "detection", "playbook"} for kind, _ in self.guards)
        return "mitigate" if guarded or self.state == "mitigated" else "none yet"

    @property
    def overdue(self) -> bool:
        """Say whether somebody should have looked at it again by now."""
        return self.days is not None and self.days < 0


@dataclass(frozen=True, slots=True)
class Register:
    """All risks, the gravest first; what could not be read; the repositories without a threat model."""

    risks: tuple[Risk, ...]
    problems: tuple[str, ...]
    unmodelled: tuple[str, ...]


def register(workspace: app.Workspace, library: Library) -> Register:
    """Return the register as of now. What cannot be read is told, and costs no more than itself."""
    today = datetime.fromtimestamp(workspace.clock.now() / 1000, UTC).date()
    problems: list[str] = []
    gates = readable(library, "policies", Policy, problems)
    found = [of_threat(one, gates, today) for one in readable(library, "threats", Threat, problems).values()]
    exempt = readable(library, "exceptions", Exemption, problems)
    found += [of_exception(name, one, gates, today) for name, one in exempt.items()]
    unmodelled = []
    for name, model in _models(workspace, problems):
        if model is None:
            unmodelled.append(name)
        else:
            found += [of_model(name, one, gates, today) for one in model.threats]
    found.sort(key=lambda one: (-(one.figure or 0), not one.overdue, one.id))
    return Register(tuple(found), tuple(problems), tuple(unmodelled))


def readable(
    library: Library, kind: str, model: type[yaml.Model], problems: list[str]
) -> dict[str, yaml.Model]:
    """Return the items of a kind that can be read, by name; what is wrong with others goes to problems."""
    found = {}
    for name, item in library.items(kind).items():
        try:
            found[name] = yaml.load(item.manifest, model)
        except ContentError as error:
            problems.append(str(error))
    return found


def _models(workspace: app.Workspace, problems: list[str]) -> Iterator[tuple[str, ThreatModel | None]]:
    """Yield the repositories of the settings, each with the threat model that is committed there, if any."""
    for one in settings.load(workspace).repositories:
        try:
            repository = settings.repository(workspace, one.name)
            files = repository.files("HEAD")
            path = next((place for place in threats.PLACES if place in files), "")
            text = repository.read("HEAD", path).decode("utf-8", "replace") if path else ""
            yield one.name, yaml.load(text, ThreatModel, file=f"{one.name}:{path}") if path else None
        except LemnisError as error:
            problems.append(f"{one.name}: {error}")


def of_threat(one: Threat, gates: Mapping[str, Policy], today: date) -> Risk:
    """Return a threat of the content as a risk. Pure."""
    guards = tuple((kind, name) for kind in _GUARDS if (name := getattr(one.mitigations, kind)))
    made = Risk(
        THREAT, one.id, one.title, (one.element,), one.owner, one.state, one.likelihood, one.impact,
        one.figure, one.review, _days(one.review, today), guards, _controls(guards, gates),
        one.incidents, one.cwes, one.techniques,
    )  # fmt: skip
    return _with_gaps(made)


def of_model(repository: str, one: Modelled, gates: Mapping[str, Policy], today: date) -> Risk:
    """Return a threat of a repository's model as a risk. Pure."""
    guards = tuple(map(_guard, one.mitigations))
    made = Risk(
        MODEL, f"{repository}/{one.id}", one.title, one.components, one.owner, one.state, one.likelihood,
        one.impact, one.figure, one.review, _days(one.review, today), guards, _controls(guards, gates),
        techniques=one.techniques, repository=repository,
    )  # fmt: skip
    return _with_gaps(made)


def of_exception(name: str, one: Exemption, gates: Mapping[str, Policy], today: date) -> Risk:
    """Return an exception as a risk that was accepted until a day. Pure."""
    about = tuple(filter(None, (one.where, *one.assets))) or (one.fingerprint,)
    gate = gates.get(one.policy)
    guards = (("text", one.compensating_control),) if one.compensating_control else ()
    made = Risk(
        EXCEPTION, name, f"Exception from {gate.title if gate else one.policy}", about, one.owner, "accepted",
        review=one.expires, days=_days(one.expires, today), guards=guards,
        controls=gate.controls if gate else (), policy=one.policy, finding=one.fingerprint, reason=one.reason,
        approved_by=one.approved_by,
    )  # fmt: skip
    return _with_gaps(made)


def _with_gaps(one: Risk) -> Risk:

    return replace(one, gaps=tuple(gaps(one)))


def gaps(one: Risk) -> Iterator[str]:
    """Yield what is missing of a risk. Pure."""
    if not one.owner:
        yield "nobody owns it"
    if one.state == "accepted" and one.review is None:
        yield "accepted with no day on which it is looked at again"
    if one.state == "mitigated" and not one.guards:
        yield "mitigated, and nothing says by what"
    if one.state == "realised" and not any(kind in {"gate", "detection"} for kind, _ in one.guards):
        yield "it happened, and neither a gate nor a detection guards against it"
    if one.overdue:
        yield (
            "the exception is over: the gate refuses again"
            if one.kind == EXCEPTION
            else "its review is overdue"
        )


def related(one: Risk, rows: Iterable[Row]) -> list[Row]:
    """Return the findings that a risk is about: the one that it excepts, or those of its weaknesses. Pure."""
    return [
        row
        for row in rows
        if (one.finding and row.finding.fingerprint == one.finding) or set(one.cwes) & set(row.finding.cwes)
    ]


def _guard(text: str) -> tuple[str, str]:
    kind, colon, name = text.partition(":")
    return (kind, name) if colon and kind in _GUARDS else ("text", text)


def _controls(guards: Sequence[tuple[str, str]], gates: Mapping[str, Policy]) -> tuple[str, ...]:
    named = (gates[name].controls for kind, name in guards if kind == "gate" and name in gates)
    return tuple(dict.fromkeys(control for some in named for control in some))


def _days(day: date | None, today: date) -> int | None:
    return None if day is None else (day - today).days
