"""Indicators over history: where each was seen, first and last, how often, on which hosts, by whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.app import retro_pieces as pieces
from lemnis.app.retro_columns import places, values
from lemnis.app.retro_indicators import Indicator
from lemnis.app.retro_matching import Index, Numbers
from lemnis.app.retro_units import Wanted
from lemnis.contracts.alerts import Alert, MatchedField, merged
from lemnis.contracts.detection import Match
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import Json, digest
from lemnis.detect.alerts import Alerts, Facts
from lemnis.detect.suppress import Suppression
from lemnis.ocsf.entities import entities
from lemnis.store.columns import MS_A_DAY, leaf
from lemnis.store.rows import REJECTS, table_class

SHOWN = 3
_HOSTS = ("device.hostname", "src_endpoint.hostname", "src_endpoint.ip", "device.ip")
_CLIENTS = ("src_endpoint.hostname", "src_endpoint.ip", "device.hostname", "device.ip")
_USERS = ("actor.user.name", "user.name")
_NETWORK = 4
_BASE = ("time", "metadata", "device", "src_endpoint", "actor", "user")


@dataclass(slots=True)
class Sighting:
    """What was seen of one indicator; ``events`` counts events, however often it is in one of them."""

    indicator: Indicator
    events: int = 0
    first: int = 2**62
    last: int = -(2**62)
    hosts: Counter[str] = field(default_factory=Counter)
    users: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    paths: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[int, str]] = field(default_factory=list)
    """The time (ms) and uid of the first events."""

    def add(self, one: Mapping[str, Any]) -> None:
        """Take what was seen in a batch; in whatever order batches come, the sum is the same."""
        self.events += one["events"]
        self.first, self.last = min(self.first, one["first"]), max(self.last, one["last"])
        for mine, more in (
            (self.hosts, "hosts"), (self.users, "users"), (self.sources, "sources"), (self.paths, "paths"),
        ):  # fmt: skip
            mine.update(one[more])
        self.examples = sorted({*self.examples, *((time, uid) for time, uid in one["examples"])})[:SHOWN]


@dataclass(frozen=True, slots=True)
class _Named:
    """An indicator as alerts see a rule."""

    id: str
    title: str
    level: str = "high"
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Seeking:
    """Indicators over batches; with ``alerts``, one a day for each indicator and what it was seen on."""

    index: Index
    alerts: Alerts | None = None

    @cached_property
    def named(self) -> Sequence[_Named]:
        """The indicators as rules."""
        return [
            _Named(f"indicator:{one}", f"Indicator seen: {one}" + (f" ({one.label})" if one.label else ""))
            for one in self.index.indicators
        ]

    def of(self, batch: EventBatch) -> Iterator[pieces.Piece]:
        """Yield what was seen in a batch, and the alerts of it if they are wanted."""
        seen = self._seen(batch)
        if seen is None:
            return
        yield pieces.SIGHTINGS, orjson.dumps(list(self._told(batch, seen)))
        if self.alerts is not None:
            yield from self._alerts(batch, seen, self.alerts)

    def _seen(self, batch: EventBatch) -> pa.Table | None:
        """Return rows, indicators, paths and values of what was seen."""
        wanted = self.index.families
        by_family: dict[str, list[tuple[str, Numbers, pa.Array[Any]]]] = {}
        for place in places(batch.class_uid, batch.table.schema):
            if place.family in wanted:
                rows, some = values(batch.table, place.path)
                if len(rows):
                    by_family.setdefault(place.family, []).append((place.path, rows, some))
        found = []
        for family, parts in by_family.items():
            codes: Any = pa.chunked_array([some for _, _, some in parts]).combine_chunks().dictionary_encode()
            pairs = self.index.find(family, codes.dictionary)
            if not len(pairs.values):
                continue
            places_of = codes.indices.to_numpy()
            hit = np.flatnonzero(np.isin(places_of, pairs.values))
            left = np.searchsorted(pairs.values, places_of[hit], side="left")
            counts = np.searchsorted(pairs.values, places_of[hit], side="right") - left
            at = np.repeat(hit, counts)
            offsets = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
            rows = np.concatenate([rows for _, rows, _ in parts])
            paths = np.repeat(np.arange(len(parts)), [len(rows) for _, rows, _ in parts])
            found.append(
                pa.table({
                    "row": pa.array(rows[at]),
                    "indicator": pa.array(pairs.indicators[np.repeat(left, counts) + offsets]),
                    "path": pa.array([path for path, _, _ in parts]).take(paths[at]),
                    "value": codes.dictionary.take(pa.array(places_of[at])),
                })
            )  # fmt: skip
        return pa.concat_tables(found) if found else None

    def _told(self, batch: EventBatch, seen: pa.Table) -> Iterator[dict[str, Json]]:
        """Yield what was seen of each indicator."""
        both = np.stack([seen.column("indicator").to_numpy(), seen.column("row").to_numpy()])
        numbers, rows = np.unique(both, axis=1)
        times = batch.table.column("time").to_numpy()[rows]
        clients = batch.class_uid // 1000 == _NETWORK
        hosts = _first(batch.table, _CLIENTS if clients else _HOSTS, rows)
        users = _first(batch.table, _USERS, rows)
        uids = _first(batch.table, ("metadata.uid",), rows)
        names: list[Any] = seen.column("path").to_pylist()
        paths = _counted(seen.column("indicator").to_numpy(), names)
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(numbers)], strict=True):
            some = slice(int(start), int(stop))
            order = np.argsort(times[some], kind="stable")[:SHOWN]
            number = int(numbers[start])
            yield {
                "indicator": number, "events": int(stop - start), "first": int(times[some].min()),
                "last": int(times[some].max()), "hosts": _top(hosts[some]), "users": _top(users[some]),
                "sources": {batch.source: int(stop - start)}, "paths": paths[number],
                "examples": [[int(times[some][n]), uids[some][n]] for n in order],
            }  # fmt: skip

    def _alerts(self, batch: EventBatch, seen: pa.Table, alerts: Alerts) -> Iterator[pieces.Piece]:
        told: dict[tuple[int, int], tuple[MatchedField, ...]] = {}
        rows: dict[int, list[int]] = {}
        for row, number, path, value in zip(*(column.to_pylist() for column in seen.columns), strict=True):
            at = (row, number)
            if at not in told:
                rows.setdefault(number, []).append(row)
            told[at] = (*told.get(at, ()), MatchedField(path, str(self.index.indicators[number]), str(value)))
        matches = [Match(number, sorted(some)) for number, some in rows.items()]
        for alert in alerts.of(batch, matches, self.named, told):
            yield pieces.ALERT, pieces.write_alert(alert)


def _counted(numbers: Numbers, names: Sequence[str]) -> Mapping[int, dict[str, Json]]:
    found: dict[int, dict[str, Any]] = {}
    for (number, name), count in Counter(zip(numbers.tolist(), names, strict=True)).items():
        found.setdefault(number, {})[name] = count
    return found


def _first(table: pa.Table, paths: Iterable[str], rows: Numbers) -> list[str | None]:
    """Return the first of several columns that a row has."""
    columns = [column for path in paths if (column := leaf(table, path)) is not None]
    if not columns:
        return [None] * len(rows)
    taken = [column.combine_chunks().take(rows).cast(pa.string()) for column in columns]
    whole: Any = pc.coalesce(*taken)
    return whole.to_pylist()  # type: ignore[no-any-return]


def _top(names: Iterable[str | None]) -> dict[str, Json]:
    return dict(Counter(name for name in names if name))


@dataclass(frozen=True)
class Indicators:
    """Indicators over history, as a question."""

    index: Index
    reach: Mapping[str, Wanted]
    content_digest: str = ""
    alerting: bool = False

    @classmethod
    def of(
        cls,
        indicators: Iterable[Indicator],
        schemas: Mapping[str, pa.Schema],
        *,
        content_digest: str = "",
        alerting: bool = False,
    ) -> Indicators:
        """Prepare indicators, and find out which tables have values to compare them with."""
        index = Index.of(indicators)
        reach: dict[str, Wanted] = {
            name: None
            for name, schema in schemas.items()
            if name != REJECTS
            and any(one.family in index.families for one in places(table_class(name), schema))
        }
        return cls(index, reach, content_digest, alerting)

    @property
    def known_by(self) -> Mapping[str, Json]:
        """The indicators, and whether alerts are wanted."""
        names = "\n".join(map(str, self.index.indicators)).encode("utf-8", "surrogatepass")
        return {"indicators": digest(names), "alerts": self.alerting}

    @cached_property
    def work(self) -> Seeking:
        """What looks for them."""
        folds = Facts(suppression=Suppression(MS_A_DAY))
        alerts = Alerts(self.content_digest, entities, lambda _: folds) if self.alerting else None
        return Seeking(self.index, alerts)

    def wanted(self, table: str) -> Wanted:
        """Return that an indicator can be in events of any source, where there are values to compare."""
        return self.reach.get(table, frozenset())

    def columns(self, table: str, schema: pa.Schema) -> pa.Schema:
        """Return the columns with values to compare, and those that a sighting tells of."""
        if self.alerting:
            return schema
        known = places(table_class(table), schema)
        heads = {one.path.partition(".")[0] for one in known if one.family in self.index.families}
        return pa.schema([one for one in schema if one.name in heads or one.name in _BASE])

    def gathering(self) -> Sightings:
        """Begin to put pieces together."""
        return Sightings(self.index)


@dataclass(slots=True)
class Sightings:
    """What was seen, out of pieces, in whatever order these come."""

    index: Index
    seen: dict[int, Sighting] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)

    def add(self, some: pa.Table) -> None:
        """Take rows of ``retro_pieces.PIECES``."""
        for body in pieces.bodies(some, pieces.SIGHTINGS):
            for one in orjson.loads(body):
                number = int(one["indicator"])
                if number not in self.seen:
                    self.seen[number] = Sighting(self.index.indicators[number])
                self.seen[number].add(one)
        for body in pieces.bodies(some, pieces.ALERT):
            alert = pieces.read_alert(body)
            known = self.alerts.get(alert.id)
            self.alerts[alert.id] = alert if known is None else merged(known, alert)

    def found(self) -> list[Sighting]:
        """Return what was seen, the latest first."""
        return sorted(self.seen.values(), key=lambda one: (-one.last, one.indicator))
