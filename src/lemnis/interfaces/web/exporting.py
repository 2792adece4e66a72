"""What a search found, as a file: as whoever asks sees it, and written down."""

from __future__ import annotations

import tempfile

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import query as asking
from lemnis.app.searches_export import written
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import RefusedError, UsageError
from lemnis.interfaces.api.events import plain
from lemnis.interfaces.api.turns import Turn
from lemnis.interfaces.web import site
from lemnis.interfaces.web.asked_lake import running, sight
from lemnis.interfaces.web.search_time import window
from lemnis.store.query import CancelledError

MOST, SECONDS = 10_000, 60.0
"""So many events or rows go into a file, and so long it may take to find them."""
FORMATS = {
    "csv": ("CSV", "text/csv; charset=utf-8"), "ndjson": ("JSON lines", "application/x-ndjson"),
    "json": ("JSON", "application/json"),
}  # fmt: skip


def export(request: Request) -> Response:
    """Send what a search finds as a file."""
    here, person = site.at(request), site.whose(request)
    text, kind = request.query_params.get("q", ""), request.query_params.get("format", "csv")
    if kind not in FORMATS:
        raise UsageError(f"there is no format {kind!r}", fix=f"one of {', '.join(FORMATS)}")
    now = here.workspace.clock.now()
    when = window(request.query_params, now)
    if when.wrong:
        raise UsageError(when.wrong, fix="choose a beginning and an end, or a span")
    seen = sight(request, text, about=f"export: {text[:180]}")
    with running(request) as handle, tempfile.TemporaryFile() as file:
        found = asking.search(
            here.workspace, text, since=when.since, until=when.until, limit=MOST, timeout=SECONDS,
            handle=handle, veil=seen.veil,
        )  # fmt: skip
        try:
            count = written(found, f".{kind}", file, plain, seen.event)
        except CancelledError as error:
            raise RefusedError("the search was ended", fix="begin it again") from error
        file.seek(0)
        body = file.read()
    request.state.access.tell(
        "exported", person.id if person is not None else "", actor=site.actor(request),
        payload={"query": text[:1_000], "rows": count, "format": kind, "masked": seen.masker is not None},
    )  # fmt: skip
    part = f"-first-{count}" if found.more else ""
    name = f"lemnis-{to_iso(now)[:19].replace(':', '')}{part}.{kind}"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(body, media_type=FORMATS[kind][1], headers=headers)


ROUTES = (site.shows("/search/export", export, "event.search", Turn.DEAR),)
