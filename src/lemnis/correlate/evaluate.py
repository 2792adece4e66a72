"""The one evaluation: a correlation and the set of its signals → its episodes. Pure; no order matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from lemnis.contracts.correlations import NUMBERS, Correlation
from lemnis.correlate import beyond, sigma_counts, sigma_order
from lemnis.correlate.sigma_counts import Measured
from lemnis.correlate.windows import Carry, Episode, Flags, Moment, Numbers, Rows, Track, episodes, tracks

ALWAYS = Moment()
_MEASURES: Mapping[str, Callable[[Correlation, Track], Measured]] = {
    "event_count": sigma_counts.event_count,
    "value_count": sigma_counts.value_count,
    "value_sum": sigma_counts.value_sum,
    "value_avg": sigma_counts.value_avg,
    "value_percentile": sigma_counts.value_percentile,
    "value_median": sigma_counts.value_percentile,
    "temporal": sigma_order.temporal,
    "temporal_ordered": sigma_order.temporal_ordered,
}
_BEYOND: Mapping[str, Callable[[Correlation, Track, Moment], list[Episode]]] = {
    "absence": beyond.absence,
    "new_terms": beyond.new_terms,
    "baseline": beyond.baseline,
    "sequence": beyond.sequence,
    "entity_risk": beyond.entity_risk,
}
_ONCE = {"event_count": "uid", "baseline": "uid", "value_count": "value"} | dict.fromkeys(NUMBERS, "value")


def evaluate(one: Correlation, rows: Rows, moment: Moment = ALWAYS) -> list[Episode]:
    """Return the episodes that open, or go on, from the moment's floor on."""
    found: list[Episode] = []
    for track in _tracks(one, rows):
        found += _judge(one, track, moment)
    return found


def carried(one: Correlation, rows: Rows, moment: Moment, floor: int) -> dict[int, Carry]:
    """Return what to keep of each group if signals before ``floor`` are let go: what may go on after it."""
    kept: dict[int, Carry] = {}
    if one.kind not in {*_MEASURES, "absence", "entity_risk"}:
        return kept  # what is decided at one moment
    # an answer may come after the floor
    for track in _tracks(one, rows.take((rows.time < floor) | (rows.ref >= one.others))):
        if one.kind == "entity_risk":
            kept |= beyond.risk_carried(one, track, moment)
            continue
        asks = track.rows.ref < one.others
        ends: dict[int, int] = dict(
            zip(track.rows.group[asks].tolist(), track.rows.time[asks].tolist(), strict=True)
        )
        for episode in _judge(one, track, moment):
            if episode.ended == ends[episode.group]:
                kept[episode.group] = Carry(episode)
        for group, end in ends.items():
            if end >= moment.floor:
                kept.setdefault(group, Carry())  # what went on did not go on to the end
    return kept


def candidates(one: Correlation, counts: Numbers) -> Flags:
    """Say which groups can meet the condition at all, by how many signals they have; never one too few."""
    least = 1.0
    if one.kind in {"event_count", "value_count"} and one.op in {"gte", "gt", "eq"}:
        least = one.threshold
    elif one.kind == "temporal_ordered" and one.expression is None:
        least = len(one.references)
    elif one.kind == "temporal" and one.expression is None and one.op in {"gte", "gt", "eq"}:
        least = one.threshold
    elif one.kind == "sequence":
        least = one.others
    flags: Flags = counts >= max(1.0, least)
    return flags


def _tracks(one: Correlation, rows: Rows) -> Iterator[Track]:
    return tracks(rows, one.timespan, once=_ONCE.get(one.kind, "ref"))


def _judge(one: Correlation, track: Track, moment: Moment) -> list[Episode]:
    measure = _MEASURES.get(one.kind)
    if measure is None:
        return _BEYOND[one.kind](one, track, moment)
    held, value = measure(one, track)
    return episodes(track, held, value, moment, least=one.op in {"lt", "lte"})
