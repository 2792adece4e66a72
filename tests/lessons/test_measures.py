"""What lessons prevent, counted from journals that are made here, and the limits of what is counted."""

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.app.lesson_report import causes
from lemnis.app.rates import DAY, limits, weekly
from lemnis.contracts.journal import Entry
from lemnis.incidents.statistics import share
from lemnis.lessons.measures import (
    STAGES,
    WORKING_DAY,
    Block,
    Escape,
    Seen,
    Taught,
    blocks,
    escape,
    measure,
    minutes_an_alert,
    recurrence,
    sightings,
)

MINUTE = 60_000
GATE = "lesson_1"
TAUGHT = Taught(
    "1", "in-1", "CWE-78", GATE, "merged", opened=0, proven=DAY, enforced=2 * DAY, visible="commit"
)


class Journal:
    """Decisions of gates, as the journal has them."""

    def __init__(self):
        self.entries, self._seq = [], count(1)

    def decide(self, minute, subject, *by, stage="build", repository="shop", decision=""):
        reasons = [{"policy": one, "effect": "deny", "message": "no"} for one in by]
        payload = {
            "stage": stage, "decision": decision or ("deny" if by else "allow"), "reasons": reasons,
            "repository": repository,
        }  # fmt: skip
        seq = next(self._seq)
        self.entries.append(
            Entry(
                seq, minute * MINUTE, "decision", f"commit:{subject}", str(seq), "lemnis", "", payload, "", ""
            )
        )
        return self

    def blocks(self):
        return [(one.subject[7:], one.outcome, one.minutes) for one in blocks(self.entries, [GATE])[GATE]]


def test_a_block_that_stood_is_right_and_took_until_work_went_on():
    made = Journal().decide(0, "a", GATE).decide(5, "a", GATE).decide(12, "b")
    assert made.blocks() == [("a", "right", 12.0)]


def test_a_block_that_was_overruled_is_wrong():
    made = Journal().decide(0, "a", GATE).decide(3, "b").decide(9, "a")
    assert made.blocks() == [("a", "wrong", 9.0)]


def test_a_block_of_which_nothing_came_is_open():
    made = Journal().decide(0, "a", GATE)
    made.decide(5, "b", stage="commit").decide(6, "c", repository="other").decide(7, "d", decision="unknown")
    assert made.blocks() == [("a", "open", None)]


def test_what_others_refuse_is_not_this_gates():
    assert Journal().decide(0, "a", "another").decide(1, "b").blocks() == []
    made = Journal().decide(0, "a", GATE, "another").decide(4, "a", "another")
    assert made.blocks() == [("a", "wrong", 4.0)]


def test_a_block_costs_a_working_day_at_most():
    assert Journal().decide(0, "a", GATE).decide(10_000, "b").blocks() == [("a", "right", WORKING_DAY)]


DECISIONS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["a", "b", "c"]),
        st.booleans(),
        st.sampled_from(["build", "commit"]),
    ),
    max_size=30,
)


@given(DECISIONS)
def test_each_stopped_subject_is_one_block_and_only_what_passed_later_is_wrong(decisions):
    made, now, refused, passed = Journal(), 0, {}, {}
    for step, subject, stopped, stage in decisions:
        now += step
        made.decide(now, subject, *[GATE] * stopped, stage=stage)
        (refused.setdefault if stopped else passed.__setitem__)((subject, stage), len(made.entries))
    found = blocks(made.entries, [GATE])[GATE]
    assert sorted((one.subject[7:], one.stage) for one in found) == sorted(refused)
    for one in found:
        key = one.subject[7:], one.stage
        assert (one.outcome == "wrong") == (passed.get(key, 0) > refused[key])
        assert (one.outcome == "open") == (one.minutes is None)
        assert one.minutes is None or 0 <= one.minutes <= WORKING_DAY


def test_how_far_a_cause_travels():
    seen = [Seen("c", n, stage, "x") for n, stage in enumerate(("commit", "build", "runtime", "nowhere"))]
    assert escape(seen, "commit") == Escape(3, 1, (0 + 2 + 5) / 3)
    assert escape(seen[:1], "build") == Escape(1, 0, 0.0)
    assert escape([], "commit") == Escape()


@given(st.lists(st.sampled_from(STAGES), min_size=1), st.sampled_from(STAGES))
def test_an_escape_is_what_only_runtime_saw(stages, visible):
    found = escape([Seen("c", 0, one, "x") for one in stages], visible)
    assert (found.seen, found.escaped) == (len(stages), stages.count("runtime"))
    assert 0 <= found.travelled <= len(STAGES) - 1


def block(outcome, at, stage="build"):
    return Block(GATE, f"commit:{at}", stage, at, "shop", outcome, None if outcome == "open" else 30.0)


def test_a_lesson_is_measured_before_and_after_its_gate():
    taught = replace(TAUGHT, again=(("in-2", 3 * DAY),))
    stopped = [block("right", 4 * DAY), block("wrong", 5 * DAY), block("open", 6 * DAY, "pull_request")]
    found = measure(taught, stopped, 12 * DAY, exposed=(7, 2))
    assert found.to_gate == 2 * DAY
    assert (found.right, found.wrong, found.open, found.developer_minutes) == (1, 1, 1, 60.0)
    assert found.before == Escape(1, 1, 5.0)
    assert found.after == Escape(3, 1, (5 + 2 + 1) / 3)
    assert (found.removed, found.days) == (5, 10.0)
    assert [one.what for one in sightings(taught, stopped)] == [
        "in-1",
        "in-2",
        f"commit:{4 * DAY}",
        f"commit:{6 * DAY}",
    ]


def test_what_is_not_known_is_none_and_not_zero():
    found = measure(Taught("1", "in-1", "c", GATE, "proposed"), [], DAY)
    assert (found.to_gate, found.removed, found.days) == (None, None, 0.0)
    assert found.before == found.after == Escape()
    assert measure(TAUGHT, [], DAY, exposed=(3, None)).removed is None


def test_recurrence_is_by_cause_and_an_incident_counts_once():
    def one(lesson, enforced, again, cause="CWE-78"):
        taught = Taught(lesson, f"in-{lesson}", cause, GATE, "merged", 0, 0, enforced, again=again)
        return measure(taught, [], 100 * DAY)

    found = [
        one("1", 0, (("in-9", DAY),)), one("2", 50 * DAY, (("in-9", DAY), ("in-8", DAY))),
        one("3", 90 * DAY, (), "CWE-89"), one("4", None, (), "CWE-1"),
    ]  # fmt: skip
    assert recurrence(found) == {"CWE-78": (2, 100.0), "CWE-89": (0, 10.0)}
    first, second = causes(found)
    assert (first.name, first.again) == ("CWE-78", 2)
    assert first.rate == pytest.approx(2 * 3.6525)
    assert first.low < first.rate < first.high
    assert (second.rate, second.low) == (0.0, 0.0)
    assert second.high == pytest.approx(limits(0)[1] * 36.525)
    [new] = causes([one("5", 100 * DAY, ())])
    assert (new.days, new.rate) == (0.0, None)


def test_the_minutes_of_an_alert_are_measured_where_enough_incidents_tell():
    assert minutes_an_alert([(30 * MINUTE, 3)] * 4) is None
    assert minutes_an_alert([(30 * MINUTE, 3)] * 4 + [(0, 3), (MINUTE, 0)]) is None
    assert minutes_an_alert([(30 * MINUTE, 3)] * 4 + [(90_000 * MINUTE, 1)]) == 10.0


TIMES = st.lists(st.integers(0, 90 * DAY), max_size=60)


@given(TIMES, st.integers(1, 90))
def test_a_weekly_rate_lies_within_its_limits(times, days):
    by_day = {}
    for at in times:
        by_day[at // DAY] = by_day.get(at // DAY, 0) + 1
    found = weekly(by_day, 0, 90 * DAY)
    assert 0 <= found.low <= found.rate <= found.high
    one_more = weekly({**by_day, 0: by_day.get(0, 0) + 1}, 0, 90 * DAY)
    assert one_more.rate > found.rate
    short = weekly({0: 5}, 0, days * DAY)
    assert short.rate == pytest.approx(35 / days)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_share_lies_within_its_limits_and_more_of_the_same_narrows_them(right, wrong):
    found = share(right, right + wrong)
    assert 0 <= found.low <= found.high <= 1
    if found.share is None:
        assert (found.low, found.high) == (0.0, 1.0)
        return
    assert found.low - 1e-12 <= found.share <= found.high + 1e-12
    more = share(right * 4, (right + wrong) * 4)
    assert more.high - more.low < found.high - found.low
