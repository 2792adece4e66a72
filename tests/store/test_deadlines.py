"""Deadlines: what is due is done, in order and once; what has ended is never called."""

import os
import threading
import time

import pytest

from lemnis.store import deadlines


def test_what_takes_too_long_is_told_and_the_rest_is_not():
    called, told = [], threading.Event()

    def late():
        called.append("late")
        told.set()

    with deadlines.before(60, lambda: called.append("far")):
        with deadlines.before(30, lambda: called.append("ended")):
            pass
        with deadlines.before(0.02, late):
            assert told.wait(30), "a nearer deadline is not kept waiting by one that is far"
    with deadlines.before(0.05, lambda: called.append("after")):
        pass
    time.sleep(0.2)
    assert called == ["late"]


def test_once_a_block_has_ended_what_was_due_is_not_on_its_way():
    """What is interrupted is given to the next who asks: an interrupt that comes later would end theirs."""
    inside, late = threading.Event(), list[bool]()
    for _ in range(200):
        inside.set()
        with deadlines.before(0.001, lambda: late.append(inside.is_set())):
            time.sleep(0.001)
        inside.clear()
        time.sleep(0.0005)
    assert all(late)
    assert late, "some were in time"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are forked")
def test_a_process_that_was_forked_watches_for_itself():
    with deadlines.before(60, lambda: None):
        child = os.fork()
        if child == 0:
            told = threading.Event()
            with deadlines.before(0.02, told.set):
                os._exit(0 if told.wait(30) else 1)
        assert os.waitpid(child, 0)[1] == 0
