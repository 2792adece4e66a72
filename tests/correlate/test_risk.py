"""What a group of alerts amounts to."""

from hypothesis import given
from hypothesis import strategies as st

from lemnis.content import yaml
from lemnis.content.library import builtin_root
from lemnis.content.schemas.grouping import Grouping
from lemnis.correlate.risk import Points

RISK = yaml.load(builtin_root() / "correlations/default/grouping.yaml", Grouping).risk
TAGS = st.sampled_from([(), ("attack.execution",), ("attack.impact", "attack.discovery", "attack.t1059")])
PUT = st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.integers(0, 5), TAGS)


def points(put):
    found = Points()
    for rule, severity, time, tags in put:
        found.put(rule, severity, time, tags)
    return found


@given(st.lists(PUT))
def test_the_total_alone_is_that_of_the_assessment(put):
    assert points(put).total(RISK) == points(put).assess(RISK).total


@given(st.lists(PUT, min_size=1), st.randoms())
def test_the_order_does_not_matter(put, chance):
    assessed = points(put).assess(RISK)
    chance.shuffle(put)
    assert points(put).assess(RISK) == assessed
    half = points(put[: len(put) // 2])
    half.merge(points(put[len(put) // 2 :]))
    assert half.assess(RISK) == assessed
