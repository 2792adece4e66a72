"""Runs the tests beside playbooks (plan to undo, on simulators) and actions (recorded exchanges)."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from lemnis.app import respond, respond_services
from lemnis.app.connections import Connections
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.action import Action
from lemnis.content.schemas.playbook import Playbook
from lemnis.content.schemas.playbook_tests import Case, PlaybookTests
from lemnis.contracts import kinds
from lemnis.contracts.alerts import Entity, Severity
from lemnis.contracts.clock import ManualClock, SystemClock
from lemnis.contracts.errors import ContentError, Location, RefusedError
from lemnis.contracts.ids import digest
from lemnis.contracts.response import PlannedAction
from lemnis.respond import approval, coverage, planning, records, runs, undoing, waiting
from lemnis.respond.engine import Engine
from lemnis.respond.facts import Facts
from lemnis.respond.guards import Guards, Recent
from lemnis.respond.limits import Limits
from lemnis.respond.records import Planned, Run
from lemnis.store.database import open_engine
from lemnis.store.journal import SqlJournal
from lemnis.testing import exchange
from lemnis.testing.worlds import ENVIRONMENT, World

TESTS = "tests.yaml"
RECORDED = ".exchange.json"
_INCIDENT = "in-0000000000000000"
_KEPT = frozenset({kinds.STARTED, kinds.INTENT, kinds.RESULT, kinds.CONTAINED, kinds.FINISHED})


@dataclass(frozen=True, slots=True)
class Tested:
    """A case and what is wrong with it; nothing if it passed."""

    playbook: str
    name: str
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Covered(Tested):
    """Which branches all cases of a playbook took together, and which none did."""

    branches: int = 0
    missed: tuple[coverage.Branch, ...] = ()

    @property
    def percent(self) -> float:
        """How much of the branches was taken; all of none is all."""
        return 100 * (1 - len(self.missed) / self.branches) if self.branches else 100.0


def run(library: Library, names: Sequence[str] = ()) -> Iterator[Tested]:
    """Run the cases of these playbooks; of all, and the actions' recorded exchanges, if no names are given.

    A playbook without tests or an action without a recording is a failure. Raises ContentError for what
    cannot be read.
    """
    with ExitStack() as stack:
        yield from _run(library, names, _Shared(stack))


class _Shared:
    """What cases share: the branches that were taken, and one engine, for to open it takes a while."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.taken: set[tuple[str, str]] = set()
        self._engine: Engine | None = None

    def engine(self) -> Engine:
        """Return the engine; its database is gone at the end."""
        if self._engine is None:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lemnis-playbooks-"))
            self._engine = self._stack.enter_context(Engine(f"sqlite:///{folder}/playbooks.db"))
        return self._engine


def _run(library: Library, names: Sequence[str], shared: _Shared) -> Iterator[Tested]:
    actions = respond.actions(library)
    if not names:
        yield from (_recorded(library.get("actions", name), action) for name, action in actions.items())
    for name in names or library.items("playbooks"):
        item = library.get("playbooks", name)
        path = item.folder / TESTS
        if not path.is_file():
            yield Tested(name, "(none)", [f"it has no {TESTS}: add one"])
            continue
        tests = yaml.load(path, PlaybookTests)
        shared.taken.clear()
        for case in tests.cases:
            yield Tested(name, case.name, _case(item, case, library, actions, shared))
        yield _covered(item, tests, shared.taken)


def _covered(item: Item, tests: PlaybookTests, taken: set[tuple[str, str]]) -> Covered:
    playbook = yaml.load(item.manifest, Playbook)
    every, found = coverage.branches(playbook), coverage.covered(playbook, taken)
    missed = tuple(one for one in every if one not in found)
    one = Covered(item.name, "branches", [], len(every), missed)
    if one.percent < tests.coverage:
        said = ", ".join(f"{step}: {branch}" for step, branch in missed)
        wanted = f"{one.percent:.0f} % of branches taken, {tests.coverage:g} % wanted; not taken: {said}"
        return replace(one, problems=[wanted])
    return one


def _recorded(item: Item, action: Action) -> Tested:
    """Check an action against the exchange that was recorded beside it."""
    path = item.manifest.with_suffix(RECORDED)
    if not path.is_file():
        return Tested(item.name, "recorded exchange", [f"there is no {path.name}: record one"])
    return Tested(item.name, "recorded exchange", exchange.check(action, yaml.load(path, exchange.Exchange)))


class _Bench:
    """One case's journal, simulators and services, in virtual time."""

    def __init__(
        self,
        folder: Path,
        case: Case,
        world: World,
        *,
        library: Library,
        actions: Mapping[str, Action],
        shared: _Shared,
    ) -> None:
        self.case, self.world, self.library, self.shared = case, world, library, shared
        # simulators are on loopback, where no egress list leads
        self.actions = {name: one.model_copy(update={"egress": ()}) for name, one in actions.items()}
        self.clock = ManualClock(SystemClock().now())
        self.engine = open_engine(folder / "journal.db")
        self.journal = SqlJournal(self.engine, self.clock)
        self.taken: set[tuple[str, str]] = set()
        self.connections = Connections(world.connections(), folder, ENVIRONMENT)
        self.guards = Guards(Recent(self.journal, self.clock), respond_services.protected(library))

    def pause(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.clock.advance(round(seconds * 1000))

    def plan(self, item: Item) -> Planned:
        """Plan the playbook for the case's incident."""
        entities = tuple(Entity.parse(text) for text in self.case.entities)
        severity = Severity[self.case.severity.upper()]
        facts = Facts(_INCIDENT, self.case.name, severity, entities, trigger=self.case.trigger)
        planned = planning.plan(
            item.name, yaml.load(item.manifest, Playbook), facts, self.actions, self.connections.reach,
            content_digest=self.library.digest, guards=self.guards, sleep=self.pause, given=self.case.given,
            playbooks=respond.Loaded(self.library, "playbooks", Playbook),
            functions=respond_services.functions(), policies=respond_services.Policies(self.library),
        )  # fmt: skip
        self.taken |= set(planned.taken)
        return planned

    def run(self, planned: Planned) -> Run:
        """Write a plan down, have it approved by as many as it needs, and run it to its end."""
        self.journal.append(records.planned_entry(planned, actor="test"))
        roles = frozenset({planned.terms.role})
        for number in range(planned.terms.quorum if planned.plan.actions else 1):
            approval.approve(
                self.journal, self.clock, planned, actor=f"test {number}", reason="test", roles=roles
            )  # fmt: skip
        services = runs.Services(
            self.journal, self.connections.reach, self.clock, _collect, "", guards=self.guards,
            limits=Limits({}, lambda: self.clock.now() / 1000, self.pause), sleep=self.pause,
            functions=respond_services.functions(), took=lambda *one: self.taken.add(one),
            keep=lambda _incident, _title, data: digest(data),
        )  # fmt: skip
        engine = self.shared.engine()
        while True:
            done = runs.execute(services, planned, actor="test", again=lambda: planned, engine=engine)
            if not done.waits_until:
                return done
            self.wait(done)

    def wait(self, run: Run) -> None:
        """Answer what a run asks, as the case says; else let time pass until it goes on."""
        asked = [one for one in waiting.questions(self.journal, run.id) if one.step in self.case.answers]
        for one in asked:
            waiting.answer(
                self.journal, self.clock.now(), one, self.case.answers[one.step], actor="test", reason="test",
                roles=frozenset({one.role}),
            )  # fmt: skip
        if not asked:
            self.clock.advance(max(1, run.waits_until - self.clock.now() + 1))

    def kinds(self) -> list[str]:
        """Return the kinds of the run's entries."""
        return [entry.kind for entry in self.journal.entries() if entry.kind in _KEPT]


def _case(
    item: Item,
    case: Case,
    library: Library,
    actions: Mapping[str, Action],
    shared: _Shared,
) -> list[str]:
    has = {"kubernetes": case.world.kubernetes, "aws": case.world.aws, **case.world.vendors}
    needed = {actions[name].connection for name in _used(item, library) if name in actions}
    try:
        with (
            tempfile.TemporaryDirectory(prefix="lemnis-playbook-") as name,
            World({simulator: one for simulator, one in has.items() if one}, needed) as world,
        ):
            bench = _Bench(Path(name), case, world, library=library, actions=actions, shared=shared)
            try:
                with bench.connections:
                    return _compare(bench, item)
            finally:
                shared.taken |= bench.taken
                bench.engine.dispose()
    except ContentError:
        raise
    except ValueError as error:
        raise ContentError(f"{case.name}: {error}", at=Location(str(item.folder / TESTS))) from error


def _used(item: Item, library: Library) -> Iterator[str]:
    """Yield the actions of a playbook, and of those that it calls."""
    waiting, seen = [item.name], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in library.items("playbooks"):
            continue
        seen.add(name)
        for step in yaml.load(library.get("playbooks", name).manifest, Playbook).walk():
            if step.action is not None:
                yield step.action
            if step.playbook is not None:
                waiting.append(step.playbook)


def _compare(bench: _Bench, item: Item) -> list[str]:
    expect = bench.case.expect
    planned = bench.plan(item)
    said = _differ("plan", expect.plan, [_planned_line(one) for one in planned.plan.actions])
    if bench.world.changes():
        said.append(f"planning changed something: {bench.world.changes()}")
    try:
        done = bench.run(planned)
    except RefusedError as error:
        return said if expect.outcome == "refused" else [*said, f"refused: {error.what}"]
    said += _differ("outcome", [expect.outcome], [done.outcome])
    if expect.journal is not None:
        said += _differ("journal", expect.journal, _steady(bench.kinds()))
    changed = bench.world.changes()
    said += _differ("changes", sorted(expect.changes), sorted(changed))
    back = undoing.plan_undo(
        done, planned, bench.connections.reach, content_digest=bench.library.digest, sleep=bench.pause
    )
    if back.plan.actions:
        try:
            said += _differ("outcome of the undo", ["done"], [bench.run(back).outcome])
        except RefusedError as error:
            said.append(f"the undo is refused: {error.what}")
    rest = list((Counter(bench.world.changes()) - Counter(changed)).elements())
    return said + _differ("undone", sorted(expect.undone), sorted(rest))


def _planned_line(one: PlannedAction) -> str:
    return f"{one.step} {one.action} {one.target}" + (" REFUSED" if one.refused else "")


def _steady(found: list[str]) -> list[str]:
    """Sort the entries between start and end: those of actions done at the same time come as they come."""
    ends = (kinds.STARTED, kinds.FINISHED)
    between = sorted(kind for kind in found if kind not in ends)
    return [found[0], *between, *(kind for kind in found[1:] if kind in ends)] if found else []


def _differ(what: str, wanted: Sequence[str], found: Sequence[str]) -> list[str]:
    same = len(wanted) == len(found) and all(map(fnmatchcase, found, wanted))
    return [] if same else [f"{what}: expected {list(wanted)}, found {list(found)}"]


def _collect(one: PlannedAction) -> list[str]:
    del one  # a made-up incident has no alerts that could be kept
    return []
