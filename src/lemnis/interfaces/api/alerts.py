"""Alerts: the newest first, or one with the event that fired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Path, Query
from starlette.requests import Request

from lemnis.app import incidents as working
from lemnis.app.access.permissions import Person
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import to_iso
from lemnis.contracts.ids import Json
from lemnis.contracts.incidents import Incident
from lemnis.contracts.journal import Entry
from lemnis.incidents import entries, export
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, decode, encode
from lemnis.interfaces.api.routing import USUAL_LIMIT, After, Limit, Purpose, Using, allowed, router
from lemnis.interfaces.api.services import Services, sight

ROUTER = router("alerts")
Reader = Annotated[Person, allowed("alert.read")]
Id = Annotated[str, Path(pattern=r"^al-[0-9a-f]{16}$", description="The alert's id.")]
_PAGES, _AT_ONCE = 4, 500


@ROUTER.get("/alerts")
def list_(
    request: Request,
    person: Reader,
    using: Using,
    *,
    severity: Annotated[models.SeverityName | None, Query(description="This severe at least.")] = None,
    rule: Annotated[str, Query(max_length=200, description="Only those of this rule.")] = "",
    source: Annotated[str, Query(max_length=200, description="Only those of this source.")] = "",
    limit: Limit = USUAL_LIMIT,
    after: After = "",
    purpose: Purpose = "",
) -> Page[models.AlertSummary]:
    """List alerts, the last that was written down first; an alert that was amended comes again.

    A page may have fewer than ``limit`` although there are more: so many are looked at for one page.
    """
    seen = sight(request, person, purpose)
    before = int(decode(after, "i")[0]) if after else None
    least = int(Severity[severity.upper()]) if severity else 0

    def wanted(told: Mapping[str, Json]) -> bool:
        same = rule in {"", told["rule_id"]} and source in {"", told["source"]}
        return same and int(str(told["severity"])) >= least

    shown, last = _read(using, wanted, before, limit)
    items = [seen.alert(_summary(entry)) for entry in shown]
    return Page[models.AlertSummary](
        items=[models.AlertSummary.model_validate({**one, "event": None}) for one in items],
        next=None if last is None else encode([last]),
    )


def _read(
    using: Services, wanted: Callable[[Mapping[str, Json]], bool], before: int | None, limit: int
) -> tuple[list[Entry], int | None]:
    """Return so many entries that are wanted, and the number of the last one read; None if none follows."""
    shown: list[Entry] = []
    for _ in range(_PAGES):
        page = using.journal.newest(kinds=[entries.ALERT], before=before, limit=_AT_ONCE)
        for entry in page:
            before = entry.seq
            if wanted(entry.payload):
                shown.append(entry)
            if len(shown) == limit:
                return shown, before
        if len(page) < _AT_ONCE:
            return shown, None
    return shown, before


@ROUTER.get("/alerts/{id}")
def show(id: Id, request: Request, person: Reader, using: Using, purpose: Purpose = "") -> models.Alert:
    """Show an alert as it stands, with the event that fired and the incident that it is in."""
    found = working.alert(using.workspace, id)
    seen = sight(request, person, purpose, id)
    standings = using.board.look().standings
    inside = next((one.incident.id for one in standings if _has(one.incident, id)), None)
    return models.Alert.model_validate(seen.alert({**export.alert(found), "incident": inside}))


def _has(incident: Incident, id: str) -> bool:
    return any(alert == id for group in incident.groups for alert, _ in group.alerts)


def _summary(entry: Entry) -> dict[str, object]:
    told = entry.payload
    return {
        "id": entry.subject, "rule_id": told["rule_id"], "title": told["title"],
        "severity": Severity(int(str(told["severity"]))).name.lower(), "time": to_iso(int(str(told["time"]))),
        "count": told.get("count", 1), "source": told["source"], "entities": told.get("entities", []),
        "tags": told.get("tags", []), "event": told.get("event", {}),
    }  # fmt: skip
