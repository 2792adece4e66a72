"""Response in a workspace: playbooks planned for incidents, approved, run, undone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app.connections import Connections
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Playbook
from lemnis.contracts.alerts import Alert, Entity, EntityKind
from lemnis.contracts.errors import ContentError, Location, RefusedError, ServiceError
from lemnis.contracts.ids import canonical
from lemnis.contracts.response import PlannedAction
from lemnis.incidents import entries as writing
from lemnis.respond import approval, effects, planning, records
from lemnis.respond.approval import Approval
from lemnis.respond.facts import Facts
from lemnis.respond.lint import lint as lint_one
from lemnis.respond.records import Planned, Run
from lemnis.store import durable

if TYPE_CHECKING:
    from lemnis.respond.runs import Services
    from lemnis.store.journal import SqlJournal

Told = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a playbook or an action."""

    name: str
    error: ContentError


def playbooks(library: Library) -> dict[str, Playbook]:
    """Return the library's playbooks by name; raises ContentError for one that is invalid."""
    return {name: yaml.load(one.manifest, Playbook) for name, one in library.items("playbooks").items()}


def actions(library: Library) -> dict[str, Action]:
    """Return the library's actions by name; raises ContentError for one that is invalid."""
    return {name: yaml.load(one.manifest, Action) for name, one in library.items("actions").items()}


def lint(library: Library, names: Sequence[str] = ()) -> list[Problem]:
    """Check every action, and the playbooks of these names (all if none); return what is wrong."""
    found: list[Problem] = []
    known: dict[str, Action] = {}
    for name, item in library.items("actions").items():
        try:
            known[name] = yaml.load(item.manifest, Action)
        except ContentError as error:
            found.append(Problem(name, error))
    for name in names or library.items("playbooks"):
        item = library.get("playbooks", name)
        try:
            said = lint_one(yaml.load(item.manifest, Playbook), known)
        except ContentError as error:
            found.append(Problem(name, error))
        else:
            found += [Problem(name, ContentError(one, at=Location(str(item.manifest)))) for one in said]
    return found


def plan(
    workspace: app.Workspace,
    playbook: str,
    incident: str,
    *,
    given: Mapping[str, Sequence[str]] | None = None,
    actor: str = "lemnis",
) -> Planned:
    """Plan a playbook for an incident and write the plan down: targets are read, nothing is changed.

    What may not or cannot be done is in the plan, refused. Raises NotFoundError for an incident or playbook
    that there is not, InputError for ``given`` inputs that do not fit.
    """
    from lemnis.app import incidents

    with Connections.of(workspace) as connections:
        planned = _plan(workspace, connections, playbook, incidents.get(workspace, incident).id, given or {})
    journal = app.journal(workspace)
    journal.append(records.planned_entry(planned, actor=actor))
    return planned


def plan_undo(workspace: app.Workspace, run: str, *, actor: str = "lemnis") -> Planned:
    """Plan to take back what a run did, last first, and write the plan down."""
    with Connections.of(workspace) as connections:
        planned = _plan_undo(workspace, connections, run)
    app.journal(workspace).append(records.planned_entry(planned, actor=actor))
    return planned


def approve(workspace: app.Workspace, digest: str, *, actor: str, reason: str) -> Approval:
    """Approve exactly the plan of this digest; raises RefusedError if something in it is refused."""
    journal = app.journal(workspace)
    planned, _ = records.find_plan(journal, digest)
    return approval.approve(journal, workspace.clock, planned, actor=actor, reason=reason)


def run(workspace: app.Workspace, digest: str, *, actor: str = "lemnis", told: Told | None = None) -> Run:
    """Run an approved plan to its end, or take up its run where it was killed.

    Raises RefusedError if it is not approved, no longer approved, or if world or content are not as they were
    when it was planned. ``told`` is told each step and its outcome.
    """
    from lemnis.respond import runs as running

    journal = app.journal(workspace)
    planned, _ = records.find_plan(journal, digest)

    with _alone(workspace), Connections.of(workspace) as connections:

        def again() -> Planned:
            if planned.undoes:
                return _plan_undo(workspace, connections, planned.undoes)
            plan = planned.plan
            return _plan(workspace, connections, plan.playbook, plan.incident_id, planned.given)

        services = _services(workspace, journal, connections, actor, told)
        return running.execute(services, planned, actor=actor, again=again)


def runs(workspace: app.Workspace, incident: str | None = None) -> Iterator[Run]:
    """Yield the runs, oldest first, of one incident or all."""
    yield from records.runs(app.journal(workspace), incident)


def facts(workspace: app.Workspace, incident: str) -> Facts:
    """Return what playbooks know of an incident: its entities, and the workloads its processes ran in."""
    from lemnis.app import incidents  # late: a run that goes on needs neither detection nor lake

    one = incidents.get(workspace, incident)
    entities = {entity for group in one.groups for entity in group.entities}
    entities |= _workloads(workspace, one.id)
    return Facts(one.id, one.title, one.severity, tuple(sorted(entities)), tuple(sorted(one.alert_ids)))


def _workloads(workspace: app.Workspace, incident: str) -> set[Entity]:
    """Return the workloads of the containers that the incident's processes ran in, as the runtime says."""
    from lemnis.app import incidents, scene

    found = scene.look(app.lake(workspace), incidents.alerts_of(workspace, incident))
    containers = (one.container for one in found.seen)
    return {Entity(EntityKind.WORKLOAD, one.workload) for one in containers if one and one.workload}


def _plan(
    workspace: app.Workspace,
    connections: Connections,
    playbook: str,
    incident: str,
    given: Mapping[str, Sequence[str]],
) -> Planned:
    from time import sleep

    library = Library.open(workspace.content)
    journal = app.journal(workspace)
    since = workspace.clock.now() - effects.HOUR
    parsed = yaml.load(library.get("playbooks", playbook).manifest, Playbook)
    return planning.plan(
        playbook, parsed, facts(workspace, incident),
        actions(library), connections.reach, content_digest=library.digest,
        used=lambda action: effects.used(journal, action, since), sleep=sleep, given=given,
    )  # fmt: skip


def _plan_undo(workspace: app.Workspace, connections: Connections, run: str) -> Planned:
    from time import sleep

    journal = app.journal(workspace)
    known = records.find_run(journal, run)
    if known.finished is None:
        raise RefusedError(
            f"the run {run} has not ended", fix=f"`lemnis playbook run {known.plan[7:19]}` ends it"
        )
    planned, _ = records.find_plan(journal, known.plan)
    digest = Library.open(workspace.content).digest
    return planning.plan_undo(known, planned, connections.reach, content_digest=digest, sleep=sleep)


def _services(
    workspace: app.Workspace, journal: SqlJournal, connections: Connections, actor: str, told: Told | None
) -> Services:
    from lemnis.respond.runs import Services

    def collect(one: PlannedAction) -> list[str]:
        return _evidence(workspace, journal, one, actor)

    return Services(journal, connections.reach, workspace.clock, collect, _database(workspace), told=told)


def _database(workspace: app.Workspace) -> str:
    """Return where DBOS keeps how far runs are: beside the journal, in a database of its own on SQLite."""
    url = os.environ.get("LEMNIS_DATABASE_URL", "")
    if url:
        return url
    path = workspace.state / "playbooks.db"
    path.touch(mode=0o600)
    return f"sqlite:///{path}"


@contextmanager
def _alone(workspace: app.Workspace) -> Iterator[None]:
    """Let one process at a time work on runs of this workspace; a killed one lets go."""
    url = os.environ.get("LEMNIS_DATABASE_URL", "")
    if not url.startswith("postgresql"):
        with durable.exclusive(workspace.state / "playbooks.lock"):
            yield
        return
    import sqlalchemy as sa

    number = 0x1E3416  # beside the one that serialises the journal's writers
    engine = app.engine(workspace)
    try:
        with engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock(number)))
            connection.commit()
            yield  # the session holds the lock; it is free when the session ends, however it ends
            connection.execute(sa.select(sa.func.pg_advisory_unlock(number)))
    finally:
        engine.dispose()


def _evidence(workspace: app.Workspace, journal: SqlJournal, one: PlannedAction, actor: str) -> list[str]:
    """Put an incident's alerts and their events into the vault, and write down that they are there."""
    asked = one.arguments.get("alerts")
    ids = (
        [str(alert) for alert in asked] if isinstance(asked, Sequence) and not isinstance(asked, str) else []
    )
    found = [writing.read_alert(entry) for alert in ids if (entry := journal.get(alert)) is not None]
    if len(found) != len(ids):
        raise ServiceError(f"{len(ids) - len(found)} of {len(ids)} alerts are not in the journal")
    kept = [(f"{len(found)} alerts", b"".join(map(_line, found)))]
    if one.arguments.get("events") and found:
        rows = _events(workspace, found)
        kept.append((f"{len(rows)} events of the alerts", b"".join(rows)))
    vault = app.vault(workspace)
    digests = [vault.put(data) for _, data in kept]
    journal.append_all(
        [
            writing.evidence(one.target, digest, title, actor=actor, reason=f"collected: {title}")
            for digest, (title, _) in zip(digests, kept, strict=True)
        ]
    )
    return digests


def _line(alert: Alert) -> bytes:
    entry = writing.alert_entry(alert)
    return canonical({"id": alert.id, **entry.payload}) + b"\n"


def _events(workspace: app.Workspace, alerts: Sequence[Alert]) -> list[bytes]:
    """Return the alerts' events as the lake has them, a JSON object a line, in the lake's order."""
    import orjson
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted({uid for alert in alerts for uid in alert.event_uids}), pa.string())
    times = [time for alert in alerts for time in (alert.began, alert.ended)]
    rows: list[bytes] = []
    for batch in app.lake(workspace).scan(start=min(times) - effects.HOUR, end=max(times) + 1):
        mask = pc.is_in(pc.struct_field(batch.table.column("metadata"), "uid"), value_set=wanted)
        rows += [
            orjson.dumps(row, default=str, option=orjson.OPT_SORT_KEYS) + b"\n"
            for row in batch.table.filter(mask).to_pylist()
        ]
    return rows
