"""Correlations evaluated slowly and plainly, by their definitions: what the fast ways are held to."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import pyarrow as pa

from lemnis.contracts.correlations import SIGNALS, Correlation, Reference

MINUTE = 60_000


@dataclass(frozen=True)
class Signal:
    ref: int
    time: int
    group: str
    uid: str
    value: str | None = None
    source: str = "s"


def correlation(kind, refs=1, **given):
    """Make a correlation with references r0, r1 …"""
    names = given.pop("names", [f"r{n}" for n in range(refs)])
    plain = Correlation(
        id="", title=given.pop("title", "t"), level="high", tags=(), path="", name="", kind=kind,
        references=tuple(Reference(name, name) for name in names), others=len(names), group_by=("g",),
        groups=(("g",),) * len(names), fields=(), values=((),) * len(names), timespan=10 * MINUTE,
    )  # fmt: skip
    return replace(plain, **given)


def table(one, signals):
    """Make the table of signals."""
    return pa.table(
        {
            "correlation": [one.digest] * len(signals), "ref": [s.ref for s in signals],
            "time": [s.time for s in signals], "group": [s.group for s in signals],
            "value": [s.value for s in signals], "uid": [s.uid for s in signals],
            "source": [s.source for s in signals], "class_uid": [1] * len(signals),
        },
        schema=pa.schema([
            pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in SIGNALS
        ]),
    )  # fmt: skip


def evaluated(one, signals, clocks=None):
    """Return the episodes: (group, opened, first, last, count, value, evidence)."""
    clocks = dict(clocks or {})
    answers = [clocks.get(s.source, -math.inf) for s in signals if s.ref >= one.others]
    clocks["any answer"] = min(answers, default=math.inf)  # whichever group it is of
    found = []
    for group in sorted({s.group for s in signals}):
        mine = sorted(
            {s for s in signals if s.group == group}, key=lambda s: (s.time, s.ref, s.uid, s.value or "")
        )
        found += [(group, *rest) for rest in KINDS[one.kind](one, mine, clocks)]
    return sorted(found)


COMPARE = {
    "gt": lambda a, b: a > b, "gte": lambda a, b: a >= b, "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b, "eq": lambda a, b: a == b, "neq": lambda a, b: a != b,
}  # fmt: skip


def windowed(one, mine, clocks):
    """Look at the window of every moment; a run of moments that hold is an episode."""
    runs = []
    for now in sorted({s.time for s in mine}):
        window = [s for s in mine if now - one.timespan < s.time <= now]
        held, value = asked(one, window)
        if not held:
            runs.append(None)
        elif runs and runs[-1] is not None and now - runs[-1][-1][0] < one.timespan:
            runs[-1].append((now, value, window))
        else:
            runs.append([(now, value, window)])
    for run in runs:
        if run is None:
            continue
        inside = sorted({s for _, _, window in run for s in window}, key=lambda s: (s.time, s.ref, s.uid))
        uids = {s.uid for s in inside}
        values = [value for _, value, _ in run]
        extreme = min(values) if one.op in {"lt", "lte"} else max(values)
        yield run[0][0], inside[0].time, run[-1][0], len(uids), extreme, frozenset(uids)


def asked(one, window):
    """Say whether a window meets the condition, and with which value."""
    refs = range(len(one.references))
    there = {s.ref for s in window}
    if one.kind == "event_count":
        value = len({s.uid for s in window})
    elif one.kind == "value_count":
        value = len({s.value for s in window})
    elif one.kind == "temporal":
        value = len(there)
        if one.expression is not None:
            return truth(one.expression, there), value
    elif one.kind == "temporal_ordered":
        value = len(there)
        if one.expression is None:
            return chained(window, list(refs)), value
        subsets = [{r for r in there if bits >> r & 1} for bits in range(1 << len(refs))]
        # some of what is there, in order, must do, whatever else is not there
        return any(
            truth(one.expression, some | (there & negated(one.expression)), some)
            and chained(window, sorted(some))
            for some in subsets
        ), value
    else:
        numbers = sorted(Fraction(float(v)) for _, v in {(s.uid, s.value) for s in window})
        if one.kind == "value_sum":
            value = float(sum(numbers))
        elif one.kind == "value_avg":
            value = float(sum(numbers) / len(numbers))
        else:
            part = one.percentile / 100
            place = part * (len(numbers) - 1)
            low = math.floor(place)
            rest = place - low
            after = float(numbers[min(low + 1, len(numbers) - 1)])
            value = float(numbers[low]) * (1 - rest) + after * rest if rest else float(numbers[low])
    return COMPARE[one.op](value, one.threshold), value


def truth(expression, there, positive=None):
    """Evaluate; where ``positive`` is given, what is not negated must be in that."""

    def walk(part, sign):
        if isinstance(part, int):
            return part in (there if positive is None or not sign else positive)
        if part[0] == "not":
            return not walk(part[1], not sign)
        return (all if part[0] == "and" else any)(walk(one, sign) for one in part[1:])

    return walk(expression, True)


def negated(expression):
    """Return the references that stand under a not."""

    def walk(part, sign):
        if isinstance(part, int):
            return set() if sign else {part}
        return set().union(*(walk(one, sign != (part[0] == "not")) for one in part[1:]))

    return walk(expression, True)


def chained(window, refs):
    """Say whether there are events of these references in order, one and the next being different events."""

    def follow(place, time, uid):
        if place == len(refs):
            return True
        return any(
            follow(place + 1, s.time, s.uid)
            for s in window
            if s.ref == refs[place] and s.time >= time and s.uid != uid
        )

    return follow(0, -math.inf, None)


def absent(one, mine, clocks):
    asks = [s for s in mine if s.ref < one.others]
    answers = [s for s in mine if s.ref >= one.others]
    told = clocks["any answer"]
    runs = []
    for now in sorted({s.time for s in asks}):
        some = [s for s in asks if s.time == now]
        missing = not any(now <= a.time <= now + one.timespan for a in answers) and any(
            min(told, clocks.get(s.source, -math.inf)) > now + one.timespan for s in some
        )
        if not missing:
            runs.append(None)
        elif runs and runs[-1] is not None and now - runs[-1][-1].time < one.timespan:
            runs[-1] += some
        else:
            runs.append(list(some))
    for run in runs:
        if run:
            uids = {s.uid for s in run}
            yield run[0].time, run[0].time, run[-1].time, len(uids), 1.0, frozenset(uids)


def new(one, mine, clocks):
    for number, s in enumerate(mine):
        earlier = [
            o for o in mine if o.value == s.value and s.time - one.timespan < o.time
            and (o.time, o.uid) < (s.time, s.uid)
        ]  # fmt: skip
        known = not one.learn or any(s.time - one.timespan < o.time <= s.time - one.learn for o in mine)
        same = any(o.value == s.value and o.uid == s.uid for o in mine[:number])
        if not earlier and known and not same:
            yield s.time, s.time, s.time, 1, 1.0, frozenset({s.uid})


def sequenced(one, mine, clocks):
    waiting = {}
    lowest = {}
    for s in mine:
        lowest[s.time, s.uid] = min(s.ref, lowest.get((s.time, s.uid), 99))
    for s in sorted(mine, key=lambda s: (s.time, lowest[s.time, s.uid], s.uid, -s.ref)):
        if s.ref >= one.others:
            waiting = {}
        elif s.ref == 0:
            waiting[0] = [s]
        elif s.ref - 1 in waiting and s.time - waiting[s.ref - 1][0].time < one.timespan:
            waiting[s.ref] = [*waiting.pop(s.ref - 1), s]
        chain = waiting.get(one.others - 1)
        if chain:
            del waiting[one.others - 1]
            yield (
                s.time,
                chain[0].time,
                s.time,
                one.others,
                float(one.others),
                frozenset(c.uid for c in chain),
            )


def risky(one, mine, clocks):
    run = None
    runs = []
    level, at = 0.0, None
    for now in sorted({s.time for s in mine}):
        level = 0.0 if at is None else level * 2.0 ** (-(now - at) / one.half_life)
        if run is not None and level < one.threshold:
            run = None
        for s in mine:
            if s.time == now:
                level += one.scores[s.ref]
        at = now
        if level >= one.threshold:
            if run is None:
                run = [now, now, level]
                runs.append(run)
            run[1], run[2] = now, max(run[2], level)
    for opened, ended, peak in runs:
        inside = [s for s in mine if opened - one.timespan < s.time <= ended]
        yield (
            opened,
            inside[0].time,
            ended,
            len({s.uid for s in inside}),
            peak,
            frozenset(s.uid for s in inside),
        )


def off(one, mine, clocks):
    counts = {}
    for s in {s.uid: s for s in mine}.values():
        counts.setdefault(s.time // one.timespan, []).append(s)
    told = min(clocks.get(s.source, -math.inf) for s in mine)
    for bucket in range(min(counts), max(counts) + one.buckets + 1):
        if not any(counts.get(b) for b in range(bucket - 2 * one.buckets, bucket - one.buckets + 1)):
            continue
        before = [len(counts.get(bucket - n, [])) for n in range(1, one.buckets + 1)]
        mean = sum(before) / len(before)
        deviation = one.sigma * math.sqrt(sum((n - mean) ** 2 for n in before) / len(before))
        inside = sorted(counts.get(bucket, []), key=lambda s: (s.time, s.ref, s.uid))
        count, end = len(inside), (bucket + 1) * one.timespan
        if one.direction != "down":
            enough = [n for n in range(1, count + 1) if n >= one.threshold and n > mean + deviation]
            if enough:
                yield (
                    inside[enough[0] - 1].time,
                    inside[0].time,
                    inside[-1].time,
                    count,
                    float(count),
                    frozenset(s.uid for s in inside),
                )
        if one.direction != "up" and end < told and count < mean - deviation and mean >= one.threshold:
            shown = inside or [
                max((s for s in mine if s.time < bucket * one.timespan), key=lambda s: (s.time, s.ref, s.uid))
            ]
            yield end, shown[0].time, shown[-1].time, count, float(count), frozenset(s.uid for s in shown)


KINDS = dict.fromkeys(
    (
        "event_count",
        "value_count",
        "temporal",
        "temporal_ordered",
        "value_sum",
        "value_avg",
        "value_percentile",
        "value_median",
    ),
    windowed,
) | {"absence": absent, "new_terms": new, "sequence": sequenced, "entity_risk": risky, "baseline": off}
