"""Makes alerts of matches: the event that fired, what it is about, and an id that follows from both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Protocol

import pyarrow as pa

from lemnis.contracts.alerts import Alert, Entity, Severity, Written
from lemnis.contracts.detection import Match
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import Json, canonical, stable_id
from lemnis.detect.fingerprint import BY_ENTITIES, Fingerprint
from lemnis.detect.matched import Told
from lemnis.detect.suppress import Suppression, fold

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
_MAX_COPY = 512
_EMPTY: tuple[Json, ...] = ("", {}, [])
_COPIES = frozenset({"raw_data", "unmapped", "message"})  # they say again what the fields say
_MAX_ITEMS = 64
_BULKY = ("raw_data", "unmapped", "enrichments", "observables")
Entities = Callable[[int, Mapping[str, Any]], Sequence[Entity]]
Values = Mapping[tuple[int, int], tuple[str, ...]]
"""The values by which an alert folds, by the row's place in the batch and the rule's in the matcher."""


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
class Facts:
    """What else is known of a rule: the digest of what it asks, how its alerts fold, how sure it is."""

    digest: str = ""
    suppression: Suppression | None = None
    fingerprint: Fingerprint = BY_ENTITIES
    confidence: str = ""
    ambiguous: bool = False
    """Whether another rule has its id, or it has none: then what it asks is part of its alerts' ids."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What is told of a batch's matches, by row and rule, and whether each alert stands alone."""

    matched: Told
    values: Values
    prints: Values
    alone: bool


@dataclass(frozen=True, slots=True)
class Alerts:
    """Makes alerts under one content digest; ``entities`` finds what an OCSF event is about.

    ``facts`` says what else is known of a rule, by its place.
    """

    content_digest: str
    entities: Entities
    facts: Callable[[int], Facts] = lambda _: Facts()

    def of(
        self,
        batch: EventBatch,
        matches: Iterable[Match],
        rules: Sequence[Matched],
        told: Told | None = None,
        values: Values | None = None,
        *,
        prints: Values | None = None,
        alone: bool = False,
    ) -> Iterator[Alert]:
        """Yield an alert for each row of each match, by event time; pure. ``rules`` are the matcher's.

        ``told`` are the fields that matched, ``values`` those by which alerts fold, ``prints`` those of their
        fingerprints, all by row and rule. Alerts that fold come as one, at the place of their earliest event;
        none does if each shall stand ``alone``.
        """
        pairs = sorted({(row, match.rule) for match in matches for row in match.rows})
        if not pairs:
            return
        some = _Told(told or {}, values or {}, prints or {}, alone=alone)
        made = self._made(batch, pairs, rules, some)
        folds = not alone and any(self.facts(rule).suppression for _, rule in pairs)
        yield from fold(made) if folds else made

    def _made(
        self,
        batch: EventBatch,
        pairs: Sequence[tuple[int, int]],
        rules: Sequence[Matched],
        told: _Told,
    ) -> Iterator[Alert]:
        """Yield an alert for each row of each rule."""
        rows = sorted({row for row, _ in pairs})
        table = batch.table if len(rows) == len(batch) else batch.table.take(pa.array(rows))
        events = dict(zip(rows, table.to_pylist(), strict=True))
        about = {row: _about(self.entities(batch.class_uid, event)) for row, event in events.items()}
        shown = {row: bounded(event) for row, event in events.items()}
        for row, place in sorted(pairs, key=lambda pair: (events[pair[0]]["time"], pair)):
            rule, uid, time = rules[place], str(events[row]["metadata"]["uid"]), int(events[row]["time"])
            facts = self.facts(place)
            name = rule.id or rule.title  # Sigma does not demand an id
            key = f"{name} {facts.digest}" if facts.ambiguous else name
            window, folds = 0, None if told.alone else facts.suppression
            if folds is None:
                known = stable_id("al", key, uid)
            else:
                window = folds.window
                by = told.values.get((row, place), ()) if folds.by else tuple(map(str, about[row]))
                known = folds.id(key, time, by)
            yield Alert(
                known, name, rule.title, LEVELS.get(rule.level or "", Severity.UNKNOWN), time, batch.source,
                (uid,), about[row], self.content_digest, tuple(rule.tags), shown[row],
                rule_digest=facts.digest, matched=told.matched.get((row, place), ()),
                confidence=facts.confidence, window=window,
                first=time if window else 0, last=time if window else 0,
                fingerprint=facts.fingerprint.of(key, told.prints.get((row, place), ()), about[row]),
            )  # fmt: skip


def _about(entities: Sequence[Entity]) -> tuple[Entity, ...]:
    return tuple(entities) if len(entities) < 2 else tuple(sorted(set(entities), key=_order))  # noqa: PLR2004


def _order(entity: Entity) -> tuple[str, str]:
    return entity.kind, entity.value


def bounded(event: Mapping[str, Any]) -> Written:
    """Return an event as JSON for people: without what is empty, long texts cut, at most 16 KiB."""
    whole: dict[str, Json] = {}
    for name, value in event.items():
        if value is None:
            continue
        item = _short(value, _MAX_COPY) if name in _COPIES and type(value) is str else _tidy(value)
        if item is not None and item not in _EMPTY:
            whole[name] = item
    text = canonical(whole)
    if len(text) > MAX_EVENT:
        for name in [*_BULKY, *sorted(whole, key=lambda key: (-len(canonical(whole[key])), key))]:
            if name in whole and name not in {"metadata", "time", "class_uid"}:
                whole[name] = "(left out here: too long; the lake has it)"
                text = canonical(whole)
                if len(text) <= MAX_EVENT:
                    break
    return Written(whole, text)


def _tidy(value: Any) -> Json:  # noqa: C901, PLR0911 - one line a type; the commonest first
    kind = type(value)
    if kind is str:
        return value if len(value) <= _MAX_TEXT else _short(value)
    if kind is int or value is None or kind is bool or kind is float:
        return value  # type: ignore[no-any-return]
    if kind is dict:
        kept: dict[str, Json] = {}
        for key, one in value.items():
            kind = type(one)
            if one is None or one == "":
                continue
            if kind is int or (kind is str and len(one) <= _MAX_TEXT):
                kept[str(key)] = one
                continue
            item = _tidy(one)
            if item is not None and item not in _EMPTY:
                kept[str(key)] = item
        return kept
    if kind is list:
        some = [_tidy(item) for item in value[:_MAX_ITEMS]]
        return some if len(value) <= _MAX_ITEMS else [*some, f"(and {len(value) - _MAX_ITEMS} more)"]
    if kind is bytes:
        return _short(value.decode("utf-8", "backslashreplace"))
    if kind is Decimal:
        return int(value) if value == value.to_integral_value() and abs(value) < 2**63 else str(value)
    return _short(str(value))


def _short(text: str, most: int = _MAX_TEXT) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
