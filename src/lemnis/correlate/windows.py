"""Signals as sorted columns, windows over them, and episodes: from when a condition holds until it does not.

A window ends at a moment at which something happened in its group, and holds what lies in (t - timespan, t].
An episode is an unbroken run of moments whose windows meet the condition, each less than a timespan after the
one before. All of it depends on the set of signals only, never on the order in which they came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Reals = npt.NDArray[np.float64]
EVIDENCE = 100
"""So many events are named as evidence, the first ones; the count is of all."""
BEGINNING = -(2**62)
_AT_ONCE = 262_144
_LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class Rows:
    """Signals by column: ``group``, ``source`` and values that are texts are codes, ``uid`` is a key."""

    group: Numbers
    time: Numbers
    ref: Numbers
    value: npt.NDArray[Any]
    uid: Numbers
    source: Numbers

    def __len__(self) -> int:
        """Return how many signals there are."""
        return len(self.time)

    def take(self, places: Any) -> Rows:
        """Return some of them."""
        return Rows(*(getattr(self, name)[places] for name in COLUMNS))


COLUMNS = ("group", "time", "ref", "value", "uid", "source")


def empty(kind: type = np.int64) -> Rows:
    """Return no signals; ``kind`` is that of the values."""
    none = np.empty(0, np.int64)
    return Rows(none, none, none, np.empty(0, kind), none, none)


def concat(parts: list[Rows]) -> Rows:
    """Return signals end to end; there is at least one part."""
    if len(parts) == 1:
        return parts[0]
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))


@dataclass(frozen=True, slots=True)
class Episode:
    """What a correlation has to tell of a group: ``opened`` is when its condition first held.

    ``first`` and ``last`` are the times of the first and last event of the evidence, of which there are
    ``count``; ``evidence`` has the keys of the first ones, with their times and sources; ``value`` is what
    the condition is about, where it was at its most extreme; ``final`` is its last event, unless it is the
    last one of ``evidence``. ``key`` is the value or moment that makes an
    episode one of its own within its moment. ``moments`` are those at which it held, with the event of each.
    """

    group: int
    opened: int
    first: int
    last: int
    count: int
    value: float
    evidence: tuple[tuple[int, int, int], ...]
    ended: int
    key: int = 0
    moments: tuple[tuple[int, int, int], ...] = field(default=(), compare=False)
    final: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Carry:
    """What is kept of a group when its older signals are let go: the episode that may go on, and its risk."""

    episode: Episode | None = None
    level: float = 0.0
    at: int = BEGINNING


@dataclass(frozen=True, slots=True)
class Moment:
    """From when on windows are whole (``floor``), what is carried over it, and how far each source has come.

    ``answering`` are the sources that what an absence waits for ever came from. ``spoken``: another
    correlation listens, so episodes name their moments.
    """

    floor: int = BEGINNING
    carried: Mapping[int, Carry] = field(default_factory=dict)
    clocks: Mapping[int, int] = field(default_factory=dict)
    answering: frozenset[int] = frozenset()
    spoken: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """Rows sorted by group, time, reference and uid, with the windows at each of their steps.

    ``key`` grows with group and time, so that one search finds a window's first row: ``low``. ``steps`` are
    the last rows of each moment of a group.
    """

    rows: Rows
    key: Numbers
    steps: Numbers
    low: Numbers
    span: int
    single: bool

    @property
    def edges(self) -> Numbers:
        """Where each group begins, and the end."""
        group = self.rows.group
        cuts = np.flatnonzero(group[1:] != group[:-1]) + 1 if len(group) else np.empty(0, np.int64)
        return np.concatenate(([0], cuts, [len(group)])) if len(group) else np.zeros(1, np.int64)


def ordered(rows: Rows, *, once: str) -> Rows:
    """Sort rows, and keep each signal once: by event (``uid``), event and value, or event and reference."""
    rows = rows.take(np.lexsort((rows.uid, rows.ref, rows.time, rows.group)))
    same = ("group", "uid", *({"uid": (), "value": ("value",)}.get(once, ("ref", "value"))))
    if len(rows) < 2:  # noqa: PLR2004 - two to be the same
        return rows
    keys = [getattr(rows, name) for name in same]
    order = np.lexsort((np.arange(len(rows)), *keys))
    again = np.ones(len(rows) - 1, bool)
    for key in keys:
        again &= key[order[1:]] == key[order[:-1]]
    if not again.any():
        return rows
    keep = np.ones(len(rows), bool)
    keep[order[1:][again]] = False
    return rows.take(keep)


def tracks(rows: Rows, span: int, *, once: str) -> Iterator[Track]:
    """Yield rows as tracks of whole groups, each of a bounded number of rows where groups allow it."""
    if not len(rows):
        return
    rows = ordered(rows, once=once)
    starts = np.concatenate(([0], np.flatnonzero(rows.group[1:] != rows.group[:-1]) + 1, [len(rows)]))
    stride = int(rows.time.max()) - int(rows.time.min()) + span + 2
    most = max(1, _LARGEST // stride)
    at = 0
    while at < len(starts) - 1:
        end = int(np.searchsorted(starts, starts[at] + _AT_ONCE, side="right")) - 1
        end = min(max(end, at + 1), at + most)
        yield _track(rows.take(slice(int(starts[at]), int(starts[end]))), span, stride, single=once == "uid")
        at = end


def _track(rows: Rows, span: int, stride: int, *, single: bool) -> Track:
    group, time = rows.group, rows.time
    fresh = np.concatenate(([False], group[1:] != group[:-1]))
    base = int(time.min()) if len(time) else 0
    key = np.cumsum(fresh) * stride + (time - base) + span
    steps = np.flatnonzero(np.concatenate((key[1:] != key[:-1], [True])))
    low = np.searchsorted(key, key[steps] - span, side="right")
    return Track(rows, key, steps, low, span, single)


def evidence(rows: Rows, start: int, end: int) -> tuple[tuple[int, int, int], ...]:
    """Name the first events of some rows: key, time, source."""
    found: dict[int, tuple[int, int, int]] = {}
    for place in range(start, end):
        uid = int(rows.uid[place])
        found.setdefault(uid, (uid, int(rows.time[place]), int(rows.source[place])))
        if len(found) == EVIDENCE:
            break
    return tuple(found.values())


def named(rows: Rows, place: int) -> tuple[int, int, int]:
    """Name one event: key, time, source."""
    return int(rows.uid[place]), int(rows.time[place]), int(rows.source[place])


def counted(track: Track, start: int, end: int) -> int:
    """Count the events of some rows."""
    return end - start if track.single else len(np.unique(track.rows.uid[start:end]))


def episodes(
    track: Track, held: Flags, value: Reals, moment: Moment, *, least: bool = False
) -> list[Episode]:
    """Make episodes of the steps that hold; ``least``: the smallest value is the most extreme."""
    steps, rows = track.steps, track.rows
    group, time = rows.group[steps], rows.time[steps]
    held = held & (time >= moment.floor)
    if not held.any():
        return []
    after = np.zeros(len(steps), bool)
    after[1:] = held[:-1] & (group[1:] == group[:-1]) & (time[1:] - time[:-1] < track.span)
    begins = np.flatnonzero(held & ~after)
    ends = np.flatnonzero(held & ~np.concatenate((held[1:] & after[1:], [False])))
    found = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        fresh = begin == 0 or group[begin - 1] != group[begin] or time[begin - 1] < moment.floor
        some = value[begin : end + 1]
        extreme = float(some.min() if least else some.max())
        start, stop = int(track.low[begin]), int(steps[end]) + 1
        one = Episode(
            int(group[begin]), int(time[begin]), int(rows.time[start]), int(time[end]),
            counted(track, start, stop), extreme, evidence(rows, start, stop), int(time[end]),
            moments=tuple(
                (int(time[s]), int(rows.uid[steps[s]]), int(rows.source[steps[s]]))
                for s in range(begin, end + 1)
            ) if moment.spoken else (),
            final=named(rows, stop - 1),
        )  # fmt: skip
        carry = moment.carried.get(one.group)
        if fresh and carry is not None and carry.episode is not None:
            before = carry.episode
            if one.opened - before.ended < track.span:
                new = start + int(np.searchsorted(rows.time[start:stop], moment.floor))
                one = joined(before, one, track, (new, stop), least=least)
        found.append(one)
    return found


def joined(
    before: Episode, one: Episode, track: Track, new: tuple[int, int], *, least: bool = False
) -> Episode:
    """Let an episode go on whose older signals are gone; ``new`` is from where to where its new ones are."""
    known = dict.fromkeys((*before.evidence, *evidence(track.rows, *new)))
    return replace(
        one,
        opened=before.opened,
        first=before.first,
        count=before.count + counted(track, *new),
        value=min(before.value, one.value) if least else max(before.value, one.value),
        evidence=tuple(known)[:EVIDENCE],
        key=before.key,
    )
