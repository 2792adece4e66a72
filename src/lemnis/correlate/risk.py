"""What a group of alerts amounts to: many different things about the same entities, not many of the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from lemnis.content.schemas.grouping import Risk
from lemnis.contracts.alerts import Alert, Severity

_PREFIX = "attack."
_TACTICS = frozenset(
    {
        "reconnaissance", "resource-development", "initial-access", "execution", "persistence",
        "privilege-escalation", "defense-evasion", "credential-access", "discovery", "lateral-movement",
        "collection", "command-and-control", "exfiltration", "impact", "stealth", "defense-impairment",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assessment:
    """A group's risk, how it came about, and the event time at which it was enough (None: it is not)."""

    total: int
    because: str
    decisive: int | None


@lru_cache(maxsize=8)
def _weights(severity: tuple[tuple[str, int], ...]) -> tuple[int, ...]:
    """Return what each severity counts, in their order."""
    points = {name.upper(): value for name, value in severity}
    return tuple(points[one.name] for one in Severity)


@lru_cache(maxsize=4096)
def tactics(tags: tuple[str, ...]) -> frozenset[str]:
    """Return the ATT&CK tactics among a rule's tags."""
    names = (tag.removeprefix(_PREFIX).replace("_", "-") for tag in tags if tag.startswith(_PREFIX))
    return frozenset(name for name in names if name in _TACTICS)


@dataclass(slots=True)
class Points:
    """What of alerts their risk depends on: when each rule first had each severity, each tactic first came.

    Its size is bounded by the rules, however many alerts there are.
    """

    rules: dict[str, dict[int, int]] = field(default_factory=dict)
    tactics: dict[str, int] = field(default_factory=dict)

    def add(self, alert: Alert) -> None:
        """Take an alert, in any order."""
        self.put(alert.rule_id, int(alert.severity), alert.time, alert.tags)

    def put(self, rule: str, severity: int, time: int, tags: tuple[str, ...]) -> None:
        """Take an alert by what of it counts."""
        times = self.rules.get(rule)
        if times is None:
            self.rules[rule] = {severity: time}
        elif times.get(severity, time) >= time:
            times[severity] = time
        for tactic in tactics(tags):
            if self.tactics.get(tactic, time) >= time:
                self.tactics[tactic] = time

    def merge(self, other: Points) -> None:
        """Take what another has."""
        for rule, theirs in other.rules.items():
            times = self.rules.setdefault(rule, {})
            for severity, time in theirs.items():
                times[severity] = min(time, times.get(severity, time))
        for tactic, time in other.tactics.items():
            self.tactics[tactic] = min(time, self.tactics.get(tactic, time))

    def total(self, risk: Risk) -> int:
        """Return the risk alone, as ``assess`` adds it up."""
        weights = _weights(tuple(risk.severity.items()))
        worst = sum(max(weights[severity] for severity in times) for times in self.rules.values())
        return worst + risk.tactic * max(0, len(self.tactics) - 1)

    def assess(self, risk: Risk) -> Assessment:
        """Add up, in the order of event time: it never falls when alerts are added.

        Each rule counts once, by the highest severity it had, and each tactic after the first.
        """
        weights = _weights(tuple(risk.severity.items()))
        steps: list[tuple[int, str, int]] = [
            (time, rule, severity) for rule, times in self.rules.items() for severity, time in times.items()
        ]
        steps += [(time, "", -1) for time in self.tactics.values()]
        steps.sort()
        worst: dict[str, int] = {}
        total, seen, decisive = 0, 0, None
        for time, rule, severity in steps:
            if severity < 0:
                seen += 1
                total += risk.tactic if seen > 1 else 0
            elif (before := worst.get(rule)) is None or weights[severity] > weights[before]:
                worst[rule] = severity
                total += weights[severity] - (0 if before is None else weights[before])
            if decisive is None and total >= risk.open_at:
                decisive = time
        counts = sorted(Counter(map(Severity, worst.values())).items(), reverse=True)
        parts = [f"{n} {severity.name.lower()} ({weights[severity]} each)" for severity, n in counts]
        if seen > 1:
            parts.append(f"{seen} tactics ({risk.tactic} for each after the first)")
        sign = "<" if decisive is None else ">="
        because = f"risk {total} {sign} {risk.open_at}: rules {', '.join(parts)}"
        return Assessment(total, because, decisive)


def assess(alerts: Iterable[Alert], risk: Risk) -> Assessment:
    """Assess a group of alerts."""
    points = Points()
    for alert in alerts:
        points.add(alert)
    return points.assess(risk)
