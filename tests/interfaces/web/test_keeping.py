"""What is dear is worked out beside the pages; what goes wrong is told, and tried again."""

import time
from types import SimpleNamespace

import pytest

from lemnis.app import coverage_now
from lemnis.contracts.errors import NotFoundError, ServiceError
from lemnis.interfaces.web.detections import Passing
from lemnis.interfaces.web.keeping import Later


def settled(later):
    until = time.monotonic() + 10
    while later.get() is None and time.monotonic() < until:
        time.sleep(0.01)
    return later.get()


def test_a_value_comes_when_it_is_there():
    assert settled(Later(lambda: 7, 60)) == 7


@pytest.mark.parametrize("wrong", [NotFoundError("nothing there"), OSError("the disk is gone")])
def test_what_goes_wrong_is_told_and_tried_again(wrong):
    now, outcomes = [0.0], [wrong, None]

    def make():
        if (found := outcomes.pop(0)) is not None:
            raise found
        return "there"

    later = Later(make, 60, clock=lambda: now[0])
    with pytest.raises((NotFoundError, ServiceError), match=str(wrong)):
        settled(later)
    now[0] = 61.0
    with pytest.raises((NotFoundError, ServiceError)):
        later.get()  # it is worked on anew meanwhile
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            assert later.get() in {None, "there"}
            break
        except (NotFoundError, ServiceError):
            time.sleep(0.01)
    assert settled(later) == "there"


def test_tests_of_rules_that_could_not_be_run_are_begun_anew(monkeypatch):
    outcomes = [OSError("the folder is gone"), frozenset({"one"})]

    def passing(_):
        found = outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(coverage_now, "passing", passing)
    state, until = Passing(), time.monotonic() + 10
    library = SimpleNamespace(digest="sha256:1")
    while not state.look(library) and time.monotonic() < until:
        time.sleep(0.01)
    assert (state.ready, state.names, outcomes) == (True, {"one"}, [])
