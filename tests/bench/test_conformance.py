"""The published conformance scores: they hold on a sample of every suite, and the page says what was measured."""

import sys

import orjson
import pytest

from lemnis.app import bench


@pytest.fixture(scope="module")
def conformance():
    return bench.load("conformance")


@pytest.fixture(scope="module")
def published(conformance):
    return orjson.loads(conformance.SCORES.read_bytes())


def test_no_score_falls_under_what_is_published(conformance, published, tmp_path, capsys):
    data = sys.modules["bench._data"]
    if not (data.folder() / "cloud" / "panther-rule-tests").is_dir():
        pytest.skip("the shared data sets are not beside this checkout")
    before = {one["suite"]: one for one in published["sample"]}
    for now in conformance.sampled(tmp_path):
        was = before[now["suite"]]
        with capsys.disabled():
            print(f" {now['suite']}: {now['equal']} of {now['values']} values equal")  # noqa: T201 - the score is the point
        assert now["records"] == was["records"]
        assert now["recognised"] >= was["recognised"], now
        assert now["mapped"] >= was["mapped"], now
        better = now["values"] - now["equal"] <= was["values"] - was["equal"]
        assert better or now["equal"] * was["values"] >= was["equal"] * now["values"], now


def test_the_page_says_what_was_measured(conformance, published):
    assert conformance.PAGE.read_text(encoding="utf-8") == conformance.page(published)
    assert {one["suite"] for one in published["suites"]} == set(conformance.SUITES)


def test_every_difference_is_counted(published):
    for one in published["suites"]:
        if one["suite"] != "zeek":  # of records that one side alone has no values are compared
            assert sum(one["differences"].values()) == one["values"] - one["equal"], one["suite"]
        assert one["records"] >= one["mapped"] >= 0


def test_values_are_compared_where_they_belong(conformance):
    score = sys.modules["bench._conform"].Score("one")
    score.value("a", "x", ["x"])
    score.value("a", "-", [])
    score.value("a", "x", [])
    score.value("b", "x", ["y", "-"])
    assert (score.values, score.equal) == (4, 2)
    assert dict(score.differences) == {"a: absent": 1, "b: other": 1}
