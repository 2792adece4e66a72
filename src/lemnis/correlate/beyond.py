"""The types beyond Sigma: absence, new terms, a baseline, a sequence with an end, and an entity's risk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np

from lemnis.contracts.correlations import Correlation
from lemnis.correlate.windows import (
    BEGINNING,
    Carry,
    Episode,
    Flags,
    Moment,
    Numbers,
    Reals,
    Rows,
    Track,
    counted,
    episodes,
    evidence,
    joined,
    named,
)


def absence(one: Correlation, track: Track, moment: Moment) -> list[Episode]:
    """Find what was not followed, within the timespan, by what must not be missing.

    It is known only when the source, and each source that an answer ever came from, has told of a later
    moment than the deadline: a source that is silent has not told that something did not happen.
    """
    rows, key = track.rows, track.key
    asks = rows.ref < one.others
    answers = key[~asks]
    known = {*moment.answering, *np.unique(rows.source[~asks]).tolist()}
    others = min((moment.clocks.get(source, BEGINNING) for source in known), default=2**62)
    mine, at = rows.take(asks), key[asks]
    if not len(mine):
        return []
    answered = np.searchsorted(answers, at + track.span, side="right") > np.searchsorted(answers, at)
    sources, of = np.unique(mine.source, return_inverse=True)
    told = np.array([min(others, moment.clocks.get(source, BEGINNING)) for source in sources.tolist()])[of]
    missing = ~answered & (told > mine.time + track.span)
    steps = np.flatnonzero(np.concatenate((at[1:] != at[:-1], [True])))
    low = np.concatenate(([0], steps[:-1] + 1))
    held: Flags = np.logical_or.reduceat(missing, low)
    # what was answered, or is not known yet, is no evidence; an unbroken run has none of it inside
    asked = Track(mine, at, steps, low, track.span, single=False)
    return episodes(asked, held, np.ones(len(steps)), moment)


def new_terms(one: Correlation, track: Track, moment: Moment) -> list[Episode]:
    """Find values that their group did not have in the timespan before, if it is known long enough."""
    rows, key = track.rows, track.key
    order = np.lexsort((rows.uid, key, rows.value, rows.group))
    group, value, time = rows.group[order], rows.value[order], rows.time[order]
    new = np.ones(len(rows), bool)
    new[1:] = (group[1:] != group[:-1]) | (value[1:] != value[:-1]) | (time[1:] - time[:-1] >= one.timespan)
    places = np.sort(order[new & (time >= moment.floor)])
    if one.learn:
        before = np.searchsorted(key, key[places] - one.learn, side="right")
        places = places[before > np.searchsorted(key, key[places] - one.timespan, side="right")]
    found = []
    for place in places.tolist():
        at, source = int(rows.time[place]), int(rows.source[place])
        uid = int(rows.uid[place])
        episode = Episode(int(rows.group[place]), at, at, at, 1, 1.0, ((uid, at, source),), at)
        found.append(replace(episode, key=int(rows.value[place]), moments=((at, uid, source),)))
    return found


def baseline(one: Correlation, track: Track, moment: Moment) -> list[Episode]:
    """Find buckets whose count is off what the group's buckets before were; each is an episode.

    Nothing is said of a group that was not seen between one and two times so many buckets ago.
    """
    found = []
    for first, last in _groups(track):
        buckets = track.rows.time[first:last] // one.timespan
        which, begins = np.unique(buckets, return_index=True)
        counts = np.diff(np.concatenate((begins, [last - first])))
        count_of = dict(zip(which.tolist(), counts.tolist(), strict=True))
        begin_of = dict(zip(which.tolist(), (begins + first).tolist(), strict=True))
        looked = set(which.tolist())
        if one.direction != "up":
            sources = np.unique(track.rows.source[first:last]).tolist()
            told = min(moment.clocks.get(source, BEGINNING) for source in sources)
            looked |= {
                bucket + ahead
                for bucket in which.tolist()
                for ahead in range(1, one.buckets + 1)
                if (bucket + ahead + 1) * one.timespan < told
            }
        else:
            told = BEGINNING
        for bucket in sorted(looked):
            old = np.searchsorted(which, [bucket - 2 * one.buckets, bucket - one.buckets + 1])
            if old[0] == old[1]:
                continue
            before = np.array([count_of.get(bucket - back, 0) for back in range(1, one.buckets + 1)])
            mean, off = float(before.mean()), one.sigma * float(before.std())
            count = count_of.get(bucket, 0)
            place = begin_of.get(bucket, int(np.searchsorted(buckets, bucket)) + first)
            limit = max(one.threshold, np.nextafter(mean + off, np.inf))
            if one.direction != "down" and count >= limit:
                opened = int(track.rows.time[place + max(1, int(np.ceil(limit))) - 1])
                found.append(_bucket(track, opened, (place, place + count), count, 1))
            end = (bucket + 1) * one.timespan
            if one.direction != "up" and end < told and count < mean - off and mean >= one.threshold:
                shown = (place, place + count) if count else (place - 1, place)
                found.append(_bucket(track, end, shown, count, -1))
    return [episode for episode in found if episode.opened >= moment.floor]


def _bucket(track: Track, opened: int, shown: tuple[int, int], count: int, key: int) -> Episode:
    rows, (start, stop) = track.rows, shown
    last = stop - 1
    return Episode(
        int(rows.group[start]), opened, int(rows.time[start]), int(rows.time[last]), count, float(count),
        evidence(rows, start, stop), opened, key=key,
        moments=((opened, int(rows.uid[last]), int(rows.source[last])),), final=named(rows, last),
    )  # fmt: skip


def sequence(one: Correlation, track: Track, moment: Moment) -> list[Episode]:
    """Find the rules in their order, each match an episode; what ends it in between lets all that began go.

    A group has one that waits for each step; a newer one takes its place. Events of one moment are taken in
    the order of the steps.
    """
    steps = one.others
    found = []
    for first, last in _groups(track):
        if len(np.intersect1d(track.rows.ref[first:last], np.arange(steps))) < steps:
            continue
        waiting: list[tuple[int, ...] | None] = [None] * steps
        for place, step in _in_turn(track.rows, first, last):
            if step >= steps:
                waiting = [None] * steps
                continue
            chain = waiting[step - 1] if step else ()
            if chain is None or (chain and track.key[place] - track.key[chain[0]] >= track.span):
                continue
            if step:
                waiting[step - 1] = None
            chain = (*chain, place)
            if step < steps - 1:
                waiting[step] = chain
            elif track.rows.time[place] >= moment.floor:
                found.append(_matched(track.rows, chain))
    return found


def _matched(rows: Rows, chain: tuple[int, ...]) -> Episode:
    events = tuple(named(rows, place) for place in chain)
    at = int(rows.time[chain[-1]])
    return Episode(
        int(rows.group[chain[0]]), at, events[0][1], at, len(chain), float(len(chain)), events, at,
        moments=((at, events[-1][0], events[-1][2]),),
    )  # fmt: skip


def _in_turn(rows: Rows, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield a group's rows with their steps: of one moment by event, of one event its last step first.

    So an event never follows itself, and does not push aside what it could have ended.
    """
    for _, same in groupby(range(first, last), key=lambda place: int(rows.time[place])):
        places = list(same)
        if len(places) == 1:
            yield places[0], int(rows.ref[places[0]])
            continue
        lowest: dict[int, int] = {}
        for place in places:
            uid = int(rows.uid[place])
            lowest[uid] = min(lowest.get(uid, 2**15), int(rows.ref[place]))
        turn = sorted(
            places,
            key=lambda p: (lowest[int(rows.uid[p])], int(rows.uid[p]), -int(rows.ref[p])),
        )
        yield from ((place, int(rows.ref[place])) for place in turn)


@dataclass(frozen=True, slots=True)
class _Risen:
    """How high a group's risk is, when that was, and its episodes so far."""

    level: float
    at: int
    found: list[Episode]
    going_on: bool


def entity_risk(one: Correlation, track: Track, moment: Moment) -> list[Episode]:
    """Find when what is scored, halved in each half-life, rises to the threshold, until it falls below it."""
    found: list[Episode] = []
    for first, last in _groups(track):
        found += _risen(one, track, (first, last), moment).found
    return found


def risk_carried(one: Correlation, track: Track, moment: Moment) -> dict[int, Carry]:
    """Return what is kept of each group when the track's rows are let go."""
    kept = {}
    for first, last in _groups(track):
        risen = _risen(one, track, (first, last), moment)
        group = int(track.rows.group[first])
        last_one = risen.found[-1] if risen.found else moment.carried.get(group, Carry()).episode
        kept[group] = Carry(last_one if risen.going_on else None, risen.level, risen.at)
    return kept


def _risen(one: Correlation, track: Track, where: tuple[int, int], moment: Moment) -> _Risen:
    rows, (first, last) = track.rows, where
    carry = moment.carried.get(int(rows.group[first]), Carry())
    level, at = carry.level, carry.at
    old, new = carry.episode, first + int(np.searchsorted(rows.time[first:last], moment.floor))
    scores: Reals = np.array(one.scores)[rows.ref[new:last]]
    if level + float(scores.sum()) < one.threshold:
        return _faded(one, rows.time[new:last], scores, level, at)
    found: list[Episode] = []
    begun, ended, peak, going_on = -1, -1, 0.0, old is not None
    moments: list[tuple[int, int, int]] = []

    def told() -> None:
        if begun >= 0:
            risen = _risk(one, track, (first, begun, ended), old)
            found.append(replace(risen, value=max(risen.value, peak), moments=tuple(moments)))

    place = new
    while place < last:
        time = int(rows.time[place])
        level *= 2.0 ** (-(time - at) / one.half_life) if at > BEGINNING else 0.0
        if going_on and level < one.threshold:
            told()
            going_on, old, begun, moments = False, None, -1, []
        end = place
        while end < last and rows.time[end] == time:
            level += float(scores[end - new])
            end += 1
        at = time
        if level >= one.threshold:
            if begun < 0:
                begun, peak = place, level
            peak, going_on, ended = max(peak, level), True, end
            if moment.spoken:
                moments.append((time, int(rows.uid[end - 1]), int(rows.source[end - 1])))
        place = end
    told()
    return _Risen(level, at, found, going_on)


def _faded(one: Correlation, times: Numbers, scores: Reals, level: float, at: int) -> _Risen:
    """Add up what cannot reach the threshold."""
    for time, score in zip(times.tolist(), scores.tolist(), strict=True):
        level = (level * 2.0 ** (-(time - at) / one.half_life) if at > BEGINNING else 0.0) + float(score)
        at = time
    return _Risen(level, at, [], going_on=False)


def _risk(one: Correlation, track: Track, where: tuple[int, int, int], old: Episode | None) -> Episode:
    """Make the episode of a group's rows from where it begun to where it ends so far."""
    rows, (first, begun, end) = track.rows, where
    opened = int(rows.time[begun])
    start = (
        begun
        if old
        else first + int(np.searchsorted(rows.time[first:end], opened - one.timespan, side="right"))
    )
    fresh = Episode(
        int(rows.group[first]), opened, int(rows.time[start]), int(rows.time[end - 1]),
        counted(track, start, end), 0.0, evidence(rows, start, end), int(rows.time[end - 1]),
        final=named(rows, end - 1),
    )  # fmt: skip
    return fresh if old is None else joined(old, fresh, track, (start, end))


def _groups(track: Track) -> Iterator[tuple[int, int]]:
    edges = track.edges.tolist()
    return pairwise(edges)
