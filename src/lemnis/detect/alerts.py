"""Makes alerts of matches: the event that fired, what it is about, and an id that follows from both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Protocol

from lemnis.contracts.alerts import Alert, Entity, Severity
from lemnis.contracts.detection import Match
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import Json, canonical, stable_id

LEVELS: Mapping[str, Severity] = MappingProxyType(
    {
        "informational": Severity.INFORMATIONAL,
        "low": Severity.LOW,
        "medium": Severity.MEDIUM,
        "high": Severity.HIGH,
        "critical": Severity.CRITICAL,
    }
)
"""Sigma's levels; a rule without one says nothing of its severity."""
MAX_EVENT = 16_384  # bytes of JSON; the whole event is in the lake
_MAX_TEXT = 2_048
_MAX_ITEMS = 64
_BULKY = ("raw_data", "unmapped", "enrichments", "observables")
Entities = Callable[[int, Mapping[str, Any]], Sequence[Entity]]


class Matched(Protocol):
    """What an alert takes from a rule."""

    @property
    def id(self) -> str:
        """The rule's id."""
        ...

    @property
    def title(self) -> str:
        """What the rule says happened."""
        ...

    @property
    def level(self) -> str:
        """Sigma's level, or nothing."""
        ...

    @property
    def tags(self) -> tuple[str, ...]:
        """Sigma's tags, such as ``attack.t1059.004``."""
        ...


@dataclass(frozen=True, slots=True)
class Alerts:
    """Makes alerts under one content digest; ``entities`` finds what an OCSF event is about."""

    content_digest: str
    entities: Entities

    def of(self, batch: EventBatch, matches: Iterable[Match], rules: Sequence[Matched]) -> Iterator[Alert]:
        """Yield an alert for each row of each match, by event time; pure. ``rules`` are the matcher's."""
        pairs = sorted({(row, match.rule) for match in matches for row in match.rows})
        rows = sorted({row for row, _ in pairs})
        if not rows:
            return
        events = dict(zip(rows, batch.table.take(rows).to_pylist(), strict=True))
        about = {row: tuple(sorted(set(self.entities(batch.class_uid, e)))) for row, e in events.items()}
        shown = {row: bounded(event) for row, event in events.items()}
        for row, place in sorted(pairs, key=lambda pair: (events[pair[0]]["time"], pair)):
            rule, uid = rules[place], str(events[row]["metadata"]["uid"])
            name = rule.id or rule.title  # Sigma does not demand an id
            yield Alert(
                id=stable_id("al", name, uid),
                rule_id=name,
                title=rule.title,
                severity=LEVELS.get(rule.level or "", Severity.UNKNOWN),
                time=int(events[row]["time"]),
                source=batch.source,
                event_uids=(uid,),
                entities=about[row],
                content_digest=self.content_digest,
                tags=tuple(rule.tags),
                event=shown[row],
            )


def bounded(event: Mapping[str, Any]) -> dict[str, Json]:
    """Return an event as JSON for people: without what is empty, long texts cut, at most 16 KiB."""
    kept = _tidy(event)
    whole: dict[str, Json] = kept if isinstance(kept, dict) else {}
    if len(canonical(whole)) <= MAX_EVENT:
        return whole
    for name in [*_BULKY, *sorted(whole, key=lambda key: (-len(canonical(whole[key])), key))]:
        if name in whole and name not in {"metadata", "time", "class_uid"}:
            whole[name] = "(left out here: too long; the lake has it)"
            if len(canonical(whole)) <= MAX_EVENT:
                break
    return whole


def _tidy(value: Any) -> Json:
    if isinstance(value, dict):
        items = ((str(key), _tidy(item)) for key, item in value.items())
        return {key: item for key, item in items if item not in (None, {}, [], "")}
    if isinstance(value, list):
        some = [_tidy(item) for item in value[:_MAX_ITEMS]]
        return some if len(value) <= _MAX_ITEMS else [*some, f"(and {len(value) - _MAX_ITEMS} more)"]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]}… ({len(value)} characters)"
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)
