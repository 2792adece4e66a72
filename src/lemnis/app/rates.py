"""How often something happens a week, and between what limits that is believed. Pure.

Counts in a span of time are taken as Poisson's, and the limits are the exact ones: quantiles of Gamma
distributions (F. Garwood, Fiducial limits for the Poisson distribution, Biometrika 28, 1936). Alerts come in
bursts, which makes such limits too narrow; so, where a week or more was seen, the variance of the days'
counts over their mean (at least 1; P. McCullagh and J. Nelder, Generalized Linear Models, 1989, 6.2) scales
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

DAY = 86_400_000
_ENOUGH_DAYS = 7
_LARGE = 10_000
_ROUNDS = 200
_TINY, _CLOSE = 1e-300, 1e-15


@dataclass(frozen=True, slots=True)
class Weekly:
    """A rate a week with its limits (95 %), over how many days it was seen, and how bursty the days are."""

    rate: float
    low: float
    high: float
    days: float
    dispersion: float = 1.0


def weekly(by_day: Mapping[int, int], first: int, last: int, *, confidence: float = 0.95) -> Weekly:
    """Return the weekly rate of what happened between two instants (ms); ``by_day`` counts by UTC day.

    Less than a day counts as a whole one: an hour's burst is not 168 of them in a week.
    """
    count = sum(by_day.values())
    days = max(1.0, (last - first) / DAY)
    spread = dispersion(by_day, first // DAY, last // DAY)
    low, high = limits(count / spread, confidence)
    scale = 7 / days
    return Weekly(count * scale, low * spread * scale, high * spread * scale, days, spread)


def dispersion(by_day: Mapping[int, int], first: int, last: int) -> float:
    """Return variance over mean of the counts of days ``first`` to ``last``, at least 1; 1 for few days."""
    days = last - first + 1
    if days < _ENOUGH_DAYS or not by_day:
        return 1.0
    mean = sum(by_day.values()) / days
    squares = sum((count - mean) ** 2 for count in by_day.values()) + (days - len(by_day)) * mean**2
    return max(1.0, squares / (days - 1) / mean)


def limits(count: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact limits of a Poisson mean of which ``count`` was seen."""
    tail = (1 - confidence) / 2
    return (gamma_quantile(tail, count) if count > 0 else 0.0), gamma_quantile(1 - tail, count + 1)


def gamma_quantile(probability: float, shape: float) -> float:
    """Return the value below which a Gamma variable (scale 1) is with some probability.

    By halving; for large shapes by Wilson's and Hilferty's cube, which is then good to a part in 10,000.
    """
    if shape > _LARGE:
        normal = math.sqrt(2) * _erf_inverse(2 * probability - 1)
        return float(shape * (1 - 1 / (9 * shape) + normal / (3 * math.sqrt(shape))) ** 3)
    low, high = 0.0, shape + 20 * math.sqrt(shape) + 50
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if gamma_below(shape, middle) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def gamma_below(shape: float, value: float) -> float:
    """Return the probability that a Gamma variable (scale 1) is below a value: P(shape, value)."""
    if value <= 0:
        return 0.0
    front = math.exp(shape * math.log(value) - value - math.lgamma(shape))
    if value < shape + 1:  # the series converges fast here, the continued fraction beyond
        term = total = 1 / shape
        step = shape
        while abs(term) > abs(total) * _CLOSE:
            step += 1
            term *= value / step
            total += term
        return total * front
    b = value + 1 - shape
    c, d = 1 / _TINY, 1 / b
    fraction = d
    step = 1
    while True:
        a = -step * (step - shape)
        b += 2
        d = 1 / (a * d + b or _TINY)
        c = b + a / c or _TINY
        fraction *= d * c
        if abs(d * c - 1) < _CLOSE or step > _LARGE:
            return 1 - front * fraction
        step += 1


def _erf_inverse(value: float) -> float:
    """Return what erf makes ``value`` of, by Newton's steps."""
    guess = 0.0
    for _ in range(60):
        guess -= (math.erf(guess) - value) * math.sqrt(math.pi) / 2 * math.exp(guess * guess)
    return guess
