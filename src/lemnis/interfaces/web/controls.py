"""Controls with their evidence: what looks at each and what it said last, gaps; checks, each with why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import checks as asking_checks
from lemnis.app import controls as evidenced
from lemnis.app import findings_life, risks
from lemnis.app.access import naming
from lemnis.app.controls import STATES, Control, Known
from lemnis.content import yaml
from lemnis.content.schemas.exemption import Exemption
from lemnis.contracts.errors import NotFoundError
from lemnis.interfaces.web import asking, site
from lemnis.interfaces.web.asking import Column
from lemnis.interfaces.web.keeping import Later
from lemnis.store.findings import Row

FILTERS = ("q", "framework", "state")
SIZE, MOST_TOLD = 50, 200
_FRESH_S = 60.0
COLUMNS: tuple[Column[Control], ...] = (
    Column("id", "Control", lambda row: row.id),
    Column("state", "State", lambda row: (STATES.index(row.state), row.id)),
    Column("open", "Open findings", lambda row: row.open, up=False, numeric=True),
    Column("looks", "Looked at by", lambda row: len(row.looks), up=False, numeric=True),
    Column("gaps", "Gaps", lambda row: len(row.gaps), up=False, numeric=True),
    Column("at", "Last looked", lambda row: row.at or 0, up=False),
)


def known(here: site.Site) -> tuple[Known, list[Control]] | None:
    """Return what is known of all controls; None while it is worked out. Raises what went wrong."""

    def look() -> tuple[Known, list[Control]]:
        found = evidenced.know(here.workspace, here.library)
        return found, evidenced.controls(found)

    kept: Later[tuple[Known, list[Control]]] = here.once.setdefault("controls", Later(look, _FRESH_S))
    return kept.get()


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework with how many of its controls are in which state."""

    title: str
    counts: Mapping[str, int]

    @property
    def total(self) -> int:
        """How many of its controls something names."""
        return sum(self.counts.values())


def frameworks(found: Iterable[Control]) -> list[Framework]:
    """Return the frameworks with the states of their controls. Pure."""
    counts: dict[str, dict[str, int]] = {}
    for one in found:
        mine = counts.setdefault(one.framework, dict.fromkeys(STATES, 0))
        mine[one.state] += 1
    return [Framework(title, mine) for title, mine in sorted(counts.items())]


def page(request: Request) -> Response:
    """Show all controls by framework, with what is known of each."""
    here = site.at(request)
    how = asking.asked(request.query_params, FILTERS, sort="state")
    told = known(here)
    every = told[1] if told else []
    some = [
        one
        for one in every
        if how.of("q").lower() in f"{one.id} {' '.join(look.name for look in one.looks)}".lower()
        and how.of("framework") in {"", one.framework}
        and how.of("state") in {"", one.state}
    ]
    rows, how = asking.ordered(some, COLUMNS, how)
    return here.page(
        request, "controls.html", title="Controls", here="/posture", waiting=told is None, asked=how,
        columns=COLUMNS, states=STATES, page=asking.paged(rows, how, SIZE), frameworks=frameworks(every),
        total=len(every), problems=told[0].problems if told else (),
    )  # fmt: skip


def _control(request: Request, name: str) -> Control | None:
    told = known(site.at(request))
    if told is None:
        return None
    found = next((one for one in told[1] if one.id == name), None)
    if found is None:
        raise NotFoundError(f"no control {name!r}", fix="the list has those that something looks at")
    return found


def control(request: Request) -> Response:
    """Show a control: each check and gate with its last results, the findings, and the gaps."""
    here, name = site.at(request), request.path_params["id"]
    one = _control(request, name)
    if one is None:
        return here.page(request, "control.html", title=name, here="/posture", one=None)
    rows = [row for look in one.looks for row in look.findings] + list(one.others)
    rows.sort(key=lambda row: (-row.finding.severity, row.first_seen))
    site.see(request, naming.addressed(_said(rows)), about=name)
    return here.page(
        request, "control.html", title=name, here="/posture", one=one, rows=rows[:MOST_TOLD],
        more=max(0, len(rows) - MOST_TOLD), download=f"/posture/evidence/{quote(name, safe='')}",
    )  # fmt: skip


def _said(rows: Iterable[Row]) -> list[str]:
    return [
        text
        for row in rows
        for text in (
            row.finding.title,
            row.finding.message,
            row.finding.resource,
            row.resource,
            row.finding.path,
        )
    ]


def download(request: Request) -> Response:
    """Send the evidence of a control as one document; people in it are hidden unless it was said what for."""
    here, name = site.at(request), request.path_params["id"]
    one = _control(request, name)
    if one is None:
        raise NotFoundError("the evidence is being worked out", fix="ask again in some seconds")
    document: Any = evidenced.evidence(here.workspace, here.library, one)
    masker = site.see(request, about=name)
    if masker is not None:
        people = naming.addressed(naming.texts(document))
        document = masker.document(document, masker.of_entities(people))
    file = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in name)
    return Response(
        orjson.dumps(document, option=orjson.OPT_INDENT_2), media_type="application/json",
        headers={"content-disposition": f'attachment; filename="evidence-{file}.json"'},
    )  # fmt: skip


# -- a check -----------------------------------------------------------------------------------------------


def check(request: Request) -> Response:
    """Show a check: why it is, how to mend what it finds, where it fails since when, and what is excepted."""
    here, name = site.at(request), request.path_params["name"]
    item = here.library.get("checks", name)
    made = asking_checks.load_one(item)
    rows = list(findings_life.store(here.workspace).rows(rule=name, open_only=False, limit=5_000))
    there = sorted((row for row in rows if row.fixed_at is None), key=lambda row: row.first_seen)
    mended = sorted((row for row in rows if row.fixed_at is not None), key=lambda row: -(row.fixed_at or 0))
    excepted = exceptions(here, there)
    told = known(here)
    site.see(
        request,
        naming.addressed(
            [*_said(rows), *(t for _, e in excepted for t in (e.owner, e.reason, e.approved_by))]
        ),
        about=name,
    )
    return here.page(
        request, "check.html", title=made.title, here="/posture", check=made, open=there[:MOST_TOLD],
        total=len(there), mended=mended[:20], gone=len(mended), excepted=excepted,
        verdicts=told[0].verdicts.get(name, ()) if told else None, manifest=yaml.read_text(item.manifest),
        suppressed=[row for row in there if row.finding.suppression is not None],
    )  # fmt: skip


def exceptions(here: site.Site, rows: Sequence[Row]) -> list[tuple[str, Exemption]]:
    """Return the exceptions that are for any of these findings."""
    known_as = {row.finding.fingerprint for row in rows}
    problems: list[str] = []
    found = risks.readable(here.library, "exceptions", Exemption, problems)
    return [(name, one) for name, one in found.items() if one.fingerprint in known_as]


ROUTES = (
    site.shows("/posture/controls", page, "posture.read"),
    site.shows("/posture/controls/{id:path}", control, "posture.read"),
    site.shows("/posture/evidence/{id:path}", download, "evidence.read"),
    site.shows("/posture/checks/{name}", check, "posture.read"),
)
