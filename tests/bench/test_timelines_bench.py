"""`bench/_timelines.py`: it measures what it says, at a small size."""

from lemnis.app import bench


def test_a_timeline_of_the_asked_size_is_paged_and_incidents_are_listed():
    measured = {one.name: one for one in bench.load("_timelines").measure(entries=300, listed=20)}
    assert measured["timeline: entries"].value >= 300
    assert measured["timeline: entries"].met
    assert measured["list: incidents"].value == 20
    for name in (
        "timeline: a page, median",
        "timeline: a page, slowest",
        "list: one found by the beginning of its id",
    ):
        assert measured[name].value > 0
        assert measured[name].target == 100.0
