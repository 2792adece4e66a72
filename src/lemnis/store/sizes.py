"""How large the lake's tables are, and how small they became, by the logs and the files' own accounts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lemnis.store import deltalog, spots
from lemnis.store.compaction import FILE_ROWS
from lemnis.store.lakes import TableSet
from lemnis.store.spots import Spot
from lemnis.store.sweeping import data_files

_RAW = "raw_data"


@dataclass(frozen=True, slots=True)
class TableSize:
    """One table: files (small ones can be joined), rows, bytes, days, its first and last ``time`` (ms).

    ``raw_bytes`` are those of the raw records in it, unpacked; ``disk_bytes`` count the files that only
    older versions need, too. ``versions`` are those that can be asked for, from ``oldest_version`` on.
    """

    name: str
    files: int
    small: int
    rows: int
    bytes: int
    days: int
    first: int | None
    last: int | None
    raw_bytes: int
    disk_bytes: int
    version: int
    oldest_version: int
    oldest_at: int

    @property
    def ratio(self) -> float | None:
        """What is stored for each byte of raw record; None where there are none."""
        return self.bytes / self.raw_bytes if self.raw_bytes else None


def sizes(tables: TableSet) -> Iterator[TableSize]:
    """Yield what each table holds on the disk."""
    for name, table in tables.open():
        files = table.files()
        log = deltalog.versions(table.folder)
        yield TableSize(
            name=name,
            files=len(files),
            small=sum(file.rows < FILE_ROWS for file in files),
            rows=sum(file.rows for file in files),
            bytes=sum(file.bytes for file in files),
            days=len({file.day for file in files}),
            first=min((file.first for file in files), default=None),
            last=max((file.last for file in files), default=None),
            raw_bytes=sum(_raw_bytes(table.absolute(file)) for file in files),
            disk_bytes=sum(path.stat().st_size for path in data_files(table.folder)),
            version=table.version,
            oldest_version=log[0][0],
            oldest_at=deltalog.read(log[0][1]).at,
        )


def _raw_bytes(path: Spot) -> int:
    """Return the bytes of a file's raw records, unpacked (what repeats may be counted once)."""
    with spots.parquet(path) as file:
        meta = file.metadata
    place = next((n for n in range(meta.num_columns) if meta.schema.column(n).path == _RAW), None)
    if place is None:
        return 0
    groups = range(meta.num_row_groups)
    return sum(meta.row_group(group).column(place).total_uncompressed_size for group in groups)
