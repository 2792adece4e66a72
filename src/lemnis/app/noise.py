"""What each rule costs: alerts a week, about whom, and with which verdicts.

The rules as they are now, exceptions included, are replayed over the lake; verdicts are those of closed
incidents in the journal. A rule was *watched* from the first to the last event of its log source: that is the
span its rate is about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from lemnis.app.detection import Detection, times
from lemnis.app.exceptions_report import Progress, quiet
from lemnis.app.rates import DAY, Weekly, weekly
from lemnis.contracts.alerts import Alert, Entity, Verdict
from lemnis.contracts.detection import Offers
from lemnis.contracts.events import EventBatch
from lemnis.contracts.incidents import Incident
from lemnis.detect.rules import Rule
from lemnis.incidents.findings import SOURCE as OWN
from lemnis.ingest.mapping_columns import pc
from lemnis.store.columns import leaf
from lemnis.store.lakes import Readable

MINUTES = 10.0
"""Minutes of an analyst for an alert, unless the settings say otherwise.

78 % of those who were asked said that an alert takes ten minutes or more (CriticalStart, The Impact of
Security Alert Overload, 2019); alerts that are looked at together, in one incident, take less each.
"""
_SEEN = 5  # of each entity's alerts, in how many its Sigma field is looked for
_ENTITIES = 20_000
_LOOKED = 500
PROTECTED = frozenset({Verdict.TRUE_POSITIVE, Verdict.SUSPICIOUS, Verdict.SECURITY_RISK})


@dataclass(slots=True)
class Span:
    """The events of a log source: how many, from when to when."""

    events: int = 0
    first: int = 0
    last: int = 0

    def add(self, events: int, first: int, last: int) -> None:
        """Take in some more."""
        self.first = min(self.first, first) if self.events else first
        self.last = max(self.last, last)
        self.events += events


@dataclass(slots=True)
class Noise:
    """What one rule made: ``by_day`` counts alerts by UTC day, ``entities`` in how many alerts each is.

    ``fields`` are the Sigma fields that held an entity's value, with how often that was seen.
    """

    rule: Rule
    by_day: Counter[int] = field(default_factory=Counter)
    entities: Counter[Entity] = field(default_factory=Counter)
    fields: dict[Entity, Counter[str]] = field(default_factory=dict)
    span: Span = field(default_factory=Span)
    verdicts: Counter[str] = field(default_factory=Counter)
    _known: set[str] = field(default_factory=set, repr=False)
    _looked: Counter[Entity] = field(default_factory=Counter, repr=False)

    @property
    def name(self) -> str:
        """What its alerts call it."""
        return self.rule.id or self.rule.title

    @property
    def alerts(self) -> int:
        """Return how many alerts it made."""
        return self.by_day.total()

    @property
    def week(self) -> Weekly:
        """Return its alerts a week."""
        return weekly(self.by_day, self.span.first, self.span.last)

    def add(self, alert: Alert) -> bool:
        """Count an alert once; say whether its event should be looked at for the fields of its entities."""
        if alert.id in self._known:
            return False
        self._known.add(alert.id)
        self.by_day[alert.time // DAY] += 1
        self.entities.update(alert.entities)
        if len(self.entities) > _ENTITIES:  # of what is seen once in a long while the count is lost
            self.entities = Counter(dict(self.entities.most_common(_ENTITIES // 2)))
        wanted = [one for one in alert.entities if self._looked[one] < _SEEN]
        if not wanted or len(self._looked) > _LOOKED:
            return False
        self._looked.update(wanted)
        return True

    def see(self, entities: Iterable[Entity], values: Mapping[str, str]) -> None:
        """Note the fields of an event whose value is an entity's."""
        for one in entities:
            wanted = one.value.lower()
            held = [name for name, value in values.items() if value.lower() == wanted]
            if held:
                self.fields.setdefault(one, Counter()).update(held)


def measure(
    lake: Readable,
    detecting: Detection,
    rules: Iterable[Rule],
    *,
    start: int | None = None,
    end: int | None = None,
    progress: Progress = quiet,
) -> dict[str, Noise]:
    """Replay the rules over the lake and count by rule, those without an alert included."""
    found = {one.name: one for one in map(Noise, rules)}
    spans: dict[Offers, Span] = {}
    seen = 0
    for batch in lake.scan(start=start, end=end):
        if batch.source == OWN:
            continue
        at = times(batch)
        for frame in detecting.frames(batch):
            mine = at[frame.rows]
            spans.setdefault(frame.offers, Span()).add(len(mine), int(mine.min()), int(mine.max()))
        _count(detecting, batch, found)
        seen += len(batch)
        progress(seen, int(at[-1]))
    for one in found.values():
        for offers, span in spans.items():
            if offers.serves(*one.rule.logsource):
                one.span.add(span.events, span.first, span.last)
    return found


def _count(detecting: Detection, batch: EventBatch, found: Mapping[str, Noise]) -> None:
    """Count the alerts of a batch, and look at some of their events."""
    look: dict[str, list[Alert]] = {}
    for alert in detecting.detect(batch):
        if alert.rule_id in found and found[alert.rule_id].add(alert):
            look.setdefault(alert.event_uids[0], []).append(alert)
    for uid, values in _values(detecting, batch, look) if look else ():
        for alert in look[uid]:
            found[alert.rule_id].see(alert.entities, values)


def _values(
    detecting: Detection, batch: EventBatch, wanted: Iterable[str]
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield some events' ids and their fields as rules see them."""
    known = leaf(batch.table, "metadata.uid")
    if known is None:
        return
    chosen = batch.table.filter(pc.is_in(known, pa.array(list(wanted), pa.string())))
    few = EventBatch(batch.class_uid, batch.source, batch.origin, chosen)
    names = uids_of(few, range(len(few)))
    for frame in detecting.frames(few):
        columns = {name: column.to_pylist() for name, column in frame.columns.items()}
        for place, row in enumerate(frame.rows):
            values = {name: column[place] for name, column in columns.items()}
            yield names[row], {name: value for name, value in values.items() if isinstance(value, str)}


def uids_of(batch: EventBatch, rows: Iterable[int]) -> list[str]:
    """Return the ids of some events of a batch."""
    column = leaf(batch.table, "metadata.uid")
    return (
        []
        if column is None
        else [str(one) for one in column.take(pa.array(list(rows), pa.int64())).to_pylist()]
    )


def verdicts(incidents: Iterable[Incident]) -> dict[str, Counter[str]]:
    """Return, by rule, how many alerts closed incidents have, by the incidents' verdict."""
    found: dict[str, dict[Verdict, int]] = {}
    for one in closed(incidents):
        verdict = one.verdict
        for group in one.groups:
            counts = found.setdefault(group.rule_id, {})
            counts[verdict] = counts.get(verdict, 0) + group.count
    return {
        rule: Counter({verdict.name.lower(): count for verdict, count in counts.items()})
        for rule, counts in found.items()
    }


def closed(incidents: Iterable[Incident]) -> list[Incident]:
    """Return the incidents that someone closed with a verdict."""
    return [
        one
        for one in incidents
        if not one.open and not one.merged_into and one.verdict is not Verdict.UNKNOWN
    ]
