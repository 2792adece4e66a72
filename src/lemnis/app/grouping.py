"""Alerts of a workspace's journal into incidents; memory does not grow with the alerts.

What was grouped is in a file beside the journal (``store.groups``), which any process may use in its turn and
which is made again from the journal where it is missing. The journal is the truth: what it says of incidents
is taken over, whoever wrote it.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import orjson

from lemnis import app
from lemnis.app.publish import Publishing
from lemnis.content import yaml
from lemnis.content.library import Library
from lemnis.content.schemas.grouping import Grouping
from lemnis.contracts.alerts import Alert, IncidentChange, IncidentStatus, Verdict
from lemnis.contracts.ids import Json, canonical, digest
from lemnis.contracts.incidents import Incident
from lemnis.contracts.journal import Entry
from lemnis.correlate.fold import Fold
from lemnis.incidents import entries as writing
from lemnis.incidents import summary
from lemnis.store import durable
from lemnis.store.groups import Groups

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

LOCK = "correlate.lock"
FILE = "grouping.db"
_GROUPING = "default"
_AT_ONCE = 10_000
_TOLD = (writing.OPENED, writing.JOINED, writing.MERGED)
_FACTS = b""


@dataclass(frozen=True, slots=True)
class _Standing:
    """How an incident stands, as far as a change to it depends on that."""

    status: IncidentStatus
    verdict: Verdict
    changed: int
    rules: frozenset[str]

    @property
    def open(self) -> bool:
        return self.status not in {IncidentStatus.RESOLVED, IncidentStatus.CLOSED}

    def has(self, rule: str) -> bool:
        return rule in self.rules


class Grouped:
    """A workspace's alerts, grouped; ``settle`` takes what is new in the journal."""

    def __init__(self, workspace: app.Workspace, library: Library, journal: SqlJournal) -> None:
        """Open what was grouped before by the same content; raises ContentError with its place."""
        self._workspace, self._journal, self._library = workspace, journal, library
        self.grouping = load_grouping(library)
        manifest = library.get("correlations", _GROUPING).manifest.read_text("utf-8")
        by = digest(canonical(manifest))
        self._groups = Groups(workspace.state / "cache" / FILE, by)
        self._fold = Fold(self.grouping, self._groups, self._alerts)

    def close(self) -> None:
        """Let the file go."""
        self._groups.close()

    def settle(self) -> int:
        """Write down what is new of incidents, and publish it; return how many changes. Idempotent.

        One process at a time does it. If nothing came since the last time, it returns at once.
        """
        with durable.exclusive(self._workspace.state / LOCK), uncollected():
            risks = {str(name): weight for name, weight in self.grouping.risk.severity.items()}
            publishing = Publishing(self._workspace, self._journal, risks)
            changes = self._settle(publishing)
            publishing.finish(self._little)
        return changes

    def _settle(self, publishing: Publishing) -> int:
        groups, journal = self._groups, self._journal
        with groups.writing():
            last = self._last()
            if last is None:  # it is of another journal
                groups.clear()
            told = list(islice(self._told(), 1))
            new = next(journal.entries(kind=writing.ALERT, after=last or 0), None)
            if new is None and not told:
                return 0
            self._fold.begin()
            self._take_alerts(last or 0, publishing)
            head = journal.head()[0]
            for entry in self._told():
                self._take_told(entry)
            self._fold.save()
            own: list[str] = []
            changes = 0
            for change in self._fold.changes():
                own += self._write(change)
                changes += 1
            groups.keep("told", str(head))
            groups.keep("own", orjson.dumps(own).decode())
        return changes

    def _last(self) -> int | None:
        """Return the number of the last alert that was grouped; None if it is not in this journal."""
        noted = self._groups.note("last")
        if not noted:
            return 0
        key, seen = orjson.loads(noted)
        entry = self._journal.get(key)
        return entry.seq if entry and entry.hash == seen else None

    def _take_alerts(self, after: int, publishing: Publishing) -> None:
        """Add the alerts that are new in the journal, and publish them."""
        entries = self._journal.entries(kind=writing.ALERT, after=after)
        last: list[str] = []

        def read() -> Iterator[Alert]:
            for entry in entries:
                alert = writing.read_alert(entry, whole=entry.seq > publishing.after)
                publishing.add(entry, alert)
                last[:] = entry.key, entry.hash
                yield replace(alert, event={})

        new = read()
        while some := list(islice(new, _AT_ONCE)):
            self._fold.add(one for one in some if not one.revision)  # what is told again is there already
        if last:
            self._groups.keep("last", orjson.dumps(last).decode())

    def _told(self) -> Iterator[Entry]:
        """Yield what the journal says of incidents that was not written in the last look from here."""
        after = int(self._groups.note("told") or 0)
        own = frozenset(orjson.loads(self._groups.note("own") or "[]"))
        streams = [self._journal.entries(kind=kind, after=after) for kind in _TOLD]
        for entry in heapq.merge(*streams, key=lambda entry: entry.seq):
            if entry.key not in own:
                yield entry

    def _take_told(self, entry: Entry) -> None:
        """Take over what an entry says of incidents."""
        payload = entry.payload
        if "into" in payload:
            return
        facts = {
            name: value for name, value in payload.items() if name not in {"groups", "from", "continues"}
        }
        if entry.kind == writing.MERGED:
            other = str(payload["from"])
            self._fold.merged(entry.subject, other)
            self._sum_up(entry.subject, (), [other], facts)
        else:
            groups = writing.groups_of(entry)
            self._fold.told(entry.subject, (alert for group in groups for alert, _ in group["alerts"]))
            self._sum_up(entry.subject, groups, (), facts)

    def _write(self, change: IncidentChange) -> list[str]:
        """Write a change down; return the keys of its entries."""
        entries = writing.change_entries(change, self._standing(change), self._library.digest)
        self._journal.write_all(entries)
        groups = [group for entry in entries for group in writing.groups_of(entry)]
        facts: dict[str, Json] = {
            "risk": change.risk, "because": change.because, "decisive": change.decisive,
            "content_digest": self._library.digest,
        }  # fmt: skip
        self._sum_up(change.incident_id, groups, change.merged_from, facts)
        return [entry.key for entry in entries if entry.kind in _TOLD]

    def _standing(self, change: IncidentChange) -> _Standing | None:
        """Return how the incident stands that a change is about; None if it opens it."""
        incident = change.continues or change.incident_id
        parts = self._groups.parts(incident)
        if not parts:
            return None
        status, verdict, changed = IncidentStatus.NEW, Verdict.UNKNOWN, 0
        for entry in self._lifecycle(incident):
            if entry.kind == writing.STATUS:
                status, verdict = writing.status_of(entry)
                changed += 1
        rules = frozenset(summary.load(data)["rule_id"] for name, data in parts if name != _FACTS)
        return _Standing(status, verdict, changed, rules)

    def _sum_up(
        self, incident: str, groups: Iterable[writing.Group], merged: Sequence[str], facts: dict[str, Json]
    ) -> None:
        """Add to what is kept of an incident in little."""
        parts = self._parts(incident)
        before = dict(parts)
        for other in merged:
            summary.merge(parts, self._parts(other).values())
        summary.add(parts, groups)
        rows = [
            (incident, name, summary.dump(part)) for name, part in parts.items() if before.get(name) != part
        ]
        self._groups.put_parts([*rows, (incident, _FACTS, orjson.dumps(facts))])

    def _parts(self, incident: str) -> summary.Parts:
        return {name: summary.load(data) for name, data in self._groups.parts(incident) if name != _FACTS}

    def _little(self, incident: str) -> Incident | None:
        """Return an incident in little: its groups have only the first and the last of their alerts."""
        rows = dict(self._groups.parts(incident))
        facts = orjson.loads(rows.pop(_FACTS, b"{}"))
        parts = {name: summary.load(data) for name, data in rows.items()}
        return summary.incident(incident, parts, facts, list(self._lifecycle(incident))) if parts else None

    def _lifecycle(self, incident: str) -> Iterator[Entry]:
        """Yield an incident's entries but those of its alerts; before, those of what it goes on from."""
        own = [
            entry
            for kind in writing.KINDS
            if kind != writing.JOINED
            for entry in self._journal.entries(kind=kind, subject=incident)
        ]
        for entry in own:
            if entry.kind == writing.MERGED and entry.payload.get("continues") and "from" in entry.payload:
                yield from self._lifecycle(str(entry.payload["from"]))
        yield from sorted(own, key=lambda entry: entry.seq)

    def _alerts(self, ids: Sequence[str]) -> Iterator[Alert]:
        """Read alerts back, without their events."""
        for entry in self._journal.get_all(ids):
            yield writing.read_alert(entry, whole=False)


def load_grouping(library: Library) -> Grouping:
    """Read how alerts are grouped; raises ContentError with file, line and column."""
    return yaml.load(library.get("correlations", _GROUPING).manifest, Grouping)


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the garbage collector rest: nothing of 100,000 alerts is garbage; looking took half the time."""
    resting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if resting:
            gc.enable()
