"""What people work on, kept at hand: incidents as they stand now, and alerts that are in none.

All of it is a view over the journal. It is read whole once; from then on only what the journal gained is,
and of incidents only those that it is about. So a look costs the same whatever there is.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import incidents
from lemnis.app.grouping_file import load_grouping
from lemnis.app.incidents_handling import Desk, Standing, handling_of, handlings
from lemnis.app.resting import uncollected
from lemnis.contracts.alerts import Entity, Severity
from lemnis.contracts.errors import BusyError, LemnisError, NotFoundError
from lemnis.contracts.ids import Json
from lemnis.contracts.incidents import AlertGroup, Incident
from lemnis.contracts.journal import Entry
from lemnis.correlate.risk import Points
from lemnis.incidents import cases as casework
from lemnis.incidents import entries as lifecycle
from lemnis.incidents import handling as working
from lemnis.incidents import sla
from lemnis.incidents.handled import NOTHING
from lemnis.incidents.view import views

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from lemnis.content.schemas.grouping import Risk
    from lemnis.contracts.handling import Handling

LOG = logging.getLogger("lemnis.console")
MOST_LOOSE = 20_000
"""So many alerts that are in no incident are kept, the newest."""
NAMED = 50
"""So many alerts of a group are named, the newest."""
_TIMERS_S = 60.0
"""How old what timers have left may be in a view; that one runs out is seen at once."""
_NEVER = 2**62
_WORTH_S = 300.0
_AT_ONCE = 500
_OF_INCIDENTS = frozenset({*lifecycle.KINDS, *working.KINDS})


@dataclass(frozen=True, slots=True)
class Loose:
    """Alerts of one rule that say the same and are in no incident, with what they would weigh."""

    group: AlertGroup
    risk: int

    @property
    def id(self) -> str:
        """The first alert's, which names the group."""
        return self.group.alerts[0][0]


@dataclass(frozen=True)
class View:
    """What there is as of entry ``seq``: incidents that were not merged into others, and alerts.

    The same view is given until something in it changes; so what is worked out of one can be kept by it.
    """

    seq: int
    standings: tuple[Standing, ...] = ()
    loose: tuple[Loose, ...] = ()

    @cached_property
    def open(self) -> int:
        """Return how many incidents are open."""
        return len(self.newest_open)

    @cached_property
    def newest_open(self) -> tuple[Standing, ...]:
        """Return the incidents that are open, the newest first."""
        some = (one for one in self.standings if one.incident.open)
        return tuple(sorted(some, key=lambda one: -one.incident.opened))


class Board:
    """The view of a workspace, for any number of threads; ``look`` brings it up to date.

    One thread at a time does. Others are given what there was if they have ``patience`` (seconds), or told
    to come again where nothing was read yet; without, they wait.
    """

    def __init__(
        self, workspace: app.Workspace, *, engine: Engine | None = None, patience: float | None = None
    ) -> None:
        """Nothing is read before the first look."""
        self.patience = patience
        self._reading: threading.Thread | None = None
        self._whole = False
        self._wrong: Exception | None = None
        self._workspace = workspace
        self._journal = app.journal(workspace, on=engine if engine is not None else app.engine(workspace))
        self._library = app.library(workspace)
        self._lock, self._beginning = threading.Lock(), threading.Lock()
        self._desk: Desk | None = None
        self.risk: Risk = load_grouping(self._library).risk
        self._standings: dict[str, Standing] = {}
        self._alerts: dict[str, Entry] = {}
        self._held: dict[str, frozenset[str]] = {}
        self._inside: dict[str, tuple[str, ...]] = {}
        self._loose: tuple[Loose, ...] | None = None
        self._folded: Folds = {}
        self._view = View(0)
        self._timed = self._weighed = -math.inf
        self._flips = _NEVER
        self._seq = 0

    @property
    def seq(self) -> int:
        """The last entry of the journal, whether it was looked at or not."""
        return self._journal.head()[0]

    @property
    def count(self) -> int:
        """How many incidents were open when it was last looked."""
        return self._view.open

    def look(self) -> View:
        """Return what there is now; raises ContentError where the content that weighs it is wrong.

        Raises BusyError where it is being read for the first time, for longer than one has patience.
        """
        if self.patience is None:
            with self._lock:
                return self._looked()
        if not self._whole:
            self._wait(self.begin(), self.patience)
        if not self._lock.acquire(timeout=self.patience):
            return self._view
        try:
            return self._looked()
        finally:
            self._lock.release()

    def begin(self) -> threading.Thread:
        """Read for the first time in a thread of its own, unless that goes on already; return it."""
        with self._beginning:
            if self._reading is None:
                self._wrong = None
                self._reading = threading.Thread(target=self._first, daemon=True, name="the first look")
                self._reading.start()
            return self._reading

    def _wait(self, reading: threading.Thread, patience: float) -> None:
        reading.join(patience)
        if reading.is_alive():
            raise BusyError(
                "what people work on is being read", retry_after_s=2,
                fix="it takes some seconds after a start; then the page is there",
            )  # fmt: skip
        with self._beginning:
            wrong = self._wrong
            if wrong is not None:
                self._reading = None  # the next one tries again
        if wrong is not None:
            raise wrong

    def _first(self) -> None:
        try:
            with self._lock:
                self._looked()
        except LemnisError as error:
            LOG.warning("what people work on cannot be read: %s", error)
            self._wrong = error
        except Exception as error:  # whoever asks is told the same
            LOG.exception("what people work on cannot be read")
            self._wrong = error

    def _looked(self) -> View:
        """Bring the view up to date."""
        with uncollected():
            changed = False
            if not self._whole:
                self._read()
                self._whole = changed = True
            elif self._journal.head()[0] > self._seq:
                changed = self._add(self._journal.entries(after=self._seq))
            now = time.monotonic()
            if now - self._weighed > _WORTH_S:
                self._weigh_again()
                self._timed = -math.inf
            if now - self._timed >= _TIMERS_S or self._workspace.clock.now() >= self._flips:
                self._time_again()
                changed = True
            if changed:
                self._view = self._seen()
            return self._view

    def find(self, incident: str) -> Standing:
        """Return how an incident stands now; raises NotFoundError."""
        self.look()
        return self._timed_now(self.standing(incident))

    def standing(self, incident: str) -> Standing:
        """Return how an incident stood at the last look, but for its timers; raises NotFoundError."""
        found = self._standings.get(incident)
        return self._stand(incidents.by_id(self._journal, incident)) if found is None else found

    def holders(self, alert: str) -> tuple[str, ...]:
        """Return the incidents that have an alert, as of the last look; none if it is alone."""
        return self._inside.get(alert, ())

    def holder(self, alert: str) -> str | None:
        """Return the incident that an alert is in, as of the last look: none that was merged into another."""
        known = (self._standings.get(one) for one in self.holders(alert))
        return next((one.incident.id for one in known if one and not one.incident.merged_into), None)

    def inside(self, case: str) -> tuple[str, ...]:
        """Return the incidents that a case is over now; none of what is no case."""
        found = casework.fold(self._journal.entries(subject=case)).get(case)
        return found.incidents if found is not None else ()

    @property
    def last_view(self) -> View:
        """What there was when it was last looked."""
        return self._view

    def last(self, incident: Incident) -> int:
        """Return the number of the last entry about an incident, or about one that was merged into it."""
        return self._journal.last([incident.id, *incident.merged_from])

    # -- inside --------------------------------------------------------------------------------------------

    def _read(self) -> None:
        for kept in (self._standings, self._alerts, self._held, self._inside):  # of a try that failed
            kept.clear()
        self._desk = Desk(self._workspace, library=self._library, journal=self._journal)
        self._seq = self._journal.head()[0]
        found, handled = views(self._journal), handlings(self._journal)
        self._desk.foresee(found.values())
        for one in found.values():
            self._standings[one.id] = self._desk.stand(one, handled.get(one.id, NOTHING))
            self._hold(one)
        self._weighed = time.monotonic()
        ids = [one.subject for one in self._journal.entries(kind=lifecycle.ALERT, bare=True)]
        loose = [one for one in dict.fromkeys(ids) if one not in self._inside][-MOST_LOOSE:]
        for start in range(0, len(loose), _AT_ONCE):
            for key, entry in self._journal.of_keys(loose[start : start + _AT_ONCE]).items():
                self._alerts[key] = _light(entry)

    def _add(self, entries: Iterable[Entry]) -> bool:
        """Take what the journal gained; return whether that changes what is seen."""
        touched: dict[str, None] = {}
        for entry in entries:
            self._seq = entry.seq
            if entry.kind == lifecycle.ALERT:
                self._keep(entry)
            elif entry.kind in _OF_INCIDENTS:
                touched[entry.subject] = None
        for name in touched:
            try:
                one = incidents.by_id(self._journal, name)
            except NotFoundError:  # what it is about was never an incident
                continue
            self._standings[name] = self._stand(one)
            gone = self._hold(one)
            for entry in self._journal.of_keys(sorted(gone)).values():
                self._keep(entry)
        while len(self._alerts) > MOST_LOOSE:
            self._alerts.pop(next(iter(self._alerts)))
        return bool(touched) or self._loose is None

    def _keep(self, entry: Entry) -> None:
        """Keep an alert that is in no incident."""
        if entry.subject not in self._inside:
            self._alerts[entry.subject] = _light(entry)
            self._loose = None

    def _hold(self, one: Incident) -> frozenset[str]:
        """Note which alerts an incident has; return those that it has no more."""
        before, now = self._held.get(one.id, frozenset()), frozenset(one.alert_ids)
        self._held[one.id] = now
        for alert in now - before:
            self._inside[alert] = (*self._inside.get(alert, ()), one.id)
            if self._alerts.pop(alert, None) is not None:
                self._loose = None
        gone = before - now
        for alert in gone:
            left = tuple(name for name in self._inside.get(alert, ()) if name != one.id)
            if left:
                self._inside[alert] = left
            else:
                self._inside.pop(alert, None)
        return gone

    def _stand(self, one: Incident) -> Standing:
        desk = self._desk
        if desk is None:
            desk = self._desk = Desk(self._workspace, library=self._library, journal=self._journal)
        handled: Handling = handling_of(self._journal, one)
        found = desk.stand(one, handled)
        self._flips = min(self._flips, _flips(found))
        return found

    def _weigh_again(self) -> None:
        """Weigh what is open anew: what is known of assets, and which findings are open, may have changed."""
        if self._desk is None:
            return
        self._desk.refresh()
        some = [one for one in self._standings.values() if one.incident.open and not one.incident.merged_into]
        self._desk.foresee(one.incident for one in some)
        for one in some:
            self._standings[one.incident.id] = self._desk.stand(one.incident, one.handling)
        self._weighed = time.monotonic()

    def _time_again(self) -> None:
        """Let all timers tell what they have left by now, and note when the next one comes to its end."""
        self._standings = {name: self._timed_now(one) for name, one in self._standings.items()}
        self._flips = min(map(_flips, self._standings.values()), default=_NEVER)
        self._timed = time.monotonic()

    def _timed_now(self, one: Standing) -> Standing:
        if self._desk is None or not one.incident.open:
            return one
        now = self._workspace.clock.now()
        timers = sla.timers(one.incident, one.handling, one.weighed.priority, self._desk.policy, now)
        return replace(one, timers=timers)

    def _seen(self) -> View:
        standings = tuple(one for one in self._standings.values() if not one.incident.merged_into)
        if self._loose is None:
            self._loose = tuple(folded(self._alerts.values(), self.risk, self._folded))
        return View(self._seq, standings, self._loose)


def _flips(one: Standing) -> int:
    """Return the instant (ms) at which a timer comes near its end, or runs out, next. Pure."""
    if not one.incident.open:
        return _NEVER
    running = (timer for timer in one.timers if timer.state in {"running", "near"})
    return min(
        (timer.near if timer.state == "running" else timer.due + 1 for timer in running), default=_NEVER
    )


def _light(entry: Entry) -> Entry:
    """Return an alert's entry without its event, which is most of it."""
    return replace(entry, payload={key: value for key, value in entry.payload.items() if key != "event"})


Folds = dict[tuple[object, ...], tuple[list[Entry], Loose]]
"""Alerts that were put together before, with what they became."""


def folded(entries: Iterable[Entry], risk: Risk, known: Folds | None = None) -> Iterator[Loose]:
    """Put alerts together that say the same of the same, the most that they would weigh first.

    ``known`` is what it keeps for the next time: only what something came to, or went from, is made anew.
    """
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        p = entry.payload
        if p.get("withdrawn"):
            continue
        same = p.get("fingerprint") or tuple(_list(p, "entities"))
        groups.setdefault((p["rule_id"], same), []).append(entry)
    before = known or {}
    made: Folds = {}
    for key, some in groups.items():
        was = before.get(key)
        made[key] = was if was is not None and was[0] == some else (some, _loose(some, risk))
    if known is not None:
        known.clear()
        known.update(made)
    found = [one for _, one in made.values()]
    yield from sorted(found, key=lambda one: (-one.risk, -one.group.severity, -one.group.last, one.id))


def _loose(some: list[Entry], risk: Risk) -> Loose:
    newest = max(some, key=lambda entry: (_time(entry), entry.subject))
    p = newest.payload
    pairs = sorted(((entry.subject, _time(entry)) for entry in some), key=lambda pair: (pair[1], pair[0]))
    named = pairs if len(pairs) <= NAMED else [pairs[0], *pairs[1 - NAMED :]]
    entities = {str(text) for entry in some[:_AT_ONCE] for text in _list(entry.payload, "entities")}
    severity = Severity(max(int(str(entry.payload["severity"])) for entry in some))
    tags = tuple(map(str, _list(p, "tags")))
    group = AlertGroup(
        rule_id=str(p["rule_id"]), title=str(p["title"]), severity=severity, source=str(p["source"]),
        tags=tags, entities=tuple(sorted(map(Entity.parse, entities))), alerts=tuple(named), reasons=(),
        total=sum(int(str(entry.payload.get("count", 1))) for entry in some),
        fingerprint=str(p.get("fingerprint", "")),
    )  # fmt: skip
    points = Points()
    points.put(group.rule_id, int(severity), group.first, tags)
    return Loose(group, points.total(risk))


def _time(entry: Entry) -> int:
    return int(str(entry.payload["time"]))


def _list(payload: Mapping[str, Json], name: str) -> list[Json]:
    found = payload.get(name)
    return found if isinstance(found, list) else []
