"""After a deploy, what changed with it is learnt anew; what was wrong before, or goes on, stays as it is."""

import pytest
from spoken import MONDAY, chatty, heard, history

from lemnis.contracts.watching import DAY, HOUR, STEP, FieldSeen
from lemnis.ingest.health import (
    DRIFTING,
    LIVING,
    QUIET,
    SILENT,
    history_since,
    judge,
    judge_after,
)

AT = MONDAY + 11 * DAY + 10 * HOUR
"""A busy hour."""


def told(rates, now, deployed, troubled=frozenset(), **more):
    return judge_after(
        history(rates, MONDAY, now, **more), heard(MONDAY, now), now, troubled, deployed=deployed
    )


def stopped(at, days=20):
    rates = chatty(days)
    rates[(at - MONDAY) // STEP :] = 0
    return rates


def test_silence_that_begins_with_a_deploy_is_none():
    rates, now = stopped(AT), AT + 3 * HOUR
    assert judge(history(rates, MONDAY, now), heard(MONDAY, now), now).state == SILENT
    for deployed in (AT - 2 * STEP, AT, AT + STEP):
        found = told(rates, now, deployed, frozenset({SILENT}))
        assert (found.state, found.fresh, found.learning) == (LIVING, deployed, True)
        assert found.events == sum(rates)
        assert found.last is not None


def test_what_was_silent_before_the_deploy_stays_so():
    rates, now = stopped(AT), AT + 5 * HOUR
    found = told(rates, now, AT + 3 * HOUR)
    assert (found.state, found.fresh) == (SILENT, 0)


def test_what_was_taught_since_the_deploy_tells_silence_again():
    rates, now = stopped(AT), AT + 3 * HOUR
    found = told(rates, now, AT - 5 * DAY)
    assert (found.state, found.fresh) == (SILENT, AT - 5 * DAY)
    assert found.silence.pauses < judge(history(rates, MONDAY, now), heard(MONDAY, now), now).silence.pauses


def test_a_deploy_that_changes_nothing_forgets_nothing():
    found = told(chatty(20), AT, AT - HOUR)
    assert (found.state, found.fresh, found.learning) == (LIVING, 0, False)
    assert found.band is not None


@pytest.mark.parametrize(("troubled", "state"), [(frozenset(), LIVING), (frozenset({QUIET}), QUIET)])
def test_a_rate_that_falls_with_the_deploy_is_usual_from_then_on(troubled, state):
    rates = chatty(20)
    rates[(AT - MONDAY) // STEP :] //= 20
    found = told(rates, AT + 2 * HOUR, AT, troubled)
    assert found.state == state


def seen(name, low, high):
    return [FieldSeen(name, "text", at, HOUR, 50) for at in range(low, high, HOUR)]


def test_fields_that_go_with_the_deploy_are_no_drift():
    now = AT + 4 * HOUR
    fields = {
        "fields": (*seen("old", MONDAY, AT), *seen("all", MONDAY, now)),
        "sampled": dict.fromkeys(range(MONDAY, now, HOUR), 50),
    }
    assert judge(history(chatty(20), MONDAY, now, **fields), heard(MONDAY, now), now).state == DRIFTING
    found = told(chatty(20), now, AT, **fields)
    assert (found.state, found.drift.learnt) == (LIVING, False)
    assert told(chatty(20), now, AT + 3 * HOUR, **fields).state == DRIFTING


def test_of_a_history_only_what_is_whole_after_the_instant_is_left():
    whole = history(chatty(3), MONDAY, MONDAY + 3 * DAY, sampled={MONDAY: 1, MONDAY + DAY: 2})
    left = history_since(whole, MONDAY + DAY - STEP // 2)
    assert left.first == MONDAY + DAY - STEP // 2
    assert min(beat.at for beat in left.beats) == MONDAY + DAY
    assert left.sampled == {MONDAY + DAY: 2}
