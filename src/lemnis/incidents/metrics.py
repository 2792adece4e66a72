"""When things happened in an incident, and how long they took."""

from __future__ import annotations

from lemnis.contracts.alerts import IncidentStatus
from lemnis.contracts.incidents import Incident, Metrics

RECORDED = 3_600_000
"""A lag beyond this is the age of a recording, not a delay of a pipeline."""


def measure(incident: Incident, contained: int | None = None) -> Metrics:
    """Compute an incident's times; ``contained`` is when the first containing action took effect.

    Acknowledged is when a person first moved it; closed is when it last was, None if it is open again.
    """
    moved = [change for change in incident.transitions if change.actor != "lemnis"]
    acknowledged = moved[0].at if moved else None
    over = {IncidentStatus.RESOLVED, IncidentStatus.CLOSED}
    closed = None
    for change in incident.transitions:
        if change.status not in over:
            closed = None
        elif closed is None:
            closed = change.at
    lag = incident.opened - incident.decisive
    return Metrics(
        first_event=incident.first_event,
        decisive=incident.decisive,
        detected=incident.opened,
        acknowledged=acknowledged,
        contained=contained,
        closed=closed,
        time_to_detect=incident.decisive - incident.first_event,
        lag=lag,
        recorded=lag > RECORDED,
        time_to_acknowledge=_since(incident.opened, acknowledged),
        time_to_contain=_since(incident.opened, contained),
        time_to_close=_since(incident.opened, closed),
    )


def _since(start: int, instant: int | None) -> int | None:
    return None if instant is None else instant - start
