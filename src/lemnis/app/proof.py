"""``lesson prove``: the old and the new content on the same history, samples and commits, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lemnis import app
from lemnis.app import attack as attacks
from lemnis.app import (
    gates,
    lesson_cost,
    lesson_seal,
    lessons,
    pipeline,
    playbook_lint,
    sampling,
    settings,
    shelf,
)
from lemnis.app.lessons import PROVED
from lemnis.app.preventing import History, history, history_of_images, stage_of
from lemnis.app.replay import replay
from lemnis.app.rules_listed import cases as read_cases
from lemnis.app.shelf import Written
from lemnis.app.trace import Chain, Source, trace
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.content.schemas.detection_tests import Case as Given
from lemnis.content.schemas.policy import Policy
from lemnis.content.schemas.threat import Threat
from lemnis.contracts.errors import ContentError, LemnisError
from lemnis.contracts.findings import Decision
from lemnis.contracts.ids import Json, canonical, digest
from lemnis.contracts.journal import NewEntry
from lemnis.incidents.entries import evidence
from lemnis.ingest.sources import Sources
from lemnis.lessons.compile import rule_id
from lemnis.lessons.prove import Alerted, Case, Content, Proof, weigh
from lemnis.lessons.scrub import scrub

_ABSENT = "is not in the branch"


def prove(workspace: app.Workspace, lesson: str) -> Proof:
    """Prove a lesson, or say why not; the verdict is written to the journal.

    Raises NotFoundError where there is no such lesson, incident or repository, RefusedError where the
    incident's cause is not known any more.
    """
    written = shelf.find(workspace, lesson)
    lake = app.events(workspace)
    found = trace(workspace, written.lesson.incident)
    chain, source = lessons.the_chain(found, untraced=bool(written.lesson.cause.image))
    with (
        shelf.library_at(workspace, written.base) as before,
        shelf.library_at(workspace, written.commit) as after,
    ):
        past = _past(workspace, chain, source, (after, before), written.lesson.gate)
        attack = attacks.gather(lake, before, found.scene, chain)
        detection = _item(after, "detections", written.lesson.detection)
        given, trouble = _cases(detection)
        case = Case(
            lesson=lesson,
            gate=written.lesson.gate,
            rule_id=(sampling.identity(detection).id if detection is not None else "") or rule_id(lesson),
            culprit=written.lesson.cause.change,
            commits=past.changes,
            again=past.again,
            fixes=past.fixes,
            attack=attack.uids,
            first=attack.first,
            declared_wrongly=frozenset(
                (*written.lesson.cost.commits_stopped_wrongly, *written.lesson.cost.images_stopped_wrongly)
            ),
            where=written.lesson.cause.place,
            beside=shelf.beside(workspace, written),
            declared_digest=written.lesson.old_digest,
            declared_alerts=written.lesson.cost.alerts_added,
            unscrubbed=tuple(_unscrubbed(detection, given)),
        )
        hearing = _Hearing(workspace, written, past, given, detection, stage(after, written.lesson.gate))
        old, new = hearing.content(before, None), hearing.content(after, trouble)
    proof = weigh(case, old, new)
    cost = lesson_cost.analyst(workspace, proof.added, {one.source for one in given})
    proof = replace(proof, history={**proof.history, "cost": cost})
    _write_down(workspace, written, proof)
    return proof


def _past(
    workspace: app.Workspace, chain: Chain, source: Source | None, contents: Sequence[Library], gate: str
) -> History:
    """Scan the past with the new content; where that cannot be used, which is told later, with the old."""
    new, old = contents
    if source is None:
        return history_of_images(workspace, chain.facts.unproven.digest if chain.facts.unproven else "")
    try:
        return history(workspace, source, new, chain.facts.findings, gate)
    except ContentError:
        return history(workspace, source, old, chain.facts.findings, gate)


@dataclass(frozen=True, slots=True)
class _Hearing:
    """What both states of the content are asked."""

    workspace: app.Workspace
    written: Written
    past: History
    given: Sequence[Given]
    detection: Item | None
    stage: str
    """Where the changes of the past are judged."""

    @property
    def folder(self) -> Path:
        """Where the samples are."""
        return self.detection.folder if self.detection is not None else Path()

    def content(self, library: Library, problems: Sequence[str] | None) -> Content:
        """Let one state of the content do everything; ``problems`` is None for the old one."""
        lesson = self.written.lesson
        same = _same(library, self.detection)
        rules = [same.manifest] if same is not None else []
        sources = Sources.load(library)
        passed: tuple[str, ...] = ()
        failed: tuple[str, ...] = ()
        if problems is not None and _item(library, "policies", lesson.gate) is not None:
            passed, failed = _policy_tests(library, lesson.gate)
        wrong = [] if problems is None else [*problems, *_problems(library, self.written)]
        decisions: Mapping[str, Decision] = {}
        try:
            decisions = self._decisions(library)
        except ContentError as error:
            wrong.append(str(error))
        found = Content(
            digest=library.digest,
            problems=tuple(dict.fromkeys(wrong)),
            same=same.name if same is not None else "",
            attack=sampling.run(sources, rules, self.folder, self.given, fires=True),
            benign=sampling.run(sources, rules, self.folder, self.given, fires=False),
            policy_tests=passed,
            policy_failures=failed,
            decisions=decisions,
            alerts=_alerts(self.workspace, library),
        )
        return _placeless(found, *(str(root) for root in library.roots), str(self.folder.parent.parent))

    def _decisions(self, library: Library) -> Mapping[str, Decision]:
        """Let the gates of one state of the content judge the past."""
        if self.past.images:
            return gates.images(self.workspace, self.past.images, library, self.stage)
        repository = settings.repository(self.workspace, self.written.lesson.cause.repository)
        return gates.history(self.workspace, repository, self.past.commits, library, self.stage)


def _placeless(found: Content, *roots: str) -> Content:
    """Say ``content/…`` for where the content was laid out for the proof: that is another place each time."""

    def plain(text: str) -> str:
        for root in roots:
            text = text.replace(f"{root}/", "content/")
        return text

    return replace(
        found,
        problems=tuple(map(plain, found.problems)),
        policy_failures=tuple(map(plain, found.policy_failures)),
        attack=replace(found.attack, trouble=plain(found.attack.trouble)),
        benign=replace(found.benign, trouble=plain(found.benign.trouble)),
    )


def stage(library: Library, gate: str) -> str:
    """Return the stage that the past is judged at: one at which the lesson's gate decides."""
    item = _item(library, "policies", gate)
    try:
        return stage_of(yaml.load(item.manifest, Policy).stages if item is not None else ())
    except ContentError:  # what is wrong with it is told where it is loaded
        return stage_of(())


def _alerts(workspace: app.Workspace, library: Library) -> Mapping[str, Alerted]:
    """Replay the content over the whole lake."""
    found = replay(app.events(workspace), library)
    return {one.id: Alerted(one.rule_id, one.time, one.event_uids) for one in found}


def _same(library: Library, detection: Item | None) -> Item | None:
    """Return the library's detection that is the lesson's, or says the same under another name or id."""
    if detection is None:
        return None
    mine = sampling.identity(detection)
    for item in library.items("detections").values():
        if item.name == detection.name:
            return item
        other = sampling.identity(item)
        if other.id == mine.id or other.logic == mine.logic:
            return item
    return None


def _problems(library: Library, written: Written) -> list[str]:
    """Return what is wrong with the lesson's own items in the new content."""
    lesson = written.lesson
    wanted = {"policies": lesson.gate, "detections": lesson.detection, "threats": lesson.threat}
    items = {kind: _item(library, kind, name) for kind, name in wanted.items()}
    found = [f"{kind}/{wanted[kind]} {_ABSENT}" for kind, item in items.items() if item is None]
    if (threat := items["threats"]) is not None:
        try:
            mitigations = yaml.load(threat.manifest, Threat).mitigations
            if (mitigations.gate, mitigations.detection) != (lesson.gate, lesson.detection):
                found.append(f"threats/{threat.name} does not name the lesson's gate and detection")
        except ContentError as error:
            found.append(str(error))
    if (detection := items["detections"]) is not None and (trouble := sampling.single(detection)):
        found.append(f"detections/{detection.name}: {trouble}")
    if lesson.gate in library.items("playbooks"):
        wrong = playbook_lint.lint(library, (lesson.gate,))
        found += [f"playbooks/{one.name}: {one.error}" for one in wrong if one.name == lesson.gate]
    return found


def _policy_tests(library: Library, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Run a policy's own tests; return those that passed, and what failed."""
    try:
        cases = pipeline.test_policies(library, [name])
    except LemnisError as error:
        return (), (str(error),)
    return (
        tuple(case.name for case in cases if case.passed),
        tuple(f"{case.name}: {case.trouble or 'did not hold'}" for case in cases if not case.passed),
    )


def _cases(detection: Item | None) -> tuple[tuple[Given, ...], list[str]]:
    if detection is None:
        return (), []
    try:
        return read_cases(detection), []
    except ContentError as error:
        return (), [str(error)]


def _unscrubbed(detection: Item | None, given: Sequence[Given]) -> list[str]:
    """Return the samples in which scrubbing would still change something."""
    found: list[str] = []
    if detection is None:
        return found
    for one in given:
        sample = detection.folder / one.given
        text = sample.read_text("utf-8", errors="replace") if sample.is_file() else one.inline
        records = text.splitlines()
        if scrub(records) != records:
            found.append(one.given or one.name)
    return found


def _item(library: Library, kind: str, name: str) -> Item | None:
    return library.items(kind).get(name)


def _write_down(workspace: app.Workspace, written: Written, proof: Proof) -> None:
    """Write the verdict to the journal: each distinct verdict about each state of the lesson once."""
    payload: dict[str, Json] = {
        "commit": written.commit,
        "base": written.base,
        "files": shelf.files_digest(workspace, written),
        **document(proof),
    }
    key = f"{PROVED}:{written.id}:{written.commit}:{digest(canonical(payload))[7:23]}"
    reason = "proven" if proof.proven else "; ".join(proof.reasons)
    attached = lesson_seal.seal(workspace, written, payload)
    entries = [NewEntry(PROVED, written.id, key, payload | attached, reason=reason)]
    if proof.proven:
        title = f"Proof of lesson {written.id}"
        entries.append(evidence(written.lesson.incident, str(attached["envelope"]), title, actor="lemnis"))
    app.journal(workspace).append_all(entries)


def document(proof: Proof) -> dict[str, Json]:
    """Return a proof for machines."""
    return {
        "proven": proof.proven,
        "old": dict(proof.old),
        "new": dict(proof.new),
        "history": dict(proof.history),
        "reasons": list(proof.reasons),
        "checks": [{"name": c.name, "holds": c.holds, "says": c.says} for c in proof.checks],
    }
