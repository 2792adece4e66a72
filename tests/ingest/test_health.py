"""Silence, rate, lag and rejects: what was learnt decides, and what is usual raises no alarm."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from spoken import MONDAY, beats, chatty, cron, heard, history, nightly, office, sparse

from lemnis.contracts.watching import DAY, HOUR, STEP, Beat, History
from lemnis.ingest.health import LAGGING, LIVING, LOUD, QUIET, REJECTING, SILENT, TROUBLES, judge
from lemnis.ingest.health_seasons import Activity, Hours, band

KINDS = {"chatty": chatty, "office": office, "cron": cron, "nightly": nightly, "sparse": sparse}


def judged(rates, now, *, start=MONDAY, down=(), troubled=frozenset()):
    return judge(history(rates, start, now), heard(start, now, down), now, troubled)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("days", [8, 22])
def test_a_source_that_goes_on_as_usual_raises_no_alarm(kind, days):
    rates = KINDS[kind](days + 8)
    for now in range(MONDAY + days * DAY, MONDAY + (days + 7) * DAY, 17_900_000):
        found = judged(rates, now)
        assert found.state == LIVING, (now, found.troubles)


@pytest.mark.parametrize(
    ("kind", "stops", "within"),
    [
        ("chatty", 10.5, 20 * 60_000),
        ("chatty", 10.0, 20 * 60_000),
        ("office", 22.45, 30 * 60_000),  # a Tuesday, 10:48
        ("cron", 10.5, 3 * HOUR),
        ("nightly", 10.5, 2 * DAY),
        ("sparse", 10.5, 4 * HOUR),
    ],
)
def test_silence_is_told_as_soon_as_the_source_allows(kind, stops, within):
    at = MONDAY + int(stops * DAY)
    rates = KINDS[kind](40)
    rates[(at - MONDAY) // STEP :] = 0
    step = STEP if within < DAY else 6 * STEP
    told = next(now for now in range(at, at + 10 * DAY, step) if judged(rates, now).state == SILENT)
    assert told - at <= within
    due = judged(rates, at).silence.due
    assert abs(due - told) <= 6 * STEP  # it was foretold


def test_a_weekend_is_no_silence_once_a_weekend_was_seen_but_a_workday_is():
    rates = office(40)
    stops = MONDAY + 25 * DAY + 18 * HOUR  # Friday evening
    rates[(stops - MONDAY) // STEP :] = 0
    sunday, monday = stops + 2 * DAY, stops + 2 * DAY + 15 * HOUR
    assert judged(rates, sunday).state == LIVING
    found = judged(rates, monday)
    assert found.state == SILENT
    assert "pauses learnt" in found.troubles[0].why


def test_what_lemnis_did_not_hear_is_no_silence():
    stops = MONDAY + 10 * DAY
    rates = chatty(12)
    rates[(stops - MONDAY) // STEP :] = 0
    now = stops + 5 * HOUR
    assert judged(rates, now).state == SILENT
    assert judged(rates, now, down=[(stops, now + 1)]).state == LIVING
    back = judged(rates, now, down=[(stops, now - 5 * 60_000)])
    assert back.state == LIVING


def test_lemnis_downtime_teaches_nothing():
    rates = chatty(20)
    down = [(MONDAY + 5 * DAY, MONDAY + 9 * DAY)]
    rates[5 * 288 : 9 * 288] = 0
    stops = MONDAY + 15 * DAY
    rates[15 * 288 :] = 0
    told = next(
        now for now in range(stops, stops + DAY, STEP) if judged(rates, now, down=down).state == SILENT
    )
    assert told - stops <= 20 * 60_000


def test_one_outage_does_not_teach_that_silence_is_usual():
    rates = cron(30)
    rates[12 * 288 : 14 * 288] = 0
    stops = MONDAY + 23 * DAY + HOUR
    rates[(stops - MONDAY) // STEP :] = 0
    told = next(now for now in range(stops, stops + 3 * DAY, STEP) if judged(rates, now).state == SILENT)
    assert told - stops <= 4 * HOUR


@pytest.mark.parametrize("rates", [chatty(1)[:140], np.array([5] * 4 + [0] * 300), np.array([1])])
def test_too_little_history_raises_no_alarm(rates):
    now = MONDAY + len(rates) * STEP + 3 * HOUR
    found = judged(rates, now)
    assert (found.state, found.learning) == (LIVING, True)


def test_a_source_at_a_tenth_of_its_rate_is_quiet_and_told_against_what_is_usual():
    rates = chatty(16)
    now = MONDAY + 15 * DAY + 14 * HOUR
    place = (now - MONDAY) // STEP
    rates[place - 24 :] //= 10
    found = judged(rates, now)
    assert found.state == QUIET
    assert found.rate < found.band.low < found.band.middle < found.band.high
    assert "usual are" in found.troubles[0].why


def test_a_source_at_ten_times_its_rate_is_loud_and_well_again_only_when_it_is_clearly_less():
    rates = chatty(16)
    now = MONDAY + 15 * DAY + 14 * HOUR
    place = (now - MONDAY) // STEP
    before = judged(rates.copy(), now)
    assert before.state == LIVING
    rates[place - 12 : place + 1] *= 10
    found = judged(rates, now)
    assert found.state == LOUD
    assert found.rate > found.band.high > found.band.eased > found.band.middle
    assert "at most" in found.troubles[0].why
    between = (found.band.high + found.band.eased) / 2
    rates[place - 12 : place + 1] = round(between / 12)
    assert judged(rates, now + STEP - 1).state == LIVING
    assert judged(rates, now + STEP - 1, troubled=frozenset({LOUD})).state == LOUD


def test_a_job_of_every_night_is_not_too_much():
    rates = chatty(16)
    nights = [day * 288 + 24 for day in range(16)]
    for place in nights:
        rates[place : place + 12] = 5000
    for place in nights[-3:]:
        assert judged(rates[: place + 12], MONDAY + (place + 12) * STEP).state == LIVING


def test_what_was_quiet_is_well_again_only_when_it_is_clearly_more():
    rates = chatty(16)
    now = MONDAY + 15 * DAY + 14 * HOUR
    usual = judged(rates, now).band
    place = (now - MONDAY) // STEP
    between, now = (usual.low + usual.calm) / 2, now + STEP - 1
    rates[place - 12 : place + 1] = round(between / 12)
    assert judged(rates, now).state == LIVING
    assert judged(rates, now, troubled=frozenset({QUIET})).state == QUIET


def test_one_stray_event_does_not_end_the_silence_of_a_busy_source():
    stops, rates = MONDAY + 10 * DAY, chatty(12)
    place = (stops - MONDAY) // STEP
    rates[place:] = 0
    rates[place + 30] = 1
    now = stops + 31 * STEP
    assert judged(rates, now).state == QUIET
    assert judged(rates, now, troubled=frozenset({SILENT})).state == SILENT
    rates[place + 31 :] = 5
    assert judged(rates, now + STEP, troubled=frozenset({SILENT})).state == QUIET


def lagged(lag_slot, hours=60, recent=None):
    now = MONDAY + 10 * DAY
    top = now - now % HOUR
    lags = {top - n * HOUR: {lag_slot: 100} for n in range(2, hours)}
    lags |= {top - n * HOUR: {lag_slot if recent is None else recent: 100} for n in range(2)}
    return now, history(chatty(11), MONDAY, now, lags=lags)


def test_a_lag_far_beyond_the_usual_one_is_told_and_one_that_always_was_is_not():
    now, steady = lagged(20)  # more than two hours, always: a source that is polled
    found = judge(steady, heard(MONDAY, now), now)
    assert found.state == LIVING
    assert found.lag.p50 > 2 * HOUR
    now, late = lagged(6, recent=17)
    found = judge(late, heard(MONDAY, now), now)
    assert found.state == LAGGING
    assert found.lag.learnt_p99 < 2000 < found.lag.p50
    now, little = lagged(6, recent=9)
    assert judge(little, heard(MONDAY, now), now).state == LIVING


def rejected(events, rejects, learnt=0):
    now = MONDAY + 10 * DAY
    made = list(beats(chatty(11), MONDAY, now))
    made = [dataclasses.replace(one, rejects=learnt * one.events // 100) for one in made]
    made = [one for one in made if one.at + one.step <= now - HOUR]
    made.append(Beat(now - STEP, STEP, events, rejects, 1, now))
    return lambda troubled=frozenset(): judge(
        History("src", "", MONDAY, tuple(made)), heard(MONDAY, now), now, troubled
    )


def test_rejects_beyond_the_usual_share_are_told_and_end_well_below():
    assert rejected(4000, 400)().state == REJECTING
    assert rejected(4000, 5)().state == LOUD  # for it comes at night
    assert rejected(4000, 400, learnt=20)().state == LOUD  # it was always so
    between = rejected(4000, 60)
    assert between().state == LOUD
    assert between(frozenset({REJECTING})).state == REJECTING
    assert rejected(4000, 20)(frozenset({REJECTING})).state == LOUD


def test_hours_know_the_season_that_their_history_can_tell():
    for days, season in ((1, "any hour"), (5, "hour of the day"), (15, "hour of the week")):
        end = MONDAY + days * DAY
        hours = Hours.of(beats(office(days), MONDAY, end), heard(MONDAY, end), MONDAY, end)
        assert hours.season == season
        shares = Activity.learn(hours).shares
        assert shares.min() >= 0
        assert shares.max() <= 1


def test_a_band_is_not_moved_by_a_few_odd_hours():
    end = MONDAY + 21 * DAY
    rates = chatty(21)
    odd = rates.copy()
    odd[288 * 3 : 288 * 3 + 40] = 90_000
    found = [
        band(Hours.of(beats(one, MONDAY, end), heard(MONDAY, end), MONDAY, end), end + 3 * HOUR)
        for one in (rates, odd)
    ]
    assert found[1].middle == pytest.approx(found[0].middle, rel=0.1)


BEATS = st.lists(
    st.tuples(
        st.integers(0, 40 * 288), st.sampled_from([STEP, HOUR]), st.integers(0, 10**9), st.integers(0, 10**6),
        st.integers(0, 12),
    ),
    max_size=60,
)  # fmt: skip


OVERLAPPING = [
    (0, STEP),
    (0, HOUR),
    (1, STEP),
    (2, STEP),
    (3, STEP),
    (4, STEP),
    (5, STEP),
    (12, STEP),
    (12, HOUR),
]


def made(rows):
    found = {}
    for place, step, events, rejects, active in rows:
        at = MONDAY + place * STEP
        at -= at % step
        found[at, step] = Beat(at, step, events, rejects, min(active, step // STEP) if events else 0, at)
    return tuple(found[key] for key in sorted(found))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BEATS, BEATS, st.integers(0, 41 * DAY), st.sets(st.sampled_from(TROUBLES)))
@example([(12, STEP, 1, 0, 1)], [(*one, 0, 0, 0) for one in OVERLAPPING], 0, set())
def test_any_history_is_judged_and_its_numbers_hold_together(rows, listened, ago, troubled):
    now = MONDAY + ago
    listening = tuple(dataclasses.replace(one, active=max(1, one.active)) for one in made(listened))
    found = judge(History("s", "", MONDAY, made(rows)), listening, now, frozenset(troubled))
    assert found.state in {LIVING, *TROUBLES}
    assert len(found.spark) == 24
    assert 0 <= found.rejected <= 1
    if found.band is not None:
        assert 0 <= found.band.low <= found.band.calm <= found.band.high
    if found.silence is not None:
        assert found.silence.pause >= 0
        assert found.silence.alarm >= 0
    assert all(one.why for one in found.troubles)
