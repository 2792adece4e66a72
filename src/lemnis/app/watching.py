"""The watchers watched: how sources and hosts do, alarms that opens and closes, who is blind meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app.watching_alarms import Alarm, Of, alarms, publish, settle
from lemnis.app.watching_blind import Blind, Seeing
from lemnis.app.watching_deploys import Deploy, Deploys
from lemnis.contracts.clock import span
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.watching import ALL, HOUR, LISTENING, STEP, Beat, History
from lemnis.incidents import findings
from lemnis.ingest import health_fields
from lemnis.ingest.health import DRIFTING, LOUD, SILENT, Health, judge, judge_after

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal
    from lemnis.store.lakes import Readable

LOG = logging.getLogger("lemnis.watching")
EVERY_S = 60.0
MANY_HOSTS = 50
"""Up to so many hosts, each is judged at every look; beyond, those that said nothing for a while."""
_RULES_S = 600.0
SILENT_AFTER = 24 * HOUR
"""After which age of the newest event a source is silent whose history does not say."""
_STALE = 3 * STEP
_OWN = frozenset({LISTENING[0], findings.SOURCE})


@dataclass(frozen=True, slots=True)
class Watched:
    """How a source or host does, its open alarms, why records were rejected, and what is blind meanwhile.

    ``state`` may be silent although no alarm is open: by the newest event's age, where the history is too
    short to say, or Lemnis itself did not listen. ``why`` has a sentence for each thing that is wrong.
    ``deploy`` is the one since which it is learnt anew, as what it said changed with it.
    """

    health: Health
    state: str
    why: tuple[str, ...]
    alarms: tuple[Alarm, ...] = ()
    blind: tuple[Blind, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    deploy: Deploy | None = None


def look(
    workspace: app.Workspace,
    *,
    silent_after: int | None = None,
    hosts: bool = False,
    rules: Rules | None = None,
    journal: SqlJournal | None = None,
) -> list[Watched]:
    """Look at every source, write down which alarms open and close, and return how all do. Idempotent.

    Of hosts only those are looked at that said nothing for a while, unless all are asked for. With
    ``silent_after`` (ms) a source is also silent when its newest event is older, whatever its history says.
    ``rules`` are kept by whoever looks again and again.
    """
    journal = journal or app.journal(workspace)
    rules = rules or Rules(workspace)
    looking = _Looking(workspace, app.events(workspace), alarms(journal), hosts=hosts, rules=rules)
    found = looking.found
    wrong = {
        Of(one.source, one.host, trouble.kind): trouble
        for one in looking.telling()
        for trouble in one.troubles
    }
    seen = {(one.source, one.host) for one in found}
    open_ = settle(journal, looking.known, wrong, lambda of: of[:2] in seen, looking.blind)
    publish(looking.lake, journal)
    reasons = _reasons(looking.lake)
    told = [looking.watched(one, open_, silent_after, reasons) for one in found]
    return sorted(told, key=lambda one: (one.health.source, one.health.host))


def silent_sources(workspace: app.Workspace, *, rules: Rules | None = None) -> frozenset[str]:
    """Return the sources that are silent by what they taught; nothing is written down."""
    every = whole_sources(workspace, rules=rules)
    return frozenset(name for name, one in every.items() if one.state == SILENT)


def whole_sources(workspace: app.Workspace, *, rules: Rules | None = None) -> dict[str, Health]:
    """Return how each source that ever spoke does; nothing is written down."""
    looking = _Looking(workspace, app.events(workspace), (), hosts=False, before=0, rules=rules)
    return {one.source: one for one in looking.found if one.host == ALL}


class _Looking:
    """One look at all histories."""

    def __init__(
        self,
        workspace: app.Workspace,
        lake: Readable,
        known: Sequence[Alarm],
        *,
        hosts: bool,
        before: int | None = None,
        rules: Rules | None = None,
    ) -> None:
        self.lake, self.known, self._rules = lake, known, rules or Rules(workspace)
        self._now = workspace.clock.now()
        if not hosts and before is None:
            before = self._now - _STALE
        histories, self._listening = _read(lake, before, known)
        troubled: dict[tuple[str, str], set[str]] = {}
        for one in known:
            troubled.setdefault((one.of.source, one.of.host), set()).add(one.of.kind)
        self._deploys = self._rules.deploys
        self._deploys.look(lake, self._now)
        self.found = [
            self._judged(one, frozenset(troubled.get((one.source, one.host), ())))
            for one in histories
            if one.first <= self._now
        ]
        self._by_place = {(one.source, one.host): one for one in self.found}
        whole = [one for one in self.found if one.host == ALL]
        self._silent = {one.source for one in whole if one.state == SILENT}
        self._living = {one.source for one in whole} - self._silent

    def _judged(self, one: History, troubled: frozenset[str]) -> Health:
        deploy = self._deploy(one.source, one.host)
        if deploy is None or deploy.at <= one.first:
            return judge(one, self._listening, self._now, troubled)
        return judge_after(one, self._listening, self._now, troubled, deployed=deploy.at)

    def _deploy(self, source: str, host: str) -> Deploy | None:
        return self._deploys.latest(self.lake, source, host, self._now)

    def telling(self) -> list[Health]:
        """Return what may raise alarms: no host of a silent source, nor one that is the source's only one."""
        counts = self.lake.hosts()
        return [
            one
            for one in self.found
            if one.host == ALL or (one.source not in self._silent and counts.get(one.source, 0) > 1)
        ]

    def blind(self, of: Of) -> tuple[Blind, ...]:
        """Return what is blind while a source or host is in trouble; rules are only loaded if any is."""
        if of.kind == LOUD:
            return ()
        if of.kind != DRIFTING:
            return self._rules.seeing().without(of.source, self._living if of.host == ALL else ())
        drift = self._by_place[of.source, of.host].drift.found
        changed = [one.field for one in drift if one.change != health_fields.NEW]
        return self._rules.seeing().without_fields(of.source, changed, self._living)

    def watched(
        self,
        one: Health,
        open_: Sequence[Alarm],
        silent_after: int | None,
        reasons: Mapping[str, Mapping[str, int]],
    ) -> Watched:
        """Return all that is to be said of a source or host."""
        why = [trouble.why for trouble in one.troubles]
        state = one.state
        if one.host == ALL and state != SILENT and (aged := self._aged(one, silent_after)):
            state, why = SILENT, [aged, *why]
        return Watched(
            one,
            state,
            tuple(why),
            tuple(alarm for alarm in open_ if alarm.of[:2] == (one.source, one.host)),
            self.blind(Of(one.source, one.host, state)) if why else (),
            reasons.get(one.source, {}) if one.host == ALL else {},
            self._deploy(one.source, one.host) if one.fresh else None,
        )

    def _aged(self, one: Health, silent_after: int | None) -> str:
        """Say that a source is silent by its newest event's age, where nothing else can tell; "" if not."""
        last = self._listening[-1] if self._listening else None
        heard = last is not None and self._now - last.at - last.step <= 2 * STEP
        if silent_after is None and not one.learning and heard:
            return ""
        if one.last is None:
            return "no event ever came"
        age = max(0, self._now - one.last)
        limit = SILENT_AFTER if silent_after is None else silent_after
        return f"its newest event is {span(age)} old" if age > limit else ""


def _read(
    lake: Readable, before: int | None, known: Collection[Alarm]
) -> tuple[list[History], tuple[Beat, ...]]:
    """Return the histories to look at, hosts with an open alarm among them, and when Lemnis listened."""
    asked = {(one.of.source, one.of.host) for one in known}
    found = {(one.source, one.host): one for one in lake.histories(before=before, also=asked)}
    own = found.get(LISTENING)
    told = [one for one in found.values() if one.source not in _OWN]
    return [*told, *_before(lake, {one.source for one in told})], own.beats if own else ()


def _before(lake: Readable, known: Collection[str]) -> Iterator[History]:
    """Yield, of sources that nothing is known of, what the lake says: they spoke before this was counted."""
    others = {one.source: one.at for one in lake.cursors() if one.source not in {*known, *_OWN}}
    if not others:
        return
    rows = lake.query(
        "SELECT metadata.log_name AS name, count(*) AS n, max(time) AS last FROM events GROUP BY ALL",
        limit=10_000,
    ).to_pylist()
    counts = {row["name"]: (row["n"], row["last"]) for row in rows}
    for name, at in sorted(others.items()):
        events, last = counts.get(name, (0, 0))
        yield History(name, ALL, at, (Beat(at - at % STEP, STEP, events, 0, 0, last),))


def _reasons(lake: Readable) -> dict[str, dict[str, int]]:
    """Return why records of each source were not taken, the most frequent reason first."""
    found: dict[str, dict[str, int]] = {}
    if not any(one.rows for one in lake.dead_counts()):
        return found
    sql = (
        "SELECT metadata.log_name AS name, split_part(reason, ':', 1) AS reason, count(*) AS n "
        "FROM rejects GROUP BY ALL ORDER BY n DESC, reason"
    )
    for row in lake.query(sql, limit=10_000).to_pylist():
        found.setdefault(row["name"] or "", {})[row["reason"]] = row["n"]
    return found


class Rules:
    """The rules and sources of a workspace: loaded when something is wrong, and anew when that is old.

    And its deploys, of which only what is new is read again, not more often than every ``every_s`` seconds.
    """

    def __init__(self, workspace: app.Workspace, *, every_s: float = 0.0) -> None:
        self._workspace = workspace
        self._made: tuple[float, Seeing] | None = None
        self.deploys = Deploys(workspace, every_s=every_s)

    def seeing(self) -> Seeing:
        """Return them, at most ten minutes old."""
        if self._made is None or time.monotonic() - self._made[0] > _RULES_S:
            self._made = time.monotonic(), self._load()
        return self._made[1]

    def _load(self) -> Seeing:
        from lemnis.detect.rules import load_rules
        from lemnis.ingest.sources import Sources

        library = app.library(self._workspace)
        items = library.items("detections")
        cache = self._workspace.state / "cache"
        loaded = load_rules([item.manifest for item in items.values()], cache=cache)
        names = {str(item.manifest): name for name, item in items.items()}
        return Seeing(loaded, Sources.load(library).by_name, names)


class Watching:
    """Looks again and again, while something runs: not more often than each minute."""

    def __init__(self, workspace: app.Workspace) -> None:
        self._workspace, self._rules = workspace, Rules(workspace)
        self._journal = app.journal(workspace)
        self._looked = time.monotonic()
        self._known: frozenset[str] = frozenset()

    def look(self) -> list[Watched]:
        """Look now, and tell of alarms that opened and closed; of many hosts only at those that are still."""
        self._looked = time.monotonic()
        few = sum(app.events(self._workspace).hosts().values()) <= MANY_HOSTS
        found = look(self._workspace, hosts=few, rules=self._rules, journal=self._journal)
        now = {alarm.id: one for one in found for alarm in one.alarms}
        for name in sorted(now.keys() - self._known):
            LOG.warning("%s: %s", name, "; ".join(now[name].why))
        for name in sorted(self._known - now.keys()):
            LOG.info("%s: all is well again", name)
        self._known = frozenset(now)
        return found

    def look_if_due(self) -> None:
        """Look if that was not done for a minute; that it cannot be done is told."""
        if time.monotonic() - self._looked < EVERY_S:
            return
        try:
            self.look()
        except LemnisError as error:
            LOG.warning("sources cannot be watched: %s", error)
