"""Every write action against a vendor that is slow, refuses, fails, talks rubbish or breaks off in the middle.

It is tried again within limits and then told to a person with what is known; nothing is marked done that is not.
"""

import pytest
from acting import ACTIONS, WRITES, stage

from lemnis.contracts import kinds
from lemnis.respond.answers import PRESENT
from lemnis.respond.probing import LONGEST_PAUSE
from lemnis.testing.server import Fault, Reply

KINDS = ("429", "500", "503", "rubbish", "half", "closed")


def told(one, outcome):
    """Assert that a failure is written down as one, and says what is known."""
    (result,) = [entry for entry in one.journal.kept.values() if entry.kind == kinds.RESULT]
    assert (result.payload["outcome"], result.payload["error"]) == ("failed", outcome.error)
    assert outcome.error
    assert outcome.error in result.reason
    assert kinds.CONTAINED not in one.journal.kinds()
    return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRITES)
def test_a_vendor_that_never_does_it(name, kind):
    """Whatever is asked goes wrong, for ever: nothing is done, and nothing is said to be."""
    with stage(name, timeout_s=2) as one:
        one.simulator.hostile = lambda _: Fault(kind)
        outcome = one.do()
        assert outcome.name == "failed"
        assert told(one, outcome)
        assert one.world.changes() == []
        asked = len(one.simulator.log)
        assert asked <= 4 * (one.action.attempts + 1)
        assert sum(one.slept) < 60
        assert one.do().name == "failed"
        assert len(one.simulator.log) == asked


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_never_works(name, kind):
    """The target can be read, but what is asked of it goes wrong each time."""
    with stage(name) as one:
        one.simulator.hostile = lambda asked: Fault(kind) if one.is_do(asked) else None
        outcome = one.do()
        assert outcome.name == "failed", outcome
        assert told(one, outcome)
        assert one.world.changes() == []
        tries = sum(one.is_do(line.request) for line in one.simulator.log)
        once = kind != "429" and one.action.effect == "irreversible" and not one.action.repeatable
        assert tries == (1 if once else one.action.attempts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_works_and_says_otherwise(name, kind):
    """It is done, and the answer suffers: it is adopted, or told to a person; never done twice where that counts."""
    with stage(name) as one:
        first = iter([Fault(kind, done=True)])
        one.simulator.hostile = lambda asked: next(first, None) if one.is_do(asked) else None
        outcome = one.do()
        if not one.action.blind:
            assert (outcome.name, outcome.ours) == ("done", True), outcome
            assert len(one.world.changes()) == 1
            assert one.state().name == PRESENT
        elif one.action.repeatable or kind == "429":
            assert outcome.name == "done"
        else:
            assert (outcome.name, len(one.world.changes())) == ("failed", 1)
            assert one.action.blind in outcome.error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in WRITES if ACTIONS[name].effect == "reversible"])
def test_what_passes_is_sat_out(name, kind):
    """Two requests of every kind go wrong and then all is well: it is done, once."""
    with stage(name, attempts=4) as one:
        left = {True: 2, False: 2}

        def hostile(asked):
            doing = one.is_do(asked)
            left[doing] -= 1
            return Fault(kind) if left[doing] >= 0 else None

        one.simulator.hostile = hostile
        outcome = one.do()
        assert (outcome.name, outcome.ours, len(one.world.changes())) == ("done", True, 1), outcome


@pytest.mark.parametrize("name", WRITES)
def test_a_vendor_that_is_slow(name):
    """It does what it is asked and answers too late; on a busy machine what is read then may be late as well."""
    for patience in (0.05, 0.5, 5.0):
        with stage(name, timeout_s=patience, attempts=2) as one:
            one.simulator.slow_s = 2 * patience
            one.simulator.hostile = lambda asked: Fault("slow", done=True) if one.is_do(asked) else None
            outcome = one.do()
            if one.action.blind:
                assert outcome.name == "failed"
                assert told(one, outcome)
                return
            assert len(one.world.changes()) == 1
            if outcome.name == "done":
                break
    assert (outcome.name, outcome.ours, outcome.reconciled) == ("done", True, True), outcome


def test_how_long_a_vendor_asks_to_wait_is_heeded_up_to_a_limit():
    for wait, waits in (("7", True), ("86400", False)):
        with stage("okta.suspend_user") as one:
            answer_later(one, wait)
            outcome = one.do()
            assert outcome.name == ("done" if waits else "failed")
            assert (7.0 in one.slept) == waits
            assert waits or (
                f"asks to wait {wait} s" in outcome.error and max(one.slept, default=0) <= LONGEST_PAUSE
            )


def answer_later(one, wait):
    """Answer the first request for the effect with a 429 that asks to wait so many seconds."""
    real, said = one.simulator.answer, iter([Reply(429, b"slow down", "text/plain", {"Retry-After": wait})])
    one.simulator.answer = lambda asked: (next(said, None) if one.is_do(asked) else None) or real(asked)
