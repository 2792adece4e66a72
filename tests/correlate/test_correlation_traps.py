"""The traps that other engines fell into, one by one; chains; and what bounds the memory."""

import random
from dataclasses import replace

import pytest
from obvious import MINUTE, Signal, correlation, table

from lemnis.contracts.correlations import Reference
from lemnis.correlate.incremental import Correlator, Limits


def at(minute, ref=0, group="x", *, number=None, value=None, source="s"):
    number = round(minute * 1000) * 10 + ref if number is None else number
    return Signal(ref, round(minute * MINUTE), group, f"ev-{number:016x}", value, source)


def episodes(one, *signals, clocks=None):
    """Return (opened, last) in minutes, and the count."""
    correlator = Correlator([one])
    correlator.add(table(one, signals), {s: m * MINUTE for s, m in (clocks or {}).items()})
    return [(t.opened / MINUTE, t.last / MINUTE, t.count) for t in correlator.changes()]


def test_a_window_holds_its_end_and_not_its_begin():
    three = correlation("event_count", threshold=3)
    assert episodes(three, at(0), at(5), at(10)) == []
    assert episodes(three, at(0.001), at(5), at(10)) == [(10, 10, 3)]


def test_a_burst_over_the_edge_of_a_bucket_is_one_episode_however_long():
    three = correlation("event_count", threshold=3)
    assert episodes(three, *(at(m) for m in range(55, 75))) == [(57, 74, 20)]
    assert len(episodes(three, *(at(m) for m in (0, 1, 2, 30, 31, 32)))) == 2


def test_an_event_that_matched_two_rules_is_one_event():
    two = correlation("event_count", 2, threshold=2)
    assert episodes(two, at(0, 0, number=1), at(0, 1, number=1)) == []


def test_one_event_is_not_followed_by_itself():
    then = correlation("temporal_ordered", 2, threshold=2)
    assert episodes(then, at(0, 0, number=1), at(0, 1, number=1)) == []
    assert episodes(then, at(0, 0, number=1), at(0, 1, number=2)) == [(0, 0, 2)]
    assert episodes(then, at(1, 0), at(0, 1)) == []
    sequence = correlation("sequence", 2, others=2)
    assert episodes(sequence, at(0, 0, number=1), at(0, 1, number=1)) == []


def test_sums_and_means_are_exact():
    tenth = correlation("value_sum", threshold=0.3, values=(("v",),))
    assert episodes(tenth, *(at(m, value="0.1") for m in range(3))) == [(2, 2, 3)]  # 0.1 * 3 > 0.3 in floats
    mean = correlation("value_avg", threshold=0.1, values=(("v",),))
    assert episodes(mean, *(at(m, value="0.1") for m in range(9))) == [(0, 8, 9)]


def test_until_kills_only_between_matched_events():
    sequence = correlation("sequence", 3, others=2)  # A, B until C
    assert episodes(sequence, at(0, 0), at(1, 1), at(2, 2)) == [(1, 1, 2)]
    assert episodes(sequence, at(0, 0), at(1, 2), at(2, 1)) == []
    assert episodes(sequence, at(0, 0), at(1, 0), at(10.5, 1)) == [(10.5, 10.5, 2)]  # the newer begins it
    assert episodes(sequence, at(0, 0), at(10, 1)) == []
    assert episodes(sequence, at(0, 0), at(1, 1), at(2, 1)) == [(1, 1, 2)]  # it is used up


def test_an_absence_is_withheld_while_the_source_is_silent():
    absent = correlation("absence", 2, others=1)
    assert episodes(absent, at(0)) == []
    assert episodes(absent, at(0), clocks={"s": 10}) == []
    assert episodes(absent, at(0), clocks={"s": 11}) == [(0, 0, 1)]
    assert episodes(absent, at(0), clocks={"other": 99}) == []
    assert episodes(absent, at(0), at(10, 1), clocks={"s": 99}) == []
    assert episodes(absent, at(0), at(10.1, 1), clocks={"s": 99}) == [(0, 0, 1)]
    answered = at(-30, 1, group="y", source="t")  # answers come from a source that has fallen silent
    assert episodes(absent, at(0), answered, clocks={"s": 99, "t": 5}) == []
    assert episodes(absent, at(0), answered, clocks={"s": 99, "t": 11}) == [(0, 0, 1)]


def test_a_late_answer_withdraws_an_absence():
    absent = correlation("absence", 2, others=1)
    correlator = Correlator([absent])
    correlator.add(table(absent, [at(0)]), {"s": 11 * MINUTE})
    (told,) = correlator.changes()
    correlator.add(table(absent, [at(3, 1)]), {})
    (gone,) = correlator.changes()
    assert (gone.id, gone.revision, gone.withdrawn) == (told.id, 1, True)
    assert correlator.changes() == []


def test_risk_fades_and_crosses_once():
    risk = correlation("entity_risk", threshold=25.0, half_life=10 * MINUTE, scores=(10.0,))
    assert episodes(risk, at(0, value="r"), at(10, value="r"), at(20, value="r")) == []
    hot = [at(m / 10, value="r") for m in range(5)]
    assert [(o, e) for o, e, _ in episodes(risk, *hot, at(1, value="r"))] == [(0.2, 1)]
    again = [at(60 + m / 10, value="r") for m in range(5)]
    assert [(o, e) for o, e, _ in episodes(risk, *hot, *again)] == [(0.2, 0.4), (60.2, 60.4)]


def chain(outer, **given):
    inner = correlation("event_count", title="inner", threshold=3)
    kind = replace(
        correlation(outer, 2, **given),
        references=(Reference("inner", "inner", chained=True), Reference("r1", "r1")),
    )
    return inner, kind


def both(inner, outer, signals):
    """Return the signals' tables: reference 0 of the inner one, reference 1 of the outer one."""
    return [(inner, [s for s in signals if s.ref == 0]), (outer, [s for s in signals if s.ref == 1])]


def test_a_success_after_an_hour_of_guessing_is_still_then():
    inner, outer = chain("temporal_ordered", threshold=2)
    correlator = Correlator([inner, outer], silent=frozenset({"inner", "r1"}))
    for one, some in both(inner, outer, [*(at(m) for m in range(60)), at(62, 1)]):
        correlator.add(table(one, some), {})
    (told,) = correlator.changes()
    assert (told.correlation.kind, told.opened / MINUTE) == ("temporal_ordered", 62)


@pytest.mark.parametrize(("kind", "given"), [("temporal_ordered", {"threshold": 2}), ("temporal", {"threshold": 2}),
                                             ("event_count", {"threshold": 2}), ("sequence", {"others": 2})])  # fmt: skip
@pytest.mark.parametrize("limits", [None, Limits(keep=0, lateness=10 * MINUTE)])
def test_chains_end_alike_bit_by_bit(kind, given, limits):
    inner, outer = chain(kind, **given)
    said = set()
    for seed in range(40):
        rng = random.Random(seed)  # noqa: S311 - input, not a secret
        signals = [
            at(rng.randrange(80) / 2, rng.choice([0, 0, 0, 1]), rng.choice("xy"), number=n) for n in range(20)
        ]
        whole = Correlator([inner, outer])
        for one, some in both(inner, outer, signals):
            whole.add(table(one, some), {})
        wanted = {t.id: (t.opened, t.last, t.count) for t in whole.changes()}
        bits = Correlator([inner, outer], limits=limits or Limits(), patient=limits is None)
        last = {}
        for signal in sorted(signals, key=lambda s: s.time) if limits else signals:
            for one, some in both(inner, outer, [signal]):
                bits.add(table(one, some), {})
            last |= {t.id: t for t in bits.changes()}
        assert {n: (t.opened, t.last, t.count) for n, t in last.items() if not t.withdrawn} == wanted, seed
        assert not bits.report.late
        said |= {t.correlation.kind for t in last.values()}
    assert said == {"event_count", kind}


def test_the_groups_active_longest_ago_are_closed_first_and_that_is_told():
    two = correlation("event_count", threshold=2)
    correlator = Correlator([two], limits=Limits(keep=2**62, most=2**62, groups=10))
    for number in range(50):
        correlator.add(table(two, [at(number, group=f"g{number}", number=number)]), {})
        correlator.changes()
    assert len(correlator.held[two.digest].groups) <= 10
    assert sum(correlator.report.closed_groups.values()) == 50 - len(correlator.held[two.digest].groups)
    assert "active longest ago" in correlator.report.sentences()[0]
    correlator.add(table(two, [at(49.5, group="g49", number=99), at(49.5, group="g0", number=98)]), {})
    assert [told.group for told in correlator.changes()] == [("g49",)]


def test_too_many_signals_are_let_go_and_told():
    two = correlation("event_count", threshold=2)
    correlator = Correlator([two], limits=Limits(keep=2**62, most=100, groups=2**62))
    for number in range(1000):
        correlator.add(table(two, [at(number, group=f"g{number % 200}", number=number)]), {})
        correlator.changes()
        assert len(correlator.held[two.digest]) <= 100
    assert sum(correlator.report.closed_signals.values()) >= 900


def test_times_at_the_ends_of_the_calendar_are_no_trouble():
    two = correlation("event_count", threshold=2)
    first, last = -62_135_596_800_000, 253_402_300_799_999
    signals = [
        Signal(0, t, f"g{n}", f"ev-{n * 2 + d:016x}") for n, t in enumerate((first, 0, last)) for d in (0, 1)
    ]
    correlator = Correlator([two], limits=Limits(keep=0), patient=False)
    correlator.add(table(two, signals), {})
    assert [told.opened for told in correlator.changes(now=-86_400_000)] == [first, 0, last]
    correlator.add(table(two, [at(0, group="g1", number=50)]), {})
    assert len(correlator.changes(now=-86_400_000)) == 1  # a time far ahead makes nothing late


def test_an_episode_that_only_grows_is_told_now_and_then_and_as_it_is_in_the_end():
    two = correlation("event_count", threshold=2)
    correlator = Correlator([two])
    counts = []
    for number in range(40):
        correlator.add(table(two, [at(number / 10, number=number)]), {})
        counts += [told.count for told in correlator.changes(everything=False)]
    assert counts == [2, 4, 8, 16, 32]
    (told,) = correlator.changes()
    assert (told.count, told.revision) == (40, 5)
    assert correlator.changes() == []
