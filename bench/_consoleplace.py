"""A workspace for `lemnis bench console`: events over three weeks, and alerts about some of them.

Events are those of ``_searchlake``, appended as if they came then. Alerts are made by detection's own code of
events that are in the lake, as if rules that ship had matched them: bursts about one host, which become
incidents, and some alone. They are grouped as they come; people close most incidents a while later. All is
written by the code that ``lemnis serve`` writes it by; only what matches is made up.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import yaml

from bench import _searchlake
from lemnis import app
from lemnis.app import incidents
from lemnis.app.detection import Detection, detection
from lemnis.app.grouping import Grouped
from lemnis.contracts.alerts import Alert, Entity, IncidentStatus, Verdict
from lemnis.contracts.clock import ManualClock, SystemClock
from lemnis.contracts.detection import Match
from lemnis.contracts.events import EventBatch
from lemnis.contracts.watching import Pulse
from lemnis.detect.alerts import Alerts
from lemnis.incidents import entries as writing
from lemnis.ocsf.entities import entities
from lemnis.store.columns import leaf

DAYS = 21
NAME = "soc"
_VERSION = 1
_BLOCKS = 100
_FLUSH = 500_000
_BURST, _ALONE = 22, 0.1
"""Alerts of a burst, and the part of all alerts that are alone."""
_RULES_A_BURST = 3
_CLOSED = 0.85
_LATER = 8
"""So many blocks after an incident was opened people have closed it, or have not."""
_KEPT = frozenset({"host", "process", "address"})
_LOUD = frozenset({"high", "critical"})
_FIRST_HOSTS = 250
_VERDICTS = (Verdict.FALSE_POSITIVE, Verdict.BENIGN, Verdict.TRUE_POSITIVE, Verdict.FALSE_POSITIVE)


@dataclass(frozen=True, slots=True)
class Made:
    """What was asked for, what is in the workspace, its last instant (ms), the seconds it took to make.

    ``written`` alerts are a few less than ``alerts``: the same rule on the same event is one.
    """

    version: int
    events: int
    alerts: int
    written: int
    incidents: int
    end: int
    seconds: float


def there(root: Path, events: int, alerts: int) -> Made | None:
    """Return the account of a workspace of so many events and alerts, if it is there, whole."""
    file = root / "made.json"
    known: Mapping[str, Any] = orjson.loads(file.read_bytes()) if file.exists() else {}
    same = known.get("version") == _VERSION and known["events"] == events and known["alerts"] == alerts
    return Made(**known) if same else None


def make(root: Path, events: int, alerts: int, *, blocks: int = _BLOCKS, basis: int | None = None) -> Made:
    """Make a workspace below a folder, which it replaces; its account is written last.

    It is made in so many ``blocks``, of stretches of ``basis`` records that are mapped.
    """
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    began, end = time.perf_counter(), SystemClock().now()
    clock = ManualClock(end - DAYS * 86_400_000)
    workspace = app.init(root / NAME, clock=clock)
    _settings(workspace)
    making = _Making(workspace, clock, alerts, blocks)
    size = -(-events // blocks)
    bases = _searchlake.bases(root) if basis is None else _searchlake.bases(root, basis)
    made = _searchlake.blocks(bases, events, start=clock.now(), days=DAYS, block=size)
    for number, batches in enumerate(made):
        clock.instant = end - (DAYS * 86_400_000) * (blocks - 1 - number) // blocks
        making.take(batches, number)
    making.finish()
    took = round(time.perf_counter() - began, 1)
    told = Made(_VERSION, events, alerts, making.written, making.opened, end, took)
    (root / "made.json").write_bytes(orjson.dumps(asdict(told)))
    return told


def _settings(workspace: app.Workspace) -> None:
    """Let it take events over HTTP and show pages, both at ports that are free."""
    said = {
        "name": "Bench",
        "transports": {"in": {"kind": "http", "port": 0}},
        "admin": {"port": 0},
        "console": {"port": 0},
        "workers": 1,
    }
    (workspace.root / app.SETTINGS).write_text(yaml.safe_dump(said), encoding="utf-8")


class _Making:
    """Puts blocks of events into a workspace, with alerts about them."""

    def __init__(self, workspace: app.Workspace, clock: ManualClock, alerts: int, blocks: int) -> None:
        self.told, self._blocks = 0, blocks
        self._clock, self._wanted = clock, alerts
        self._lake, self._journal = app.lake(workspace), app.journal(workspace)
        library = app.library(workspace)
        self._chance = random.Random(5)  # noqa: S311 - made-up alerts, no secret
        self._alerts = _Made(detection(library), self._chance)
        self._grouped = Grouped(workspace, library, self._journal)
        self._waiting = 0
        self._seen: list[int] = []

    @property
    def written(self) -> int:
        """How many alerts there are."""
        return self._journal.counts(0)[writing.ALERT]

    @property
    def opened(self) -> int:
        """How many incidents were opened."""
        return len(self._journal.subjects([writing.OPENED]))

    def take(self, batches: Sequence[EventBatch], number: int) -> None:
        """Append a block of events, and tell and group its alerts."""
        self._lake.append(batches, told=Pulse(self._clock.now()))
        self._waiting += sum(len(one) for one in batches)
        wanted = self._wanted * (number + 1) // self._blocks - self.told
        some = list(self._alerts.of(batches, wanted))
        self._journal.write_all([writing.alert_entry(one) for one in some])
        self.told += len(some)
        self._grouped.settle()
        self._people()
        if self._waiting >= _FLUSH:
            self._lake.flush()
            self._waiting = 0

    def _people(self) -> None:
        """Let people close what was opened a while ago, most of it."""
        self._seen.append(self._journal.head()[0])
        if len(self._seen) <= _LATER:
            return
        after, until = ([0, *self._seen][-_LATER - 2 :][place] for place in (0, 1))
        new = [e.subject for e in self._journal.entries(kind=writing.OPENED, after=after) if e.seq <= until]
        told = []
        for name in new:
            known = incidents.by_id(self._journal, name)
            if self._chance.random() < _CLOSED and not known.merged_into:
                verdict, who = self._chance.choice(_VERDICTS), self._chance.choice(("ana", "ben", "cleo"))
                to, at = IncidentStatus.CLOSED, self._clock.now()
                told.append(writing.owner(name, who, actor=who, at=at))
                told.append(writing.transition(known, to, actor=who, reason="looked at", verdict=verdict))
        self._journal.write_all(told)

    def finish(self) -> None:
        """Leave it as ``lemnis serve`` does when nothing comes for a while."""
        self._grouped.settle()
        self._grouped.close()
        self._lake.flush()
        self._lake.compact(min_files=2)
        self._lake.refresh_index()


class _Made:
    """Makes alerts of events, as if rules had matched."""

    def __init__(self, found: Detection, chance: random.Random) -> None:
        self._chance, self._rules = chance, found.rules
        self._alerts = Alerts(found.alerts.content_digest, self._about, found.alerts.facts)
        self._quiet = [n for n, rule in enumerate(found.rules) if rule.level not in _LOUD]
        self._users = 0

    def of(self, batches: Sequence[EventBatch], wanted: int) -> Iterator[Alert]:
        """Yield so many alerts about these events: bursts about a host each, and some alone."""
        batch = max((one for one in batches if one.class_uid == 1007), key=len)  # noqa: PLR2004 - processes
        column: Any = leaf(batch.table, "device.hostname")
        coded = pa.concat_arrays(column.chunks).dictionary_encode()
        hosts = coded.indices.to_numpy(zero_copy_only=False)
        alone = round(wanted * _ALONE)
        left = wanted - alone
        names = np.argsort(np.bincount(hosts))[::-1].tolist()
        while left > 0:
            rows = np.flatnonzero(hosts == self._chance.choice(names[:_FIRST_HOSTS]))
            count = min(left, _BURST, len(rows))
            first = self._chance.randrange(len(rows) - count + 1)
            some = rows[first : first + count].tolist()
            rules = self._chance.sample(range(len(self._rules)), _RULES_A_BURST)
            yield from self._tell(batch, [(self._chance.choice(rules), row) for row in some], users=1)
            left -= count
        rows = self._chance.sample(range(len(batch)), min(alone, len(batch)))
        yield from self._tell(batch, [(self._chance.choice(self._quiet), row) for row in rows], users=0)

    def _tell(self, batch: EventBatch, pairs: Sequence[tuple[int, int]], *, users: int) -> list[Alert]:
        self._users = users
        rows = sorted({row for _, row in pairs})
        place = {row: n for n, row in enumerate(rows)}
        part = EventBatch(batch.class_uid, batch.source, batch.origin, batch.table.take(pa.array(rows)))
        matches = [Match(rule, [place[row]]) for rule, row in pairs]
        return list(self._alerts.of(part, matches, self._rules, alone=True))

    def _about(self, class_uid: int, event: Mapping[str, Any]) -> Sequence[Entity]:
        """Return what an event is about; who, of the first few only: made-up users are on every host."""
        found = entities(class_uid, event)
        kept = [one for one in found if one.kind in _KEPT]
        if self._users:
            self._users -= 1
            kept += [one for one in found if one.kind == "user"]
        return kept
