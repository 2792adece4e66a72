"""Limits of rates, against Garwood's table and against what they promise."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lemnis.app.rates import DAY, dispersion, gamma_below, gamma_quantile, limits, weekly


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 0, 3.689), (1, 0.0253, 5.572), (2, 0.242, 7.225), (5, 1.623, 11.668), (10, 4.795, 18.390),
     (20, 12.217, 30.888), (30, 20.241, 42.827), (50, 37.111, 65.919), (100, 81.364, 121.627)],
)  # fmt: skip
def test_the_exact_limits_are_the_published_ones(count, low, high):
    assert limits(count) == pytest.approx((low, high), abs=6e-4)


@given(st.integers(1, 400), st.floats(0.01, 800))
def test_the_gamma_distribution_is_poissons_tail(shape, value):
    terms = (math.exp(k * math.log(value) - value - math.lgamma(k + 1)) for k in range(shape))
    assert gamma_below(shape, value) == pytest.approx(1 - math.fsum(terms), abs=1e-9)


@given(st.floats(0.001, 0.999), st.floats(0.5, 9_999))
def test_a_quantile_undoes_the_distribution(probability, shape):
    assert gamma_below(shape, gamma_quantile(probability, shape)) == pytest.approx(probability, abs=1e-9)


@pytest.mark.parametrize("probability", [0.025, 0.5, 0.975])
def test_large_shapes_go_on_where_small_ones_end(probability):
    below, above = gamma_quantile(probability, 9_999.9), gamma_quantile(probability, 10_000.1)
    assert above == pytest.approx(below, rel=1e-4)


def test_the_limits_hold_the_true_rate_as_often_as_they_say():
    chance = random.Random(1)  # noqa: S311 - drawn alike each time
    hits = 0
    for _ in range(1000):
        by_day = {}
        for day in range(14):
            waited, count = chance.expovariate(3), 0
            while waited < 1:
                waited, count = waited + chance.expovariate(3), count + 1
            if count:
                by_day[day] = count
        found = weekly(by_day, 0, 14 * DAY - 1)
        hits += found.low <= 21 <= found.high
    assert 940 <= hits <= 1000


def test_bursts_widen_the_limits():
    steady = weekly(dict.fromkeys(range(14), 10), 0, 14 * DAY - 1)
    bursty = weekly({3: 140}, 0, 14 * DAY - 1)
    assert steady.rate == pytest.approx(bursty.rate, rel=1e-6)
    assert steady.dispersion == 1
    assert bursty.dispersion == pytest.approx(140)
    assert bursty.high - bursty.low > 5 * (steady.high - steady.low)
    assert dispersion({3: 140}, 0, 5) == 1


def test_an_hour_is_not_made_a_week_of_hours():
    assert weekly({0: 5}, 0, 3_600_000).rate == pytest.approx(35)
    nothing = weekly({}, 0, 7 * DAY)
    assert (nothing.rate, nothing.low, nothing.high) == (0, 0, pytest.approx(3.689, abs=1e-3))
