"""Correlations: the fast evaluation, whole and bit by bit, against the plain one."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obvious import MINUTE, Signal, correlation, evaluated, table

from lemnis.correlate import checkpoint
from lemnis.correlate.incremental import Correlator, Limits

SPAN = 10 * MINUTE
EXPRESSIONS = (["and", 0, 1], ["and", 0, ["not", 1]], ["or", ["and", 0, 1], ["and", 2, ["not", 0]]],
               ["and", ["or", 0, 1], 2], ["not", ["or", ["not", 0], 1]])  # fmt: skip


def one_of(kind):  # noqa: PLR0911 - one a type
    """Make correlations of a type."""
    ops = st.sampled_from(["gte", "gt", "lt", "lte", "eq", "neq"])
    count = st.integers(0, 4)
    if kind == "event_count":
        return st.builds(lambda op, n: correlation(kind, 2, op=op, threshold=n), ops, count)
    if kind == "value_count":
        return st.builds(
            lambda op, n: correlation(kind, 2, op=op, threshold=n, values=(("v",),) * 2), ops, count
        )
    if kind in {"value_sum", "value_avg", "value_percentile", "value_median"}:
        limit = st.sampled_from([0, 1, 2, 2.5, 3, 0.3, -1])
        part = st.sampled_from([0, 10, 50, 75, 95, 100]) if kind == "value_percentile" else st.just(50)
        return st.builds(
            lambda op, n, p: correlation(kind, 2, op=op, threshold=n, percentile=p, values=(("v",),) * 2),
            ops, limit, part,
        )  # fmt: skip
    if kind == "temporal":
        plain = st.builds(lambda op, n: correlation(kind, 3, op=op, threshold=n), ops, count)
        return plain | st.builds(lambda e: correlation(kind, 3, expression=e), st.sampled_from(EXPRESSIONS))
    if kind == "temporal_ordered":
        plain = st.builds(lambda n: correlation(kind, n, threshold=n), st.integers(2, 3))
        twice = st.just(correlation(kind, 3, names=["r0", "r0", "r1"]))
        return (
            plain
            | twice
            | st.builds(lambda e: correlation(kind, 3, expression=e), st.sampled_from(EXPRESSIONS))
        )
    if kind == "absence":
        return st.just(correlation(kind, 2, others=1))
    if kind == "new_terms":
        return st.builds(
            lambda n: correlation(kind, 1, learn=n, values=(("v",),), fields=("v",)),
            st.sampled_from([0, 3 * MINUTE]),
        )
    if kind == "sequence":
        return st.builds(
            lambda n, m: correlation(kind, n + m, others=n), st.integers(2, 3), st.integers(0, 1)
        )
    if kind == "baseline":
        return st.builds(
            lambda m, k, d, n: correlation(kind, 1, buckets=m, sigma=k, direction=d, threshold=n, timespan=2 * MINUTE),
            st.integers(2, 3), st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from(["up", "down", "both"]), st.integers(1, 2),
        )  # fmt: skip
    return st.builds(
        lambda n: correlation(kind, 2, threshold=n, half_life=3 * MINUTE, scores=(10.0, 30.0)),
        st.sampled_from([25.0, 40.0, 60.0]),
    )


@st.composite
def signals(draw, one):
    """Make signals; some events match several references, and some signals come again."""
    made = []
    numbers = one.kind.startswith("value_") and one.kind != "value_count"
    values = ["1", "2", "3.0", "0.1", "0.2", "-1.5"] if numbers else ["a", "b", "c"]
    wants = numbers or one.kind in {"value_count", "new_terms", "entity_risk"}
    for number in range(draw(st.integers(0, 14))):
        refs = draw(st.sets(st.integers(0, len(one.references) - 1), min_size=1, max_size=2))
        names = {one.references[ref].name for ref in refs}
        time = draw(st.integers(0, 60)) * MINUTE // 2
        group, value, source = (
            draw(st.sampled_from("xy")),
            draw(st.sampled_from(values)),
            draw(st.sampled_from("st")),
        )
        made += [
            Signal(ref, time, group, f"ev-{number:016x}", value if wants else None, source)
            for ref, reference in enumerate(one.references)
            if reference.name in names
        ]
    return made


KINDS = ("event_count", "value_count", "value_sum", "value_avg", "value_percentile", "value_median", "temporal",
         "temporal_ordered", "absence", "new_terms", "sequence", "entity_risk", "baseline")  # fmt: skip


def told_as(told):
    return (
        "\x1f".join(told.group), told.opened, told.first, told.last, told.count, pytest.approx(told.value),
        frozenset(e.uid for e in told.evidence),
    )  # fmt: skip


def final(changes):
    """Return what stands at the end of all changes, checking that they follow each other."""
    last = {}
    for told in changes:
        before = last.get(told.id)
        assert told.revision == (0 if before is None else before.revision + 1)
        assert not (told.withdrawn and (before is None or before.withdrawn))
        last[told.id] = told
    return {name: told for name, told in last.items() if not told.withdrawn}


@pytest.mark.parametrize("kind", KINDS)
def test_the_fast_evaluation_says_what_the_plain_one_says_in_any_order_and_cutting(kind):
    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.data())
    def holds(data):
        one = data.draw(one_of(kind))
        made = data.draw(signals(one))
        clocks = {"s": data.draw(st.integers(0, 40)) * MINUTE, "t": data.draw(st.integers(10, 40)) * MINUTE}
        wanted = evaluated(one, made, clocks)
        whole = Correlator([one])
        whole.add(table(one, made), clocks)
        at_once = whole.changes()
        assert sorted(map(told_as, at_once), key=str) == sorted(wanted, key=str)
        assert len({told.id for told in at_once}) == len(at_once)
        shuffled = [*made, *made[:3]]
        random.Random(data.draw(st.integers(0, 99))).shuffle(shuffled)  # noqa: S311 - order, no secret
        bits, changes = Correlator([one]), []
        cut = data.draw(st.integers(1, 5))
        for start in range(0, len(shuffled), cut):
            bits.add(table(one, shuffled[start : start + cut]), {})
            changes += bits.changes()
            if data.draw(st.booleans()):
                again = Correlator([one])
                checkpoint.load(checkpoint.dump(bits, {}), again)
                bits = again
        bits.add(table(one, []), clocks)
        changes += bits.changes()
        assert {n: (t.opened, t.first, t.last, t.count, t.evidence) for n, t in final(changes).items()} == {
            t.id: (t.opened, t.first, t.last, t.count, t.evidence) for t in at_once
        }

    holds()


@pytest.mark.parametrize("kind", KINDS)
def test_letting_go_of_what_is_behind_the_watermark_changes_nothing(kind):
    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(st.data())
    def holds(data):
        one = data.draw(one_of(kind))
        made = sorted(data.draw(signals(one)), key=lambda s: s.time)
        end = {"s": 40 * MINUTE, "t": 40 * MINUTE}
        whole = Correlator([one])
        whole.add(table(one, made), end)
        at_once = {t.id: (t.opened, t.first, t.last, t.count, t.evidence) for t in whole.changes()}
        bits, changes = Correlator([one], limits=Limits(keep=0, lateness=2 * MINUTE), patient=False), []
        for signal in made:
            so_far = signal.time
            bits.add(table(one, [signal]), {"s": so_far, "t": so_far})
            changes += bits.changes()
            again = Correlator([one], limits=Limits(keep=0, lateness=2 * MINUTE), patient=False)
            checkpoint.load(checkpoint.dump(bits, {}), again)
            bits = again
        bits.add(table(one, []), end)
        changes += bits.changes()
        assert not bits.report.late
        assert {
            n: (t.opened, t.first, t.last, t.count, t.evidence) for n, t in final(changes).items()
        } == at_once

    holds()
