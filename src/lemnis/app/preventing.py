"""Which gate would have stopped a cause: each that is drawn is replayed over history, with what it brings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lemnis import app
from lemnis.app import attest, gates, scans, settings, shelf
from lemnis.app.origins import Source
from lemnis.content.library import Library
from lemnis.contracts.errors import LemnisError, RefusedError
from lemnis.contracts.findings import Effect, Finding, ScanReport
from lemnis.graph.store import Graph
from lemnis.lessons import gate
from lemnis.lessons.compile import folder
from lemnis.lessons.gate import Cost, Scope
from lemnis.lessons.prevent import Drawn, Prevention, Traced, attestation, draw, write
from lemnis.policy.document import CODE_STAGES
from lemnis.store.git import Commit

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
JUDGED_AT = ("build", "deploy")
"""The stages at which commits and images of the past are judged, if the gate decides there."""


@dataclass(frozen=True, slots=True)
class History:
    """The commits of a repository, what each brings in, and which of them concern the cause.

    ``cause`` are the findings at the cause, ``again`` the commits that bring them in; ``culprit`` is the one
    of these that the chain names, else the first; empty if no commit does.
    """

    commits: tuple[Commit, ...]
    reports: Mapping[str, ScanReport]
    new_in: Mapping[str, Sequence[Finding]]
    culprit: str
    again: frozenset[str]
    fixes: tuple[str, ...]
    cause: tuple[Finding, ...]
    images: tuple[str, ...] = ()
    """The digests of images instead of commits, where the cause is an image."""

    @property
    def changes(self) -> tuple[str, ...]:
        """The ids of all changes."""
        return self.images or tuple(one.id for one in self.commits)


@dataclass(frozen=True, slots=True)
class Prevented:
    """The gate that was chosen, what each of its widths would have stopped, and the history of that."""

    drawn: Drawn
    cost: Cost
    costs: tuple[Cost, ...]
    past: History
    prevention: Prevention


def prevent(workspace: app.Workspace, source: Source, traced: Traced, lesson: str) -> Prevented:
    """Take the gate that would have stopped the cause and the fewest other changes, the first of equals.

    A gate that goes by a new check or rule is judged with it in the content. Raises RefusedError with what
    each kind of cause misses.
    """
    others = tuple(one for one in traced.findings if one.rule_id != folder(lesson))  # once it is merged
    prevention = draw(replace(traced, findings=others), folder(lesson))
    why = dict(prevention.missing)
    best: Prevented | None = None
    for drawn in prevention.drawn:
        try:
            found = _judged(workspace, source, prevention, drawn, lesson)
        except RefusedError as error:
            why[drawn.kind] = error.what
            continue
        if best is None or len(found.cost.wrongly) < len(best.cost.wrongly):
            best = found
        if not best.cost.wrongly:
            break
    if best is None:
        raise RefusedError(
            "no gate that could be drawn would have stopped the cause",
            fix="; ".join(f"{kind}: {one}" for kind, one in why.items()),
        )
    return best


def history(
    workspace: app.Workspace, source: Source, library: Library, cause: Sequence[Finding], rule: str = ""
) -> History:
    """Scan every commit of every branch with the scanners of a library.

    ``cause`` are the findings at the cause; with ``rule`` it is what that rule finds at the line instead, if
    it finds anything there.
    """
    tips = [source.deployed, *source.repository.branches()]
    commits = list({one.id: one for tip in tips for one in source.repository.commits(tip)}.values())
    reports = scans.reports(workspace, source.repository, commits, library=library)
    findings = {commit: report.findings for commit, report in reports.items()}
    new_in = gate.brought(commits, findings)
    about = tuple(_at(source, findings[source.deployed], rule, new_in)) if rule else ()
    about = about or tuple(cause)
    again = gate.bring(new_in, about)
    first = next((one.id for one in commits if one.id in again), "")
    culprit = source.culprit if source.culprit in again else first
    return History(
        tuple(commits), reports, new_in, culprit, again, gate.fixes(commits, findings, about), about
    )


def prevent_unproven(workspace: app.Workspace, traced: Traced, lesson: str) -> Prevented:
    """Take the gate against images without the statement that this one lacks, judged over all that are known.

    Raises RefusedError where the present gates stop the image, or nothing says that it lacks one.
    """
    prevention = draw(traced, folder(lesson))
    drawn = next((one for one in prevention.drawn if one.kind == attestation.NAME), None)
    if drawn is None or traced.unproven is None:
        raise RefusedError(prevention.missing.get(attestation.NAME, "no image is known that lacks a proof"))
    image, stage = traced.unproven.digest, stage_of(drawn.stages)
    past, library = history_of_images(workspace, image), app.library(workspace)
    old = gates.images(workspace, past.changes, library, stage)
    if old[image].effect is not Effect.ALLOW:
        reasons = [one for one in old[image].reasons if one.effect is old[image].effect]
        by = ", ".join(sorted({one.policy for one in reasons}))
        raise RefusedError(
            f"{by} stops {image[:19]}… at {stage} already: it was deployed past the gate",
            fix="let what deploys ask the gate (`lemnis admission serve`, `lemnis gate deploy`)",
        )
    with shelf.laid_over(library, write.write(drawn, None, folder(lesson), lesson, "")) as content:
        new = gates.images(workspace, past.changes, content, stage)
    stopped = tuple(
        one for one in past.changes if new[one].effect is Effect.DENY and old[one].effect is not Effect.DENY
    )
    if image not in stopped:
        raise RefusedError(f"the gate does not stop {image[:19]}…")
    cost = Cost(Scope("any image", images=True), stopped, tuple(one for one in stopped if one != image))
    return Prevented(drawn, cost, (cost,), past, prevention)


def history_of_images(workspace: app.Workspace, image: str) -> History:
    """Return the images that are known, by what was attested and by what ran, as the changes of the past."""
    entries = app.journal(workspace).entries(kind=attest.ATTESTATION, bare=True)
    told = {entry.subject.removeprefix("image:") for entry in entries}
    graph = Graph(app.engine(workspace))
    ran = {edge.target.value for edge in graph.related("instance_of") if edge.holds}
    known = sorted(one for one in {*told, *ran, image} if _DIGEST.fullmatch(one))
    return History((), {}, {}, image, frozenset({image}), (), (), tuple(known))


def stage_of(stages: Sequence[str]) -> str:
    """Return the stage at which a gate is judged: the build if it decides there, else its first about code.

    One that judges images only is judged at deployment if it decides there, else at its first.
    """
    able = [one for one in stages if one in CODE_STAGES] or list(stages) or [*JUDGED_AT]
    return next((one for one in JUDGED_AT if one in able), able[0])


def _judged(
    workspace: app.Workspace,
    source: Source,
    prevention: Prevention,
    drawn: Drawn,
    lesson: str,
) -> Prevented:
    """Judge one gate over the past; raises RefusedError where it would not have stopped the cause."""
    library = app.library(workspace)
    if not any(stage in CODE_STAGES for stage in drawn.stages):
        raise RefusedError("it judges images, and no commit brought this one in")
    if drawn.files and (trouble := _program(workspace, library, drawn)):
        raise RefusedError(trouble)
    name = folder(lesson)
    checks = write.check_files(drawn.check, name, lesson) if drawn.check is not None else {}
    files = {**drawn.files, **checks}
    with shelf.laid_over(library, files) as content:
        rule = name if files else ""
        past = history(workspace, source, content, () if rule else prevention.traced.findings, rule)
    if not past.cause:
        raise RefusedError(f"it finds nothing at {source.located.path}:{source.located.line}")
    if not past.culprit:
        raise RefusedError(
            f"no commit of {source.name} brought in what is at {source.located.path}:{source.located.line}"
        )
    costs = tuple(gate.cost(scope, past.new_in, past.again) for scope in drawn.scopes)
    cost = gate.choose(costs, past.culprit)
    if cost is None:
        raise RefusedError(f"none of its widths stops {past.culprit[:12]}, which brought the cause in")
    return Prevented(drawn, cost, costs, past, prevention)


def _program(workspace: app.Workspace, library: Library, drawn: Drawn) -> str:
    """Say why a rule that is new could not be asked: its scanner is not here, or not part of gates."""
    from lemnis.scan.programs import version

    tools = sorted({path.split("/")[2] for path in drawn.files})
    for tool in tools:
        try:
            [scanner] = [one for one in scans.scanners(library) if one.name == tool]
        except (LemnisError, ValueError):
            return f"the content has no scanner {tool}"
        if not version(scanner):
            return f"its new rule needs {tool}, which is not installed here"
        if scanner.part != "always" and tool not in settings.load(workspace).gates.scanners:
            return f"its new rule needs {tool}, which no gate goes by (`gates: {{scanners: [{tool}]}}`)"
        if not scanner.rules:
            return f"its new rule needs rules of your own for {tool}, which cannot look without any"
    return ""


def _at(
    source: Source, findings: Sequence[Finding], rule: str, new_in: Mapping[str, Sequence[Finding]]
) -> list[Finding]:
    """Return what a rule finds at the line; else in its file, if the same commit brought that in."""
    mine = [one for one in findings if one.rule_id == rule and one.path == source.located.path]
    line = source.located.line
    if here := [one for one in mine if one.line <= line <= max(one.line, one.end_line)]:
        return here
    came = {one.fingerprint for one in new_in.get(source.culprit, ())}
    return [one for one in mine if one.fingerprint in came]
