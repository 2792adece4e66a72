"""A gate tried on what it decided about before: which outcomes today's content, or a changed policy, changes.

Without a change, what was decided then is held against what today's content says; with one, today's against
the change. Nothing is written down. A policy that is tried is Rego alone: it names no scanner and no program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.app import gate_facts, gates, policies, scans
from lemnis.contracts.errors import ContentError, NotFoundError, UsageError
from lemnis.contracts.findings import Decision, Effect, Reason
from lemnis.policy.decide import Exempt, Policy, checked, decide
from lemnis.policy.document import IMAGE_STAGES

if TYPE_CHECKING:
    from lemnis.content.library import Library
    from lemnis.contracts.journal import Entry
    from lemnis.store.git import Commit, Repository

EFFECTS = ("deny", "warn", "off")
MOST = 500
MOST_TEXT = 60_000
_AT_ONCE = 10
Progress = Callable[[int, int], None]
"""Told how many were replayed, of how many; it may raise, which ends the replay."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is tried: a policy by name, its effect (one of ``EFFECTS``; empty: as it is), another text."""

    policy: str
    effect: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One commit or image: what was said of it before, what after, and which reasons are new and gone.

    ``before`` is None where nothing was decided then. ``mended`` are the places of what is refused after
    that a later commit mended, ``stays`` those that are still there. ``seq`` is the number of the decision
    in the journal, 0 if there is none.
    """

    subject: str
    title: str
    at: int
    before: Effect | None
    after: Effect
    new: tuple[Reason, ...]
    gone: tuple[Reason, ...]
    mended: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    seq: int = 0

    @property
    def changed(self) -> bool:
        """Say whether the outcome is another one."""
        return self.before is not None and self.before is not self.after


@dataclass(frozen=True, slots=True)
class Tried:
    """All outcomes, the oldest first, and the digest of the content they were judged by."""

    outcomes: tuple[Outcome, ...]
    content: str

    @property
    def flows(self) -> Mapping[tuple[str, str], int]:
        """Return how many went from which outcome to which; ``none`` is where nothing was decided."""
        return Counter(
            (str(one.before.value if one.before else "none"), one.after.value) for one in self.outcomes
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """Policies, and the exceptions from them."""

    policies: Sequence[Policy]
    exceptions: Sequence[Exempt]

    def of(self, document: Mapping[str, Any], stage: str, at: int, content: str) -> Decision:
        """Return what they say of a document at a time (ms)."""
        return decide(self.policies, document, stage, self.exceptions, at, content_digest=content)


def rules(workspace: app.Workspace, library: Library, change: Change | None, stage: str) -> Rules:
    """Return the rules of a library, with what is tried in the place of the policy that it changes.

    Raises NotFoundError for a policy there is not; UsageError with line and column for a text that is none,
    for an effect that is none, and where no policy is left that decides at the stage.
    """
    found = list(policies.load(library))
    allowed = (*policies.exceptions(library), *gate_facts.waived(workspace))
    if change is not None:
        found = _changed(found, change)
    if not any(stage in one.stages for one in found):
        raise UsageError(f"no policy is left that decides at stage {stage!r}", fix="choose another stage")
    return Rules(found, allowed)


def _changed(known: Sequence[Policy], change: Change) -> list[Policy]:
    if change.effect not in {"", *EFFECTS}:
        raise UsageError(f"no effect {change.effect!r}", fix=f"one of {', '.join(EFFECTS)}")
    if len(change.text) > MOST_TEXT:
        raise UsageError(f"the policy has more than {MOST_TEXT:,} characters", fix="split it")
    one = next((policy for policy in known if policy.name == change.policy), None)
    if one is None:
        raise NotFoundError(
            f"no policy {change.policy!r}", fix=f"there are: {', '.join(p.name for p in known)}"
        )
    if change.effect == "off":
        return [policy for policy in known if policy is not one]
    warns = change.effect == "warn" if change.effect else one.warns
    tried = replace(one, warns=warns)
    if change.text:
        try:
            tried = checked(replace(tried, text=change.text, file=f"{one.name}, as tried"))
        except ContentError as error:
            raise UsageError(error.what, at=error.at, fix=error.fix or "mend the text") from error
    return [tried if policy is one else policy for policy in known]


def commits(
    workspace: app.Workspace,
    repository: Repository,
    span: str,
    *,
    library: Library,
    stage: str,
    change: Change | None = None,
    last: int = MOST,
    tell: Progress = lambda _done, _of: None,
) -> Tried:
    """Replay a gate over the last commits of a span (``A..B``, or all that a revision reaches).

    Raises UsageError for a span without commits, and as ``rules`` does.
    """
    if stage not in gates.COMMIT_STAGES:
        raise UsageError(f"stage {stage!r} does not decide on commits", fix=", ".join(gates.COMMIT_STAGES))
    some = repository.between(span)[-min(last, MOST) :]
    if not some:
        raise UsageError(f"no commit in {span!r}", fix="write A..B, the older first")
    today = rules(workspace, library, None, stage)
    after = today if change is None else rules(workspace, library, change, stage)
    seen = _then(workspace, stage)
    found: list[Outcome] = []
    tell(0, len(some))
    for commit, document in _documents(workspace, repository, some, library, stage, after, today):
        made = after.of(document, stage, commit.at, library.digest)
        entry = seen.get(f"commit:{commit.id}")
        before = today.of(document, stage, commit.at, library.digest) if change else _decision(entry)
        name = f"commit:{commit.id}"
        found.append(_outcome(commit.subject, commit.at, before, made, subject=name, entry=entry))
        tell(len(found), len(some))
    return Tried(tuple(_became(workspace, repository, some[-1], library, found)), library.digest)


def _documents(
    workspace: app.Workspace,
    repository: Repository,
    some: Sequence[Commit],
    library: Library,
    stage: str,
    *asking: Rules,
) -> Iterator[tuple[Commit, dict[str, Any]]]:
    """Yield documents, some at a time: what is scanned together is waited for together."""
    wanted = [policy for one in asking for policy in one.policies]
    for start in range(0, len(some), _AT_ONCE):
        yield from gates.documents(
            workspace, repository, some[start : start + _AT_ONCE], library, stage, rules=wanted
        )


def _became(
    workspace: app.Workspace,
    repository: Repository,
    last: Commit,
    library: Library,
    found: Sequence[Outcome],
) -> Iterator[Outcome]:
    """Yield outcomes with what became of that for which they are newly refused."""
    if not any(one.changed and one.after is Effect.DENY for one in found):
        yield from found
        return
    left = {
        f.fingerprint for f in scans.reports(workspace, repository, [last], library=library)[last.id].findings
    }
    for one in found:
        refused = [r for r in one.new if r.effect is Effect.DENY] if one.after is Effect.DENY else []
        yield replace(
            one,
            mended=tuple(r.where for r in refused if r.finding and r.finding not in left),
            stays=tuple(r.where for r in refused if not r.finding or r.finding in left),
        )


def images(
    workspace: app.Workspace,
    *,
    library: Library,
    stage: str,
    change: Change | None = None,
    last: int = MOST,
    tell: Progress = lambda _done, _of: None,
) -> Tried:
    """Replay a gate over the images it last decided on, by what is attested of them now; none is scanned."""
    if stage not in IMAGE_STAGES:
        raise UsageError(f"stage {stage!r} does not decide on images", fix=", ".join(IMAGE_STAGES))
    today = rules(workspace, library, None, stage)
    after = today if change is None else rules(workspace, library, change, stage)
    then = sorted(_then(workspace, stage).values(), key=lambda entry: entry.seq)[-min(last, MOST) :]
    if not then:
        raise UsageError(f"the gate of stage {stage} decided on no image yet", fix="choose another stage")
    found: list[Outcome] = []
    now = workspace.clock.now()
    tell(0, len(then))
    for entry in then:
        image = entry.subject.removeprefix("image:")
        document = gates.image_facts(workspace, stage, image)
        made = after.of(document, stage, now, library.digest)
        before = today.of(document, stage, now, library.digest) if change else _decision(entry)
        name = str(document["image"].get("name", ""))
        found.append(_outcome(name, entry.at, before, made, subject=entry.subject, entry=entry))
        tell(len(found), len(then))
    return Tried(tuple(found), library.digest)


def _then(workspace: app.Workspace, stage: str) -> dict[str, Entry]:
    """Return the last decision of a stage on each thing, by what it was about."""
    return {
        entry.subject: entry
        for entry in app.journal(workspace).entries(kind=gates.DECISION)
        if entry.payload.get("stage") == stage
    }


def _decision(entry: Entry | None) -> Decision | None:
    """Return a decision as it was written down."""
    if entry is None:
        return None
    payload: Mapping[str, Any] = entry.payload
    reasons = tuple(
        Reason(
            str(one.get("policy", "")), Effect(one.get("effect", "deny")), str(one.get("message", "")),
            tuple(one.get("controls") or ()), str(one.get("where", "")), str(one.get("fix", "")),
            str(one.get("finding", "")), str(one.get("severity", "")), str(one.get("exceptions_by", "")),
        )
        for one in payload.get("reasons") or ()
    )  # fmt: skip
    effect = Effect(str(payload.get("decision", "unknown")))
    return Decision(effect, reasons, tuple(payload.get("exceptions") or ()), str(payload.get("content", "")))


def _outcome(
    title: str, at: int, before: Decision | None, after: Decision, *, subject: str, entry: Entry | None
) -> Outcome:
    def keys(made: Decision | None) -> set[tuple[str, str, str, str]]:
        return {(r.policy, r.effect.value, r.where, r.message) for r in (made.reasons if made else ())}

    def missing(made: Decision | None, other: Decision | None) -> tuple[Reason, ...]:
        known = keys(other)
        return tuple(
            r
            for r in (made.reasons if made else ())
            if (r.policy, r.effect.value, r.where, r.message) not in known
        )

    return Outcome(
        subject, title, at, before.effect if before else None, after.effect, missing(after, before),
        missing(before, after), seq=entry.seq if entry else 0,
    )  # fmt: skip
