"""What is swept from the disk: files that no version kept needs, and entries of the log before those.

Time travel reaches back as far as history is kept. A sweep by day takes everything but what the table's
present version needs: what retention removed is then nowhere on the disk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lemnis.store import delta, deltalog, durable, spots
from lemnis.store.lakes import TableSet
from lemnis.store.spots import S, Spot

KEPT_MS = 7 * 86_400_000
"""How far back history reaches unless the settings say otherwise."""
_ENTRIES = 100
"""A checkpoint is made for so many entries without one."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What was taken from the disk: data files and their bytes, and entries of logs."""

    files: int = 0
    bytes: int = 0
    entries: int = 0

    def __add__(self, other: Swept) -> Swept:
        """Add up."""
        return Swept(self.files + other.files, self.bytes + other.bytes, self.entries + other.entries)


def sweep(tables: TableSet, *, before: int) -> Swept:
    """Remove data files that were replaced before a time (ms) or are named by nothing, and older history.

    Readers of versions since then are not disturbed. Where others write, too, what is named by nothing may be
    named soon: it goes when it is older than ``before``.
    """
    swept = Swept()
    with tables.writing():
        for name, table in tables.open():
            entries = list(deltalog.entries(table.folder))
            live = {file.path for file in table.files()}
            kept = {path for one in entries for path, at in one.removed.items() if at >= before}
            known = {path for one in entries for path in one.removed}
            swept += _unlink(
                path
                for path in data_files(table.folder)
                if _name(table, path) not in live | kept
                and _idle(tables, path, _name(table, path) in known, before)
            )
            swept += _cut(tables, name, table, entries, before)
    return swept


def sweep_days(tables: TableSet, name: str, days: Collection[str]) -> Swept:
    """Remove from some days of a table everything that its present version does not need."""
    with tables.writing():
        table = delta.open_table(tables.folder(name))
        if table is None:
            return Swept()
        live = {file.path for file in table.files()}
        known = {path for one in deltalog.entries(table.folder) for path in one.removed}
        before = deltalog.now() - KEPT_MS
        gone = (
            path
            for day in days
            for path in (table.folder / f"{delta.DAY}={day}").glob("*")
            if _name(table, path) not in live and _idle(tables, path, _name(table, path) in known, before)
        )
        swept = _unlink(gone)
        for day in days:
            folder = table.folder / f"{delta.DAY}={day}"
            if isinstance(folder, Path) and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
                durable.sync(table.folder)
        return swept


def data_files(folder: S) -> Iterator[S]:
    """Yield every file of a table that is not its log's."""
    for path in sorted(folder.glob(f"{delta.DAY}=*/*")):
        if path.is_file():
            yield path


def _name(table: delta.Table, path: Spot) -> str:
    return spots.below(path, table.folder)


def _idle(tables: TableSet, path: Spot, known: bool, before: int) -> bool:  # noqa: FBT001 - of two facts
    """Say whether nobody can be about to name a file: those that wait for it are held, or it is old."""
    return tables.spool is not None or known or path.stat().st_mtime_ns // 1_000_000 < before


def _unlink(paths: Iterable[Spot]) -> Swept:
    swept, folders = Swept(), set()
    for path in list(paths):
        size = path.stat().st_size
        path.unlink()
        folders.add(path.parent)
        swept += Swept(1, size)
    for folder in folders:
        durable.sync(folder)
    return swept


def _cut(
    tables: TableSet, name: str, table: delta.Table, entries: list[deltalog.Entry], before: int
) -> Swept:
    """Make a checkpoint if it is time, and cut off the log before the last one that history begins with."""
    folder = table.folder
    made = deltalog.checkpoints(folder)
    last = made[-1][0] if made else -1
    if table.version - last >= _ENTRIES:
        table.checkpoint()
        tables.settled(name, table.version)
        made = deltalog.checkpoints(folder)
    since = next((one.version for one in reversed(entries) if one.at < before), None)
    begin = max((version for version, _ in made if since is not None and version <= since), default=None)
    if begin is None:
        return Swept()
    old = [path for version, path in (*deltalog.versions(folder), *made) if version < begin]
    for path in old:
        path.unlink()
    durable.sync(folder / deltalog.FOLDER)
    return Swept(entries=len(old))
