"""Correlations over signals that come bit by bit, in any order: what changed is evaluated again.

The outcome depends on the set of signals only: new ones mark their groups, those are evaluated as a whole,
and what is told is the difference to what was told before: an episode is new, amended (the next revision) or
withdrawn. What bounds the memory is stated: once a correlation holds more than ``keep`` signals, those behind
the watermark (the latest event time less the lateness) are let go, with what goes on carried over; if it then
still holds more than ``most`` signals, or ``groups`` groups, those that were active longest ago are closed.
Events before what was let go are late: they are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lemnis.contracts.correlations import NUMBERS, ORDERED, TEXTS, Correlation, join, split
from lemnis.contracts.ids import stable_id
from lemnis.correlate.evaluate import candidates, carried, evaluate
from lemnis.correlate.held import Held, Place, Sources, Uids
from lemnis.correlate.windows import BEGINNING, Carry, Episode, Flags, Moment, Rows

HOUR = 3_600_000
_AHEAD = 24 * HOUR
_FADED = 1e-9


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be held for a correlation; ``lateness`` in ms, None: the timespan, at least an hour."""

    keep: int = 200_000
    most: int = 2_000_000
    groups: int = 500_000
    lateness: int | None = None


UNBOUNDED = Limits(keep=2**62, most=5_000_000, groups=2_000_000)
"""For input that is there as a whole: nothing is late; only the largest inputs are cut."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """An event of an episode."""

    uid: str
    time: int
    source: str
    class_uid: int


@dataclass(frozen=True, slots=True)
class Told:
    """An episode as it is told: ``term`` is the new value of a new term."""

    correlation: Correlation
    id: str
    group: tuple[str, ...]
    opened: int
    first: int
    last: int
    count: int
    value: float
    evidence: tuple[Evidence, ...]
    term: str = ""
    final: Evidence | None = None
    revision: int = 0
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Before:
    """What was told of an episode last; ``said`` is what would be told anew if it changed."""

    group: str
    opened: int
    revision: int
    said: tuple[float, ...]
    withdrawn: bool = False


@dataclass(slots=True)
class Report:
    """What could not be taken into account, by correlation key: nothing is lost silently."""

    late: dict[str, int] = field(default_factory=dict)
    useless: dict[str, int] = field(default_factory=dict)
    closed_groups: dict[str, int] = field(default_factory=dict)
    closed_signals: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, key: str, count: int) -> None:
        """Count."""
        if count:
            counts: dict[str, int] = getattr(self, name)
            counts[key] = counts.get(key, 0) + count

    def sentences(self) -> list[str]:
        """Say it, one sentence a thing."""
        said = [
            f"{count:,} events came too late for correlation {key}"
            for key, count in sorted(self.late.items())
        ]
        said += [
            f"{count:,} events had no number that correlation {key} could reckon with"
            for key, count in sorted(self.useless.items())
        ]
        said += [
            f"correlation {key} closed {count:,} groups ({self.closed_signals.get(key, 0):,} events), "
            "those active longest ago, to stay within its memory"
            for key, count in sorted(self.closed_groups.items())
        ]
        return said


def said(one: Told) -> tuple[float, ...]:
    """Return what makes a told episode another one when it changes."""
    uids = [named.uid for named in one.evidence]
    return facts(first=one.first, last=one.last, count=one.count, value=one.value, uids=uids)


def facts(*, first: int, last: int, count: int, value: float, uids: Sequence[str]) -> tuple[float, ...]:
    """Return the same of what was told, however it is known."""
    return (float(first), float(last), float(count), float(value), float(crc32(",".join(uids).encode())))


class Correlator:
    """Correlations of one pack, with what they hold; those beneath others come first."""

    def __init__(
        self,
        correlations: Sequence[Correlation],
        *,
        silent: frozenset[str] = frozenset(),
        limits: Limits = UNBOUNDED,
        patient: bool = True,
    ) -> None:
        """``silent`` are the keys of those without alerts of their own; ``patient``: no event is late."""
        self.correlations = tuple(correlations)
        self.held = {one.digest: Held(one) for one in correlations}
        self.told: dict[str, dict[str, Before]] = {one.digest: {} for one in correlations}
        self.report = Report()
        self.sources, self.uids = Sources(), Uids()
        self.clocks: dict[str, int] = {}
        self._silent, self._limits, self._patient = silent, limits, patient
        self._of_group: dict[str, dict[str, set[str]]] = {one.digest: {} for one in correlations}
        self._listeners: dict[str, list[tuple[Correlation, int]]] = {}
        for one in correlations:
            for place, ref in enumerate(one.references):
                if ref.chained:
                    self._listeners.setdefault(ref.key, []).append((one, place))
        self._clocks_moved = False
        self._everything = True

    # -- in ------------------------------------------------------------------------------------------------

    def add(self, signals: pa.Table, clocks: Mapping[str, int]) -> None:
        """Take signals, and how far the sources have come; those of other correlations are passed over."""
        for source, time in clocks.items():
            if time > self.clocks.get(source, BEGINNING):
                self.clocks[source] = time
                self._clocks_moved = True
        if not signals.num_rows:
            return
        column: Any = signals.column("correlation").combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        for code, digest in enumerate(column.dictionary.to_pylist()):
            held = self.held.get(digest)
            if held is None:
                continue
            mine: Any = pc.equal(column.indices, pa.scalar(code, pa.int32()))
            some = signals if pc.all(mine).as_py() else signals.filter(mine)
            if some.num_rows:
                late, useless = held.take(some, self.uids, self.sources)
                self.report.add("late", held.one.key, late)
                self.report.add("useless", held.one.key, useless)

    def know(self, digest: str, alert: str, before: Before, *, mark: bool = True) -> None:
        """Learn what was told of an episode, by whomever; ``mark``: look at its group again."""
        known = self.told.get(digest)
        if known is None:
            return
        last = known.get(alert)
        if last is None or before.revision >= last.revision:
            known[alert] = before
            self._of_group[digest].setdefault(before.group, set()).add(alert)
            code = self.held[digest].codes.get(before.group)
            if code is not None and mark:
                self.held[digest].dirty.add(code)

    # -- out -----------------------------------------------------------------------------------------------

    def changes(self, now: int | None = None, *, everything: bool = True) -> list[Told]:
        """Evaluate what changed; return what there is to tell, by time. ``now`` bounds what clocks claim.

        Unless ``everything`` is to be told, an episode that only grows is told again when it has doubled, or
        has gone on for a timespan; the rest waits for the next time.
        """
        self._everything = everything
        found: list[Told] = []
        for one in self.correlations:
            held = self.held[one.digest]
            if self._clocks_moved and _waits(one):
                held.dirty.update(range(len(held.groups)))
            found += self._changed(held)
        self._clocks_moved = False
        for held in self.held.values():
            self._let_go(held, now)
        return sorted(found, key=lambda told: (told.opened, told.id))

    def _changed(self, held: Held) -> list[Told]:
        one, known = held.one, self.told[held.one.digest]
        if not held.dirty:
            return []
        dirty = np.array(sorted(held.dirty), np.int64)
        held.dirty.clear()
        flags = np.zeros(len(held.groups), bool)
        flags[dirty] = True
        looked = flags & (candidates(one, held.counts) | self._carrying(held))
        episodes = evaluate(one, held.rows(looked), self._moment(held)) if looked.any() else []
        by_group: dict[int, list[Episode]] = {}
        for episode in episodes:
            by_group.setdefault(episode.group, []).append(episode)
        for code in [code for code in held.carried if looked[code]]:
            going_on, mine = held.carried[code].episode, by_group.setdefault(code, [])
            if going_on is not None and all(episode.opened != going_on.opened for episode in mine):
                mine.append(going_on)  # it did not go on, or not any more
        if one.key in self._listeners:
            for code in dirty.tolist():
                self._speak(held, code, by_group.get(code, []))
        if one.key in self._silent:
            return []
        of_group = self._of_group[one.digest]
        found: list[Told] = []
        again = {c for text in of_group if (c := held.codes.get(text)) is not None and flags[c]}
        for code in sorted(by_group.keys() | again):
            text = held.groups[code]
            told = [self._tell(held, episode) for episode in by_group.get(code, [])]
            found += self._compare(held, text, told, known)
        return found

    def _compare(
        self, held: Held, group: str, mine: Sequence[Told], known: dict[str, Before]
    ) -> Iterable[Told]:
        """Yield the difference between what holds of a group and what was told."""
        of_group = self._of_group[held.one.digest]
        names = of_group.get(group, set())
        for told in mine:
            before = known.get(told.id)
            if before is not None and not before.withdrawn and before.said == said(told):
                continue
            if before is not None and not (self._everything or before.withdrawn or _worth(before, told)):
                held.dirty.add(held.codes[group])
                continue
            revision = 0 if before is None else before.revision + 1
            known[told.id] = Before(group, told.opened, revision, said(told))
            of_group.setdefault(group, set()).add(told.id)
            yield replace(told, revision=revision)
        there = {told.id for told in mine}
        for name in sorted(names - there):
            before = known[name]
            if before.withdrawn or before.opened < held.floor:
                continue  # what is behind the floor was told for good
            known[name] = replace(before, revision=before.revision + 1, withdrawn=True)
            yield Told(
                held.one, name, split(group, len(held.one.group_by)), before.opened, int(before.said[0]),
                int(before.said[1]), int(before.said[2]), before.said[3], (),
                revision=before.revision + 1, withdrawn=True,
            )  # fmt: skip

    def _tell(self, held: Held, episode: Episode) -> Told:
        one, text = held.one, held.groups[episode.group]
        named = tuple(self._evidence(*event) for event in episode.evidence)
        term = held.terms.get(episode.key, "") if one.kind == "new_terms" else ""
        name = stable_id("al", one.digest, text, str(episode.opened), named[0].uid, term)
        shown = ", ".join(split(term, len(one.fields))) if term else ""
        return Told(
            one, name, split(text, len(one.group_by)), episode.opened, episode.first, episode.last,
            episode.count, episode.value, named, shown,
            self._evidence(*(episode.final or episode.evidence[-1])),
        )  # fmt: skip

    def _evidence(self, uid: int, time: int, source: int) -> Evidence:
        return Evidence(self.uids.text(uid), time, *self.sources.places[source])

    def _carrying(self, held: Held) -> Flags:
        flags = np.zeros(len(held.groups), bool)
        flags[list(held.carried)] = True
        return flags

    def _moment(self, held: Held) -> Moment:
        places = enumerate(self.sources.places)
        clocks = {code: self.clocks[source] for code, (source, _) in places if source in self.clocks}
        spoken = held.one.key in self._listeners
        return Moment(held.floor, held.carried, clocks, frozenset(held.answering), spoken)

    def _speak(self, held: Held, code: int, episodes: Sequence[Episode]) -> None:
        """Tell the correlations above what holds of a group beneath them."""
        one = held.one
        named = dict(zip(one.group_by, split(held.groups[code], len(one.group_by)), strict=True))
        origin = (one.digest, held.groups[code])
        for above in {listener.digest for listener, _ in self._listeners[one.key]}:
            other = self.held[above]
            parts: list[tuple[int, int, int, float, int, int]] = []
            for listener, place in self._listeners[one.key]:
                if listener.digest != above:
                    continue
                value = _value(listener, place, named, one, other)
                if value is None:
                    self.report.add("useless", listener.key, len(episodes))
                    continue
                text = join([named[name] for name in listener.groups[place]])
                group = int(other.coded([text])[0]) if episodes else 0
                parts += [
                    (group, time, place, value, uid, source)
                    for episode in episodes
                    for time, uid, source in _moments(listener, episode, held.floor)
                ]
            before = other.derived.get(origin)
            known = set() if before is None else set(before.time.tolist())
            late = [part[1] for part in parts if part[1] < other.floor and part[1] not in known]
            self.report.add("late", other.one.key, sum(t > other.floor - other.one.horizon for t in late))
            parts = [part for part in parts if part[1] >= other.floor]
            # behind either floor, what was said stays
            other.derive(origin, _rows(parts, real=other.real), max(held.floor, other.floor))

    # -- letting go ----------------------------------------------------------------------------------------

    def _let_go(self, held: Held, now: int | None) -> None:
        """Let go of what is behind the watermark, and of what is too much."""
        limits, one = self._limits, held.one
        if not self._patient and len(held) > max(limits.keep, held.after + held.after // 4):
            floor = self._watermark(held, now)
            if floor > held.floor:
                self._pass(held, floor)
            held.after = len(held)
        groups = len(held.groups)
        if len(held) <= limits.most and groups <= limits.groups:
            return
        order = np.argsort(held.activity(), kind="stable")
        sizes = held.counts[order]
        left = len(held) - np.cumsum(sizes)
        over = (
            np.arange(1, groups + 1) < groups - int(limits.groups * 0.8) if groups > limits.groups else None
        )
        much = left > int(limits.most * 0.8) if len(held) > limits.most else None
        close = np.zeros(groups, bool)
        for wanted in (over, much):
            if wanted is not None:
                close[order[: min(int(wanted.sum()) + 1, groups)]] = True
        self.report.add("closed_groups", one.key, int(close.sum()))
        self.report.add("closed_signals", one.key, int(held.counts[close].sum()))
        self._forget(held, [held.groups[code] for code in np.flatnonzero(close).tolist()])
        held.let_go(BEGINNING, close, self._needed(held))

    def _watermark(self, held: Held, now: int | None) -> int:
        one, lateness = held.one, self._limits.lateness
        latest = held.latest if now is None else min(held.latest, now + _AHEAD)
        floor = latest - (max(one.timespan, HOUR) if lateness is None else lateness)
        if one.kind == "absence":  # what is not known yet is kept
            told = [self.clocks.get(source, BEGINNING) for source, _ in self.sources.places]
            floor = min(floor, min(told, default=BEGINNING) - one.timespan)
        return floor

    def _pass(self, held: Held, floor: int) -> None:
        """Let the floor rise: what goes on over it is carried, what ended before it was told for good."""
        one = held.one
        may_go_on = candidates(one, held.counts) | self._carrying(held)
        fresh = carried(one, held.rows(may_go_on), self._moment(held), floor)
        for code, carry in held.carried.items():
            if code not in fresh and _goes_on(one, carry, floor):
                fresh[code] = carry
        held.carried = {code: carry for code, carry in fresh.items() if _goes_on(one, carry, floor)}
        held.floor = floor
        going_on = {
            held.groups[code]: carry.episode.opened for code, carry in held.carried.items() if carry.episode
        }
        known, of_group = self.told[one.digest], self._of_group[one.digest]
        for name in [n for n, b in known.items() if b.opened < floor and going_on.get(b.group) != b.opened]:
            of_group[known[name].group].discard(name)
            if not of_group[known[name].group]:
                del of_group[known[name].group]
            del known[name]
        held.let_go(floor - one.horizon, np.zeros(len(held.groups), bool), self._needed(held))

    def _needed(self, held: Held) -> Flags:
        needed = self._carrying(held)
        needed[[c for text in self._of_group[held.one.digest] if (c := held.codes.get(text)) is not None]] = (
            True
        )
        return needed

    def _forget(self, held: Held, groups: Iterable[str]) -> None:
        """Forget what was told of groups: it stays told."""
        for text in groups:
            held.carried.pop(held.codes[text], None)
            for name in self._of_group[held.one.digest].pop(text, ()):
                del self.told[held.one.digest][name]


def _worth(before: Before, told: Told) -> bool:
    """Say whether an episode has changed enough to be told at once."""
    _, last, count, *_ = before.said
    return told.count >= 2 * count or abs(told.last - last) >= told.correlation.timespan


def _waits(one: Correlation) -> bool:
    return one.kind == "absence" or (one.kind == "baseline" and one.direction != "up")


def _goes_on(one: Correlation, carry: Carry, floor: int) -> bool:
    """Say whether what is carried can still matter after the floor."""
    if one.kind == "entity_risk":
        left = carry.level * float(2.0 ** (-max(0, floor - carry.at) / one.half_life))
        return left > _FADED * one.threshold
    return carry.episode is not None and floor - carry.episode.ended < one.timespan


def _moments(one: Correlation, episode: Episode, floor: int) -> Sequence[tuple[int, int, int]]:
    """Return the moments at which an episode speaks: each at which it held, or the one at which it opened."""
    if one.kind in ORDERED:
        return [moment for moment in episode.moments if moment[0] >= floor]
    return [episode.moments[0]] if episode.opened >= floor and episode.moments else []


def _value(one: Correlation, place: int, named: Mapping[str, str], beneath: Correlation, other: Held) -> Any:
    """Return the value that an episode beneath has for a correlation; None if it is no number."""
    texts = [named[name] for name in one.values[place]]
    if one.kind in NUMBERS:
        try:
            return float(texts[0])
        except ValueError:
            return None
    if one.kind in TEXTS:
        return other.term(join(texts))
    return other.term(beneath.key) if one.kind == "entity_risk" else 0


def _rows(parts: Sequence[tuple[int, int, int, float, int, int]], *, real: bool) -> Rows:
    columns: list[Sequence[Any]] = list(zip(*parts, strict=True)) if parts else [[]] * 6
    kinds: list[Any] = [np.int64] * 6
    kinds[3] = np.float64 if real else np.int64
    return Rows(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))


__all__ = ["UNBOUNDED", "Before", "Correlator", "Evidence", "Limits", "Place", "Report", "Told", "said"]
