"""Backtests in pieces: what a batch gives under old content and new, so that it can be counted elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import orjson
import pyarrow as pa

from lemnis.app import retro_pieces as pieces
from lemnis.app.backtest import SHOWN, Difference, Limits, Sides, Signals, compare, count_correlated
from lemnis.app.retro import Engine, plan, run
from lemnis.app.retro_units import Range, Wanted
from lemnis.contracts.alerts import Alert
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import Json
from lemnis.incidents.findings import SOURCE as OWN
from lemnis.store.columns import MS_A_DAY
from lemnis.store.lakes import Readable

_SIDES = ("old " + pieces.SIGNALS, "new " + pieces.SIGNALS)
_LOOKED = "looked"
Key = tuple[int, int, str, int, str]
"""The place of an alert's event in the lake's order: day, class, source, time, uid."""


@dataclass(frozen=True, slots=True)
class Comparing:
    """Both sides over batches; ``names`` are the rules that changed."""

    sides: Sides
    names: Collection[str]

    def of(self, batch: EventBatch) -> Iterator[pieces.Piece]:
        """Yield how many events there are, what changes by rule, and what both sides signal."""
        if batch.source == OWN:
            return
        yield _LOOKED, str(len(batch)).encode()
        found = {name: Difference(name, "", "") for name in self.names}
        signals: tuple[list[Signals], list[Signals]] = ([], [])
        compare(batch, self.sides, found, signals)
        for name, one in found.items():
            if one.kept or one.added or one.gone:
                examples = [
                    [pieces.write_alert(alert).decode() for alert in some]
                    for some in (one.added_examples, one.gone_examples)
                ]
                told = [name, one.kept, one.added, one.gone, batch.class_uid, *examples]
                yield pieces.CHANGES, orjson.dumps(told)
        for kind, some in zip(_SIDES, signals, strict=True):
            for table in some:
                yield kind, pieces.write_signals(table)


@dataclass(slots=True)
class Compared:
    """What changes, out of pieces, in whatever order these come."""

    found: dict[str, Difference]
    events: int = 0
    signals: tuple[list[Signals], list[Signals]] = field(default_factory=lambda: ([], []))
    _shown: dict[tuple[str, int], list[tuple[Key, Alert]]] = field(default_factory=dict)

    def add(self, some: pa.Table) -> None:
        """Take rows of ``retro_pieces.PIECES``."""
        self.events += sum(int(body) for body in pieces.bodies(some, _LOOKED))
        for kind, mine in zip(_SIDES, self.signals, strict=True):
            mine.extend(pieces.read_signals(body) for body in pieces.bodies(some, kind))
        for body in pieces.bodies(some, pieces.CHANGES):
            name, kept, added, gone, class_uid, *examples = orjson.loads(body)
            one = self.found[name]
            one.kept, one.added, one.gone = one.kept + kept, one.added + added, one.gone + gone
            for side, written in enumerate(examples):
                alerts = [pieces.read_alert(text.encode()) for text in written]
                known = self._shown.setdefault((name, side), [])
                known += ((_place(alert, class_uid), alert) for alert in alerts)
                known.sort(key=lambda pair: pair[0])
                del known[SHOWN:]

    def finish(self) -> None:
        """Put the examples into the differences: the first ones in the lake's order."""
        for (name, side), some in self._shown.items():
            one = self.found[name]
            (one.gone_examples if side else one.added_examples).extend(alert for _, alert in some)


def _place(alert: Alert, class_uid: int) -> Key:
    return alert.time // MS_A_DAY, class_uid, alert.source, alert.time, alert.event_uids[0]


@dataclass(frozen=True, slots=True)
class Versions:
    """Two states of the content over history, as a question."""

    sides: Sides
    names: Collection[str]

    @property
    def known_by(self) -> Mapping[str, Json]:
        """The two states, and the rules that changed."""
        old, new = (side.alerts.content_digest for side in self.sides)
        return {"old": old, "new": new, "names": sorted(self.names)}

    @property
    def work(self) -> Comparing:
        """What compares them."""
        return Comparing(self.sides, self.names)

    def wanted(self, table: str) -> Wanted:  # noqa: ARG002 - of any table
        """Return that all events are counted."""
        return None

    def columns(self, table: str, schema: pa.Schema) -> pa.Schema:  # noqa: ARG002 - of any table
        """Return all columns: an example tells its whole event."""
        return schema


def replayed(
    lake: Readable, question: Versions, engine: Engine, found: dict[str, Difference], limits: Limits
) -> int:
    """Run a backtest on an engine and count into the differences; return how many events there were."""
    planned = plan(lake, question, Range(limits.start, limits.end), measured=False)
    gathered = Compared(found)
    run(question, planned, gathered.add, engine=engine, progress=lambda done, _: limits.progress(done, 0))
    gathered.finish()
    count_correlated(lake, question.sides, gathered.signals, found)
    return gathered.events
