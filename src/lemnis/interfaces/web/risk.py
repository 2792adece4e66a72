"""The risk register: what can go wrong, whose it is, how great it is and why, and by when it is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import findings_life, risks
from lemnis.app.access import naming
from lemnis.app.access.people import may
from lemnis.app.access.seeing import Eyes
from lemnis.app.risks import KINDS, Register, Risk
from lemnis.contracts.errors import NotFoundError
from lemnis.interfaces.web import asking, site
from lemnis.interfaces.web.asking import Column
from lemnis.interfaces.web.words import masked

FILTERS = ("q", "kind", "state", "owner", "due")
STATES = ("realised", "assumed", "accepted", "mitigated")
SIZE, SOON_DAYS, MOST_FINDINGS = 100, 30, 100
_FRESH_S = 30
_FAR = 10**6
_PAGES = {"gate": "", "detection": "/detection/", "playbook": "/playbook/", "lesson": "/lesson/"}

COLUMNS: tuple[Column[Risk], ...] = (
    Column("score", "Risk", lambda row: row.figure or 0, up=False, numeric=True),
    Column("title", "What can go wrong", lambda row: row.title.lower()),
    Column("state", "State", lambda row: STATES.index(row.state)),
    Column("owner", "Owner", lambda row: (not row.owner, row.owner.lower())),
    Column("review", "Look again by", lambda row: _FAR if row.days is None else row.days),
)


@dataclass(frozen=True, slots=True)
class Guard:
    """What guards against a risk, and its page where it has one."""

    kind: str
    name: str
    href: str


def guards(one: Risk) -> list[Guard]:
    """Return what guards against a risk with its pages. Pure."""
    return [
        Guard(kind, name, f"{page}{name}" if (page := _PAGES.get(kind, "")) else "")
        for kind, name in one.guards
    ]


def due(one: Risk) -> str:
    """Return whether a risk is overdue, due soon, later, or was given no day. Pure."""
    if one.days is None:
        return "no day"
    return "overdue" if one.days < 0 else "soon" if one.days <= SOON_DAYS else "later"


def wanted(one: Risk, how: asking.Asked) -> bool:
    """Say whether a risk, as who looks sees it, is among those asked for."""
    said = (one.name, one.title, *one.about, one.owner, one.policy, *one.controls)
    text = " ".join(map(masked, said)).lower()
    return (
        all(word in text for word in how.of("q").lower().split())
        and how.of("kind") in {"", one.kind}
        and how.of("state") in {"", one.state}
        and how.of("owner") in {"", masked(one.owner or "nobody")}
        and how.of("due") in {"", due(one)}
    )


def register(here: site.Site) -> Register:
    """Return the register, at most some seconds old."""
    found: Register = here.keep("risks", lambda: risks.register(here.workspace, here.library), _FRESH_S).get()
    return found


def people(some: Sequence[Risk]) -> set[str]:
    """Return everybody who is named in risks, as entities; teams (``@…``) are nobody. Pure."""
    found: set[str] = set()
    for one in some:
        found |= naming.addressed(
            [one.title, one.reason, one.owner, *one.about, *(name for _, name in one.guards)]
        )
        for who in (one.owner, one.approved_by) if one.kind == risks.EXCEPTION else ():
            if who and not who.startswith("@"):
                found |= naming.author(who)
    return found


def page(request: Request) -> Response:
    """Show the register."""
    here = site.at(request)
    how = asking.asked(request.query_params, FILTERS, sort="-score")
    known = register(here)
    site.see(request, people(known.risks))
    some = [one for one in known.risks if wanted(one, how)]
    rows, how = asking.ordered(some, COLUMNS, how)
    shown = asking.paged(rows, how, SIZE)
    return here.page(
        request, "risks.html", title="Risk register", here="/posture", asked=how, columns=COLUMNS, page=shown,
        known=known, kinds=KINDS, states=STATES, due=due,
        owners=sorted({masked(one.owner) for one in known.risks if one.owner}),
        overdue=sum(one.overdue for one in known.risks),
        untreated=sum(one.treatment == "none yet" for one in known.risks),
        accepted=sum(one.state == "accepted" for one in known.risks),
        unowned=sum(not one.owner for one in known.risks),
    )  # fmt: skip


def risk(request: Request) -> Response:
    """Show one risk: its score with its parts, what guards against it, and what it is tied to."""
    here, name = site.at(request), request.path_params["id"]
    one = next((some for some in register(here).risks if some.id == name), None)
    if one is None:
        raise NotFoundError(f"no risk {name!r}", fix="the register has those that there are")
    rows = risks.related(one, findings_life.store(here.workspace).rows(limit=5_000))
    site.see(request, people([one]), about=name)
    return here.page(
        request, "risk.html", title=one.title, here="/posture", one=one, guards=guards(one), due=due(one),
        incidents=incidents(one, site.eyes(request)) if may(site.whose(request), "incident.read") else [],
        rows=rows[:MOST_FINDINGS], more=max(0, len(rows) - MOST_FINDINGS),
    )  # fmt: skip


def incidents(one: Risk, eyes: Eyes) -> list[str]:
    """Return the incidents of a risk that whoever looks may see."""
    return [name for name in one.incidents if not eyes.incident(name)]


ROUTES = (
    site.shows("/posture/risks", page, "posture.read"),
    site.shows("/posture/risks/{id:path}", risk, "posture.read"),
)
