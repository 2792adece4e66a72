"""What a group of alerts amounts to: many different things about the same entities, not many of the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
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


@lru_cache(maxsize=4096)
def tactics(tags: tuple[str, ...]) -> frozenset[str]:
    """Return the ATT&CK tactics among a rule's tags."""
    names = (tag.removeprefix(_PREFIX).replace("_", "-") for tag in tags if tag.startswith(_PREFIX))
    return frozenset(name for name in names if name in _TACTICS)


def assess(alerts: Iterable[Alert], risk: Risk) -> Assessment:
    """Add up a group whose alerts come in the order of event time: it never falls when alerts are added.

    Each rule counts once, by the highest severity it had, and each tactic after the first.
    """
    points = {Severity[name.upper()]: value for name, value in risk.severity.items()}
    rules: dict[str, Severity] = {}
    seen: set[str] = set()
    total, decisive = 0, None
    for alert in alerts:
        worst = rules.get(alert.rule_id)
        if worst is None or points[alert.severity] > points[worst]:
            rules[alert.rule_id] = alert.severity
        new = tactics(alert.tags) - seen
        if new:
            seen |= new
        elif alert.severity is worst:
            continue
        total = sum(points[severity] for severity in rules.values()) + risk.tactic * max(0, len(seen) - 1)
        if decisive is None and total >= risk.open_at:
            decisive = alert.time
    counts = sorted(Counter(rules.values()).items(), reverse=True)
    parts = [f"{n} {severity.name.lower()} ({points[severity]} each)" for severity, n in counts]
    if len(seen) > 1:
        parts.append(f"{len(seen)} tactics ({risk.tactic} for each after the first)")
    sign = "<" if decisive is None else ">="
    return Assessment(total, f"risk {total} {sign} {risk.open_at}: rules {', '.join(parts)}", decisive)
