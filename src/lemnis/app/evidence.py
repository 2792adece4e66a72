"""Draws the detection of a lesson: from requests and processes, else from other events, else of sequences."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from lemnis.app import attack as attacks
from lemnis.app.attack import Attack
from lemnis.content.library import Library
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.alerts import Alert
from lemnis.contracts.errors import RefusedError
from lemnis.contracts.events import EventBatch
from lemnis.ingest.frames import event_frames
from lemnis.ingest.sources import Sources
from lemnis.lessons import derive
from lemnis.lessons.derive import Candidate, Measured
from lemnis.lessons.samples import Record
from lemnis.lessons.sequence import STEPS, Ordered, Step, Steps, from_steps
from lemnis.lessons.shapes import SHAPES, Shape
from lemnis.store.lakes import Readable
from lemnis.store.rows import uids as event_uids

MOST_SEQUENCES = 12
"""So many sequences of a kind are measured, those with the shortest time first."""


def detect(
    lake: Readable, library: Library, attack: Attack, alerts: Sequence[Alert]
) -> tuple[Measured, list[Measured], tuple[Record, ...]]:
    """Return the best detection, all that were tried, and the records that samples can be taken from.

    Other kinds of events are read only where requests and processes give no detection that hits the attack
    in time and nothing else, sequences only where single events of any kind do not: each is a pass over the
    lake. Raises RefusedError where nothing hits it.
    """
    tried = attacks.measure(lake, library, attack, attacks.candidates(attack))
    records, best = attack.records, derive.best(tried, attack.first)
    for look in (further, sequences):
        if best is not None and not best.other_hits and best.first <= attack.first:
            break
        more, found = look(lake, library, attack.uids, alerts)
        if found:
            tried += attacks.measure(lake, library, attack, found)
            records, best = (*records, *_whole(more, attack)), derive.best(tried, attack.first)
    if best is None:
        raise RefusedError(
            "nothing in the attack's events tells it from ordinary ones",
            fix="write the detection by hand, or read a source that shows more of the attack",
        )
    return best, tried, records


def _whole(records: Sequence[Record], attack: Attack) -> list[Record]:
    """Return records with the events that they are not understood without, where those are known."""
    needs = {one.uid: one.needs for one in attack.processes if one.needs}
    return [replace(one, needs=needs.get(one.uid, one.needs)) for one in records]


def further(
    lake: Readable, library: Library, attack: Collection[str], alerts: Sequence[Alert]
) -> tuple[list[Record], list[Candidate]]:
    """Return the events of the shapes that the attack is seen in, of the whole lake, and what follows.

    ``attack`` are uids of events; a shape is read where an event of its class is among them in the time of
    the alerts.
    """
    sources = Sources.load(library)
    first = min((one.began for one in alerts), default=0)
    last = max((one.ended for one in alerts), default=-1)
    classes = {
        kind
        for kind in sorted({shape.kind for shape in SHAPES})
        if any(
            not set(attack).isdisjoint(event_uids(batch.table).to_pylist())
            for batch in lake.scan(kind, start=first, end=last + 1)
        )
    }
    records: list[Record] = []
    found: list[Candidate] = []
    for shape in SHAPES:
        if shape.kind in classes:
            seen = _read(lake, sources, shape)
            inside = [one.fields for one in seen if one.uid in attack]
            outside = [one.fields for one in seen if one.uid not in attack]
            found += shape.derive(shape.logsource, inside, outside)
            records += seen
    return records, found


def sequences(
    lake: Readable, library: Library, attack: Collection[str], alerts: Sequence[Alert]
) -> tuple[list[Record], list[Ordered]]:
    """Return the events that can be steps, of the sources that the attack is seen in, and the sequences.

    They are pairs of steps that one subject took in the attack, and nobody otherwise in the whole lake.
    """
    sources = Sources.load(library)
    first = min((one.began for one in alerts), default=0)
    last = max((one.ended for one in alerts), default=-1)
    names = {
        batch.source
        for batch in lake.scan(start=first, end=last + 1)
        if not set(attack).isdisjoint(event_uids(batch.table).to_pylist())
    }
    records: list[Record] = []
    found: list[Ordered] = []
    for steps in STEPS:
        seen = [
            record
            for name in sorted(names)
            if (source := sources.by_name.get(name)) is not None
            for batch in lake.scan(source=name)
            for record in _records(batch, source, steps.logsource, (steps.group_by, *steps.does))
        ]
        mine, others = ([_step(one, steps) for one in some] for some in _split(seen, attack))
        if made := from_steps(steps.logsource, steps.group_by, mine, others):
            found += made[:MOST_SEQUENCES]
            records += seen
    return records, found


def _split(records: Sequence[Record], attack: Collection[str]) -> tuple[list[Record], list[Record]]:
    return (
        [one for one in records if one.uid in attack],
        [one for one in records if one.uid not in attack],
    )


def _step(record: Record, steps: Steps) -> Step:
    does = tuple((name, record.fields.get(name) or "") for name in steps.does)
    return Step(record.at, record.fields.get(steps.group_by) or "", does)


def _records(
    batch: EventBatch, source: LoadedSource, logsource: Mapping[str, str], fields: Sequence[str]
) -> Iterator[Record]:
    """Yield the events of a batch that rules of a log source see, with some of their columns."""
    wanted = [logsource.get(part) for part in ("product", "category", "service")]
    for frame in event_frames(batch, source):
        if frame.offers.serves(*wanted):
            yield from attacks.records_of(batch, frame, fields)


def _read(lake: Readable, sources: Sources, shape: Shape) -> list[Record]:
    """Return all events of the lake that rules of a shape's log source see."""
    return [
        record
        for batch in lake.scan(shape.kind)
        if (source := sources.by_name.get(batch.source)) is not None
        for record in _records(batch, source, shape.logsource, shape.fields)
    ]
