"""An incident in little: how many alerts of which rule about what, however many there are. Pure.

Alerts of one rule about the same entities are a part. An incident has so many parts; what comes then is
counted by its rule only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from lemnis.contracts.ids import Json, canonical
from lemnis.contracts.incidents import AlertGroup, Incident
from lemnis.contracts.journal import Entry
from lemnis.incidents.view import fold

PARTS = 256
Parts = dict[bytes, dict[str, Any]]


def add(parts: Parts, groups: Iterable[Mapping[str, Any]]) -> set[bytes]:
    """Add groups of alerts, as entries have them; return the names of the parts that changed."""
    changed = set()
    for group in groups:
        name = _name(group)
        if name not in parts and len(parts) >= PARTS:
            name = canonical([group["rule_id"]])
            group = _by_rule(group)  # noqa: PLW2901 - it is told by its rule
        alerts = sorted(group["alerts"], key=_by_time)
        parts[name] = (
            _both(parts[name], group, alerts) if name in parts else _part(group, alerts, len(alerts))
        )
        changed.add(name)
    return changed


def merge(parts: Parts, others: Iterable[Mapping[str, Any]]) -> None:
    """Add the parts of another incident."""
    for other in others:
        name = _name(other)
        if not other["entities"] or (name not in parts and len(parts) >= PARTS):
            name = canonical([other["rule_id"]])
            other = _by_rule(other)  # noqa: PLW2901 - it is told by its rule
        parts[name] = (
            _both(parts[name], other, other["alerts"], other["total"]) if name in parts else dict(other)
        )


def group(one: AlertGroup) -> dict[str, Any]:
    """Return a group of alerts as entries have it."""
    return {
        "rule_id": one.rule_id, "title": one.title, "severity": int(one.severity), "source": one.source,
        "tags": list(one.tags), "entities": [str(entity) for entity in one.entities],
        "reasons": list(one.reasons), "alerts": [[*alert] for alert in one.alerts],
        **({"fingerprint": one.fingerprint} if one.fingerprint else {}),
    }  # fmt: skip


def dump(part: Mapping[str, Any]) -> bytes:
    """Return a part as it is kept."""
    return orjson.dumps(part)


def load(data: bytes) -> dict[str, Any]:
    """Read it back."""
    part: dict[str, Any] = orjson.loads(data)
    return part


def incident(name: str, parts: Parts, facts: Mapping[str, Json], entries: Iterable[Entry]) -> Incident:
    """Return an incident whose groups are parts; ``entries`` are its own but for those of its alerts.

    The first says when it was opened; ``facts`` are those of the last change of its alerts.
    """
    first, *others = entries
    opened = replace(first, payload={**facts, "groups": list(parts.values())})
    return fold([opened, *others])[name]


def _name(group: Mapping[str, Any]) -> bytes:
    """Return what names the part of a group of alerts."""
    named = [group["rule_id"], group["entities"], group["severity"]]
    return canonical([*named, group["fingerprint"]] if group.get("fingerprint") else named)


def _by_rule(group: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "fingerprint"} | {"entities": []}


def _part(group: Mapping[str, Any], alerts: list[Any], total: int) -> dict[str, Any]:
    ends = alerts if len(alerts) < 3 else [alerts[0], alerts[-1]]  # noqa: PLR2004 - the first and the last
    return {**group, "alerts": ends, "total": total}


def _both(
    known: Mapping[str, Any], group: Mapping[str, Any], alerts: list[Any], total: int = 0
) -> dict[str, Any]:
    both = sorted([*known["alerts"], *alerts], key=_by_time)
    severity = max(known["severity"], group["severity"])
    return {**_part(known, both, known["total"] + (total or len(alerts))), "severity": severity}


def _by_time(alert: tuple[str, int]) -> tuple[int, str]:
    return alert[1], alert[0]
