"""Evidence of an incident on its page: read, and handed over as a package; whoever does says what for."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app.access import handing
from lemnis.app.access.people import demand
from lemnis.app.access.seeing import about_incident
from lemnis.contracts.errors import StrangerError, UsageError
from lemnis.interfaces.api.downloads import BYTES, ZIP, attachment
from lemnis.interfaces.web import site
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.incident_known import known


def hand_over(request: Request, form: Form) -> Response:
    """Answer with a piece of evidence or the package: what is said why is the purpose, and in the custody."""
    here, person, stands = site.at(request), site.whose(request), known(request)
    if person is None:
        raise StrangerError("sign in first", fix="sign in")
    demand(person, "evidence.read", about_incident(stands))
    incident, reason, what = stands.incident.id, form.get("reason", "").strip()[:300], form.get("do", "")
    if what not in {"package", "read"}:
        raise UsageError(f"{what!r} cannot be done with evidence", fix="choose one of the page's actions")
    if not reason:
        raise UsageError("what it is needed for is missing", fix="say it; it is written down")
    told = f"POST {request.url.path}"
    handing.demand_whole(here.personal(request), person, reason, what=told, about=incident)
    if what == "read":
        digest = form.get("digest", "")
        return attachment(
            handing.piece(here.workspace, incident, digest, actor=person.name, reason=reason), BYTES
        )
    to = form.get("to", "").strip()[:200]
    with here.slots.taken(person.id):
        made = handing.package(here.workspace, incident, actor=person.name, reason=reason, to=to)
    return attachment(made, ZIP)


ROUTES = (site.does("/incident/{id}/evidence", hand_over, "evidence.read"),)
