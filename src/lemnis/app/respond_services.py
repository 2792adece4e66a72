"""What runs of playbooks need of a workspace: locks, database, guards, limits, functions, evidence."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import TracebackType
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import settings
from lemnis.app.connections import Connections
from lemnis.app.policies import load_one
from lemnis.content import yaml
from lemnis.content.library import PROTECTED, Library
from lemnis.content.schemas.protected import Protected
from lemnis.contracts.alerts import Alert, EntityKind
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.errors import ContentError, Location, ServiceError
from lemnis.contracts.ids import canonical
from lemnis.contracts.response import PlannedAction
from lemnis.incidents import entries as writing
from lemnis.respond.building import Function
from lemnis.respond.client import Reach
from lemnis.respond.guards import HOUR, Guards, Recent
from lemnis.respond.leasing import Keeper
from lemnis.respond.limits import Limit, Limits, within
from lemnis.respond.runs import Services, Told
from lemnis.store import durable
from lemnis.store.leases import SECONDS, SqlLeases

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

FUNCTIONS = "lemnis.playbook_steps"
"""The entry points of Python steps: ``NAME = "package.module:function"``."""
STAGE = "playbook"
"""The stage at which a policy decides that a condition names."""
_STRIPES = 256
_FRESH_S, _COUNTED_S = 2.0, 60.0
_LOCKS = 0x1E3416 << 20


@dataclass(frozen=True, slots=True)
class Room:
    """A workspace made ready for response; it is made once and shared by what runs at the same time."""

    workspace: app.Workspace
    journal: SqlJournal
    connections: Connections
    guards: Guards
    limits: Limits
    gate: Gate
    shelf: Shelf

    @property
    def reach(self) -> Reach:
        """Reaches connections within their limits, for what is read while planning."""
        return within(self.limits, self.connections.reach)[0]

    @property
    def policies(self) -> Mapping[str, str]:
        """The text of the policies that conditions may name, each checked when it is first asked for."""
        return Policies(self.shelf.library())

    def services(self, *, actor: str, told: Told | None = None) -> Services:
        """Return what one run needs."""

        def collect(one: PlannedAction) -> list[str]:
            return evidence(self.workspace, self.journal, one, actor)

        def keep(incident: str, title: str, data: bytes) -> str:
            digest = app.vault(self.workspace).put(data)
            reason = f"collected: {title}"
            self.journal.append(writing.evidence(incident, digest, title, actor=actor, reason=reason))
            return digest

        return Services(
            self.journal, self.connections.reach, self.workspace.clock, collect, database(self.workspace),
            guards=self.guards, limits=self.limits, functions=functions(), gate=self.gate, told=told,
            keep=keep,
        )  # fmt: skip


class Shelf:
    """The workspace's content, read anew when it was read more than two seconds ago; safe to share."""

    def __init__(self, workspace: app.Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._library: Library | None = None
        self._read = 0.0

    def library(self) -> Library:
        """Return the content."""
        with self._lock:
            now = time.monotonic()
            if self._library is None or now - self._read > _FRESH_S:
                self._library, self._read = Library.open(self._workspace.content), now
            return self._library


@contextmanager
def room(workspace: app.Workspace) -> Iterator[Room]:
    """Make a workspace ready, and close its connections at the end."""
    journal, shelf = app.journal(workspace), Shelf(workspace)
    with Connections.of(workspace) as connections, limits(workspace) as limited:
        yield Room(
            workspace,
            journal,
            connections,
            guards(workspace, journal, shelf),
            limited,
            Gate(workspace),
            shelf,
        )


def guards(workspace: app.Workspace, journal: SqlJournal, shelf: Shelf) -> Guards:
    """Return what keeps a workspace's response within bounds; sets and fleet are as they are when asked."""
    counts: dict[EntityKind, tuple[float, int]] = {}

    def fleet(kind: EntityKind) -> int:
        now = time.monotonic()
        if kind not in counts or now - counts[kind][0] > _COUNTED_S:
            counts[kind] = (now, _fleet(workspace, kind))
        return counts[kind][1]

    return Guards(Recent(journal, workspace.clock), _Sets(shelf), fleet)


def protected(library: Library) -> dict[str, Protected]:
    """Return the protected sets by name; raises ContentError for one that is invalid."""
    items = library.items(PROTECTED).items()
    return {name: yaml.load(one.manifest, Protected) for name, one in items}


@contextmanager
def limits(workspace: app.Workspace, *, seconds: float = SECONDS) -> Iterator[Limits]:
    """Open what the connections bear, as the settings say, shared with all processes of the workspace.

    A lease stands ``seconds`` unless it is renewed; real ones, whatever the workspace's clock says.
    """
    known = settings.load(workspace).connections.items()
    each = {name: Limit(one.concurrency, one.rate_per_min) for name, one in known}
    leases = SqlLeases(app.engine(workspace), SystemClock().now, seconds=seconds)
    keeper = Keeper(leases, time.monotonic, time.sleep)
    try:
        yield Limits(each, time.monotonic, time.sleep, keeper)
    finally:
        keeper.close()
        leases.close()


def functions() -> Mapping[str, Function]:
    """Return the Python steps that packages register."""
    return _Functions({one.name: one.load for one in entry_points(group=FUNCTIONS)})


def roles(workspace: app.Workspace, actor: str) -> frozenset[str]:
    """Return the roles of a person, as the settings say."""
    return frozenset(name for name, people in settings.load(workspace).roles.items() if actor in people)


def database(workspace: app.Workspace) -> str:
    """Return where DBOS keeps how far runs are: beside the journal, in a database of its own on SQLite."""
    url = os.environ.get("LEMNIS_DATABASE_URL", "")
    if url:
        return url
    path = workspace.state / "playbooks.db"
    path.touch(mode=0o600)
    return f"sqlite:///{path}"


@contextmanager
def alone(workspace: app.Workspace, plan: str) -> Iterator[None]:
    """Let one process at a time work on the runs of a plan (its digest); a killed one lets go."""
    with held(workspace, int(plan.rpartition(":")[2][:8], 16) % _STRIPES):
        yield


@contextmanager
def held(workspace: app.Workspace, number: int) -> Iterator[None]:
    """Hold one of the workspace's locks for response, on this machine or, with PostgreSQL, on all."""
    if not os.environ.get("LEMNIS_DATABASE_URL", "").startswith("postgresql"):
        folder = workspace.state / "locks"
        folder.mkdir(mode=0o700, exist_ok=True)
        with durable.exclusive(folder / f"respond-{number}"):
            yield
        return
    import sqlalchemy as sa

    engine = app.engine(workspace)
    try:
        with engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCKS + number)))
            connection.commit()
            yield  # the session holds the lock; it is free when the session ends, however it ends
            connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCKS + number)))
    finally:
        engine.dispose()


class Gate:
    """Held while caps are looked at and an intent is written: by one thread of one process at a time."""

    def __init__(self, workspace: app.Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._held = ExitStack()

    def __enter__(self) -> None:
        """Wait for the place."""
        with ExitStack() as stack:
            stack.enter_context(self._lock)
            stack.enter_context(held(self._workspace, _STRIPES))
            self._held = stack.pop_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the next one."""
        self._held.close()


class Policies(Mapping[str, str]):
    """Policies of a library that decide at the stage ``playbook``, as text; reading one checks it."""

    def __init__(self, library: Library) -> None:
        self._items = library.items("policies")

    def __getitem__(self, name: str) -> str:
        """Return a policy's text; raises KeyError, ContentError for a wrong one or one of other stages."""
        item = self._items[name]
        one = load_one(item)
        if STAGE not in one.stages:
            raise ContentError(
                f"the policy {name} does not decide about playbooks", at=Location(str(item.manifest)),
                fix=f"`stages: [{STAGE}]`",
            )  # fmt: skip
        return one.text

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all policies."""
        return iter(self._items)

    def __len__(self) -> int:
        """Return how many policies there are."""
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        """Say whether there is such a policy; it is not read."""
        return name in self._items


class _Functions(Mapping[str, Function]):
    """Python steps, loaded when they are first asked for."""

    def __init__(self, known: Mapping[str, object]) -> None:
        self._known = known

    def __getitem__(self, name: str) -> Function:
        load = self._known[name]
        try:
            function: Function = load()  # type: ignore[operator]
        except (ImportError, AttributeError) as error:
            raise ServiceError(f"the function {name} cannot be loaded: {error}") from error
        return function

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class _Sets(Mapping[str, Protected]):
    """The protected sets as the content has them now; raises ContentError for one that is wrong."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._of: tuple[Library, dict[str, Protected]] | None = None

    def _now(self) -> dict[str, Protected]:
        library = self._shelf.library()
        if self._of is None or self._of[0] is not library:
            self._of = (library, protected(library))
        return self._of[1]

    def __getitem__(self, name: str) -> Protected:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


def _fleet(workspace: app.Workspace, kind: EntityKind) -> int:
    """Count the assets of a kind that the workspace knows: by its tables, else by its graph."""
    from lemnis.app import assets
    from lemnis.graph.store import Graph

    tables = {EntityKind.HOST: "assets", EntityKind.USER: "identities", EntityKind.PRINCIPAL: "identities"}
    if kind in tables:
        try:
            return len({one.id for one in assets.listing(workspace, table=tables[kind])})
        except ContentError:
            return 0
    return Graph(app.engine(workspace)).count(kind)


def evidence(workspace: app.Workspace, journal: SqlJournal, one: PlannedAction, actor: str) -> list[str]:
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
    for batch in app.lake(workspace).scan(start=min(times) - HOUR, end=max(times) + 1):
        mask = pc.is_in(pc.struct_field(batch.table.column("metadata"), "uid"), value_set=wanted)
        rows += [
            orjson.dumps(row, default=str, option=orjson.OPT_SORT_KEYS) + b"\n"
            for row in batch.table.filter(mask).to_pylist()
        ]
    return rows
