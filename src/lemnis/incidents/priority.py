"""How severe and urgent an incident is: by its alerts, what it is about, what a person decided. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lemnis.content.schemas.handling import Handling as Policy
from lemnis.content.schemas.handling import PriorityPolicy
from lemnis.contracts.alerts import Severity
from lemnis.contracts.handling import Asset, Handling, Live, Priority, Weighed
from lemnis.contracts.incidents import Incident
from lemnis.incidents.living import living

_CRITICALITIES = ("", "low", "medium", "high", "critical")


def weigh(
    incident: Incident,
    handling: Handling,
    assets: Iterable[Asset],
    risk: tuple[str, int],
    policy: Policy,
    *,
    live: Sequence[Live] = (),
) -> Weighed:
    """Return an incident's severity and priority, each with its reason.

    ``assets`` is what is known of its entities, ``risk`` its riskiest entity and that one's risk (the whole
    group's, and no name, where no entity stands out), ``live`` the open findings in what it is about.
    """
    known = list(assets)
    worst = max(known, key=lambda one: _CRITICALITIES.index(one.criticality), default=None)
    severity, why_severe = _severity(incident, handling, worst, policy)
    points, parts = _points(incident, known, worst, risk, policy.priority)
    tags = {tag for group in incident.groups for tag in group.tags}
    of_live, told = living(live, tags, policy.priority.live)
    if of_live:
        points, parts = points + of_live, [*parts, (told[0], of_live)]
    total = risk[1] + of_live
    if handling.priority is not None:
        said = handling.priority
        decided = f"{said.actor} decided: {said.reason}"
        of_people = Priority[said.value.upper()]
        return Weighed(severity, why_severe, of_people, decided, points, total, told)
    reached = [name for name in ("medium", "high", "critical") if points >= policy.priority.levels[name]]
    priority = Priority[reached[-1].upper()] if reached else Priority.LOW
    step = _steps(policy.priority, points)
    because = f"{points} points ({', '.join(f'{what} {count}' for what, count in parts)}); {step}"
    return Weighed(severity, why_severe, priority, because, points, total, told, tuple(parts), step)


def _severity(
    incident: Incident, handling: Handling, worst: Asset | None, policy: Policy
) -> tuple[Severity, str]:
    if handling.severity is not None:
        said = handling.severity
        return Severity[said.value.upper()], f"{said.actor} decided: {said.reason}"
    base = incident.severity
    because = f"the worst alert is {base.name.lower()}"
    steps = _of(policy.severity.raised_by, worst.criticality) if worst else 0
    raised = Severity(min(base + steps, max(base, Severity.CRITICAL)))
    if worst is not None and raised > base:
        return raised, f"{because}, and {worst.id} is {worst.criticality}"
    return base, because


def _points(
    incident: Incident, known: list[Asset], worst: Asset | None, risk: tuple[str, int], policy: PriorityPolicy
) -> tuple[int, list[tuple[str, int]]]:
    level = incident.severity.name.lower()
    total = _of(policy.severity, level)
    parts = [(f"severity {level}", total)]
    criticality = (worst.criticality if worst else "") or "unknown"
    of_asset = _of(policy.criticality, criticality)
    if of_asset:
        named = f"{worst.id} is {criticality}" if worst and worst.criticality else "no asset's worth is known"
        parts.append((named, of_asset))
    privileged = next((one for one in known if one.privileged), None)
    of_account = policy.privileged if privileged else 0
    if of_account and privileged:
        parts.append((f"{privileged.id} is privileged", of_account))
    entity, amount = risk
    of_risk = max((points for least, points in policy.risk.items() if amount >= least), default=0)
    if of_risk:
        parts.append((f"risk {amount}{f' of {entity}' if entity else ''}", of_risk))
    return total + of_asset + of_account + of_risk, parts


def _of(table: Mapping[Any, int], name: str) -> int:
    """Return what a table of the policy says of a name; nothing of one that it leaves out."""
    return table.get(name or "unknown", 0)


def _steps(policy: PriorityPolicy, points: int) -> str:
    """Say what the next higher priority would have taken, or that there is none."""
    above = [(least, name) for name, least in policy.levels.items() if points < least]
    if not above:
        return f"critical from {policy.levels['critical']}"
    least, name = min(above)
    return f"{name} from {least}"
