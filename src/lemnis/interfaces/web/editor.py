"""A detection in the making: its text, what lint says, and what it would have found in the last days."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import rules_saving, trying
from lemnis.app.trying import Tried
from lemnis.content import yaml
from lemnis.contracts.alerts import Alert
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import UsageError
from lemnis.interfaces.web import drawing, site
from lemnis.interfaces.web.forms import Form

DAYS: Mapping[str, str] = {"1": "1 day", "7": "7 days", "30": "30 days", "365": "a year"}
SHOWN = 50
_BARS = 60
_DRAFT = """\
title: {title}
id: {id}
status: experimental
description: {description}
date: {date}
logsource:
  category: process_creation
  product: linux
detection:
  selection:
    CommandLine|contains: "change me"
  condition: selection
level: medium
tags: []
"""


def draft(query: str, now: int, number: uuid.UUID) -> str:
    """Return the text that a new detection begins with; ``query`` is the search that it is made of. Pure."""
    told = " ".join(query.split())[:300].replace("\\", "\\\\").replace('"', '\\"')
    said = f'"Drawn from the search: {told}"' if told else '"What it looks for, and why that matters."'
    return _DRAFT.format(title="A new detection", id=number, description=said, date=to_iso(now)[:10])


def bars(alerts: Sequence[Alert], since: int, now: int) -> Any:
    """Return when a rule would have fired, as a drawing. Pure."""
    step = max(1, (now - since) // _BARS)
    counts = Counter((one.time - since) // step for one in alerts if since <= one.time < now)
    found = [(since + n * step, counts[n]) for n in range(_BARS)]
    return drawing.histogram(found, since, now, label=f"{len(alerts):,} alerts over time", height=72)


def new(request: Request) -> Response:
    """Show a new detection, of a search if there is one."""
    now = site.at(request).workspace.clock.now()
    text = draft(request.query_params.get("q", ""), now, uuid.uuid4())
    return _page(request, "", text)


def edit(request: Request) -> Response:
    """Show a detection to be changed."""
    item = site.at(request).library.get("detections", request.path_params["name"])
    return _page(request, item.name, yaml.read_text(item.manifest))


def work(request: Request, form: Form) -> Response:
    """Try a detection, or keep it."""
    here = site.at(request)
    text, name = form.get("text", "").replace("\r\n", "\n"), form.get("name", "").strip()
    if form.get("do") == "save":
        path = rules_saving.save(here.workspace, name, text, of=form.get("of", ""), actor=site.actor(request))
        here.forget("library")
        told = f"{path.relative_to(here.workspace.root)}: write its tests beside it, and commit both."
        return site.back(request, f"/detection/{name}", "The detection is kept", told)
    days = form.get("days", "7")
    if days not in DAYS:
        raise UsageError("a rule is tried on a day to a year")
    found = trying.tried(here.workspace, here.library, text, days=float(days))
    site.see(request, {entity for one in found.alerts[:SHOWN] for entity in one.entities}, about=name)
    return _page(request, name, text, days, found)


def _page(request: Request, name: str, text: str, days: str = "7", found: Tried | None = None) -> Response:
    here = site.at(request)
    now = here.workspace.clock.now()
    return here.page(
        request,
        "editor.html",
        title=name or "A new detection",
        here="/detections",
        name=name,
        text=text,
        days=days,
        spans=DAYS,
        found=found,
        shown=found.alerts[:SHOWN] if found else (),
        bars=bars(found.alerts, found.since, now) if found and found.sound else None,
    )


ROUTES = (
    site.shows("/detections/new", new, "rule.change"),
    site.shows("/detection/{name}/edit", edit, "rule.change"),
    site.does("/detections/edit", work, "rule.change"),
)
