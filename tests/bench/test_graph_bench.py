"""`lemnis bench graph` on a small graph: what it measures is right, whatever the machine is doing."""

from lemnis.app import bench


def test_all_lanes_find_what_is_there(monkeypatch):
    module = bench.load("graph")
    small = {
        "WORKLOADS": 300, "IMAGES": 60, "PACKAGES": 600, "COMMITS": 100, "LINES": 100, "IN_AN_IMAGE": 5,
        "TRACES": 5, "PATHS": 2,
    }  # fmt: skip
    for name, value in small.items():
        monkeypatch.setattr(module, name, value)
    figures = {figure.name: figure for figure in module.run()}
    assert figures["edges loaded"].target == 50_000
    assert figures["edges"].value > 5_000
    assert figures["traces that come to the owner in 7 hops"].value == 1
    assert figures["workloads that are exposed to it"].value == 300
    assert figures["what the two find is the same"].value == 1
    assert [one.name for one in module.run(["trace"])] == [
        "a trace, at the median", "a trace, 99 of 100", "traces that come to the owner in 7 hops"
    ]  # fmt: skip
