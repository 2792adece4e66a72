"""What a look at a piece of history gives: rows of bytes that travel between machines and are kept on a disk.

A row names the data file that it came from, so that what is known of a file can be kept, and told once. What
all rows say together depends neither on their order nor on how the history was cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import orjson
import pyarrow as pa

from lemnis.contracts.alerts import Alert, MatchedField, Severity, Written
from lemnis.contracts.events import EventBatch
from lemnis.incidents.entries import parse_entity

_COLUMNS: dict[str, pa.DataType] = {"file": pa.string(), "kind": pa.string(), "body": pa.binary()}
PIECES = pa.schema(_COLUMNS)
ALERT, SIGNALS, SIGHTINGS, CHANGES = "alert", "signals", "sightings", "changes"
Piece = tuple[str, bytes]
"""Kind and body."""


class Work(Protocol):
    """What is asked of history, batch by batch. It is pure: the same batch gives the same pieces."""

    def of(self, batch: EventBatch) -> Iterator[Piece]:
        """Yield what there is to say of a batch, which is of one class and one source, in any order."""
        ...


def table(file: str, pieces: Iterable[Piece]) -> pa.Table:
    """Return pieces of one file as rows of ``PIECES``."""
    some = list(pieces)
    columns: list[pa.Array[Any]] = [
        pa.array([file] * len(some), pa.string()),
        pa.array([kind for kind, _ in some], pa.string()),
        pa.array([body for _, body in some], pa.binary()),
    ]
    return pa.Table.from_arrays(columns, schema=PIECES)


def bodies(pieces: pa.Table, kind: str) -> Iterator[bytes]:
    """Yield what rows of one kind hold."""
    names: list[Any] = pieces.column("kind").to_pylist()
    held: list[Any] = pieces.column("body").to_pylist()
    yield from (body for name, body in zip(names, held, strict=True) if name == kind)


def count(pieces: pa.Table, kind: str) -> int:
    """Return how many rows there are of a kind."""
    return pieces.column("kind").to_pylist().count(kind)


def write_signals(signals: pa.Table) -> bytes:
    """Write a table of signals down, with what its metadata say of the sources' clocks."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, signals.schema) as stream:
        stream.write_table(signals)
    return bytes(sink.getvalue())


def read_signals(body: bytes) -> pa.Table:
    """Read signals back."""
    with pa.ipc.open_stream(body) as stream:
        return stream.read_all()


def write_alert(alert: Alert) -> bytes:
    """Write an alert down, whole: unlike its entry in the journal, with every event that it names."""
    event: object = orjson.Fragment(alert.event.text) if isinstance(alert.event, Written) else alert.event
    return orjson.dumps(
        [
            alert.id, alert.rule_id, alert.title, int(alert.severity), alert.time, alert.source,
            alert.event_uids, [str(one) for one in alert.entities], alert.content_digest, alert.tags, event,
            alert.revision, alert.withdrawn, alert.count, alert.first, alert.last, alert.rule_digest,
            [[*one] for one in alert.matched], alert.confidence, alert.window, alert.fingerprint,
        ]
    )  # fmt: skip


def read_alert(body: bytes) -> Alert:
    """Read an alert back."""
    (
        id_, rule_id, title, severity, time, source, uids, entities, digest, tags, event, revision, withdrawn,
        count, first, last, rule_digest, matched, confidence, window,
        *more,  # what was written before alerts had fingerprints has none
    ) = cast("Sequence[Any]", orjson.loads(body))  # fmt: skip
    return Alert(
        id_, rule_id, title, Severity(severity), time, source, tuple(uids),
        tuple(map(parse_entity, entities)), digest, tuple(tags), cast("Mapping[str, Any]", event), revision,
        withdrawn, count, first, last, rule_digest, tuple(MatchedField(*one) for one in matched), confidence,
        window, *more,
    )  # fmt: skip
