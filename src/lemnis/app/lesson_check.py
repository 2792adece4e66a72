"""``lesson check``: whether what merged lessons proved still holds with the content as it is now.

Asked of each lesson, on the content of the work tree: that its *test* passes (fires on the attack sample,
keeps silent on the ordinary one, both on raw records and as OCSF), that its *gate* passes its own tests and
refuses the commit that brought the cause in, that its *detection* alerts in time on the incident's events.
Where the repository, the events or the journal are not at hand, as in CI, that part is ``unknown``, and told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import lemnis
from lemnis import app
from lemnis.app import attack as attacks
from lemnis.app import gates, lesson_seal, lessons, pipeline, proof, sampling, settings, shelf
from lemnis.app.replay import replay
from lemnis.app.rules_listed import cases as read_cases
from lemnis.app.trace import trace
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.lesson import Lesson
from lemnis.contracts.counting import counted
from lemnis.contracts.errors import ContentError, IntegrityError, LemnisError, NotFoundError, RefusedError
from lemnis.contracts.findings import Decision, Effect
from lemnis.contracts.ids import Json, canonical, digest, tree_digest
from lemnis.contracts.journal import NewEntry
from lemnis.ingest.sources import Sources

CHECKED = "lesson.checked"
_DAY = 86_400_000
_ABSENT = "is not in the content any more"
State = Literal["holds", "broken", "unknown"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a lesson: ``lesson``, ``test``, ``gate``, ``detection`` or ``proof``; how it is, and why."""

    name: str
    state: State
    says: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A merged lesson as it was checked; ``unchanged``: nothing that it rests on is other than last time."""

    lesson: str
    incident: str
    parts: tuple[Part, ...]
    unchanged: bool = False

    @property
    def broken(self) -> tuple[Part, ...]:
        """Return what does not hold."""
        return tuple(one for one in self.parts if one.state == "broken")

    @property
    def unknown(self) -> tuple[Part, ...]:
        """Return what could not be looked at."""
        return tuple(one for one in self.parts if one.state == "unknown")


def check(workspace: app.Workspace, *, again: bool = False) -> Iterator[Checked]:
    """Check all lessons in the content, and those that were in it once; ``again``: also what is unchanged.

    Written to the journal once for each state of the content, so that the next check of it is quick.
    """
    library = app.library(workspace)
    items = library.items("lessons")
    for name in sorted({*items, *_once(workspace)}):
        if name not in items:
            yield Checked(name, _incident(workspace, name), (Part("lesson", "broken", _gone(name)),))
            continue
        try:
            lesson = yaml.load(items[name].manifest, Lesson)
        except ContentError as error:
            yield Checked(name, _incident(workspace, name), (Part("lesson", "broken", str(error)),))
            continue
        if lesson.retired:
            yield Checked(name, lesson.incident, (Part("lesson", "holds", f"retired: {lesson.retired}"),))
        else:
            yield _checked(workspace, library, lesson, again=again)


def document(one: Checked) -> dict[str, Json]:
    """Return what was found of a lesson as JSON."""
    return {
        "id": one.lesson, "incident": one.incident, "holds": not one.broken, "unchanged": one.unchanged,
        "broken": [part.name for part in one.broken],
        "parts": [{"name": part.name, "state": part.state, "says": part.says} for part in one.parts],
    }  # fmt: skip


def _checked(workspace: app.Workspace, library: Library, lesson: Lesson, *, again: bool) -> Checked:
    journal = app.journal(workspace)
    inputs = _inputs(workspace, library, lesson)
    key = f"{CHECKED}:{lesson.id}:{inputs}"
    before = None if again else journal.get(key)
    if before is not None:
        told: dict[str, Any] = dict(before.payload)
        parts = tuple(Part(one["name"], one["state"], one["says"]) for one in told["parts"])
        if all(part.state != "broken" for part in parts):
            return Checked(lesson.id, lesson.incident, parts, unchanged=True)
    detection = library.items("detections").get(lesson.detection)
    found = Checked(
        lesson.id, lesson.incident,
        (
            _part("test", lambda: _test(library, lesson, detection)),
            _part("gate", lambda: _gate(workspace, library, lesson)),
            _part("detection", lambda: _detection(workspace, library, lesson, detection)),
            _part("proof", lambda: _proof(workspace, library, lesson)),
        ),
    )  # fmt: skip
    says = "; ".join(f"{part.name}: {part.says}" for part in found.broken) or "holds"
    if not found.broken:
        journal.append(NewEntry(CHECKED, lesson.id, key, {"inputs": inputs, **document(found)}, reason=says))
    return found


def _part(name: str, look: Callable[[], tuple[State, str]]) -> Part:
    """Look at one part: bad content is broken, what is not here is unknown."""
    try:
        state, says = look()
    except (NotFoundError, RefusedError) as error:
        return Part(name, "unknown", str(error))
    except (ContentError, IntegrityError) as error:
        return Part(name, "broken", str(error))
    except LemnisError as error:
        return Part(name, "unknown", str(error))
    return Part(name, state, says)


def _test(library: Library, lesson: Lesson, detection: Item | None) -> tuple[State, str]:
    """The samples: the attack's must fire, the ordinary ones must not."""
    if detection is None:
        return "broken", f"detections/{lesson.detection} {_ABSENT}"
    given = read_cases(detection)
    for fires in (True, False):
        if not any(case.fires is fires for case in given):
            return "broken", f"no sample that must {'fire' if fires else 'keep silent'} is left"
    sources, rules = Sources.load(library), [detection.manifest]
    attack = sampling.run(sources, rules, detection.folder, given, fires=True)
    benign = sampling.run(sources, rules, detection.folder, given, fires=False)
    if trouble := attack.trouble or benign.trouble:
        return "broken", trouble
    if not (attack.events and attack.raw and attack.ocsf):
        return "broken", f"the attack sample does not fire (raw {attack.raw}, OCSF {attack.ocsf})"
    if not benign.events or benign.raw or benign.ocsf:
        return "broken", f"the ordinary sample fires (raw {benign.raw}, OCSF {benign.ocsf})"
    return "holds", f"{attack.events} records of the attack fire, {benign.events} others keep silent"


def _gate(workspace: app.Workspace, library: Library, lesson: Lesson) -> tuple[State, str]:
    """The policy: its own tests, and the commit that brought the cause in."""
    if lesson.gate not in library.items("policies"):
        return "broken", f"policies/{lesson.gate} {_ABSENT}"
    cases = pipeline.test_policies(library, [lesson.gate])
    failed = [f"{one.name}: {one.trouble or 'did not hold'}" for one in cases if not one.passed]
    if failed or not cases:
        return "broken", "; ".join(failed) or "its own tests are gone"
    decision = _decision(workspace, library, lesson)
    mine = any(one.policy == lesson.gate and one.effect is Effect.DENY for one in decision.reasons)
    if decision.effect is Effect.UNKNOWN:
        return "unknown", "; ".join(one.message for one in decision.reasons)[:300]
    if not mine and lesson.cause.image:
        return "unknown", f"{lesson.cause.image[:19]} passes now: what it lacked may have come since"
    if not mine:
        by = f", by {', '.join(decision.exceptions)}" if decision.exceptions else ""
        return "broken", f"it lets {lesson.cause.change[:19]} pass, which brought the cause in{by}"
    return "holds", f"{counted(len(cases), 'test')}; {lesson.cause.change[:19]} is refused"


def _decision(workspace: app.Workspace, library: Library, lesson: Lesson) -> Decision:
    """Ask the gates about the change that brought the cause in, at the stage that the lesson's names."""
    stage, cause = proof.stage(library, lesson.gate), lesson.cause
    if cause.image:
        return gates.images(workspace, [cause.image], library, stage)[cause.image]
    repository = settings.repository(workspace, cause.repository)
    commit = pipeline.find(repository, cause.commit)
    return gates.history(workspace, repository, [commit], library, stage)[commit.id]


def _detection(
    workspace: app.Workspace, library: Library, lesson: Lesson, detection: Item | None
) -> tuple[State, str]:
    """The rule on the incident's events in the lake: no later than the first alert that the cause led to."""
    if detection is None:
        return "broken", f"detections/{lesson.detection} {_ABSENT}"
    if trouble := sampling.single(detection):
        return "broken", trouble
    found = trace(workspace, lesson.incident)
    chain, _ = lessons.the_chain(found, untraced=bool(lesson.cause.image))
    lake = app.events(workspace)
    attack = attacks.gather(lake, library, found.scene, chain)
    alerts = replay(
        lake, library, rules=[detection.manifest], start=attack.first - _DAY, end=attack.first + _DAY
    )
    hits = [one.time for one in alerts if attack.uids & set(one.event_uids)]
    if not hits:
        return "broken", "it does not alert on the incident's events in the lake"
    if min(hits) > attack.first:
        return "broken", f"it alerts {min(hits) - attack.first} ms after the first alert of the incident"
    return (
        "holds",
        f"{counted(len(hits), 'alert')} on the incident's events, {attack.first - min(hits)} ms early",
    )


def _proof(workspace: app.Workspace, library: Library, lesson: Lesson) -> tuple[State, str]:
    """The signed proof that the journal has, and whether it is of the files as they are."""
    verdicts = [
        one
        for one in app.journal(workspace).entries(kind=lessons.PROVED, subject=lesson.id)
        if one.payload["proven"]
    ]
    if not verdicts:
        return "unknown", "the journal of this workspace has no proof of it"
    files = _files(library, lesson)
    mine = [one for one in verdicts if one.payload["files"] == files]
    last = (mine or verdicts)[-1]
    if lesson_seal.ENVELOPE not in last.payload:
        return "unknown", f"proven before proofs were signed: `lemnis lesson prove {lesson.id}`"
    stated = lesson_seal.opened(workspace, last)
    if not mine:
        return "unknown", f"its files were changed since it was proven: `lemnis lesson prove {lesson.id}`"
    return "holds", f"signed, {counted(len(stated['checks']), 'check')}"


def _files(library: Library, lesson: Lesson) -> str:
    """Return the digest of a lesson's files as they lie there: that of ``shelf.files_digest``."""
    places = (("policies", lesson.gate), ("detections", lesson.detection), ("threats", lesson.threat),
              ("lessons", lesson.id), ("playbooks", lesson.gate))  # fmt: skip
    files: list[tuple[str, bytes]] = []
    for kind, name in places:
        item = library.items(kind).get(name)
        for path in sorted(item.folder.rglob("*")) if item is not None else ():
            if path.is_file():
                inside = path.relative_to(item.folder).as_posix() if item is not None else ""
                files.append((f"content/{kind}/{name}/{inside}", path.read_bytes()))
    return tree_digest([*files, *_beside(library, lesson.gate)])


def _beside(library: Library, gate: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the check or the rule that a gate brought with it."""
    if (check := library.items("checks").get(gate)) is not None:
        yield from ((f"content/checks/{gate}/{path}", data) for path, data in check.read())
    if (scanner := library.items("scanners").get("opengrep")) is not None:
        rule = f"rules/{gate}.yaml"
        if (scanner.folder / rule).is_file():
            yield f"content/scanners/opengrep/{rule}", (scanner.folder / rule).read_bytes()


def _inputs(workspace: app.Workspace, library: Library, lesson: Lesson) -> str:
    """Return the digest of everything that a lesson's parts rest on, and of what there is to look at."""
    try:
        settings.repository(workspace, lesson.cause.repository).resolve(lesson.cause.commit)
        there = True
    except LemnisError:
        there = False
    journal = app.journal(workspace)
    proofs = [one.hash for one in journal.about(lesson.id, [lessons.PROVED])]
    known = journal.last([lesson.incident])
    return digest(canonical([lemnis.__version__, library.digest, lesson.id, there, proofs, known]))


def _once(workspace: app.Workspace) -> set[str]:
    """Return the lessons that were ever merged, as git's history and the journal have it."""
    found = {entry.subject for entry in app.journal(workspace).entries(kind=lessons.MERGED)}
    try:
        git = shelf.repository(workspace)
    except LemnisError:
        return found
    out = git.run(
        "log", "--diff-filter=A", "--name-only", "--format=", "-m", "--first-parent", "--relative", "HEAD",
        "--", "content/lessons",
    ).decode(errors="replace")  # fmt: skip
    parts = (line.split("/") for line in out.splitlines())
    return found | {part[2] for part in parts if len(part) == 4 and part[3] == "lesson.yaml"}  # noqa: PLR2004


def _incident(workspace: app.Workspace, lesson: str) -> str:
    """Return the incident of a lesson that is not there any more, as the journal or git's history has it."""
    for entry in app.journal(workspace).entries(kind=lessons.PROPOSED, subject=lesson):
        return str(entry.payload["incident"])
    file = f"content/lessons/{lesson}/lesson.yaml"
    try:
        git = shelf.repository(workspace)
        out = git.run("log", "--diff-filter=AM", "--format=%H", "HEAD", "--", file).decode().split()
        return yaml.load(git.read(out[0], file).decode(errors="replace"), Lesson, file=file).incident
    except (LemnisError, IndexError):
        return ""


def _gone(lesson: str) -> str:
    return f"content/lessons/{lesson} {_ABSENT}: with it goes what keeps its incident from coming again"
