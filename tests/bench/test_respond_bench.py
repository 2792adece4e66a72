"""`lemnis bench respond`: its parts hold on a small scale, and its campaign of kills finds what it looks for."""

from types import SimpleNamespace

import pytest

from lemnis.app import bench
from lemnis.contracts.errors import UsageError


def test_a_few_kills_lose_and_double_nothing(tmp_path):
    found = bench.load("_kills").campaign(tmp_path / "ws", playbooks=("branches",), every=13)
    assert found.kills >= 3
    assert (found.lost, found.doubled, found.wrong) == ([], [], [])


def test_the_campaign_sees_an_effect_that_came_twice_or_not_at_all():
    kills = bench.load("_kills")
    found, vendor = kills.Killed(), SimpleNamespace(changes=["on plain-1", "on plain-1", "on plain-1-x"])
    kills._check(vendor, "plain", "plain-1", found)
    assert (found.doubled, found.lost) == (["on plain-1"], ["on plain-1-b"])


def test_steps_are_measured():
    median, cpu = bench.load("respond").run(lanes=("steps",))
    assert (median.unit, median.target, cpu.target) == ("ms", 10.0, None)
    assert median.value > 0


def test_a_lane_that_there_is_not():
    with pytest.raises(UsageError, match="no lane nope"):
        bench.load("respond").run(lanes=("nope",))
