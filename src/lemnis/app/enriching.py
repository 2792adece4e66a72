"""Enrichment of a workspace's events on their way into the lake; nothing where there is nothing to add.

The tables are those of the workspace's content, laid over what was imported. Both may change under a running
process: it looks every few seconds. A file of content that is broken now goes on as it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from lemnis import app
from lemnis.app import settings
from lemnis.content.library import REFERENCE, Library
from lemnis.contracts.errors import ContentError
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import digest
from lemnis.contracts.reference import DNS, RECORDS, TABLES

if TYPE_CHECKING:
    from lemnis.enrich import Tables
    from lemnis.enrich.learn import Names
    from lemnis.store.reference import Reference

LOG = logging.getLogger("lemnis.enrich")
EVERY_S = 2.0
_SETTLE_S = 60.0
_Files = frozenset[tuple[str, int, int]]


def reference(workspace: app.Workspace) -> Reference:
    """Open the imported reference tables of a workspace."""
    from lemnis.store.reference import Reference

    return Reference(app.engine(workspace), workspace.clock)


class Enriching:
    """The reference tables of a workspace as they are, and what they add to events."""

    def __init__(
        self,
        workspace: app.Workspace,
        *,
        clock: Callable[[], float] = time.monotonic,
        every_s: float = EVERY_S,
    ) -> None:
        """``clock`` (s) says when to look for changes, every ``every_s``."""
        self._workspace, self._clock, self._every_s = workspace, clock, every_s
        self._reference = reference(workspace)
        self._next = float("-inf")
        self._files: _Files = frozenset()
        self._content = RECORDS.empty_table()
        self._imported = RECORDS.empty_table()
        self._head: tuple[int, str] = (0, "")
        self._tables: Tables | None = None
        self.problems: tuple[ContentError, ...] = ()
        self._learning = settings.load(workspace).enrichment.names
        self._names: Names | None = None
        self._settled = float("-inf")

    def __call__(self, batches: Sequence[EventBatch]) -> Sequence[EventBatch]:
        """Return events with what is known of them as of their times; as they are if nothing is."""
        if not batches:
            return batches
        tables = self.tables()
        if self._learning:
            tables = self._learn(batches, tables)
        if tables is None:
            return batches
        from lemnis.enrich import enrich

        return [enrich(batch, tables) for batch in batches]

    def tables(self) -> Tables | None:
        """Return the tables as they are now; None if there is no record."""
        if self._clock() >= self._next:
            self._look()
            self._next = self._clock() + self._every_s
        return self._tables

    def settle(self) -> None:
        """Write down what was learnt."""
        if self._names is None or not self._names.pending:
            return
        from lemnis.enrich.learn import ORIGIN, learnt

        pending = self._names.pending
        self._reference.change(DNS, ORIGIN, lambda before: learnt(before, pending))
        self._reference.fold(DNS)
        self._names, self._settled = None, self._clock()
        self._look()

    def _learn(self, batches: Sequence[EventBatch], tables: Tables | None) -> Tables | None:
        """Learn names from events, and return the tables with them; they are written down now and then."""
        from lemnis.enrich import Tables
        from lemnis.enrich.learn import Names, seen

        pairs = {pair for batch in batches for pair in seen(batch)}
        if pairs:
            if self._names is None:
                self._names = Names((tables or Tables.nothing()).raw(DNS))
            if self._names.learn(pairs):
                self._tables = tables = (tables or Tables.nothing()).learnt(self._names.recent())
        if self._clock() >= self._settled + _SETTLE_S:
            self.settle()
        return self._tables

    @property
    def digest(self) -> str:
        """What names the state of all tables: the same digest gives the same enrichments."""
        rows = "\n".join(map(str, self._content.to_pylist()))
        return digest(f"{self._head[1]}\n{rows}".encode())

    def _look(self) -> None:
        changed: set[str] = set()
        files = _files(self._workspace.content)
        if files != self._files:
            before, self._files = self._content, files
            self._content = self._read()
            changed |= _differing(before, self._content)
        head = self._reference.head()
        if head != self._head:
            before = self._imported
            self._imported = self._reference.newer(before, self._head[0])
            self._head = head
            changed |= _differing(before, self._imported)
        if changed:
            from lemnis.enrich import Tables
            from lemnis.enrich.learn import Names

            records = pa.concat_tables([self._imported, self._content])
            known = self._tables or Tables.nothing()
            self._tables = known.replaced(records, changed) if records.num_rows else None
            if self._names is not None:  # others wrote meanwhile: what was learnt is learnt beside that
                pending, self._names = self._names.pending, Names(Tables(records).raw(DNS))
                if self._names.learn(pending):
                    self._tables = (self._tables or Tables.nothing()).learnt(self._names.recent())

    def _read(self) -> pa.Table:
        """Read what content says; of a file that is broken now, what it said before."""
        from lemnis.content.reference import read

        records, problems = read(Library.open(self._workspace.content))
        told = frozenset(map(str, self.problems))
        for problem in problems:
            if str(problem) not in told:
                LOG.warning("this file is not used as it is now: %s", problem)
        self.problems = problems
        broken = {"/".join(Path(one.at.file).parts[-2:]) for one in problems if one.at is not None}
        kept: Any = pc.is_in(self._content.column("origin"), value_set=pa.array(sorted(broken), pa.string()))
        return pa.concat_tables([records, self._content.filter(kept)])


def _files(content: Path) -> _Files:
    """Return what tells that files of reference tables changed."""
    found = set()
    for kind in REFERENCE:
        for path in (content / kind).glob("*.yaml"):
            try:
                status = path.stat()
            except OSError:
                continue  # it went meanwhile
            found.add((str(path), status.st_mtime_ns, status.st_size))
    return frozenset(found)


def _differing(before: pa.Table, after: pa.Table) -> set[str]:
    """Return the tables of which the records are others."""

    def of(records: pa.Table, table: str) -> pa.Table:
        mask: Any = pc.equal(records.column("table"), pa.scalar(table))
        return records.filter(mask)

    return {table for table in TABLES if not of(before, table).equals(of(after, table))}
