"""The proof of a lesson: what the old and the new content did on the same history, weighed. Pure.

A lesson is proven if its test fails on the old content because the detection is not there, and passes on the
new; if the gate would have stopped the cause and did not; if the detection would have alerted no later than
the first alert that the cause led to; and if all that costs no more than the lesson says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lemnis.contracts.findings import Decision, Effect
from lemnis.contracts.ids import Json


@dataclass(frozen=True, slots=True)
class Alerted:
    """An alert of a replay: the rule, when (ms), and the events."""

    rule_id: str
    at: int
    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SampleRun:
    """How a sample fared: the events read from it, and whether the lesson's rule fired on raw and OCSF."""

    events: int
    raw: bool
    ocsf: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What one state of the content did.

    ``problems`` are the lesson's own items that could not be used; ``same`` names the detection that is the
    lesson's, or says the same; ``decisions`` are the gate's, by commit; ``alerts`` the replay's, by id.
    """

    digest: str
    problems: tuple[str, ...]
    same: str
    attack: SampleRun
    benign: SampleRun
    policy_tests: tuple[str, ...]
    policy_failures: tuple[str, ...]
    decisions: Mapping[str, Decision]
    alerts: Mapping[str, Alerted]


@dataclass(frozen=True, slots=True)
class Case:
    """What the proof is about.

    ``again`` are the commits that brought the cause in: the culprit, and whoever did it once more; ``fixes``
    those that took it out; ``where`` is the line (``path:line``); ``attack`` the events of the attack;
    ``first`` when the first alert came that the cause led to; ``beside`` what else the branch changes.
    """

    lesson: str
    gate: str
    rule_id: str
    culprit: str
    commits: tuple[str, ...]
    again: frozenset[str]
    fixes: tuple[str, ...]
    attack: frozenset[str]
    first: int
    declared_wrongly: frozenset[str] = frozenset()
    declared_alerts: int = 0
    declared_digest: str = ""
    where: str = ""
    beside: tuple[str, ...] = ()
    unscrubbed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, whether it does, and what was seen."""

    name: str
    holds: bool
    says: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The verdict with all that led to it."""

    lesson: str
    checks: tuple[Check, ...]
    old: Mapping[str, Json]
    new: Mapping[str, Json]
    history: Mapping[str, Json]
    stopped: tuple[str, ...] = field(default=())
    wrongly: tuple[str, ...] = field(default=())
    added: tuple[int, ...] = field(default=())
    """When the alerts were that the detection adds outside the attack (ms)."""

    @property
    def proven(self) -> bool:
        """Say whether everything holds."""
        return all(check.holds for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Say why not."""
        return tuple(f"{check.name}: {check.says}" for check in self.checks if not check.holds)


def weigh(case: Case, old: Content, new: Content) -> Proof:
    """Judge a lesson by what the old and the new content did."""
    stopped = tuple(c for c in case.commits if _stopped(new, c) and not _stopped(old, c))
    wrongly = tuple(c for c in stopped if c not in case.again)
    added = [a for key, a in new.alerts.items() if key not in old.alerts]
    hits = [a for a in added if a.rule_id == case.rule_id and set(a.uids) & case.attack]
    cost = [a for a in added if not set(a.uids) & case.attack]
    first = min((a.at for a in hits), default=None)
    earlier = None if first is None else case.first - first
    checks = (
        *_before(case, old),
        *_sample(case, new),
        *_gate(case, new),
        _detected(earlier, len(hits)),
        *_kept(case, old, new),
        *_cost(case, old, new, wrongly, len(cost)),
    )
    return Proof(
        lesson=case.lesson,
        checks=checks,
        old={
            **_side(old),
            "as_proposed": old.digest == case.declared_digest,
            "cause": _effect(old, case.culprit),
        },
        new={
            **_side(new),
            "cause": _effect(new, case.culprit),
            "policy_tests": len(new.policy_tests),
            "alerts_on_attack": len(hits),
            "earlier_by": earlier,
        },
        history={
            "changes": len(case.commits),
            "stopped": len(stopped),
            "stopped_rightly": len(stopped) - len(wrongly),
            "stopped_wrongly": len(wrongly),
            "alerts_added": len(cost),
            "commits_stopped": list(stopped),
            "commits_stopped_rightly": [one for one in stopped if one in case.again],
            "commits_stopped_wrongly": list(wrongly),
            "alerts_before": len(old.alerts),
        },
        stopped=stopped,
        wrongly=wrongly,
        added=tuple(sorted(one.at for one in cost)),
    )


def _before(case: Case, old: Content) -> list[Check]:
    """The test fails on the old content, and for the right reason."""
    fired = old.attack.raw or old.attack.ocsf
    return [
        Check(
            "the old content lacks the detection",
            not old.same,
            f"{old.same} was there already" if old.same else "no detection is it or says the same",
        ),
        Check(
            "the test fails on the old content",
            not fired and old.attack.events > 0 and not old.attack.trouble,
            old.attack.trouble
            or ("it passes there" if fired else f"read {old.attack.events} events, nothing to fire"),
        ),
        Check(
            "the lesson names the change that brought the cause in",
            case.culprit in case.again,
            case.culprit[:12]
            if case.culprit in case.again
            else f"not {case.culprit[:12]}, but {', '.join(sorted(c[:12] for c in case.again)) or 'none'}",
        ),
        Check(
            "the old gate let the cause pass",
            _effect(old, case.culprit) == Effect.ALLOW,
            f"{case.culprit[:12]}: {_effect(old, case.culprit)}",
        ),
    ]


def _sample(case: Case, new: Content) -> list[Check]:
    """The test passes on the new content: fires on the attack, keeps silent on ordinary use."""
    attack, benign = new.attack, new.benign
    return [
        Check(
            "the lesson's content is valid", not new.problems, "; ".join(new.problems) or "all of it loads"
        ),
        Check(
            "the detection fires on the attack sample",
            attack.raw and attack.ocsf and not attack.trouble,
            attack.trouble or f"raw {_yes(attack.raw)}, OCSF {_yes(attack.ocsf)}, {attack.events} events",
        ),
        Check(
            "it keeps silent on the benign sample",
            benign.events > 0 and not benign.raw and not benign.ocsf and not benign.trouble,
            benign.trouble or f"raw {_yes(benign.raw)}, OCSF {_yes(benign.ocsf)}, {benign.events} events",
        ),
        Check(
            "the samples hold no credentials or addresses",
            not case.unscrubbed,
            ", ".join(case.unscrubbed) or "clean",
        ),
    ]


def _gate(case: Case, new: Content) -> list[Check]:
    """The gate's own test passes, it stops the cause, and lets the fix pass."""
    decision = new.decisions.get(case.culprit)
    by = [r for r in decision.reasons if r.policy == case.gate] if decision else []
    by.sort(key=lambda reason: reason.where != case.where)
    denied = decision is not None and decision.effect is Effect.DENY
    held = [f"{c[:12]}: {_effect(new, c)}" for c in case.fixes if _effect(new, c) != Effect.ALLOW]
    return [
        Check(
            "the policy's own test passes",
            bool(new.policy_tests) and not new.policy_failures,
            "; ".join(new.policy_failures) or f"{len(new.policy_tests)} tests",
        ),
        Check(
            "the new gate stops the cause",
            denied and any(reason.effect is Effect.DENY for reason in by),
            by[0].message if by and denied else f"{case.culprit[:12]}: {_effect(new, case.culprit)}"
            + (", not by this lesson" if denied else ""),
        ),
        Check(
            "the fix passes",
            not held,
            "; ".join(held) or ", ".join(c[:12] for c in case.fixes) or "there is none yet",
        ),
    ]  # fmt: skip


def _detected(earlier: int | None, hits: int) -> Check:
    """The detection would have alerted in time."""
    name = "the detection would have alerted in time"
    if earlier is None:
        return Check(name, holds=False, says="it does not fire on the incident's events in the lake")
    if earlier < 0:
        return Check(name, holds=False, says=f"{-earlier} ms after the first alert that the cause led to")
    return Check(name, holds=True, says=f"{earlier} ms before the first alert, {hits} alerts on the attack")


def _kept(case: Case, old: Content, new: Content) -> list[Check]:
    """Nothing is lost by it: no other content changed, no alert, no refusal gone."""
    passing = [c for c in case.commits if _stopped(old, c) and not _stopped(new, c)]
    silent = [key for key in old.alerts if key not in new.alerts]
    return [
        Check(
            "the branch changes nothing besides",
            not case.beside,
            ", ".join(case.beside[:5]) or "only the lesson's own files",
        ),
        Check(
            "what was refused is refused",
            not passing,
            f"let pass now: {', '.join(c[:12] for c in passing)}" if passing else "every change that was",
        ),
        Check(
            "no alert is lost",
            not silent,
            f"{len(silent)} of {len(old.alerts)} are not there"
            if silent
            else f"all {len(old.alerts)} are there",
        ),
    ]


def _cost(case: Case, old: Content, new: Content, wrongly: Sequence[str], alerts: int) -> list[Check]:
    """Everything could be judged, and the cost is what the lesson says, or less."""
    blind = [
        c for c in case.commits for side in (old, new) if _effect(side, c) not in (Effect.ALLOW, Effect.DENY)
    ]
    more = [c for c in wrongly if c not in case.declared_wrongly]
    return [
        Check(
            "every change could be judged",
            not blind and bool(case.commits),
            f"unknown: {', '.join(sorted({c[:12] for c in blind}))}" if blind else f"{len(case.commits)}",
        ),
        Check(
            "no more changes are stopped than the lesson says",
            not more,
            f"wrongly: {', '.join(c[:12] for c in more)}" if more else f"{len(wrongly)} wrongly",
        ),
        Check(
            "no more alerts are added than the lesson says",
            alerts <= case.declared_alerts,
            f"{alerts} outside the attack, {case.declared_alerts} stated",
        ),
    ]


def _stopped(side: Content, commit: str) -> bool:
    return _effect(side, commit) == Effect.DENY


def _effect(side: Content, commit: str) -> str:
    decision = side.decisions.get(commit)
    return decision.effect.value if decision else "not judged"


def _side(side: Content) -> dict[str, Json]:
    return {
        "digest": side.digest,
        "detection": side.same,
        "fires_on_attack": {"raw": side.attack.raw, "ocsf": side.attack.ocsf},
        "fires_on_benign": {"raw": side.benign.raw, "ocsf": side.benign.ocsf},
        "changes_stopped": sum(1 for commit in side.decisions if _stopped(side, commit)),
    }


def _yes(value: bool) -> str:  # noqa: FBT001 - it is the value that is spoken of
    return "fires" if value else "silent"
