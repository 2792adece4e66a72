"""What flows between transports, parsers, the mapping and the stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    """A record that was not taken, why, and the record itself: nothing is dropped silently.

    ``origin_key`` names its origin by content where ``at`` does not. ``fields`` are its parsed fields as JSON
    where the record alone does not say them: a row of a table with a header, an event that others explain.
    """

    at: Location
    reason: str
    raw: bytes = b""
    origin_key: str = ""
    fields: str = ""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Normalised events of one OCSF class from one source; ``table`` has that class's Arrow schema.

    ``left`` is what ``unmapped`` says of these very rows, by raw field, while it is at hand: whoever takes
    other rows makes a batch without it.
    """

    class_uid: int
    source: str
    origin: str
    table: pa.Table
    left: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        """Return the number of events."""
        return int(self.table.num_rows)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What the mapping made of a raw batch: every row is in one of the two."""

    batches: tuple[EventBatch, ...]
    rejects: tuple[Reject, ...]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far an origin of a source is read and acknowledged.

    ``origin_key`` identifies the origin by its content (the digest of its first record), so that a renamed
    file is the same one; ``origin`` is where it was last seen. ``position`` records and ``offset`` bytes are
    done, of which ``rejected`` records were not taken; ``prefix`` is the digest of the first MiB and of the
    last 64 KiB before ``offset``: an origin that no longer has them is another one. ``at`` is when.
    """

    source: str
    origin_key: str
    origin: str
    position: int
    offset: int = 0
    prefix: str = ""
    rejected: int = 0
    at: int = 0


@dataclass(frozen=True, slots=True)
class Appended:
    """What the lake did with what it was given: all of it is in one of the three."""

    accepted: int
    duplicates: int
    rejected: int

    def __add__(self, other: Appended) -> Appended:
        """Add up two accounts."""
        return Appended(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.rejected + other.rejected,
        )
