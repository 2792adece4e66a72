"""What the loop does not reach: detections that nothing feeds, gates that nobody meets, exceptions that end.

A rule that cannot fire and a gate that is never asked look like protection. They are told with what to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lemnis import app
from lemnis.contracts.clock import from_iso, span
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.findings import Effect
from lemnis.contracts.ids import Json
from lemnis.policy.decide import Exempt, Policy

if TYPE_CHECKING:
    from lemnis.app.watching_blind import Blind
    from lemnis.content.library import Library
    from lemnis.ingest.health import Health

DAYS, SOON = 30, 14
"""Gates are looked at over so many days; exceptions are told so many days before they end."""
DETECTION, GATE, POLICY, EXCEPTION, LESSON = KINDS = ("detection", "gate", "policy", "exception", "lesson")
CODE, IMAGES = ("pull_request", "build"), ("release", "deploy")
"""The stages that every change, and every image, should meet. What editors and commits ask is not written
down, and the runtime and playbooks only ask where something happened."""
_DAY = 86_400_000
_ATTESTATION, _DECISION = "attestation", "decision"


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that is not reached: of a kind, in which state, why, and what to do about it."""

    kind: str
    name: str
    state: str
    why: str
    fix: str
    facts: Mapping[str, Json] = field(default_factory=dict)

    def document(self) -> dict[str, Json]:
        """Return it as JSON."""
        return {
            "kind": self.kind, "name": self.name, "state": self.state, "why": self.why, "fix": self.fix,
            **self.facts,
        }  # fmt: skip


class Decided(NamedTuple):
    """A gate's decision: when (ms), at which stage, about what, and which policies refused it."""

    at: int
    stage: str
    subject: str
    denied: frozenset[str]


@dataclass(frozen=True, slots=True)
class Report:
    """All points by kind, and what could not be looked at."""

    points: tuple[Point, ...]
    problems: tuple[str, ...]


def report(workspace: app.Workspace, *, days: int = DAYS, soon: int = SOON) -> Report:
    """Look at everything; nothing is written down. Raises ContentError for content that cannot be read."""
    from lemnis.app import policies, watching

    rules = watching.Rules(workspace)
    content = app.library(workspace)
    now = workspace.clock.now()
    unfed = list(
        detections(rules.seeing().feeding(), silences(watching.whole_sources(workspace, rules=rules), now))
    )
    known = policies.load(content)
    decided = list(_decisions(workspace))
    problems: list[str] = []
    changes = _changes(workspace, now - days * _DAY, problems)
    points = [
        *unfed,
        *gates(known, decided, changes, now=now, days=days),
        *unasked(known, decided),
        *ending(exempt(workspace, content), now, soon),
        *_of_rules(content, now, soon, problems),
        *_lessons(content, {one.name: one for one in unfed}),
    ]
    return Report(tuple(sorted(points, key=lambda one: KINDS.index(one.kind))), tuple(problems))


def silences(sources: Mapping[str, Health], now: int) -> dict[str, str]:
    """Return each source that ever spoke, with why it is silent; empty while it lives. Pure."""
    from lemnis.app.watching import SILENT_AFTER
    from lemnis.ingest.health import SILENT

    found = {}
    for name, one in sources.items():
        if one.last is None:
            continue
        age = max(0, now - one.last)
        why = next((trouble.why for trouble in one.troubles if trouble.kind == SILENT), "")
        if not why and one.learning and age > SILENT_AFTER:
            why = f"its newest event is {span(age)} old"
        found[name] = why
    return found


def detections(
    feeding: Iterable[tuple[Blind, Sequence[frozenset[str]]]], heard: Mapping[str, str]
) -> Iterator[Point]:
    """Yield the detections without a living source; ``heard`` has what spoke, and why it is silent, if so.

    Pure.
    A detection needs one living source for each of its parts: a rule has one part, a correlation its rules.
    """
    for one, parts in feeding:
        missing = [part for part in parts if not any(name in heard and not heard[name] for name in part)]
        if not missing:
            continue
        spoke = sorted(name for name in missing[0] if name in heard)
        facts: dict[str, Json] = {
            "rule_id": one.rule_id, "level": one.level, "techniques": list(one.techniques),
            "sources": sorted(missing[0]),
        }  # fmt: skip
        if spoke:
            why = "; ".join(f"{name}: {heard[name]}" for name in spoke)
            yield Point(DETECTION, one.name, "silent", why, f"lemnis sources health  # {spoke[0]}", facts)
            continue
        names = ", ".join(sorted(missing[0])[:3]) + (" …" if len(missing[0]) > 3 else "")  # noqa: PLR2004
        why = f"nothing ever came of {names}" if names else "no source serves its log source"
        fix = (
            "feed one of them (`lemnis ingest`, `lemnis sources list`)"
            if names
            else "add a source, or drop it"
        )
        yield Point(DETECTION, one.name, "never fed", why, fix, facts)


def gates(
    policies: Iterable[Policy],
    decided: Iterable[Decided],
    changes: Mapping[str, Collection[str]],
    *,
    now: int,
    days: int,
) -> Iterator[Point]:
    """Yield the stages that no change met in the last days, although some came. Pure.

    ``changes`` has by stage the subjects (``commit:…``, ``image:…``) that came.
    """
    guarded = {stage for one in policies for stage in one.stages}
    met: dict[str, set[str]] = {}
    for one in decided:
        if one.at >= now - days * _DAY:
            met.setdefault(one.stage, set()).add(one.subject)
    for stage in (*CODE, *IMAGES):
        came = len(changes.get(stage, ()))
        if stage in guarded and came and not met.get(stage):
            what = "commit" if stage in CODE else "image"
            why = f"no decision in {days} days, although {came} {what}{'' if came == 1 else 's'} came"
            fix = f"ask it in the pipeline: lemnis gate {stage}"
            yield Point(GATE, stage, "not met", why, fix, {"changes": came, "days": days})


def unasked(policies: Iterable[Policy], decided: Iterable[Decided]) -> Iterator[Point]:
    """Yield the policies that never decided anything: at none of their stages was there a decision. Pure."""
    stages = {one.stage for one in decided}
    for one in policies:
        asked = [stage for stage in one.stages if stage in (*CODE, *IMAGES, "runtime")]
        if asked and not stages.intersection(asked):
            why = f"there was never a decision at {', '.join(asked)}"
            yield Point(
                POLICY,
                one.name,
                "never evaluated",
                why,
                f"lemnis gate {asked[0]}",
                {"stages": list(one.stages)},
            )


def ending(exempt: Iterable[Exempt], now: int, soon: int) -> Iterator[Point]:
    """Yield exceptions from policies that do not count any more, or end within so many days. Pure."""
    for one in exempt:
        facts: dict[str, Json] = {"policy": one.policy, "expires": one.expires}
        left = (from_iso(one.expires) + _DAY - 1 - now) // _DAY
        if one.over(now):
            yield Point(EXCEPTION, one.name, "expired", one.ended(now), "mend it, or ask for another", facts)
        elif one.void:
            yield Point(
                EXCEPTION, one.name, "void", one.ended(now), "mend what it excused, and drop it", facts
            )
        elif left <= soon:
            yield Point(EXCEPTION, one.name, "ends soon", _left(left, one.expires), "mend it before", facts)


def _left(days: int, last: str) -> str:
    when = "today" if days <= 0 else f"in {days} day{'' if days == 1 else 's'}"
    return f"its last day is {last}, {when}"


def _of_rules(content: Library, now: int, soon: int, problems: list[str]) -> Iterator[Point]:
    """Yield exceptions from rules that ended or end soon."""
    from lemnis.app import exceptions
    from lemnis.app.exceptions_report import days_left

    found, wrong = exceptions.load(content)
    problems += map(str, wrong)
    for one in found:
        left, last = days_left(one.file.terms.until, now), one.file.terms.expires.isoformat()
        facts: dict[str, Json] = {"rules": sorted(one.file.rules or ()), "expires": last}
        if left < 0:
            why = f"exception expired: {one.name} on {last}"
            yield Point(EXCEPTION, one.name, "expired", why, "drop it, or say how long it is to hold", facts)
        elif left <= soon:
            yield Point(EXCEPTION, one.name, "ends soon", _left(left, last), "mend the rule before", facts)


def exempt(workspace: app.Workspace, content: Library) -> list[Exempt]:
    """Return the exceptions from policies, those void that an alert touched, in whatever repository."""
    from lemnis.app import gate_facts, policies, settings
    from lemnis.app.feedback_findings import code_of

    allowed = policies.exceptions(content)
    if not allowed:
        return []
    found = {one.name: one for one in gate_facts.exceptions(workspace, content, allowed)}
    for known in settings.load(workspace).repositories:
        repository, findings = code_of(workspace, known.name)
        if repository is not None:
            for one in gate_facts.exceptions(
                workspace, content, allowed, repository=repository, findings=findings
            ):
                if one.void:
                    found[one.name] = one
    return list(found.values())


def _lessons(content: Library, unfed: Mapping[str, Point]) -> Iterator[Point]:
    from lemnis.content import yaml
    from lemnis.content.schemas.lesson import Lesson

    for name, item in content.items("lessons").items():
        lesson = yaml.load(item.manifest, Lesson)
        blind = unfed.get(lesson.detection)
        if blind is not None:
            why = f"its detection {lesson.detection} is blind: {blind.why}"
            yield Point(
                LESSON, name, blind.state, why, blind.fix,
                {"incident": lesson.incident, "detection": lesson.detection},
            )  # fmt: skip


def _decisions(workspace: app.Workspace) -> Iterator[Decided]:
    for entry in app.journal(workspace).entries(kind=_DECISION):
        payload: Mapping[str, Any] = entry.payload
        denied = (r["policy"] for r in payload.get("reasons", ()) if r.get("effect") == Effect.DENY.value)
        yield Decided(entry.at, str(payload.get("stage", "")), entry.subject, frozenset(map(str, denied)))


def _changes(workspace: app.Workspace, since: int, problems: list[str]) -> dict[str, set[str]]:
    """Return what came since an instant: commits of the settings' repositories, images, what gates saw."""
    from lemnis.app import settings

    commits: set[str] = set()
    images: set[str] = set()
    for known in settings.load(workspace).repositories:
        try:
            repository = settings.repository(workspace, known.name)
            commits |= {f"commit:{one.id}" for one in repository.commits() if one.at >= since}
        except LemnisError as error:
            problems.append(f"the changes of {known.name} cannot be counted: {error}")
    journal = app.journal(workspace)
    for kind in (_ATTESTATION, _DECISION):
        for entry in journal.entries(kind=kind, bare=True):
            if entry.at >= since:
                (images if entry.subject.startswith("image:") else commits).add(entry.subject)
    commits = {one for one in commits if one.startswith("commit:")}
    return {**dict.fromkeys(CODE, commits), **dict.fromkeys(IMAGES, images)}
