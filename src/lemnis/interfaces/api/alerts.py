"""Alerts: the newest first, or one with the event that fired."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Path, Query
from starlette.requests import Request

from lemnis.app import incidents as working
from lemnis.app.access.permissions import Person
from lemnis.app.access.seeing import shown
from lemnis.contracts.alerts import Severity
from lemnis.contracts.clock import to_iso
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
    seen, eyes = sight(request, person, purpose), using.eyes(person)
    before = int(decode(after, "i")[0]) if after else None
    least = int(Severity[severity.upper()]) if severity else 0

    def wanted(entry: Entry) -> bool:
        told = entry.payload
        same = rule in {"", told["rule_id"]} and source in {"", told["source"]}
        return same and int(str(told["severity"])) >= least and not eyes.subject(entry)

    found, last = _read(using, wanted, before, limit)
    items = [seen.alert(_summary(entry)) for entry in found]
    return Page[models.AlertSummary](
        items=[models.AlertSummary.model_validate({**one, "event": None}) for one in items],
        next=None if last is None else encode([last]),
    )


def _read(
    using: Services, wanted: Callable[[Entry], bool], before: int | None, limit: int
) -> tuple[list[Entry], int | None]:
    """Return so many entries that are wanted, and the number of the last one read; None if none follows."""
    shown: list[Entry] = []
    for _ in range(_PAGES):
        page = using.journal.newest(kinds=[entries.ALERT], before=before, limit=_AT_ONCE)
        for entry in page:
            before = entry.seq
            if wanted(entry):
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
    using.board.look()
    shown(using.eyes(person).alert(id, found.severity))
    seen = sight(request, person, purpose, id)
    inside = using.board.holder(id)
    return models.Alert.model_validate(seen.alert({**export.alert(found), "incident": inside}))


def _summary(entry: Entry) -> dict[str, object]:
    told = entry.payload
    return {
        "id": entry.subject, "rule_id": told["rule_id"], "title": told["title"],
        "severity": Severity(int(str(told["severity"]))).name.lower(), "time": to_iso(int(str(told["time"]))),
        "count": told.get("count", 1), "source": told["source"], "entities": told.get("entities", []),
        "tags": told.get("tags", []), "event": told.get("event", {}),
    }  # fmt: skip
