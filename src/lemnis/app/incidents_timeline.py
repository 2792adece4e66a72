"""The timeline of an incident, brought up to date and paged: journal and lake on one axis.

It is a projection in the workspace's cache. What the journal gained since the last look is added; what lies
around in the lake (containers that started, scans) is looked up again when alerts join, and now and then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lemnis import app
from lemnis.app import incidents, incidents_context
from lemnis.app.context import deployments
from lemnis.contracts.alerts import Alert
from lemnis.contracts.incidents import Incident, TimelineItem
from lemnis.contracts.journal import Entry
from lemnis.incidents import entries as kinds
from lemnis.incidents import timeline as telling
from lemnis.store.timelines import BOTH, BRIEF, WHOLE, Page, Placed, Timelines

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

_AROUND = ("deploy", *incidents_context.KINDS)
_LOOK_AGAIN = 10 * 60_000
_AT_ONCE = 5000
_EVENTS = 20_000
_MORE_EVENTS = """
    SELECT time, class_uid, severity_id, message, metadata.uid AS uid, metadata.log_name AS log_name
    FROM events WHERE metadata.uid IN (SELECT unnest(?))
"""
_CHANGES = frozenset(kinds.KINDS) - {kinds.STATUS, kinds.NOTE, kinds.OWNER, kinds.EVIDENCE}
"""Entries after which an incident may have other alerts."""


class Timeline:
    """One incident's timeline; ``page`` is what is asked again and again."""

    def __init__(self, workspace: app.Workspace, incident: Incident, kept: Timelines) -> None:
        """``kept`` is where timelines lie ready."""
        self._workspace, self._incident, self._kept = workspace, incident, kept
        self._journal: SqlJournal = app.journal(workspace)
        self._folded_at = -1

    @property
    def kinds(self) -> dict[str, int]:
        """The kinds of entries that there are, and how many of each."""
        return self._kept.kinds(self._incident.id)

    def page(
        self,
        *,
        limit: int = 100,
        after: str = "",
        since: int | None = None,
        kinds: Collection[str] = (),
        without: Collection[str] = (),
        whole: bool = False,
        newest: bool = False,
    ) -> Page:
        """Return a page of it as it is now; see ``store.timelines.Timelines.page``."""
        self.catch_up()
        return self._kept.page(
            self._incident.id, limit=limit, after=after, since=since, kinds=kinds, without=without,
            whole=whole, newest=newest,
        )  # fmt: skip

    def every(self, *, whole: bool = False) -> list[TimelineItem]:
        """Return all of it, as it is now."""
        self.catch_up()
        return list(self._kept.every(self._incident.id, whole=whole))

    def catch_up(self) -> None:
        """Add what is new. One process at a time does it for all; others wait, and find it done."""
        state = self._kept.state(self._incident.id)
        if not self._due(state):
            return
        with self._kept.writing():
            state = self._kept.state(self._incident.id)
            if self._due(state):
                self._kept.note(self._incident.id, self._add(state))

    def _due(self, state: dict[str, Any]) -> bool:
        if not state or self._workspace.clock.now() - state["looked"] > _LOOK_AGAIN:
            return True
        subjects = [*state["subjects"], *state["folding"], *state["around"]]
        return self._journal.last(subjects) > int(state["seq"])

    def _add(self, state: dict[str, Any]) -> dict[str, Any]:
        """Add what came after the noted state; return the state from now on."""
        name = self._incident.id
        seq = self._journal.head()[0]
        now = self._workspace.clock.now()
        known = list(state.get("subjects", ()))
        entries = self._new(known or [name], state.get("seq", 0))
        changed = not state or any(entry.kind in _CHANGES for entry in entries)
        if changed:
            self._incident = incidents.by_id(self._journal, name)
            more = [one for one in self._incident.merged_from if one not in known]
            entries += self._new([one for one in more if one != name], 0)
            gone = self._kept.alerts(name) - set(self._incident.alert_ids)
            if gone:  # some left it: what was told of them is not its story any more
                self._kept.forget(name)
                return self._add({})
        subjects = [*self._incident.merged_from, name]
        self._kept.add(name, (_placed(entry) for entry in entries if entry.seq <= seq))
        folding = set(state.get("folding", ()))
        self._events(self._repeated(folding, state.get("seq", 0)), whole=False)
        if changed:
            folding |= self._alerts()
        around = list(state.get("around", ()))
        stale = not state or now - state["looked"] > _LOOK_AGAIN
        if changed or stale or (around and self._journal.last(around) > state["seq"]):
            around = self._around()
        return {
            "seq": seq, "subjects": subjects, "folding": sorted(folding), "around": around,
            "looked": now if changed or stale else state["looked"],
        }  # fmt: skip

    def _new(self, subjects: Iterable[str], after: int) -> list[Entry]:
        return [entry for one in subjects for entry in self._journal.entries(subject=one, after=after)]

    def _alerts(self) -> set[str]:
        """Add the alerts that are new with their events, and tell all in brief; return what folds."""
        name, folding = self._incident.id, set[str]()
        told = self._kept.alerts(name)
        new = [alert for alert in self._incident.alert_ids if alert not in told]
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            found = self._journal.of_keys(some)
            alerts = [(self._told(entry), entry.at) for entry in found.values()]
            self._kept.add(
                name, (Placed(f"alert:{one.id}", WHOLE, telling.each(one, at)) for one, at in alerts)
            )
            self._events(alerts)
            folding |= {one.id for one, _ in alerts if one.window}
            self._kept.add_alerts(name, some)
        firsts = self._journal.of_keys([group.alerts[0][0] for group in self._incident.briefly])
        known = {key: (kinds.read_alert(entry, whole=False), entry.at) for key, entry in firsts.items()}
        self._kept.drop(name, BRIEF, ["alert"])
        rows = telling.brief(self._incident, known)
        self._kept.add(name, (Placed(f"alert:{n:06}", BRIEF, item) for n, item in enumerate(rows)))
        return folding

    def _told(self, entry: Entry) -> Alert:
        """Return an alert of its first entry, with what repeated it since if it folds repeats."""
        alert = kinds.read_alert(entry)
        whole = kinds.tell(self._journal.entries(subject=alert.id)) if alert.window else None
        return alert if whole is None else whole

    def _events(self, alerts: Sequence[tuple[Alert, int]], *, whole: bool = True) -> None:
        """Add the events of alerts: the one that each tells of, and the others as the lake has them."""
        items = [
            telling.event(alert.event, at, alert.id)
            for alert, at in alerts
            if whole and alert.event.get("time") is not None
        ]
        others = {uid: (alert, at) for alert, at in alerts for uid in alert.event_uids[int(whole) :]}
        if others:
            items += self._looked_up(others)
        self._kept.add(self._incident.id, (Placed(f"event:{one.reference}", WHOLE, one) for one in items))

    def _looked_up(self, wanted: dict[str, tuple[Alert, int]]) -> Iterator[TimelineItem]:
        uids = list(wanted)[:_EVENTS]
        times = [time for alert, _ in wanted.values() for time in (alert.began, alert.ended)]
        found = app.events(self._workspace).query(
            _MORE_EVENTS, parameters=[uids], limit=len(uids), start=min(times), end=max(times) + 1
        )
        for row in found.to_pylist():
            alert, at = wanted[row["uid"]]
            about = {"uid": row.pop("uid"), "log_name": row.pop("log_name")}
            yield telling.event({**row, "metadata": about}, at, alert.id)

    def _repeated(self, folding: Iterable[str], after: int) -> list[tuple[Alert, int]]:
        """Return alerts as they stand of which repeats were written down since."""
        found = []
        for alert in folding:
            last = self._journal.last([alert])
            told = kinds.tell(self._journal.entries(subject=alert)) if last > after else None
            if told is not None:
                found.append((told, self._workspace.clock.now()))
        return found

    def _around(self) -> list[str]:
        """Look up what else happened; return the journal's subjects that tell of it."""
        started = deployments(app.events(self._workspace), self._incident)
        about = incidents_context.images(self._incident, started)
        steps, subjects = incidents_context.pipeline(self._workspace, self._journal, self._incident, about)
        self._kept.drop(self._incident.id, BOTH, _AROUND)
        self._kept.add(
            self._incident.id,
            (
                Placed(f"{one.kind}:{one.reference}:{n}", BOTH, one)
                for n, one in enumerate([*started, *steps])
            ),
        )
        return subjects


@contextmanager
def opened(workspace: app.Workspace, incident: Incident) -> Iterator[Timeline]:
    """Open an incident's timeline."""
    kept = Timelines(workspace.state / "cache" / "timelines.db")
    try:
        yield Timeline(workspace, incident, kept)
    finally:
        kept.close()


def _placed(entry: Entry) -> Placed:
    return Placed(f"entry:{entry.seq:012}", BOTH, telling.entry(entry))
