"""Response in a workspace: playbooks planned for incidents, approved, run, undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import sleep
from typing import TYPE_CHECKING, TypeVar

from lemnis import app
from lemnis.app import respond_services as serving
from lemnis.app import settings
from lemnis.app.respond_services import Room, room
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas import Model
from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Playbook
from lemnis.contracts import kinds
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.errors import NotFoundError, RefusedError, UsageError
from lemnis.contracts.ids import Json
from lemnis.contracts.journal import NewEntry
from lemnis.respond import approval, guards, planning, records, undoing, waiting
from lemnis.respond.approval import Approval
from lemnis.respond.facts import Facts
from lemnis.respond.records import Planned, Run

if TYPE_CHECKING:
    from lemnis.respond.engine import Engine
    from lemnis.respond.runs import Told

_SHORT_S = 30
Kind = TypeVar("Kind", bound=Model)


def playbooks(library: Library) -> dict[str, Playbook]:
    """Return the library's playbooks by name; raises ContentError for one that is invalid."""
    return {name: yaml.load(one.manifest, Playbook) for name, one in library.items("playbooks").items()}


def actions(library: Library) -> dict[str, Action]:
    """Return the library's actions by name; raises ContentError for one that is invalid."""
    return {name: yaml.load(one.manifest, Action) for name, one in library.items("actions").items()}


class Loaded(Mapping[str, Kind]):
    """Items of content by name, each read when it is first asked for: what is not used need not be valid."""

    def __init__(self, library: Library, kind: str, model: type[Kind]) -> None:
        self._items, self._model = library.items(kind), model
        self._read: dict[str, Kind] = {}

    def __getitem__(self, name: str) -> Kind:
        """Return an item; raises KeyError, ContentError."""
        if name not in self._read:
            self._read[name] = yaml.load(self._items[name].manifest, self._model)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        """Say whether there is such an item; it is not read."""
        return name in self._items


def plan(
    workspace: app.Workspace,
    playbook: str,
    incident: str,
    *,
    given: Mapping[str, Sequence[str]] | None = None,
    trigger: Mapping[str, Json] | None = None,
    actor: str = "lemnis",
) -> Planned:
    """Plan a playbook for an incident and write the plan down: targets are read, nothing is changed.

    What may not or cannot be done is in the plan, refused. Raises NotFoundError for an incident or playbook
    that there is not, InputError for ``given`` inputs that do not fit.
    """
    from lemnis.app import incidents

    with room(workspace) as made:
        about = facts(workspace, incidents.get(workspace, incident).id, trigger or {})
        planned = plan_for(made, playbook, about, given or {})
    made.journal.append(records.planned_entry(planned, actor=actor))
    return planned


def plan_for(
    made: Room, playbook: str, about: Facts, given: Mapping[str, Sequence[str]] | None = None
) -> Planned:
    """Plan a playbook for what is known; nothing is written down."""
    library = made.shelf.library()
    parsed = yaml.load(library.get("playbooks", playbook).manifest, Playbook)
    return planning.plan(
        playbook, parsed, about, Loaded(library, "actions", Action), made.reach,
        content_digest=library.digest,
        guards=made.guards, sleep=sleep, given=given, functions=serving.functions(),
        playbooks=Loaded(library, "playbooks", Playbook), policies=serving.Policies(library),
    )  # fmt: skip


def plan_undo(workspace: app.Workspace, run: str, *, actor: str = "lemnis") -> Planned:
    """Plan to take back what a run did, last first, and write the plan down."""
    with room(workspace) as made:
        planned = undo_for(made, run)
    made.journal.append(records.planned_entry(planned, actor=actor))
    return planned


def undo_for(made: Room, run: str, *, only: Sequence[str] | None = None) -> Planned:
    """Plan to take back what a run did, or ``only`` these effects; nothing is written down."""
    known = records.find_run(made.journal, run)
    if known.finished is None:
        raise RefusedError(
            f"the run {run} has not ended", fix=f"`lemnis playbook run {known.plan[7:19]}` ends it"
        )
    planned, _ = records.find_plan(made.journal, known.plan)
    digest = made.shelf.library().digest
    return undoing.plan_undo(
        known, planned, made.reach, content_digest=digest, sleep=sleep, only=only
    )  # fmt: skip


def approve(workspace: app.Workspace, digest: str, *, actor: str, reason: str) -> Approval:
    """Approve exactly the plan of this digest; raises RefusedError if something in it is refused."""
    journal = app.journal(workspace)
    planned, _ = records.find_plan(journal, digest)
    roles = serving.roles(workspace, actor)
    return approval.approve(journal, workspace.clock, planned, actor=actor, reason=reason, roles=roles)


@dataclass(frozen=True, slots=True)
class Lacking:
    """How far a plan's approval is, and who by the settings may give what is missing."""

    standing: approval.Standing
    people: tuple[str, ...]


def lacking(workspace: app.Workspace, digest: str) -> Lacking:
    """Return how many approvals a plan lacks, of which roles, and which people have those."""
    journal = app.journal(workspace)
    planned, _ = records.find_plan(journal, digest)
    found = approval.standing(journal, workspace.clock, planned)
    known = settings.load(workspace).roles
    people = {name for role in found.roles for name in known.get(role, ())} - set(found.given)
    return Lacking(found, tuple(sorted(people)))


def request(workspace: app.Workspace, digest: str, *, actor: str = "lemnis") -> Run:
    """Let a run of this plan wait for its approval: `lemnis serve` begins it then, and reminds until then."""
    journal = app.journal(workspace)
    planned, _ = records.find_plan(journal, digest)
    approval.startable(planned)
    with serving.alone(workspace, planned.plan.digest):
        waits = records.open_request(journal, planned)
        if waits is None:
            number = sum(
                one.payload["plan"] == planned.plan.digest
                for one in journal.entries(kind=records.REQUESTED, subject=planned.plan.incident_id)
            )
            entry = approval.requested_entry(planned, number=number + 1, actor=actor)
            journal.append(entry)
            waits = str(entry.payload["run"])
    return records.find_run(journal, waits)


def run(workspace: app.Workspace, digest: str, *, actor: str = "lemnis", told: Told | None = None) -> Run:
    """Run an approved plan until it ends or waits, or take up its run where it was killed.

    Raises RefusedError if it is not approved, no longer approved, or if world or content are not as they were
    when it was planned. ``told`` is told each step and its outcome.
    """
    with room(workspace) as made:
        done = run_in(made, digest, actor=actor, told=told)
        while done.waits_until and done.waits_until - workspace.clock.now() < _SHORT_S * 1000:
            sleep(max(0.0, (done.waits_until - workspace.clock.now()) / 1000))
            done = run_in(made, digest, actor=actor, told=told)
        return done


def run_in(
    made: Room,
    digest: str,
    *,
    actor: str,
    told: Told | None = None,
    engine: Engine | None = None,
    approved: str = "",
) -> Run:
    """Run a plan as ``run`` does, with what is open already; ``approved`` is as ``runs.execute`` has it."""
    from lemnis.respond import runs as running

    planned, _ = records.find_plan(made.journal, digest)

    def again() -> Planned:
        return _again(made, planned)

    with serving.alone(made.workspace, planned.plan.digest):
        services = made.services(actor=actor, told=told)
        return running.execute(
            services, planned, actor=actor, again=again, engine=engine, approved=approved
        )  # fmt: skip


def _again(made: Room, planned: Planned) -> Planned:
    """Make a plan anew, from the world and the content as they are."""
    plan = planned.plan
    if planned.undoes:
        keys = [str(one.arguments["@effect"]) for one in plan.actions]
        return undo_for(made, planned.undoes, only=keys)
    about = subject(made, planned)
    return plan_for(made, plan.playbook, about, planned.given)


def subject(made: Room, planned: Planned) -> Facts:
    """Return what is known now of what a plan is about."""
    kept = planned.trigger.get("@facts") if planned.trigger else None
    if isinstance(kept, Mapping):
        from lemnis.app.respond_triggers import read_facts

        return read_facts(planned.plan.incident_id, kept, planned.trigger)
    return facts(made.workspace, planned.plan.incident_id, planned.trigger)


def cancel(workspace: app.Workspace, run: str, *, actor: str, reason: str) -> Run:
    """Let a run do nothing more: what it has begun is settled, then it ends as cancelled."""
    if not reason.strip():
        raise UsageError("to cancel a run needs a reason", fix="give --reason")
    journal = app.journal(workspace)
    known = records.find_run(journal, run)
    if known.finished is not None:
        raise RefusedError(
            f"the run {run} has ended: {known.outcome}", fix="`lemnis playbook undo` takes it back"
        )
    journal.append(waiting.cancelled_entry(run, known.incident_id, actor=actor, reason=reason))
    if journal.get(f"{kinds.STARTED}:{run}") is None:
        planned, _ = records.find_plan(journal, known.plan)
        journal.append(approval.finished_entry(planned, run, outcome="cancelled", actor=actor, why=reason))
    return records.find_run(journal, run)


def answer(workspace: app.Workspace, run: str, step: str, said: str, *, actor: str, reason: str) -> None:
    """Answer what a run asks in a step; raises NotFoundError if it asks nothing there."""
    journal = app.journal(workspace)
    asked = [one for one in waiting.questions(journal, records.find_run(journal, run).id) if one.step == step]
    if not asked:
        raise NotFoundError(f"the run {run} asks nothing in {step!r}", fix="`lemnis playbook questions`")
    roles = serving.roles(workspace, actor)
    waiting.answer(journal, workspace.clock.now(), asked[0], said, actor=actor, reason=reason, roles=roles)


def questions(workspace: app.Workspace) -> Iterator[waiting.Question]:
    """Yield what runs that have not ended ask, oldest first."""
    journal = app.journal(workspace)
    for entry in journal.entries(kind=waiting.ASKED):
        one = waiting.question(entry)
        over = (f"{waiting.ANSWERED}:{one.key}", f"{kinds.FINISHED}:{one.run}")
        if not any(journal.get(key) for key in over):
            yield one


def resume(workspace: app.Workspace, action: str, *, actor: str, reason: str) -> NewEntry:
    """Let an action go on that was paused because it failed too often."""
    if not reason.strip():
        raise UsageError("to let an action go on needs a reason", fix="give --reason")
    journal = app.journal(workspace)
    recent = guards.Recent(journal, workspace.clock)
    if not recent.paused(action):
        raise RefusedError(f"{action} is not paused")
    entry = guards.resumed_entry(action, reason, actor=actor, at=workspace.clock.now())
    journal.append(entry)
    return entry


def runs(workspace: app.Workspace, incident: str | None = None) -> Iterator[Run]:
    """Yield the runs, oldest first, of one incident or all."""
    yield from records.runs(app.journal(workspace), incident)


def facts(workspace: app.Workspace, incident: str, trigger: Mapping[str, Json] | None = None) -> Facts:
    """Return what playbooks know of an incident: its entities, and the workloads its processes ran in."""
    from lemnis.app import incidents  # late: a run that goes on needs neither detection nor lake

    one = incidents.get(workspace, incident)
    entities = {entity for group in one.groups for entity in group.entities}
    entities |= _workloads(workspace, one.id)
    alerts = tuple(sorted(one.alert_ids))
    return Facts(one.id, one.title, one.severity, tuple(sorted(entities)), alerts, trigger or {})


def _workloads(workspace: app.Workspace, incident: str) -> set[Entity]:
    """Return the workloads of the containers that the incident's processes ran in, as the runtime says."""
    from lemnis.app import incidents, scene

    found = scene.look(app.events(workspace), incidents.alerts_of(workspace, incident))
    containers = (one.container for one in found.seen)
    return {Entity(EntityKind.WORKLOAD, one.workload) for one in containers if one and one.workload}
