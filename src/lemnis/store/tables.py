"""The lake's tables on the disk: where they are, who may write them, and what a killed writer left done.

One writer at a time holds ``flush.lock``; it has the tables as the spool knows them. Whoever rewrites what is
there already (compaction, retention) holds ``keeping.lock`` besides, for as long as that takes, and
``flush.lock`` only to name the result in the log: flushes go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deltalake.exceptions import DeltaError

from lemnis.contracts.errors import Location, ServiceError
from lemnis.store import delta, durable, rows
from lemnis.store.columns import uid_keys
from lemnis.store.spool import Spool


class Tables:
    """The Delta tables below a lake's root, beside its spool."""

    def __init__(self, root: Path, spool: Spool) -> None:
        """``root`` is the lake's; nothing is read yet."""
        self.root = root
        self.spool = spool

    def folder(self, name: str) -> Path:
        """Return where a table is, or would be."""
        return self.root / "tables" / name

    def beside(self, name: str) -> Path:
        """Return the folder for what is being rewritten of a table."""
        return self.root / "rewriting" / name

    def settled(self, name: str, version: int) -> None:
        """Note that a version of a table is on the device."""
        with self.spool.writing() as spool:
            spool.set_synced(name, version)

    def folders(self) -> list[Path]:
        """Return the folders of all tables, by name."""
        return sorted((self.root / "tables").glob("*"))

    def open(self) -> Iterator[tuple[str, delta.Table]]:
        """Yield the tables on the disk, as they are now."""
        for folder in self.folders():
            table = delta.open_table(folder)
            if table is not None:
                yield folder.name, table

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the tables for writing, reconciled; raises ServiceError where that is impossible."""
        with self._held("flush.lock"):
            self.reconcile()
            yield

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Be the only one that rewrites what is in the tables; flushes go on."""
        with self._held("keeping.lock"):
            yield

    @contextmanager
    def _held(self, lock: str) -> Iterator[None]:
        try:
            with durable.exclusive(self.root / lock):
                yield
        except (OSError, DeltaError) as error:
            raise ServiceError(
                f"the lake's tables cannot be written: {error}",
                at=Location(str(self.root / "tables")),
                fix="check the disk: space, rights, faults; what was acknowledged is safe in the spool",
            ) from error

    def outdated(self) -> bool:
        """Say whether a log has entries that the spool does not know of, or lists of known uids are gone."""
        with self.spool.reading() as spool:
            return bool(spool.lost()) or any(
                delta.newest(folder) > spool.synced(folder.name) for folder in self.folders()
            )

    def reconcile(self) -> None:
        """Finish what a killed flush left: what the tables hold is dropped from the spool."""
        for folder in self.folders():
            name = folder.name
            with self.spool.reading() as spool:
                synced, last, known = spool.synced(name), spool.last(), spool.schema(name)
            whole, table = delta.recover(folder, synced)
            if table is None:
                continue
            with self.spool.writing() as spool:
                if known is None:
                    spool.set_schema(name, table.schema)
                if known is None or table.moved > last:
                    keys = (uid_keys(rows.uids(part)) for part in table.column("metadata.uid"))
                    spool.adopt(keys, table.moved)
                spool.drop(name, table.moved)
                spool.set_synced(name, whole)
        self._relearn()

    def _relearn(self) -> None:
        """Make lists of known uids anew that are gone: what they told of is in the tables and segments."""
        with self.spool.reading() as spool:
            lost = spool.lost()
        if not lost:
            return
        with self.spool.writing() as spool:
            for _, table in self.open():
                spool.adopt(uid_keys(rows.uids(part)) for part in table.column("metadata.uid"))
            for name in spool.names():
                spool.adopt(uid_keys(rows.uids(one.table)) for one in spool.segments(name, after=0))
            spool.forget_runs(lost)
