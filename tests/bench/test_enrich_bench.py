"""`lemnis bench enrich` compares what finds the same records, and says so."""

from lemnis.app import bench


def test_all_ways_of_joining_find_the_same(monkeypatch):
    module = bench.load("enrich")
    for name, value in {"RECORDS_EACH": 4000, "EVENTS": 6000, "LOOPED": 2000, "HOSTS": 500}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "million", list)
    figures = {figure.name: figure for figure in module.run()}
    assert figures["records that the three find are the same"].value == 1
    assert figures["enrichments of an event"].value > 5
    assert figures["events enriched with five tables"].target == 300_000
    assert figures["events enriched with five tables"].value > 0
