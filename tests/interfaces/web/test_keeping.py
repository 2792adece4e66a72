"""What is dear is worked out beside the pages; what goes wrong is told, and tried again."""

import time

import pytest

from lemnis.contracts.errors import NotFoundError, ServiceError
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
