"""A detection in the making: its text, what lint says, and what it would have found in the last days."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lemnis.app import rules_completing, rules_from_search, rules_saving, trying
from lemnis.app.rules_fields import Vocabulary, vocabulary
from lemnis.app.rules_from_search import Alike, Drawn
from lemnis.app.rules_schema import Finding
from lemnis.app.trying import Tried
from lemnis.content import yaml
from lemnis.contracts.alerts import Alert
from lemnis.contracts.errors import InputError, LemnisError, UsageError
from lemnis.ingest.sources import Sources
from lemnis.interfaces.api.turns import Turn
from lemnis.interfaces.web import drawing, site
from lemnis.interfaces.web.asked_lake import sight, tries
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.search_time import window
from lemnis.interfaces.web.statuses import status_of

DAYS: Mapping[str, str] = {"1": "1 day", "7": "7 days", "30": "30 days", "365": "a year"}
SHOWN = 50
_BARS = 60
_SOON_S = 5.0
"""So long a rule is tried that is tried while it is written."""


def bars(alerts: Sequence[Alert], since: int, now: int) -> Any:
    """Return when a rule would have fired, as a drawing. Pure."""
    first = since or min((one.time for one in alerts), default=now - 1)
    step = max(1, (now - first) // _BARS)
    counts = Counter((one.time - first) // step for one in alerts if first <= one.time < now)
    found = [(first + n * step, counts[n]) for n in range(_BARS)]
    return drawing.histogram(found, first, now, label=f"{len(alerts):,} alerts over time", height=72)


def new(request: Request) -> Response:
    """Show a new detection, drawn from a search if there is one."""
    here, query = site.at(request), request.query_params.get("q", "").strip()
    now = here.workspace.clock.now()
    if not query:
        return _page(request, "", rules_from_search.written({}, {}, "selection", "", uuid.uuid4(), now))
    when = window(request.query_params, now)
    seen = sight(request, query)
    asked = {"since": when.since, "until": when.until}
    drawn = rules_from_search.drawn(
        here.workspace, here.library, query, **asked, number=uuid.uuid4(), veil=seen.veil
    )
    return _page(request, "", drawn.text, drawn=drawn, asked={"q": query, **asked})


def edit(request: Request) -> Response:
    """Show a detection to be changed."""
    item = site.at(request).library.get(rules_saving.KIND, request.path_params["name"])
    return _page(request, item.name, yaml.read_text(item.manifest))


def work(request: Request, form: Form) -> Response:
    """Try a detection, keep it, or propose it."""
    here = site.at(request)
    text, name = _text(form), form.get("name", "").strip()
    of = form.get("of", "")
    told: Mapping[str, Any] = {"of": of, "actor": site.actor(request), "reason": _reason(form)}
    try:
        if form.get("do") == "save":
            path = rules_saving.save(here.workspace, name, text, **told)
            here.forget("library")
            kept = path.relative_to(here.workspace.root.resolve())
            said = f"{kept}: write its tests beside it, and commit both."
            return site.back(request, f"/detection/{name}", "The detection is kept", said)
        if form.get("do") == "propose":
            branch = rules_saving.propose(here.workspace, name, text, **told)
            said = f"On the branch {branch}: nothing that runs was changed. Merge it when it was reviewed."
            known = here.library.items(rules_saving.KIND)
            where = f"/detection/{name}/versions" if name in known else "/detections"
            return site.back(request, where, "The detection is proposed", said)
        return _try(request, form, name, text)
    except LemnisError as error:  # what was written is not to be lost
        return _page(request, name, text, wrong=error, of=of, asked=_asked(form), status=status_of(error))


def _try(request: Request, form: Form, name: str, text: str) -> Response:
    """Show what a rule would have found, beside the search that it is drawn from."""
    here, person = site.at(request), site.whose(request)
    days, query = form.get("days", "7"), form.get("q", "")
    if days not in DAYS:
        raise UsageError("a rule is tried on a day to a year")
    alike: Alike | None = None
    shown_lake = tries(request, text)
    with here.slots.taken(person.id if person is not None else ""):
        seconds = _SOON_S if form.get("soon") else trying.SECONDS
        found = trying.tried(
            here.workspace, here.library, text, days=float(days), seconds=seconds, known=_known(here),
            lake=shown_lake,
        )  # fmt: skip
        if query and found.sound and not form.get("soon"):
            seen = sight(request, query)
            alike = rules_from_search.proven(
                here.workspace, here.library, query, text, since=form.get("since", ""),
                until=form.get("until", ""), veil=seen.veil, lake=shown_lake,
            )  # fmt: skip
    shown = found.alerts[:SHOWN]
    entities = {entity for one in shown for entity in one.entities}
    also = frozenset[str]().union(*(site.personal_in(request, one.event) for one in shown))
    site.see(request, entities, about=name, also=also)
    return _page(
        request, name, text, days, found, shown=shown, alike=alike, asked=_asked(form), of=form.get("of", "")
    )


def _asked(form: Form) -> dict[str, str]:
    """Return the search that a rule is drawn from."""
    return {key: form.get(key, "") for key in ("q", "since", "until")} if form.get("q") else {}


def check(request: Request, form: Form) -> Response:
    """Return what lint says of a text that is being written, as JSON."""
    here = site.at(request)
    found = trying.check(here.library, _text(form), known=_known(here))
    return JSONResponse({"findings": [_finding(one) for one in found]})


def complete(request: Request, form: Form) -> Response:
    """Return what may come next at the cursor, as JSON."""
    text, at = _text(form), form.get("at", "")
    if not (at.isascii() and at.isdigit()) or len(text) > trying.MOST_TEXT:
        raise InputError("the place of the cursor is no number, or the rule is too long")
    found = rules_completing.offers(text, int(at[:9]), _known(site.at(request)))
    return JSONResponse(
        {"back": found.back, "offers": [{"text": text, "kind": kind} for text, kind in found.texts]}
    )


def _known(here: site.Site) -> Vocabulary:
    library = here.library
    kept = here.keep(f"vocabulary:{library.digest}", lambda: vocabulary(Sources.load(library)), 10**9)
    found: Vocabulary = kept.get()
    return found


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "level": one.level, "what": one.what, "fix": one.fix, "line": one.at.line or 0,
        "column": one.at.column or 0,
    }  # fmt: skip


def _text(form: Form) -> str:
    return form.get("text", "").replace("\r\n", "\n")


def _reason(form: Form) -> str:
    return " ".join(form.get("reason", "").split())[:300]


def _page(
    request: Request, name: str, text: str, days: str = "7", found: Tried | None = None, *,
    shown: Sequence[Alert] = (), drawn: Drawn | None = None, alike: Alike | None = None,
    asked: Mapping[str, str] | None = None, of: str | None = None, wrong: LemnisError | None = None,
    status: int = 200,
) -> Response:  # fmt: skip
    here = site.at(request)
    now = here.workspace.clock.now()
    return here.page(
        request,
        "editor.html",
        status=status,
        title=name or "A new detection",
        here="/detections",
        name=name,
        of=rules_saving.tag(here.library, name) if of is None else of,
        text=text,
        days=days,
        spans=DAYS,
        found=found,
        shown=shown,
        drawn=drawn,
        alike=alike,
        asked=asked or {},
        wrong=wrong,
        bars=bars(found.alerts, found.since, now) if found and found.sound else None,
    )


ROUTES = (
    site.shows("/detections/new", new, "rule.change", Turn.DEAR),
    site.shows("/detection/{name}/edit", edit, "rule.change"),
    site.does("/detections/edit", work, "rule.change"),
    site.does("/detections/check", check, "rule.change"),
    site.does("/detections/complete", complete, "rule.change"),
)
