"""Alerts of a workspace's journal into incidents; memory does not grow with the alerts.

What was grouped is in a file beside the journal (``store.groups``), which any process may use in its turn and
which is made again from the journal where it is missing. The journal is the truth: what it says of incidents
is taken over, whoever wrote it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import orjson

from lemnis import app
from lemnis.app.grouping_brief import Briefly, lifecycle
from lemnis.app.grouping_file import LOCK, SETTLED, load_grouping, open_groups, place
from lemnis.app.grouping_parts import Parts
from lemnis.app.publish import Publishing
from lemnis.app.resting import uncollected
from lemnis.content.library import Library
from lemnis.contracts.alerts import Alert, Entity, IncidentChange, IncidentStatus, Verdict
from lemnis.contracts.errors import NotFoundError
from lemnis.contracts.ids import Json
from lemnis.contracts.incidents import Incident
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.correlate.decisions import Decisions
from lemnis.correlate.fold import Fold
from lemnis.incidents import entries as writing
from lemnis.incidents import parting, summary
from lemnis.incidents.view import fold
from lemnis.store import durable

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

_AT_ONCE = 10_000
_TOLD = (writing.OPENED, writing.JOINED, writing.MERGED, writing.SPLIT)
_WRITTEN_AT_ONCE = 5_000


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
        self._groups = open_groups(workspace, library)
        self._fold = Fold(self.grouping, self._groups, self._alerts)
        self._parts = Parts(self._groups)
        self._briefly = Briefly(workspace, library, journal, self._parts)
        self._settled: tuple[int, str] | None = None

    def close(self) -> None:
        """Let the file go."""
        self._groups.close()

    def settle(self) -> int:
        """Write down what is new of incidents, and publish it; return how many changes. Idempotent.

        One process at a time does it. If nothing came since the last time, it returns at once.
        """
        head = self._journal.head()
        if head == self._settled:
            return 0
        with durable.exclusive(self._workspace.state / LOCK), uncollected():
            risks = {str(name): weight for name, weight in self.grouping.risk.severity.items()}
            publishing = Publishing(self._workspace, self._journal, risks)
            changes, written = self._settle(publishing)
            publishing.finish(self._briefly)
            now = self._journal.head()
            alone = now[0] == head[0] + written  # what others wrote meanwhile may have been overlooked
            self._settled = now if alone else head
            if alone and self._groups.note(SETTLED) != place(now):
                with self._groups.writing():
                    self._groups.keep(SETTLED, place(now))
        return changes

    def _settle(self, publishing: Publishing) -> tuple[int, int]:
        """Group what is new; return how many changes that is, and how many entries were written of them."""
        groups, journal = self._groups, self._journal
        with groups.writing():
            last = self._last()
            if last is None:  # it is of another journal
                groups.clear()
            told = list(islice(self._told(), 1))
            new = journal.entries(kind=writing.ALERT, after=last or 0)
            first = next(new, None)
            if first is None and not told:
                return 0, 0
            self._fold.begin()
            parted = self._take_splits()
            if first is not None:
                self._take_alerts(chain([first], new), publishing)
            head = journal.head()[0]
            for entry in self._told():
                self._take_told(entry, parted)
            self._fold.save()
            own, changes, written = self._write_all(self._fold.changes())
            groups.keep("told", str(head))
            groups.keep("own", orjson.dumps(own).decode())
        return changes, written

    def _last(self) -> int | None:
        """Return the number of the last alert that was grouped; None if it is not in this journal."""
        noted = self._groups.note("last")
        if not noted:
            return 0
        key, seen = orjson.loads(noted)
        entry = self._journal.get(key)
        return entry.seq if entry and entry.hash == seen else None

    def _take_alerts(self, entries: Iterable[Entry], publishing: Publishing) -> None:
        """Add the alerts that are new in the journal, and publish them."""
        last: list[str] = []

        def read() -> Iterator[Alert]:
            for entry in entries:
                alert = writing.read_alert(entry, whole=False)
                publishing.add(entry, alert)
                last[:] = entry.key, entry.hash
                yield alert

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

    def _take_splits(self) -> dict[str, int]:
        """Hold alerts, also those to come, to what people parted; return in which entry each was last."""
        parted: dict[str, int] = {}
        for entry in self._told():
            if entry.kind == writing.SPLIT:
                split = parting.split_of(entry)
                self._fold.split(split)
                parted |= dict.fromkeys((*split.alerts, f"{entry.subject} {split.into}"), entry.seq)
        return parted

    def _take_told(self, entry: Entry, parted: Mapping[str, int]) -> None:
        """Take over what an entry says of incidents, but for what was parted later."""
        payload: Mapping[str, Any] = entry.payload
        about = {"groups", "from", "into", "continues"}
        facts = {name: value for name, value in payload.items() if name not in about}
        if entry.kind == writing.SPLIT:
            split = parting.split_of(entry)
            still = [alert for alert in split.alerts if parted.get(alert, 0) <= entry.seq]
            self._fold.told(split.into, still)
            self._sum_up_again(entry)
        elif entry.kind == writing.MERGED:
            other = payload.get("from")
            if other is not None:
                self._parts.add(entry.subject, (), [other], facts)
                if parted.get(f"{entry.subject} {other}", 0) < entry.seq:
                    self._fold.merged(entry.subject, other)
        else:
            groups = writing.groups_of(entry)
            ids = [alert for group in groups for alert, _ in group["alerts"]]
            self._fold.told(entry.subject, [alert for alert in ids if parted.get(alert, 0) < entry.seq])
            self._parts.add(entry.subject, groups, (), facts)

    def _sum_up_again(self, split: Entry) -> None:
        """Sum up an incident from which alerts were taken, from what the journal says until then."""
        one = whole(self._journal, split.subject, up_to=split.seq)
        if one is None:
            self._parts.drop(split.subject)
        else:
            self._parts.replace(split.subject, map(summary.group, one.groups))

    def ignored(self) -> dict[str, frozenset[Entity]]:
        """Return, of alerts that people parted from others, the entities that tie them no more."""
        with self._groups.writing():
            decisions = Decisions.of(self._groups.decided())
        return {alert: one.ignored for alert, one in decisions.by_alert.items()}

    def named(self, incident: str) -> tuple[int, str]:
        """Return time and id of the alert that names an incident; raises NotFoundError."""
        with durable.exclusive(self._workspace.state / LOCK), self._groups.writing():
            self._fold.begin()
            anchor = self._fold.anchor(incident)
        if anchor is None:
            raise NotFoundError(f"no incident {incident}", fix="`lemnis incident list` shows them")
        return anchor.time, anchor.alert

    def _write_all(self, changes: Iterable[IncidentChange]) -> tuple[list[str], int, int]:
        """Write changes down, many in a transaction.

        Returns the keys of the entries, how many changes there were, and how many entries were new.
        """
        own: list[str] = []
        waiting: list[NewEntry] = []
        count = alerts = written = 0
        for change in changes:
            waiting += self._entries(change)
            count, alerts = count + 1, alerts + len(change.alerts) + 1
            if alerts >= _WRITTEN_AT_ONCE:
                written += sum(self._journal.write_all(waiting))
                own += [entry.key for entry in waiting if entry.kind in _TOLD]
                waiting, alerts = [], 0
        written += sum(self._journal.write_all(waiting))
        return own + [entry.key for entry in waiting if entry.kind in _TOLD], count, written

    def _entries(self, change: IncidentChange) -> list[NewEntry]:
        """Return what is written of a change, and sum it up."""
        entries = writing.change_entries(change, self._standing(change), self._library.digest)
        groups = [group for entry in entries for group in writing.groups_of(entry)]
        facts: dict[str, Json] = {
            "risk": change.risk, "because": change.because, "decisive": change.decisive,
            "content_digest": self._library.digest,
        }  # fmt: skip
        self._parts.add(change.incident_id, groups, change.merged_from, facts)
        return entries

    def _standing(self, change: IncidentChange) -> _Standing | None:
        """Return how the incident stands that a change is about; None if it opens it."""
        incident = change.continues or change.incident_id
        parts, facts = self._parts.of(incident)
        if not parts and not facts:
            return None
        status, verdict, changed = IncidentStatus.NEW, Verdict.UNKNOWN, 0
        for entry in lifecycle(self._journal, incident):
            if entry.kind == writing.STATUS:
                status, verdict = writing.status_of(entry)
                changed += 1
        rules = frozenset(part["rule_id"] for part in parts.values())
        return _Standing(status, verdict, changed, rules)

    def _alerts(self, ids: Sequence[str]) -> Iterator[Alert]:
        """Read alerts back, without their events."""
        for entry in self._journal.get_all(ids):
            yield writing.read_alert(entry, whole=False)


def whole(journal: SqlJournal, incident: str, *, up_to: int | None = None) -> Incident | None:
    """Fold an incident and those that were merged into it, as it stood after an entry; None if it is none."""
    found: dict[int, Entry] = {}
    todo, seen = [incident], {incident}
    while todo:
        for entry in journal.entries(subject=todo.pop()):
            if entry.kind in writing.KINDS and (up_to is None or entry.seq <= up_to):
                found[entry.seq] = entry
                other = str(entry.payload.get("from", "")) if entry.kind == writing.MERGED else ""
                if other and other not in seen:
                    seen.add(other)
                    todo.append(other)
    return fold(found[seq] for seq in sorted(found)).get(incident)
