"""Sources: how each does, against what it taught."""

from __future__ import annotations

from typing import Annotated

from lemnis.app import watching
from lemnis.app.access.permissions import Person
from lemnis.app.watching import Rules
from lemnis.interfaces.api import models
from lemnis.interfaces.api.paging import Page, paged
from lemnis.interfaces.api.routing import USUAL_LIMIT, After, Limit, Using, allowed, router

ROUTER = router("sources")
Reader = Annotated[Person, allowed("source.read")]


@ROUTER.get("/sources")
def list_(
    _person: Reader, using: Using, limit: Limit = USUAL_LIMIT, after: After = ""
) -> Page[models.Source]:
    """List the sources that ever spoke: rate, lag, rejects, silence, and what is blind meanwhile."""
    found = watching.look(using.workspace, journal=using.journal, rules=Rules(using.workspace))
    shown, following = paged(
        found, lambda one: [one.health.source, one.health.host], like="ss", after=after, limit=limit
    )
    return Page[models.Source](items=[_document(one) for one in shown], next=following)


def _document(one: watching.Watched) -> models.Source:
    health = one.health
    return models.Source(
        name=health.source, host=health.host, state=one.state, why=list(one.why), events=health.events,
        rejects=health.rejects, last_ms=health.last, learning=health.learning, rate=round(health.rate, 3),
        reasons=dict(one.reasons),
        blind=[{"name": b.name, "title": b.title, "level": b.level, "techniques": list(b.techniques)}
               for b in one.blind],
        alarms=[{"id": a.id, "kind": a.of.kind, "since_ms": a.since} for a in one.alarms],
    )  # fmt: skip
