"""What a source usually does, learnt from its history by the hour of the week. Pure.

Only time in which Lemnis itself listened counts, so that its own downtime teaches nothing and proves nothing.
With less than two weeks of history the hour of the day is what repeats, with less than two days nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lemnis.contracts.watching import DAY, HOUR, STEP, Beat

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
WEEK, A_DAY, ANY = "hour of the week", "hour of the day", "any hour"
_STEPS = HOUR // STEP
_HOURS = {WEEK: 168, A_DAY: 24, ANY: 1}
_WHOLE = 0.75
"""An hour counts if Lemnis listened for this part of what is usual: with one run an hour that is one step."""
_PRIOR = 0.25
_SPREAD, _MAD = 4.0, 1.4826
_CALM = 2.5
_LEAST_SPREAD, _SEEN = 0.25, 0.1
_ENOUGH = {WEEK: 3, A_DAY: 3, ANY: 24}


@dataclass(frozen=True, slots=True)
class Hours:
    """A source by whole hours since ``start`` (ms): events, and how much of each spoke and was heard.

    ``active`` and ``heard`` are in steps of five minutes (0 to 12); in those heard, Lemnis listened.
    """

    start: int
    events: Ints
    active: Ints
    heard: Ints

    @classmethod
    def of(cls, beats: Sequence[Beat], listening: Sequence[Beat], start: int, end: int) -> Hours:
        """Lay beats out by hours, from the hour of ``start`` up to that of ``end``, that one left out."""
        first = start - start % HOUR
        count = max(0, (end - end % HOUR - first) // HOUR)
        made = cls(first, *(np.zeros(count, dtype=np.int64) for _ in range(3)))
        for some, events in ((beats, made.events), (beats, made.active), (listening, made.heard)):
            pairs = [(one.at, one.events if events is made.events else one.active) for one in some]
            at, values = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
            places = (at - first) // HOUR
            inside = (places >= 0) & (places < count)
            np.add.at(events, places[inside], values[inside])
        np.maximum(made.heard, made.active, out=made.heard)
        return made

    def __len__(self) -> int:
        """Return the number of hours."""
        return len(self.events)

    @property
    def season(self) -> str:
        """Return what repeats, as far as there is history to tell."""
        days = len(self) * HOUR / DAY
        return WEEK if days >= 14 else A_DAY if days >= 2 else ANY  # noqa: PLR2004 - two weeks, two days

    @property
    def usually_heard(self) -> float:
        """Return in how many steps of an hour Lemnis listens as a rule, of the hours in which it does."""
        some = self.heard[self.heard > 0]
        return float(np.median(some)) if len(some) else float(_STEPS)

    def classes(self, season: str) -> Ints:
        """Return which hour of the season each hour is."""
        places: Ints = (self.start // HOUR + np.arange(len(self))) % _HOURS[season]
        return places


@dataclass(frozen=True, slots=True)
class Activity:
    """In which part of all steps of five minutes a source speaks, by the hour of its season."""

    season: str
    shares: Floats

    @classmethod
    def learn(cls, hours: Hours) -> Activity:
        """Learn it; hours without history lean on the mean of all."""
        season = hours.season
        count, places = _HOURS[season], hours.classes(season)
        active = np.bincount(places, weights=hours.active, minlength=count)
        heard = np.bincount(places, weights=hours.heard, minlength=count)
        mean = active.sum() / max(1.0, heard.sum())
        return cls(season, (active + _PRIOR * mean) / (heard + _PRIOR))

    def share(self, at: int) -> float:
        """Return the share at an instant (ms)."""
        return float(self.shares[at // HOUR % len(self.shares)])

    def until(self, since: int, steps: float, *, limit: int) -> int:
        """Return when (ms) so many active steps were due since an instant, at most ``limit`` later."""
        at, due = since, 0.0
        while at < since + limit:
            end = min(at - at % HOUR + HOUR, since + limit)
            gain = self.share(at) * (end - at) / STEP
            if gain > 0 and due + gain >= steps:
                return at + round((steps - due) / gain * (end - at))
            due, at = due + gain, end
        return since + limit


@dataclass(frozen=True, slots=True)
class Band:
    """Events an hour that are usual at some hour: the middle, and beyond which they are not.

    ``calm`` is from where on a rate that was too low is well again, ``eased`` from where on one that was too
    high is; ``samples`` are the hours learnt from.
    """

    low: float
    calm: float
    middle: float
    high: float
    eased: float
    samples: int
    season: str


def band(hours: Hours, at: int) -> Band | None:
    """Return what is usual at an instant; None where there is too little history to say.

    Median and median deviation of the logarithm: a few odd hours among those learnt from move neither.
    """
    heard = hours.heard >= hours.usually_heard * _WHOLE
    for season in (WEEK, A_DAY, ANY):
        if season == WEEK and hours.season != WEEK:
            continue
        places = hours.classes(season)
        chosen = heard & (places == at // HOUR % _HOURS[season])
        if chosen.sum() >= _ENOUGH[season]:
            return _band(hours.events[chosen].astype(np.float64), season)
    return None


def _band(rates: Floats, season: str) -> Band:
    logs = np.log1p(rates)
    middle = float(np.median(logs))
    deviation = _MAD * float(np.median(np.abs(logs - middle)))
    chance = 1 / np.sqrt(max(1.0, float(np.expm1(middle))))  # what a count varies by on its own
    spread = max(deviation, _LEAST_SPREAD, float(chance))
    bounds = (-_SPREAD, -_CALM, 0.0, _SPREAD, _CALM)
    low, calm, middle, high, eased = (max(0.0, float(np.expm1(middle + one * spread))) for one in bounds)
    # what is seen now and then, such as a weekend or a monthly job, is neither too low nor too high
    seen, most = float(np.quantile(rates, _SEEN)), float(np.quantile(rates, 1 - _SEEN, method="lower"))
    low, calm, high, eased = min(low, seen), min(calm, seen), max(high, most), max(eased, most)
    return Band(low, calm, middle, high, eased, len(rates), season)
