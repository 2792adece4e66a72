"""What a lesson costs its analysts: minutes a week, by the replay of the lake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from lemnis import app
from lemnis.app import noise, settings
from lemnis.app.rates import DAY, weekly
from lemnis.contracts.ids import Json
from lemnis.incidents.handled import NOTHING
from lemnis.incidents.view import views
from lemnis.lessons.measures import minutes_an_alert

_SPAN = """
    SELECT min(time) AS first, max(time) AS last FROM events
    WHERE metadata.log_name IN (SELECT unnest(?))
"""


def minutes(workspace: app.Workspace) -> tuple[float, str]:
    """Return the minutes that an analyst spends on an alert, and where that is from.

    From the settings (``minutes_per_alert``); else measured from the journal, where enough incidents were
    acknowledged and closed; else the ten of ``app.noise``.
    """
    if (told := settings.load(workspace).minutes_per_alert) is not None:
        return told, "settings"
    from lemnis.app.incidents_handling import handlings

    journal = app.journal(workspace)
    worked = handlings(journal)
    closed = [
        (end - begin, sum(group.count for group in one.groups))
        for one in views(journal).values()
        if (begin := worked.get(one.id, NOTHING).acknowledged) is not None
        and (end := worked.get(one.id, NOTHING).resolved) is not None
    ]
    measured = minutes_an_alert(closed)
    if measured is not None:
        return measured, f"journal: the median of {len(closed)} incidents, from acknowledged to resolved"
    return noise.MINUTES, "assumed"


def analyst(workspace: app.Workspace, times: Iterable[int], sources: Collection[str]) -> dict[str, Json]:
    """Return what alerts at these times (ms) cost a week, with limits of 95 % (Garwood's, see ``rates``).

    The rate is about the span from the first to the last event of ``sources``, those of the detection; of no
    events there is no rate. ``minutes_a_week`` are the alerts times the minutes of one.
    """
    each, why = minutes(workspace)
    found: dict[str, Json] = {"minutes_per_alert": each, "minutes_from": why}
    [row] = app.events(workspace).query(_SPAN, parameters=[sorted(sources)]).to_pylist()
    first, last = row["first"], row["last"]
    if first is None:
        return {**found, "days": 0.0, "alerts_a_week": None, "minutes_a_week": None}
    rate = weekly(Counter(at // DAY for at in times), int(first), int(last))
    return {
        **found, "days": rate.days,
        "alerts_a_week": _limits(rate.rate, rate.low, rate.high),
        "minutes_a_week": _limits(*(each * value for value in (rate.rate, rate.low, rate.high))),
    }  # fmt: skip


def told(history: dict[str, Any]) -> str:
    """Say for people what a proof found of the analysts' time."""
    cost = history.get("cost") or {}
    week = cost.get("minutes_a_week")
    if not week:
        return "no events of the detection's sources were replayed: its rate is not known"
    return (
        f"{week['rate']:.3g} analyst minutes a week ({week['low']:.3g} to {week['high']:.3g}, 95 %) over "
        f"{cost['days']:.3g} days, at {cost['minutes_per_alert']:g} minutes an alert ({cost['minutes_from']})"
    )


def _limits(rate: float, low: float, high: float) -> dict[str, Json]:
    return {"rate": round(rate, 6), "low": round(low, 6), "high": round(high, 6)}
