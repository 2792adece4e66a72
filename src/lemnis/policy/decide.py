"""Gate decisions: what the policies of a stage say of a document. Deny before unknown before allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any

from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import ContentError, UsageError
from lemnis.contracts.findings import Decision, Effect, Reason
from lemnis.policy.check import check_policy
from lemnis.policy.document import STAGES
from lemnis.policy.evaluate import STEPS, program
from lemnis.policy.parser import parse
from lemnis.policy.tokens import Source
from lemnis.policy.values import inward

_DAY = 86_400_000
SCAN = "scan"
"""What says that a scanner did not look: not a policy in a file, yet an exception can be from it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy that was checked: its Rego, where it decides, and whether it refuses or only warns.

    ``grants`` says who can grant an exception from it.
    """

    name: str
    text: str
    file: str
    stages: tuple[str, ...]
    warns: bool = False
    controls: tuple[str, ...] = ()
    severity: str = "medium"
    grants: str = ""


@dataclass(frozen=True, slots=True)
class Exempt:
    """An approved deviation: which policy, about what, at which stages, until when (the end of a day).

    ``void`` says why it no longer counts although it has not expired. One from the policy ``scan`` waives a
    scanner that did not look: ``where`` names the tool.
    """

    name: str
    policy: str
    where: str
    fingerprint: str
    expires: str
    stages: tuple[str, ...] = ()
    void: str = ""

    def over(self, now: int) -> bool:
        """Say whether it has expired."""
        return now >= from_iso(self.expires) + _DAY

    def ended(self, now: int) -> str:
        """Say why it does not count any more; empty if it does."""
        if self.over(now):
            return f"exception expired: {self.name} on {self.expires}"
        return f"exception void: {self.name}, {self.void}" if self.void else ""


def checked(policy: Policy) -> Policy:
    """Return a policy whose Rego was read and checked; raises ContentError with file, line and column."""
    source = Source(policy.file, policy.text)
    check_policy(parse(source), source, policy.name, policy.stages)
    return policy


def decide(
    policies: Sequence[Policy],
    document: Mapping[str, Any],
    stage: str,
    exceptions: Sequence[Exempt] = (),
    now: int = 0,
    *,
    content_digest: str = "",
    steps: int = STEPS,
) -> Decision:
    """Return what the policies of ``stage`` say of ``document``.

    A policy that cannot be evaluated, has no result or gives something that is no reason, and a scanner
    that did not look, make the decision ``unknown`` unless something is refused outright. Exceptions that
    hold at ``now`` take reasons away; expired ones are named in the reason. Raises UsageError for a stage
    without policies.
    """
    asked = [policy for policy in policies if stage in policy.stages]
    if not asked:
        raise UsageError(f"no policy decides at stage {stage!r}", fix=f"stages: {', '.join(STAGES)}")
    given, places = inward(document), _places(document)
    said = chain(_health(document), *(_reasons(policy, given, places, steps) for policy in asked))
    reasons: list[Reason] = []
    used: list[str] = []
    for reason in said:
        fitting = [one for one in exceptions if _fits(one, reason, stage)]
        valid = [one.name for one in fitting if not one.ended(now)]
        if valid and (reason.effect is Effect.DENY or reason.policy == SCAN):
            used.append(valid[0])
            continue
        past = "; ".join(filter(None, (one.ended(now) for one in fitting)))
        reasons.append(replace(reason, message=f"{reason.message} ({past})") if past else reason)
    found = {reason.effect for reason in reasons}
    effect = next((one for one in (Effect.DENY, Effect.UNKNOWN) if one in found), Effect.ALLOW)
    return Decision(effect, tuple(reasons), tuple(dict.fromkeys(used)), content_digest)


def _health(document: Mapping[str, Any]) -> Iterator[Reason]:
    """Yield a reason for each scanner that did not look."""
    for health in document.get("health", ()):
        if health["state"] != "ok":
            errors = health["errors"]
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            yield Reason(
                SCAN, Effect.UNKNOWN,
                f"{health['tool']} did not look: {errors[0] if errors else 'no reason given'}{more}",
                where=health["tool"], fix="make the scan complete; what was not looked at is not clean",
                grants="whoever may waive a scan",
            )  # fmt: skip


def _reasons(policy: Policy, document: Any, places: Mapping[str, str], steps: int) -> Iterator[Reason]:
    """Ask one policy."""
    unknown = Reason(
        policy.name, Effect.UNKNOWN, "", policy.controls, policy.file, "mend the policy",
        severity=policy.severity,
    )  # fmt: skip
    try:
        said = program((policy.text,), (policy.file,)).ask(
            f"lemnis.{policy.name}", "deny", document, steps=steps
        )
    except ContentError as error:
        yield replace(unknown, message=error.what)
        return
    if not isinstance(said, list):
        yield replace(unknown, message="the policy has no result")
        return
    effect = Effect.ALLOW if policy.warns else Effect.DENY
    made = []
    for reason in said:
        words = _words(reason)
        if not words.get("message"):
            yield replace(unknown, message=f"no reason with a message: {str(reason)[:200]}")
        else:
            about = words.get("finding") or places.get(words.get("where", ""), "")
            made.append(
                Reason(
                    policy.name, effect, words["message"], policy.controls, words.get("where", ""),
                    words.get("fix", ""), about, policy.severity, policy.grants,
                )
            )  # fmt: skip
    yield from sorted(made, key=lambda one: (one.where, one.message))


def _words(reason: Any) -> dict[str, str]:
    """Return a reason's message, place, fix and finding; nothing if it is no reason."""
    if not isinstance(reason, dict):
        return {}
    words = {key: reason[key] for key in ("message", "where", "fix", "finding") if key in reason}
    return words if all(isinstance(word, str) for word in words.values()) else {}


def _places(document: Any) -> dict[str, str]:
    """Return the fingerprint of the one finding at each place; nothing for a place with several."""
    places: dict[str, str] = {}
    for finding in document.get("findings", ()):
        where = finding.get("where") or f"{finding.get('path')}:{finding.get('line')}"
        places[where] = "" if where in places else str(finding.get("fingerprint", ""))
    return places


def _fits(one: Exempt, reason: Reason, stage: str) -> bool:
    """Say whether an exception is about a reason."""
    if one.policy != reason.policy or not (one.where or one.fingerprint):
        return False
    if one.stages and stage not in one.stages:
        return False
    if one.where and not fnmatchcase(reason.where, one.where):
        return False
    return not one.fingerprint or one.fingerprint == reason.finding
