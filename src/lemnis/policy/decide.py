"""Gate decisions: what the policies of a stage say of a document. Deny before unknown before allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
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


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy that was checked: its Rego, where it decides, and whether it refuses or only warns."""

    name: str
    text: str
    file: str
    stages: tuple[str, ...]
    warns: bool = False
    controls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exempt:
    """An approved deviation: which policy, about what, until when (the end of the day ``expires``)."""

    name: str
    policy: str
    where: str
    fingerprint: str
    expires: str

    def over(self, now: int) -> bool:
        """Say whether it has expired."""
        return now >= from_iso(self.expires) + _DAY


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
    reasons = list(_health(document))
    used: list[str] = []
    given = inward(document)
    for policy in asked:
        for reason in _reasons(policy, given, steps):
            fitting = [one for one in exceptions if _fits(one, reason, document)]
            if reason.effect is Effect.DENY and (valid := [one for one in fitting if not one.over(now)]):
                used.append(valid[0].name)
                continue
            past = ", ".join(f"{one.name} on {one.expires}" for one in fitting if one.over(now))
            reasons.append(
                replace(reason, message=f"{reason.message} (exception expired: {past})") if past else reason
            )
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
                "scan", Effect.UNKNOWN,
                f"{health['tool']} did not look: {errors[0] if errors else 'no reason given'}{more}",
                fix="make the scan complete; what was not looked at is not clean",
            )  # fmt: skip


def _reasons(policy: Policy, document: Any, steps: int) -> Iterator[Reason]:
    """Ask one policy."""
    unknown = Reason(policy.name, Effect.UNKNOWN, "", policy.controls, policy.file, "mend the policy")
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
        message, where, fix = _words(reason)
        if not message:
            yield replace(unknown, message=f"no reason with a message: {str(reason)[:200]}")
        else:
            made.append(Reason(policy.name, effect, message, policy.controls, where, fix))
    yield from sorted(made, key=lambda one: (one.where, one.message))


def _words(reason: Any) -> tuple[str, str, str]:
    """Return a reason's message, place and fix; an empty message if it is no reason."""
    if not isinstance(reason, dict):
        return "", "", ""
    message, where, fix = (reason.get(key, "") for key in ("message", "where", "fix"))
    return (message, where, fix) if all(isinstance(x, str) for x in (message, where, fix)) else ("", "", "")


def _fits(one: Exempt, reason: Reason, document: Mapping[str, Any]) -> bool:
    """Say whether an exception is about a reason."""
    if one.policy != reason.policy or not (one.where or one.fingerprint):
        return False
    if one.where and not fnmatchcase(reason.where, one.where):
        return False
    return not one.fingerprint or any(
        f["fingerprint"] == one.fingerprint and f"{f['path']}:{f['line']}" == reason.where
        for f in document.get("findings", ())
    )
