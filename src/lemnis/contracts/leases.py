"""Leases: places that processes share, and that come free by themselves when their holder is gone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class Leases(Protocol):
    """Places by name, so many of each, each for a while; all processes on the same database see the same.

    Every method raises ServiceError where the database fails.
    """

    seconds: float
    """So long a lease stands unless it is renewed."""

    def take(self, name: str, places: int, holder: str) -> str | None:
        """Take one of a name's places; return the token that it is renewed by, None if all are taken."""
        ...

    def renew(self, tokens: Collection[str]) -> set[str]:
        """Let leases stand ``seconds`` from now on; return those that had not come to their end before."""
        ...

    def give(self, token: str) -> None:
        """Give a place back."""
        ...

    def forget(self, holder: str) -> None:
        """Give back all places of a holder: it was killed, and goes on elsewhere."""
        ...

    def turn(self, name: str, per_minute: int) -> float:
        """Take the next free moment of a name that has so many a minute; return the seconds until then."""
        ...
