import pytest

from lemnis import app
from lemnis.contracts.clock import OffsetClock, SystemClock
from lemnis.contracts.errors import UsageError


def test_the_clock_is_the_machines_unless_moved(monkeypatch):
    monkeypatch.delenv("LEMNIS_CLOCK_OFFSET", raising=False)
    assert isinstance(app.default_clock(), SystemClock)


def test_a_moved_clock_runs_on_from_elsewhere(monkeypatch):
    monkeypatch.setenv("LEMNIS_CLOCK_OFFSET", "-3600000")
    clock = app.default_clock()
    assert isinstance(clock, OffsetClock)
    assert 3_599_000 < SystemClock().now() - clock.now() <= 3_600_001


def test_a_clock_offset_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("LEMNIS_CLOCK_OFFSET", "yesterday")
    with pytest.raises(UsageError, match="LEMNIS_CLOCK_OFFSET"):
        app.default_clock()
