"""What flows between transports, parsers, the mapping and the stages."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from lemnis.contracts.errors import Location


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Raw records of one source.

    ``records`` is a string or binary array, one raw record a row as it was read; ``fields`` is a table of
    the same length with the parsed fields as columns (nested records flattened to dotted names);
    ``positions`` are the record numbers in ``origin``, counted from 1 (int64).
    """

    source: str
    origin: str
    records: pa.StringArray | pa.BinaryArray
    fields: pa.Table
    positions: pa.Int64Array

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.records)


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was not taken, why, and the record itself: nothing is dropped silently."""

    at: Location
    reason: str
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Normalised events of one OCSF class from one source; ``table`` has that class's Arrow schema."""

    class_uid: int
    source: str
    origin: str
    table: pa.Table

    def __len__(self) -> int:
        """Return the number of events."""
        return int(self.table.num_rows)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the mapping made of a raw batch: every row is in one of the two."""

    batches: tuple[EventBatch, ...]
    rejects: tuple[Reject, ...]
