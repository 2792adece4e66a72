"""How many alerts each exception held back, by day of event time, and how many of them were kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from lemnis.store.database import writing

DAY = 86_400_000
_TABLE = sa.table(
    "suppressed",
    sa.column("exception", sa.Text()),
    *(sa.column(name, sa.BigInteger()) for name in ("day", "alerts", "kept")),
)
Place = tuple[str, int]
"""An exception and a day: when it begins, in ms."""


@dataclass(frozen=True, slots=True)
class Held:
    """What an exception held back on a day (when it begins, in ms): how many alerts, how many were kept."""

    exception: str
    day: int
    alerts: int
    kept: int


class Suppressed:
    """The counts. Any number of processes may add to them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def kept(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return how many alerts were kept of exceptions on days; of those of which none was, 0."""
        wanted = set(places)
        names = sorted({name for name, _ in wanted})
        query = sa.select(_TABLE.c.exception, _TABLE.c.day, _TABLE.c.kept).where(
            _TABLE.c.exception.in_(names)
        )
        days = [day for _, day in wanted]
        query = query.where(_TABLE.c.day.between(min(days, default=0), max(days, default=0)))
        with self._engine.connect() as connection:
            there = {(str(name), int(day)): int(kept) for name, day, kept in connection.execute(query)}
        return {place: there.get(place, 0) for place in wanted}

    def add(self, more: Mapping[Place, tuple[int, int]]) -> None:
        """Add what was held back, and what of it was kept, in one transaction."""
        with writing(self._engine) as connection:
            for (name, day), (alerts, kept) in sorted(more.items()):
                mine = (_TABLE.c.exception == name) & (_TABLE.c.day == day)
                values = {"alerts": _TABLE.c.alerts + alerts, "kept": _TABLE.c.kept + kept}
                if not connection.execute(sa.update(_TABLE).where(mine).values(values)).rowcount:
                    row = {"exception": name, "day": day, "alerts": alerts, "kept": kept}
                    connection.execute(sa.insert(_TABLE).values(row))

    def every(self) -> list[Held]:
        """Return all counts, by exception and day."""
        query = sa.select(_TABLE).order_by(_TABLE.c.exception, _TABLE.c.day)
        with self._engine.connect() as connection:
            return [
                Held(str(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in connection.execute(query)
            ]
