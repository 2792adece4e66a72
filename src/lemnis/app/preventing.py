"""Which gate would have stopped a cause: each that is drawn is replayed over history, with what it brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lemnis import app
from lemnis.app import scans, settings, shelf
from lemnis.app.origins import Source
from lemnis.content.library import Library
from lemnis.contracts.errors import LemnisError, RefusedError
from lemnis.contracts.findings import Finding, ScanReport
from lemnis.lessons import gate
from lemnis.lessons.compile import folder
from lemnis.lessons.gate import Cost
from lemnis.lessons.prevent import Drawn, Prevention, Traced, draw, write
from lemnis.policy.document import CODE_STAGES
from lemnis.store.git import Commit

JUDGED_AT = "build"
"""The stage at which commits of the past are judged, if the gate decides there; else its first about code."""


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
    here = tuple(_at(source, findings[source.deployed], rule)) if rule else ()
    about = here or tuple(cause)
    new_in = gate.brought(commits, findings)
    again = gate.bring(new_in, about)
    first = next((one.id for one in commits if one.id in again), "")
    culprit = source.culprit if source.culprit in again else first
    return History(
        tuple(commits), reports, new_in, culprit, again, gate.fixes(commits, findings, about), about
    )


def stage_of(stages: Sequence[str]) -> str:
    """Return the stage at which a gate is judged: the build if it decides there, else its first."""
    able = [one for one in stages if one in CODE_STAGES]
    return JUDGED_AT if JUDGED_AT in able or not stages else (able or list(stages))[0]


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


def _at(source: Source, findings: Sequence[Finding], rule: str) -> list[Finding]:
    """Return what a rule finds at the line; what it finds once in the file is at the line too."""
    mine = [one for one in findings if one.rule_id == rule and one.path == source.located.path]
    line = source.located.line
    return [one for one in mine if one.line <= line <= max(one.line, one.end_line)] or mine[:1] * (
        len({one.fingerprint for one in mine}) == 1
    )
