"""Histories of made sources: what they would have left on record if they had spoken like that."""

from __future__ import annotations

import numpy as np

from lemnis.contracts.watching import ALL, DAY, HOUR, STEP, Beat, History

MONDAY = 1_767_571_200_000  # 2026-01-05, 00:00


def beats(rates, start, now, fine=2 * DAY):
    """Return beats of events by steps of five minutes from ``start`` on, what is not recent by the hour."""
    rates = np.asarray(rates)[: max(0, (now - start) // STEP + 1)]
    at = start + np.arange(len(rates)) * STEP
    step = np.where(at >= now - now % DAY - fine, STEP, HOUR)
    keys, places, counts = np.unique((at - at % step)[rates > 0], return_inverse=True, return_counts=True)
    events = np.bincount(places, weights=rates[rates > 0], minlength=len(keys)).astype(int)
    edge = now - now % DAY - fine
    return tuple(
        Beat(key, STEP if key >= edge else HOUR, n, 0, active, key)
        for key, n, active in zip(keys.tolist(), events.tolist(), counts.tolist(), strict=True)
    )


def heard(start, now, down=()):
    """Return the beats of Lemnis itself, but for the spans in which it was down."""
    at = np.arange(start, now + 1, STEP)
    up = np.ones(len(at), dtype=int)
    for low, high in down:
        up[(at >= low) & (at < high)] = 0
    return tuple(Beat(b.at, b.step, 0, 0, b.active, 0) for b in beats(up, start, now))


def history(rates, start, now, **more):
    return History("src", ALL, start, beats(rates, start, now), **more)


def steps(days):
    return np.arange(days * 288)


def chatty(days, seed=1):
    """A busy source: more by day than by night."""
    hour = steps(days) // 12 % 24
    return np.random.default_rng(seed).poisson(np.where((hour > 7) & (hour < 19), 400, 60))


def office(days, seed=2):
    """A source that speaks at work only: not at night, not at the weekend."""
    hour, day = steps(days) // 12 % 24, steps(days) // 288 % 7
    return np.random.default_rng(seed).poisson(np.where((hour >= 8) & (hour < 18) & (day < 5), 20, 0))


def cron(days):
    """A source that speaks once an hour."""
    return np.where(steps(days) % 12 == 0, 3, 0)


def nightly(days):
    """A source that speaks once a day, at two in the morning."""
    return np.where(steps(days) % 288 == 24, 40, 0)


def sparse(days, seed=3):
    """A source that speaks now and then, by chance."""
    return np.random.default_rng(seed).poisson(np.full(len(steps(days)), 0.4))
