"""How often somebody may ask: a bucket each that refills. In memory: a console is one process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many a second in the long run."""

    burst: float
    per_s: float


class Buckets:
    """One bucket a name; those that were not asked for long are full and forgotten."""

    def __init__(self, rate: Rate, now: Callable[[], float]) -> None:
        """``now`` gives monotonic seconds."""
        self._rate, self._now = rate, now
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, amount: float = 1.0) -> float:
        """Take from a bucket; return 0, or after how many seconds there is enough."""
        now = self._now()
        left, at = self._known.pop(name, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - at) * self._rate.per_s)
        short = amount - left
        self._known[name] = (left if short > 0 else left - amount, now)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return max(0.0, short / self._rate.per_s)
