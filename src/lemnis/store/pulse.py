"""The pulse of sources, kept beside the spool: what came when, from which host, how late, with which fields.

It is written in the transaction that stores the events, so it is as durable as they are. What is recent is
counted by five minutes (fields: by the hour); ``roll`` sums up what is older by the hour (by the day) and
forgets what is older than five weeks. Hosts and fields of a source are told apart up to a bound.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
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
MAX_HOSTS, MAX_FIELDS, MAX_STILL = 4096, 2048, 200
KEPT = 35 * DAY
FINE = 2 * DAY
LAGS_KEPT = 8 * DAY
_AHEAD = DAY
_HOST = "device.hostname"
_ANY = ""
"""The name and kind under which the rows of samples are counted."""


Host = tuple[str, str]
Hosts = dict[Host, int]
"""The numbers of hosts, by source and name."""
Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class Counting:
    """Counts what one append stores; then ``write`` puts it on record.

    ``known`` are hosts that need not be looked up: whoever keeps it empties it now and then.
    """

    now: int
    pulse: Pulse = field(default_factory=Pulse)
    known: Hosts = field(default_factory=dict)
    _events: dict[Host, int] = field(default_factory=dict)
    _last: dict[Host, int] = field(default_factory=dict)
    _rejects: dict[Host, int] = field(default_factory=dict)
    _lags: dict[tuple[Host, int], int] = field(default_factory=dict)

    def events(self, source: str, origin: str, table: pa.Table) -> None:
        """Count new events of a source; those without a host are counted under their origin."""
        if not table.num_rows:
            return
        times = table.column("time").to_numpy()
        slots = _slots(np.clip(self.now - times, 0, None))
        past = np.where(times <= self.now + _AHEAD, times, 0)
        hosts, codes = _hosts(table, origin)
        self._add(source, [ALL], np.zeros(len(times), dtype=np.int64), slots, past)
        self._add(source, hosts, codes, slots, past)

    def rejects(self, source: str, count: int) -> None:
        """Count what was not taken."""
        if count and source:
            self._rejects[source, ALL] = self._rejects.get((source, ALL), 0) + count

    def _add(self, source: str, hosts: Sequence[str], codes: Ints, slots: Ints, times: Ints) -> None:
        """Add rows that are of hosts by their codes."""
        last = np.zeros(len(hosts), dtype=np.int64)
        np.maximum.at(last, codes, times)
        counts = np.bincount(codes, minlength=len(hosts))
        for host, count, newest in zip(hosts, counts.tolist(), last.tolist(), strict=True):
            if count:
                key = source, host
                self._events[key] = self._events.get(key, 0) + count
                self._last[key] = max(self._last.get(key, 0), newest)
        pairs, counts = np.unique(codes * SLOTS + slots, return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            lag = (source, hosts[pair // SLOTS]), pair % SLOTS
            self._lags[lag] = self._lags.get(lag, 0) + count

    def write(self, db: sqlite3.Connection) -> None:
        """Add everything to what is on record, and that Lemnis listened."""
        at, hour = self.now - self.now % STEP, self.now - self.now % HOUR
        places = dict.fromkeys([LISTENING, *self._events, *self._rejects])
        numbers = dict(zip(places, _numbers(db, places, self), strict=True))
        pulses = [
            (number, at, STEP, self._events.get(key, 0), self._rejects.get(key, 0),
             int(key in self._events or key == LISTENING), self._last.get(key, 0))
            for key, number in numbers.items()
        ]  # fmt: skip
        lags = [(numbers[key], 0, hour, slot, count) for (key, slot), count in self._lags.items()]
        if self.pulse.received is not None:
            slot = int(_slots(np.array([max(0, self.now - self.pulse.received)]))[0])
            whole = [(key, count) for key, count in self._events.items() if key[1] == ALL]
            lags += [(numbers[key], 1, hour, slot, count) for key, count in whole]
        _beat(db, pulses)
        db.executemany(
            "INSERT INTO pulse_lags VALUES (?,?,?,?,?) "
            "ON CONFLICT DO UPDATE SET events = events + excluded.events",
            lags,
        )
        for sample in self.pulse.samples:
            _sampled(db, sample, hour, self)


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
    db: sqlite3.Connection,
    source: str | None = None,
    before: int | None = None,
    also: Collection[Host] = (),
) -> Iterator[History]:
    """Yield what is known of each source and host, by name.

    With ``before`` (ms), of hosts only those silent since then, the ``MAX_STILL`` that were last heard, and
    of the others those in ``also``.
    """
    hosts = db.execute(
        "SELECT id, source, host, first, coalesce("
        "(SELECT max(at) FROM pulse WHERE host = h.id AND step = ?), 0) AS last "
        "FROM pulse_hosts AS h WHERE source = coalesce(?, source)",
        (STEP, source),
    ).fetchall()
    if before is not None:
        still = [one for one in hosts if one[2] != ALL and one[4] < before]
        chosen = {one[0] for one in sorted(still, key=lambda one: -one[4])[:MAX_STILL]}
        chosen |= {one[0] for one in hosts if one[4] >= before and (one[1], one[2]) in also}
        hosts = [one for one in hosts if one[2] == ALL or one[0] in chosen]
    for number, name, host, first, _ in sorted(hosts, key=lambda one: one[1:3]):
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


def _sampled(db: sqlite3.Connection, sample: Sample, hour: int, counting: Counting) -> None:
    (host,) = _numbers(db, [(sample.source, ALL)], counting)
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


def _numbers(db: sqlite3.Connection, keys: Iterable[Host], counting: Counting) -> list[int]:
    """Return the numbers of hosts, which new ones are given; too many of a source share one."""
    numbers = []
    for key in keys:
        number = counting.known.get(key)
        if number is None:
            number = counting.known[key] = _number(db, *key, counting.now)
        numbers.append(number)
    return numbers


def _number(db: sqlite3.Connection, source: str, host: str, now: int) -> int:
    """Return a host's number: it follows from its names, so that a forgotten one has it again."""
    number = int.from_bytes(hashlib.blake2b(f"{source}\0{host}".encode(), digest_size=8).digest()) >> 1
    if db.execute("SELECT 1 FROM pulse_hosts WHERE id = ?", (number,)).fetchone():
        return number
    if host not in {ALL, OTHERS}:
        (count,) = db.execute("SELECT count(*) FROM pulse_hosts WHERE source = ?", (source,)).fetchone()
        if count > MAX_HOSTS:
            return _number(db, source, OTHERS, now)
    db.execute("INSERT OR REPLACE INTO pulse_hosts VALUES (?,?,?,?)", (number, source, host, now))
    return number


def _slots(lag: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return the slot of each lag (ms): 0 below 16 ms, then one more each time it doubles."""
    exponents = np.frexp(np.maximum(lag, 1).astype(np.float64))[1].astype(np.int64) - 4
    clipped: npt.NDArray[np.int64] = np.clip(exponents, 0, SLOTS - 1)
    return clipped


def _hosts(table: pa.Table, origin: str) -> tuple[list[str], Ints]:
    """Return the hosts of a table and which each row is of; the last one is the origin, for those without."""
    column: Any = leaf(table, _HOST)
    if column is None or column.null_count == len(column):
        return [origin], np.zeros(table.num_rows, dtype=np.int64)
    coded: Any = pa.concat_arrays(column.chunks).dictionary_encode()
    names = [name or origin for name in coded.dictionary.to_pylist()]
    codes = coded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
    return [*names, origin], codes
