"""What the twelve scenarios share: a story is told by raw logs and a repository, then it goes round.

A module in this folder that has a ``SCENARIO`` is a scenario; ``test_scenarios.py`` finds and runs it, so nothing is
registered. It says

* ``changes``: the repository's commits, oldest first, one of them named ``culprit`` and at least 30 others;
  ``history`` builds them from a beginning, a culprit and near misses, with everyday changes around;
* ``prepare``: what the workspace knows before anything happens (attestations, what was collected, feeds, settings);
* ``ordinary``, ``attack``: the logs that are read in, in this order; ``variant`` and ``benign_hour``: those that come a
  day later (``LATER``), when the lesson is merged. Each writes raw files into a folder and returns ``(source, file)`` in
  the order in which they are read. ``rawlogs.py`` has writers for what several scenarios need;
* ``cause``, ``owner``, ``kind``: the line or resource it must be traced to, whose it is, and the kind of the gate.

``play`` reads it in, and lets the commands' own functions do the rest: one incident, trace, propose, prove, merge. What
must hold of that are the functions ``traced`` … ``live``, each with its asserts. No step of a story is written by hand:
where a scenario needs more, the product learns it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lemnis import app
from lemnis.app import attest, gate_replay, incidents, ingest, lessons, proof, trace
from lemnis.content.library import builtin_root
from lemnis.contracts.alerts import Alert
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.findings import Effect
from lemnis.contracts.ids import Json
from lemnis.graph import attestation
from lemnis.lessons.compile import rule_id
from lemnis.store.git import Repository

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
AT = 1_764_000_000_000
"""When the attack happens (ms): 24 November 2025, 16:00 UTC."""
LATER = AT + DAY
"""When the variant and the benign hour happen."""
OTHERS = 30
"""How many changes beside the culprit there must be at least."""
BUILDER = "https://builder.example/ci"
_KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)

Logs = Sequence[tuple[str, Path]]
Write = Callable[[Path], Logs]


@dataclass(frozen=True, slots=True)
class Change:
    """A commit: the files that it writes (None takes one away), by its author; ``name`` finds it again."""

    subject: str
    files: Mapping[str, str | None]
    author: str = "Kim Dev"
    name: str = ""


def _nothing(_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario; see the top of this module.

    ``cause`` is the line as ``path:line``. ``warns`` names gates of the content that ships which only warn in this
    workspace, because they would have stopped the culprit; ``content`` is further content of its own, by path
    below ``content/``. ``deployed`` is the change that was built (the last but for ``fix`` where empty);
    ``incidents`` is how many become of it, of which the first is the lesson's; ``more`` asserts what else must
    hold of the story before the variant.
    """

    repository: str
    changes: tuple[Change, ...]
    cause: str
    owner: str
    kind: str
    ordinary: Write
    attack: Write
    variant: Write
    benign_hour: Write
    prepare: Callable[[World], None] = _nothing
    warns: tuple[str, ...] = ()
    content: Mapping[str, str] = field(default_factory=dict)
    deployed: str = ""
    incidents: int = 1
    more: Callable[[Story], None] = _nothing


@dataclass(slots=True)
class World:
    """A workspace with its repository: ``commits`` are ids by the names (else subjects) of the changes."""

    folder: Path
    scenario: Scenario
    workspace: app.Workspace
    clock: ManualClock
    repository: Repository
    commits: Mapping[str, str]

    @property
    def url(self) -> str:
        """The repository's address, as attestations have it."""
        return f"https://git.example/{self.scenario.repository}.git"

    @property
    def deployed(self) -> str:
        """The commit that was built."""
        named = self.scenario.deployed or [name for name in self.commits if name != "fix"][-1]
        return self.commits[named]

    def settings(self, **more: object) -> None:
        """Lay something over the workspace's settings, and commit them."""
        path = self.workspace.root / app.SETTINGS
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **more}, sort_keys=False))
        self.commit("Settings")

    def put(self, files: Mapping[str, str]) -> None:
        """Write files below the workspace's content, and commit them."""
        for name, text in files.items():
            path = self.workspace.content / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.commit("Content")

    def commit(self, message: str) -> None:
        """Commit the workspace as it lies there."""
        git = Repository(self.workspace.root)
        git.commit_all(message, author=app.AUTHOR, at=self.clock.now())

    def attest(self, image: str, change: str = "", *, invocation: str = "run-1") -> None:
        """Attest that the trusted builder built an image from a change (else what was deployed)."""
        attest.sign(
            self.workspace, image=image, key=sign, builder=BUILDER,
            repository=self.url, commit=self.commits[change] if change else self.deployed, invocation=invocation,
        )  # fmt: skip

    def read(self, logs: Logs) -> None:
        """Ingest raw logs with detection and grouping on; every record must be read."""
        for source, path in logs:
            totals = ingest.Ingest(self.workspace, source, ingest.watcher(self.workspace)).run([path])
            assert not totals.rejected, totals.examples
            assert totals.accepted, f"nothing was read from {path}"

    @property
    def incidents(self) -> list[str]:
        """The incidents that were not merged into others."""
        return [one.id for one in incidents.incidents(self.workspace) if not one.merged_into]

    def alerts(self, rule: str) -> list[Alert]:
        """Return the alerts of a rule."""
        subjects = {entry.subject for entry in app.journal(self.workspace).entries(kind="alert")}
        told = (incidents.alert(self.workspace, one) for one in sorted(subjects))
        return [one for one in told if one.rule_id == rule]


@dataclass(slots=True)
class Story:
    """How far a scenario came."""

    world: World
    incident: str
    trace: trace.Trace
    lesson: lessons.State
    proof: proof.Proof


def make(scenario: Scenario, folder: Path) -> World:
    """Make the repository and the workspace of a scenario, prepared."""
    assert len(scenario.changes) > OTHERS, (
        f"{len(scenario.changes) - 1} other changes, at least {OTHERS} it must be"
    )
    repository, commits = build(folder / scenario.repository, scenario.changes)
    clock = ManualClock(AT - 2 * HOUR)
    world = World(
        folder, scenario, app.init(folder / "soc", clock=clock), clock, repository, commits
    )  # fmt: skip
    public = attestation.write_public(_KEY.public_key()).decode()
    world.settings(
        name="soc",
        builders=[{"id": BUILDER, "key": public}],
        repositories=[{"name": scenario.repository, "url": world.url, "path": str(repository.path)}],
    )
    world.put({**_warning(scenario.warns), **scenario.content})
    scenario.prepare(world)
    return world


def play(scenario: Scenario, folder: Path) -> Story:
    """Tell the story up to the merged lesson."""
    world = make(scenario, folder)
    for name, write in (("ordinary", scenario.ordinary), ("attack", scenario.attack)):
        (folder / name).mkdir()
        world.read(write(folder / name))
    world.clock.instant = AT + HOUR
    found = world.incidents
    assert len(found) == scenario.incidents, f"{len(found)} incidents: {found}"
    incident = found[0]
    seen = trace.trace(world.workspace, incident)
    traced(world, seen)
    lesson = lessons.propose(world.workspace, incident)
    proven = proof.prove(world.workspace, lesson.written.id)
    assert proven.reasons == ()
    lessons.merge(world.workspace, lesson.written.id, actor="ana")
    return Story(world, incident, seen, lessons.show(world.workspace, lesson.written.id), proven)


def traced(world: World, seen: trace.Trace) -> None:
    """The trace ends at the line, the commit that brought it in, and its owner."""
    told = "\n".join(
        f"{hop.edge.source} {hop.edge.relation} {hop.edge.target} {hop.broken}" for hop in seen.hops
    )
    assert seen.holds, told
    ends = {(hop.edge.relation, hop.edge.target.value) for hop in seen.hops}
    scenario = world.scenario
    for wanted in (
        ("has_line", f"{scenario.repository}:{scenario.cause}"),
        ("introduced_by", world.commits["culprit"]),
        ("owned_by", scenario.owner),
    ):
        assert wanted in ends, f"no hop {wanted} in\n{told}"


def gated(story: Story) -> None:
    """The gate is of the right kind, stops the change that brought the cause in, and no other."""
    world, gate = story.world, story.lesson.written.lesson.gate
    replayed = gate_replay.replay(world.workspace, world.repository, "HEAD")
    stopped = {
        one.commit.subject: [reason.message for reason in one.decision.reasons if reason.policy == gate]
        for one in replayed.commits
        if any(r.policy == gate and r.effect is Effect.DENY for r in one.decision.reasons)
    }
    culprit = next(change.subject for change in world.scenario.changes if change.name == "culprit")
    assert list(stopped) == [culprit], stopped
    assert len(replayed.commits) > OTHERS
    assert story.proof.history["stopped_wrongly"] == 0
    drawn = story.lesson.proposed.payload.get("kind") if story.lesson.proposed else None
    assert drawn == world.scenario.kind


def live(story: Story) -> None:
    """The merged detection says nothing in the benign hour, and fires on a variant of the attack."""
    world = story.world
    world.clock.instant = LATER + HOUR
    rule = rule_id(story.lesson.written.id)
    for name, write, fires in (
        ("benign_hour", world.scenario.benign_hour, False),
        ("variant", world.scenario.variant, True),
    ):
        before = {one.id for one in world.alerts(rule)}
        (world.folder / name).mkdir()
        world.read(write(world.folder / name))
        new = [one for one in world.alerts(rule) if one.id not in before]
        assert bool(new) is fires, f"{name}: {[one.title for one in new] or 'silent'}"


def said(story: Story) -> None:
    """The lesson is about the line that the scenario names, and what else the scenario says holds."""
    cause = story.lesson.written.lesson.cause
    assert (f"{cause.path}:{cause.line}", cause.owner) == (
        story.world.scenario.cause,
        story.world.scenario.owner,
    )
    assert cause.commit == story.world.commits["culprit"]
    story.world.scenario.more(story)


def settled(story: Story) -> None:
    """What was proposed is proposed again: a second time changes nothing."""
    again = lessons.propose(story.world.workspace, story.incident)
    assert (again.state, again.written.commit) == ("merged", story.lesson.written.commit)


def build(folder: Path, changes: Sequence[Change]) -> tuple[Repository, dict[str, str]]:
    """Make a repository: a commit each six hours, the last a day before the attack."""
    repository = Repository.create(folder)
    stream: list[bytes] = []
    for number, change in enumerate(changes, 1):
        at = (AT - DAY - (len(changes) - number) * 6 * HOUR) // 1000
        mail = change.author.lower().replace(" ", ".") + "@example.org"
        who = f"{change.author} <{mail}> {at} +0000"
        stream.append(f"commit refs/heads/main\nmark :{number}\nauthor {who}\ncommitter {who}\n".encode())
        stream.append(_data(change.subject))
        for path, text in change.files.items():
            stream.append(
                f"D {path}\n".encode() if text is None else f"M 100644 inline {path}\n".encode() + _data(text)
            )
        stream.append(b"\n")
    repository.run("fast-import", "--quiet", data=b"".join(stream))
    names = [change.name or change.subject for change in changes]
    assert len(set(names)) == len(names), "two changes of one name"
    return repository, dict(zip(names, (one.id for one in repository.commits("main")), strict=True))


def sign(statement: Mapping[str, Json]) -> bytes:
    """Sign a statement as the trusted builder does."""
    return attestation.sign(statement, _KEY)


def line(text: str, part: str) -> int:
    """Return the number of the one line that has a part."""
    [found] = [number for number, one in enumerate(text.splitlines(), 1) if part in one]
    return found


def _data(text: str) -> bytes:
    data = text.encode()
    return b"data %d\n%s\n" % (len(data), data)


def _warning(names: Sequence[str]) -> dict[str, str]:
    """Return gates that ship with Lemnis as they are where an organisation lets them warn only."""
    files: dict[str, str] = {}
    for name in names:
        for path in sorted((builtin_root() / "policies" / name).iterdir()):
            text = path.read_text(encoding="utf-8")
            files[f"policies/{name}/{path.name}"] = text.replace("\neffect: deny\n", "\neffect: warn\n")
    return files
