"""The incident that an address of the site is about, if who asks may see it."""

from __future__ import annotations

from starlette.requests import Request

from lemnis.app.access.seeing import shown
from lemnis.app.incidents_handling import Standing
from lemnis.interfaces.web import site


def known(request: Request) -> Standing:
    """Return the incident of the address if who asks may see it; raises NotFoundError, AccessError.

    Whom it is about is hidden from then on.
    """
    stands = site.at(request).board.find(request.path_params["id"])
    shown(site.eyes(request).incident(stands.incident.id))
    site.hide(request, stands.incident.entities)
    return stands
