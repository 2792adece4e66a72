"""The pulse of sources, kept beside the spool: what came when, from which host, how late, with which fields.

It is written in the transaction that stores the events, so it is as durable as they are. What is recent is
counted by five minutes (fields: by the hour); ``roll`` sums up what is older by the hour (by the day) and
forgets what is older than five weeks. Hosts and fields of a source are told apart up to a bound.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lemnis.contracts.watching import (
    ALL,
    DAY,
    HOUR,
    LISTENING,
    OTHERS,
    SLOTS,
    STEP,
    Beat,
    FieldSeen,
    History,
    Pulse,
    Sample,
)
from lemnis.store.columns import leaf

SCHEMA = """
CREATE TABLE IF NOT EXISTS pulse_hosts (
  id INTEGER PRIMARY KEY, source TEXT NOT NULL, host TEXT NOT NULL, first INTEGER NOT NULL,
  UNIQUE (source, host));
CREATE TABLE IF NOT EXISTS pulse (
  host INTEGER NOT NULL, at INTEGER NOT NULL, step INTEGER NOT NULL, events INTEGER NOT NULL,
  rejects INTEGER NOT NULL, active INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (host, step, at)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pulse_lags (
  host INTEGER NOT NULL, waited INTEGER NOT NULL, at INTEGER NOT NULL, slot INTEGER NOT NULL,
  events INTEGER NOT NULL, PRIMARY KEY (host, waited, at, slot)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pulse_fields (
  host INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, step INTEGER NOT NULL, at INTEGER NOT NULL,
  rows INTEGER NOT NULL, PRIMARY KEY (host, step, at, name, kind)) WITHOUT ROWID;
"""
MAX_HOSTS, MAX_FIELDS = 4096, 2048
KEPT = 35 * DAY
FINE = 2 * DAY
LAGS_KEPT = 8 * DAY
_AHEAD = DAY
_HOST = "device.hostname"
_ANY = ""
"""The name and kind under which the rows of samples are counted."""


@dataclass(slots=True)
class _Count:
    """What one host of a source sent in one append."""

    events: int = 0
    rejects: int = 0
    last: int = 0
    lags: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(SLOTS, dtype=np.int64))


@dataclass(slots=True)
class Counting:
    """Counts what one append stores; then ``write`` puts it on record."""

    now: int
    pulse: Pulse = field(default_factory=Pulse)
    _of: dict[tuple[str, str], _Count] = field(default_factory=dict)
    _waits: dict[str, int] = field(default_factory=dict)

    def events(self, source: str, origin: str, table: pa.Table) -> None:
        """Count new events of a source; those without a host are counted under their origin."""
        if not table.num_rows:
            return
        times = table.column("time").to_numpy()
        lag = np.clip(self.now - times, 0, None)
        slots = _slots(lag)
        past = np.where(times <= self.now + _AHEAD, times, 0)
        self._add(self._count(source, ALL), slots, past)
        self._waits[source] = self._waits.get(source, 0) + len(times)
        for host, rows in _by_host(table, origin):
            self._add(self._count(source, host), slots[rows], past[rows])

    def rejects(self, source: str, count: int) -> None:
        """Count what was not taken."""
        if count and source:
            self._count(source, ALL).rejects += count

    def write(self, db: sqlite3.Connection) -> None:
        """Add everything to what is on record, and that Lemnis listened."""
        at, hour = self.now - self.now % STEP, self.now - self.now % HOUR
        (own,) = _numbers(db, [LISTENING], self.now)
        pulses, lags = [(own, at, STEP, 0, 0, 1, 0)], []
        for host, one in zip(_numbers(db, self._of, self.now), self._of.values(), strict=True):
            active = 1 if one.events else 0
            pulses.append((host, at, STEP, one.events, one.rejects, active, one.last))
            lags += [(host, 0, hour, slot, int(one.lags[slot])) for slot in np.flatnonzero(one.lags).tolist()]
        if self.pulse.received is not None and self._waits:
            slot = int(_slots(np.array([max(0, self.now - self.pulse.received)]))[0])
            keys = [(source, ALL) for source in self._waits]
            waited = zip(_numbers(db, keys, self.now), self._waits.values(), strict=True)
            lags += [(host, 1, hour, slot, count) for host, count in waited]
        _beat(db, pulses)
        db.executemany(
            "INSERT INTO pulse_lags VALUES (?,?,?,?,?) "
            "ON CONFLICT DO UPDATE SET events = events + excluded.events",
            lags,
        )
        for sample in self.pulse.samples:
            _sampled(db, sample, hour, self.now)

    def _count(self, source: str, host: str) -> _Count:
        return self._of.setdefault((source, host), _Count())

    @staticmethod
    def _add(one: _Count, slots: npt.NDArray[Any], times: npt.NDArray[Any]) -> None:
        one.events += len(slots)
        one.last = max(one.last, int(times.max()))
        one.lags += np.bincount(slots, minlength=SLOTS)


def roll(db: sqlite3.Connection, now: int) -> None:
    """Sum up what is no longer recent, and forget what is old; as often as one likes."""
    fine, kept = now - now % DAY - FINE, now - KEPT
    db.execute(
        "INSERT INTO pulse SELECT host, at - at % ?, ?, sum(events), sum(rejects), sum(active), max(last) "
        "FROM pulse WHERE step = ? AND at < ? GROUP BY 1, 2 ON CONFLICT DO UPDATE SET "
        "events = events + excluded.events, rejects = rejects + excluded.rejects, "
        "active = active + excluded.active, last = max(last, excluded.last)",
        (HOUR, HOUR, STEP, fine),
    )
    db.execute("DELETE FROM pulse WHERE step = ? AND at < ?", (STEP, fine))
    db.execute("DELETE FROM pulse WHERE at < ?", (kept,))
    db.execute("DELETE FROM pulse_lags WHERE at < ?", (now - LAGS_KEPT,))
    db.execute(
        "INSERT INTO pulse_fields SELECT host, name, kind, ?, at - at % ?, sum(rows) FROM pulse_fields "
        "WHERE step = ? AND at < ? GROUP BY 1, 2, 3, 5 ON CONFLICT DO UPDATE SET rows = rows + excluded.rows",
        (DAY, DAY, HOUR, fine),
    )
    db.execute("DELETE FROM pulse_fields WHERE step = ? AND at < ?", (HOUR, fine))
    db.execute("DELETE FROM pulse_fields WHERE at < ?", (kept,))
    db.execute("DELETE FROM pulse_hosts WHERE id NOT IN (SELECT host FROM pulse) AND first < ?", (kept,))


def histories(
    db: sqlite3.Connection, source: str | None = None, before: int | None = None
) -> Iterator[History]:
    """Yield what is known of each source and host, by name; of hosts only those silent since ``before``."""
    hosts = db.execute(
        "SELECT id, source, host, first FROM pulse_hosts AS h WHERE source = coalesce(?1, source) "
        "AND (host = '' OR ?2 IS NULL OR NOT EXISTS ("
        "SELECT 1 FROM pulse WHERE host = h.id AND step = ?3 AND at >= ?2)) ORDER BY source, host",
        (source, before, STEP),
    ).fetchall()
    for number, name, host, first in hosts:
        beats = db.execute(
            "SELECT at, step, events, rejects, active, last FROM pulse WHERE host = ? ORDER BY at", (number,)
        )
        lags: tuple[dict[int, dict[int, int]], ...] = ({}, {})
        for waited, at, slot, events in db.execute(
            "SELECT waited, at, slot, events FROM pulse_lags WHERE host = ? ORDER BY at, slot", (number,)
        ):
            lags[waited].setdefault(at, {})[slot] = events
        fields, sampled = [], {}
        for one in db.execute(
            "SELECT name, kind, at, step, rows FROM pulse_fields WHERE host = ? ORDER BY name, kind, at",
            (number,),
        ):
            seen = FieldSeen(*one)
            if seen.name == _ANY:
                sampled[seen.at] = seen.rows
            else:
                fields.append(seen)
        told = tuple(Beat(*one) for one in beats)
        yield History(name, host, first, told, lags[0], lags[1], tuple(fields), sampled)


def hosts(db: sqlite3.Connection) -> dict[str, int]:
    """Return how many hosts of each source are told apart."""
    query = "SELECT source, count(*) FROM pulse_hosts WHERE host != '' GROUP BY source"
    return dict(db.execute(query).fetchall())


def _beat(db: sqlite3.Connection, rows: Iterable[tuple[int, ...]]) -> None:
    db.executemany(
        "INSERT INTO pulse VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
        "events = events + excluded.events, rejects = rejects + excluded.rejects, "
        "active = max(active, excluded.active), last = max(last, excluded.last)",
        rows,
    )


def _sampled(db: sqlite3.Connection, sample: Sample, hour: int, now: int) -> None:
    (host,) = _numbers(db, [(sample.source, ALL)], now)
    known = {name for (name,) in db.execute("SELECT DISTINCT name FROM pulse_fields WHERE host = ?", (host,))}
    room = MAX_FIELDS - len(known)
    rows = [(host, _ANY, _ANY, HOUR, hour, sample.rows)]
    for name, kinds in sample.fields.items():
        if name not in known:
            if room <= 0:
                continue
            room -= 1
        rows += [(host, name, kind, HOUR, hour, count) for kind, count in kinds.items()]
    db.executemany(
        "INSERT INTO pulse_fields VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows",
        rows,
    )


def _numbers(db: sqlite3.Connection, keys: Iterable[tuple[str, str]], now: int) -> list[int]:
    """Return the numbers of hosts, which new ones are given; too many of a source share one."""
    numbers = []
    counts: dict[str, int] = {}
    for source, host in keys:
        number = _number(db, source, host)
        if number is None and host not in {ALL, OTHERS}:
            if source not in counts:
                counts[source] = db.execute(
                    "SELECT count(*) FROM pulse_hosts WHERE source = ?", (source,)
                ).fetchone()[0]
            counts[source] += 1
            if counts[source] > MAX_HOSTS:
                host, number = OTHERS, _number(db, source, OTHERS)  # noqa: PLW2901 - another name for it
        if number is None:
            number = db.execute(
                "INSERT INTO pulse_hosts (source, host, first) VALUES (?,?,?)", (source, host, now)
            ).lastrowid
        numbers.append(int(number or 0))
    return numbers


def _number(db: sqlite3.Connection, source: str, host: str) -> int | None:
    row = db.execute("SELECT id FROM pulse_hosts WHERE source = ? AND host = ?", (source, host)).fetchone()
    return None if row is None else int(row[0])


def _slots(lag: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the slot of each lag (ms): 0 below 16 ms, then one more each time it doubles."""
    exponents = np.frexp(np.maximum(lag, 1).astype(np.float64))[1].astype(np.int64) - 4
    clipped: npt.NDArray[np.int64] = np.clip(exponents, 0, SLOTS - 1)
    return clipped


def _by_host(table: pa.Table, origin: str) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Yield hosts and their rows."""
    column: Any = leaf(table, _HOST)
    if column is None or column.null_count == len(column):
        yield origin, np.arange(table.num_rows)
        return
    coded: Any = pa.concat_arrays(column.chunks).dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    names: Sequence[str] = coded.dictionary.to_pylist()
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    for code, rows in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
        yield (names[code] or origin if code >= 0 else origin), rows
