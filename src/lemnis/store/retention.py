"""Retention: how long events are kept, for which purpose; what would go, and its going from the disk.

A row is kept as long as the longest of its purposes needs it. Days go whole, by UTC: a row is kept for at
least the days of its purpose, and at most for one more. Where all rows of a file go, the file is taken from
the table; where some stay, the file is rewritten without the others. Then nothing of what went is left on the
disk, so older versions of those days cannot be read any more.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from lemnis.contracts.ids import canonical, digest
from lemnis.store import delta, deltalog, spots
from lemnis.store.columns import MS_A_DAY, Keys, leaf, uid_keys
from lemnis.store.compaction import Rewriting
from lemnis.store.delta import DataFile
from lemnis.store.holds import Hold
from lemnis.store.lakes import TableSet
from lemnis.store.sweeping import Swept, sweep_days

RETAIN = "retain"
RUN, POLICY = "lemnis.run", "lemnis.policy"
_RAW = "raw_data"
_BATCH = 65_536
_FOREVER = 1 << 40
Mask = npt.NDArray[np.bool_]
Found = Callable[[Hold], Keys]
"""Asked for the keys of the uids that a hold's search finds."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why events are kept, how long (days; None: for ever), and their raw records (None: as the events)."""

    name: str
    days: int | None = None
    raw_days: int | None = None
    basis: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which events serve a purpose: those of classes and sources (globs of their names)."""

    purpose: Purpose
    classes: tuple[str, ...] = ("*",)
    sources: tuple[str, ...] = ("*",)

    def covers(self, name: str, source: str) -> bool:
        """Say whether events of this class and source serve the purpose."""
        return _any(name, self.classes) and _any(source, self.sources)


@dataclass(frozen=True, slots=True)
class Terms:
    """How long some events are kept (days; ``_FOREVER`` for ever), their raw records, and for what."""

    days: int
    raw_days: int
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """How long what is kept. What no rule covers is kept for ``default``; for ever if there is none."""

    rules: tuple[Rule, ...] = ()
    default: Purpose | None = None

    def terms(self, name: str, source: str) -> Terms:
        """Return the terms of events of a class and source: the longest of their purposes."""
        serve = [rule.purpose for rule in self.rules if rule.covers(name, source)]
        serve = serve or [self.default or Purpose("")]
        days = [_FOREVER if one.days is None else one.days for one in serve]
        raw = [kept if one.raw_days is None else one.raw_days for one, kept in zip(serve, days, strict=True)]
        return Terms(max(days), min(max(raw), max(days)), tuple(sorted({p.name for p in serve if p.name})))

    def shortest(self, name: str) -> int:
        """Return after how many days, at the earliest, anything of a class's events may go."""
        serve = [rule.purpose for rule in self.rules if _any(name, rule.classes)]
        serve += [self.default] if self.default else []
        return min((d for one in serve for d in (one.days, one.raw_days) if d is not None), default=_FOREVER)

    @property
    def digest(self) -> str:
        """The policy's digest: what decided, for the record."""
        default = asdict(self.default) if self.default else None
        return digest(canonical({"rules": [_plain(rule) for rule in self.rules], "default": default}))


@dataclass(frozen=True, slots=True)
class Loss:
    """What goes of one class, day and source: rows, rows that lose their raw record, bytes (about).

    ``held`` are rows that would go, or lose their raw record, but for ``holds``.
    """

    name: str
    day: str
    source: str
    rows: int = 0
    raw: int = 0
    bytes: int = 0
    held: int = 0
    purposes: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one file: ``rows`` of its rows go, ``raw`` lose their raw record."""

    name: str
    file: DataFile
    rows: int
    raw: int

    @property
    def whole(self) -> bool:
        """Whether nothing of the file stays."""
        return self.rows == self.file.rows


@dataclass(frozen=True, slots=True)
class Plan:
    """What would go: by class, day and source, and by file."""

    losses: tuple[Loss, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(slots=True)
class Retained:
    """What went: by class, day and source; files taken and rewritten; what was swept from the disk."""

    losses: tuple[Loss, ...] = ()
    dropped: int = 0
    rewritten: int = 0
    swept: Swept = field(default_factory=Swept)
    left: list[str] = field(default_factory=list)


class Retention:
    """A policy and the holds against it, applied to a lake's tables at one time (ms)."""

    def __init__(
        self,
        tables: TableSet,
        policy: Policy,
        holds: Sequence[Hold] = (),
        *,
        now: int,
        found: Found | None = None,
    ) -> None:
        """``found`` is asked for what the searches of holds find; without it, such a hold holds the rest."""
        self._tables, self._policy, self._holds, self._found = tables, policy, holds, found
        self._today = now // MS_A_DAY

    def plan(self) -> Plan:
        """Say what would go now; nothing is changed. What is still in the spool is not looked at."""
        losses: dict[tuple[str, str, str], Loss] = {}
        changes = []
        for name, table in self._tables.open():
            latest = self._today - self._policy.shortest(name)
            for file in table.files():
                if delta.day_number(file.day) >= latest:
                    continue
                change, some = self._file(name, table, file)
                for loss in some:
                    key = (loss.name, loss.day, loss.source)
                    losses[key] = _sum(losses[key], loss) if key in losses else loss
                if change.rows or change.raw:
                    changes.append(change)
        return Plan(tuple(losses[key] for key in sorted(losses)), tuple(changes))

    def run(self, run: str) -> Retained:
        """Let go what is due, durably, and take it from the disk; ``run`` names this in the tables' logs.

        Killed anywhere, it is gone on with by the next run. Flush before: what waits in the spool stays.
        """
        facts = {RUN: run, POLICY: self._policy.digest}
        with self._tables.keeping():
            plan = self.plan()
            done = Retained(plan.losses)
            days: dict[tuple[str, str], list[Change]] = {}
            for change in plan.changes:
                days.setdefault((change.name, change.file.day), []).append(change)
            for (name, day), changes in days.items():
                if self._day(name, day, changes, facts):
                    done.dropped += sum(change.whole for change in changes)
                    done.rewritten += sum(not change.whole for change in changes)
                    done.swept += sweep_days(self._tables, name, [day])
                else:
                    done.left.append(f"{name} {day}")
            for name, table in self._tables.open():  # what a run that was killed had no time to sweep
                done.swept += sweep_days(self._tables, name, _retained(table))
        return done

    def _day(self, name: str, day: str, changes: Sequence[Change], facts: dict[str, str]) -> bool:
        table = delta.open_table(self._tables.folder(name))
        if table is None:
            return False
        rewriting = Rewriting(self._tables, name, RETAIN)
        for change in changes:
            if not change.whole:
                rewriting.stage(day, self._rest(name, table, change.file))
        return rewriting.commit([one.file for one in changes], changed=True, facts=facts) is not None

    def _rest(self, name: str, table: delta.Table, file: DataFile) -> Iterator[pa.Table]:
        """Yield what stays of a file."""
        for batch in spots.parquet(table.absolute(file)).iter_batches(batch_size=_BATCH):
            part = pa.Table.from_batches([batch])
            gone, blank, _ = self._masks(name, file, part)
            if blank.any():
                number = part.column_names.index(_RAW)
                raw: Any = part.column(_RAW).combine_chunks()
                kept = pa.compute.if_else(pa.array(blank), pa.scalar(None, raw.type), raw)
                part = part.set_column(number, part.schema.field(number), kept)
            stays = part.filter(pa.array(~gone))
            if stays.num_rows:
                yield stays

    def _file(self, name: str, table: delta.Table, file: DataFile) -> tuple[Change, list[Loss]]:
        """Return what becomes of a file, and by source."""
        about = spots.parquet(table.absolute(file))
        names = [
            "time",
            "metadata.log_name",
            *(["metadata.uid"] if any(h.search for h in self._holds) else []),
        ]
        if _has_raw(about):
            names.append(_RAW)
        found: dict[str, Loss] = {}
        rows = raw = 0
        for batch in about.iter_batches(batch_size=_BATCH, columns=names):
            part = pa.Table.from_batches([batch])
            gone, blank, held = self._masks(name, file, part)
            rows, raw = rows + int(gone.sum()), raw + int(blank.sum())
            touched = gone | blank
            for _, mask in held:
                touched |= mask
            codes, sources = _sources(part)
            for code in np.unique(codes[touched]).tolist():
                mine = codes == code
                loss = Loss(
                    name, file.day, sources[code],
                    rows=int((gone & mine).sum()), raw=int((blank & mine).sum()),
                    bytes=int((gone & mine).sum() * file.bytes / max(1, file.rows)),
                    held=int(np.logical_or.reduce([m & mine for _, m in held]).sum()) if held else 0,
                    purposes=self._policy.terms(name, sources[code]).purposes,
                    holds=tuple(hold.name for hold, mask in held if (mask & mine).any()),
                )  # fmt: skip
                found[loss.source] = _sum(found[loss.source], loss) if loss.source in found else loss
        return Change(name, file, rows, raw), list(found.values())

    def _masks(self, name: str, file: DataFile, part: pa.Table) -> tuple[Mask, Mask, list[tuple[Hold, Mask]]]:
        """Return which rows go, which lose their raw record, and which each hold keeps from that."""
        codes, sources = _sources(part)
        terms = [self._policy.terms(name, source) for source in sources]
        day = delta.day_number(file.day)
        gone = np.array([day < self._today - one.days for one in terms], dtype=bool)[codes]
        old = np.array([day < self._today - one.raw_days for one in terms], dtype=bool)[codes]
        has = part.column(_RAW).is_valid().to_numpy() if _RAW in part.column_names else np.zeros_like(gone)
        blank = old & has & ~gone
        held: list[tuple[Hold, Mask]] = []
        touched = gone | blank
        if touched.any():
            times = part.column("time").to_numpy()
            for hold in self._holds:
                mask = touched & self._held(hold, name, part, (codes, sources), times)
                if mask.any():
                    held.append((hold, mask))
        for _, mask in held:
            gone, blank = gone & ~mask, blank & ~mask
        return gone, blank, held

    def _held(
        self,
        hold: Hold,
        name: str,
        part: pa.Table,
        by: tuple[npt.NDArray[np.int64], list[str]],
        times: npt.NDArray[np.int64],
    ) -> Mask:
        codes, sources = by
        mask = np.array([hold.covers(name, source) for source in sources], dtype=bool)[codes]
        if hold.since is not None:
            mask &= times >= hold.since
        if hold.until is not None:
            mask &= times < hold.until
        if hold.search and mask.any():
            uids = leaf(part, "metadata.uid")
            if uids is not None and self._found is not None:
                mask &= np.isin(uid_keys(uids), self._found(hold))
        return mask


def _retained(table: delta.Table) -> set[str]:
    """Return the days from which something went, as far back as the log tells."""
    files = (
        path for one in deltalog.entries(table.folder) if one.operation == RETAIN for path in one.removed
    )
    return {path.partition("/")[0].removeprefix(f"{delta.DAY}=") for path in files}


def _sources(part: pa.Table) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return each row's source as a number, and the names of the numbers."""
    column: Any = leaf(part, "metadata.log_name")
    if column is None:
        return np.zeros(part.num_rows, dtype=np.int64), [""]
    coded = column.fill_null("").combine_chunks().dictionary_encode()
    return coded.indices.to_numpy().astype(np.int64), [str(name) for name in coded.dictionary]


def _has_raw(file: pq.ParquetFile) -> bool:
    """Say whether any row has a raw record, as far as the file's statistics tell."""
    meta = file.metadata
    place = next((n for n in range(meta.num_columns) if meta.schema.column(n).path == _RAW), None)
    if place is None:
        return False
    for number in range(meta.num_row_groups):
        chunk = meta.row_group(number).column(place)
        stats: Any = chunk.statistics
        if stats is None or not stats.has_null_count or stats.null_count < chunk.num_values:
            return True
    return False


def _sum(one: Loss, other: Loss) -> Loss:
    return replace(
        one, rows=one.rows + other.rows, raw=one.raw + other.raw, bytes=one.bytes + other.bytes,
        held=one.held + other.held, holds=tuple(sorted({*one.holds, *other.holds})),
    )  # fmt: skip


def _any(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, one) for one in globs)


def _plain(rule: Rule) -> dict[str, Any]:
    return {**asdict(rule), "classes": list(rule.classes), "sources": list(rule.sources)}
