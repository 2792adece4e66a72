"""Draws the detection of a lesson: from requests and processes; where these do not do, from other events."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lemnis.app import attack as attacks
from lemnis.app.attack import Attack
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert
from lemnis.contracts.errors import RefusedError
from lemnis.ingest.frames import event_frames
from lemnis.ingest.sources import Sources
from lemnis.lessons import derive
from lemnis.lessons.derive import Candidate, Measured
from lemnis.lessons.samples import Record
from lemnis.lessons.shapes import SHAPES, Shape
from lemnis.store.lakes import Readable
from lemnis.store.rows import uids as event_uids


def detect(
    lake: Readable, library: Library, attack: Attack, alerts: Sequence[Alert]
) -> tuple[Measured, list[Measured], tuple[Record, ...]]:
    """Return the best detection, all that were tried, and the records that samples can be taken from.

    Other kinds of events are read only where requests and processes give no detection that hits the attack
    and nothing else: each of them is a pass over the lake. Raises RefusedError where nothing hits it.
    """
    tried = attacks.measure(lake, library, attack, attacks.candidates(attack))
    records, best = attack.records, derive.best(tried)
    if best is None or best.other_hits:
        more, found = further(lake, library, attack.uids, alerts)
        if found:
            tried += attacks.measure(lake, library, attack, found)
            records, best = (*records, *more), derive.best(tried)
    if best is None:
        raise RefusedError(
            "nothing in the attack's events tells it from ordinary ones",
            fix="write the detection by hand, or read a source that shows more of the attack",
        )
    return best, tried, records


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


def _read(lake: Readable, sources: Sources, shape: Shape) -> list[Record]:
    """Return all events of the lake that rules of a shape's log source see."""
    wanted = [shape.logsource.get(part) for part in ("product", "category", "service")]
    return [
        record
        for batch in lake.scan(shape.kind)
        if (source := sources.by_name.get(batch.source)) is not None
        for frame in event_frames(batch, source)
        if frame.offers.serves(*wanted)
        for record in attacks.records_of(batch, frame, shape.fields)
    ]
