from lemnis.lessons.samples import MOST, Record, attack_sample, benign_sample


def web(number, query, *, client="a", at=None, source="web"):
    fields = {"cs-uri-stem": "/x", "cs-uri-query": query}
    return Record(f"ev-{number}", number if at is None else at, source, client, fields, f"raw {number}")


def test_each_way_of_hitting_once_and_what_it_needs():
    parent = Record("ev-p", 1, "audit", "", {"Image": "/sh"}, "raw p")
    child = Record("ev-c", 3, "audit", "", {"Image": "/id"}, "raw c", needs=("ev-p", "ev-gone"))
    again = Record("ev-d", 5, "audit", "", {"Image": "/id"}, "raw d", needs=("ev-p",))
    sample = attack_sample([again, child, parent], {"ev-c", "ev-d", "ev-unknown"})
    assert sample.source == "audit"
    assert sample.records == ("raw p", "raw c")


def test_no_sample_of_nothing():
    assert attack_sample([web(1, "a")], set()) is None
    assert benign_sample([web(1, "a")], {"ev-1"}, {"ev-1"}) is None


def test_ordinary_records_that_come_near_are_taken_and_none_of_the_attack():
    near = [web(number, f"q={number:03}") for number in range(2, 100)]
    rich = web(200, "q=a,b-c_d.e!f~g*h", at=200)
    far = Record("ev-far", 0, "other", "", {"cs-uri-stem": "/x"}, "raw far")
    theirs = web(300, "q=of the attack")
    sample = benign_sample([web(1, "q=;"), *near, rich, far, theirs], {"ev-1", "ev-300"}, {"ev-1"})
    assert len(sample.records) == MOST
    assert "raw 200" in sample.records
    assert not {"raw 1", "raw 300", "raw far"} & set(sample.records)
    assert list(sample.records) == sorted(sample.records, key=lambda raw: int(raw.split()[1]))


def test_an_ordinary_record_does_not_bring_the_attack_along():
    first = Record("ev-a", 1, "audit", "", {"Image": "/sh"}, "raw a")
    child = Record("ev-b", 3, "audit", "", {"Image": "/ls"}, "raw b", needs=("ev-a",))
    alone = Record("ev-c", 5, "audit", "", {"Image": "/ls"}, "raw c")
    assert benign_sample([first, child, alone], {"ev-a"}, {"ev-a"}).records == ("raw c",)
    assert benign_sample([first, child], {"ev-a"}, {"ev-a"}) is None
