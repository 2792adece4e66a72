"""An event: its attributes, the raw record that it was made of, and by which line of the mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import query as asking
from lemnis.app import source_traces
from lemnis.contracts.alerts import Entity
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import LemnisError, NotFoundError
from lemnis.ingest.frames import ENTRY_LIST
from lemnis.ingest.mapping_lineage import Origin
from lemnis.interfaces.web import site
from lemnis.interfaces.web.asked_lake import lake
from lemnis.interfaces.web.search_time import LAST, instant
from lemnis.ocsf.entities import entities
from lemnis.store.searching.veils import Veil

_RAW = ("raw_data", "unmapped")
_DEEPEST = 12
_MOST = 600
_LINES_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an event: its path and value, the raw fields it came from, the mapping's line."""

    path: str
    value: str
    raw: str = ""
    line: str = ""


def attributes(event: Mapping[str, Any], lines: Sequence[Origin]) -> list[Attribute]:
    """Return an event's attributes with where each came from, as far as the mapping says. Pure."""
    by_path = {one.path: one for one in lines}
    found = []
    for path, value in flat(event):
        if path in _RAW:
            continue
        origin = by_path.get(path)
        at = f"{Path(origin.at.file).name}:{origin.at.line}" if origin else ""
        found.append(Attribute(path, value, ", ".join(origin.raw) if origin else "", at))
    return found[:_MOST]


def flat(event: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the paths and values of an event; lists by the numbers of their items. Pure."""
    for name, value in event.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping) and value and depth < _DEEPEST:
            yield from flat(value, f"{path}.", depth + 1)
        elif isinstance(value, list) and value and depth < _DEEPEST and isinstance(value[0], Mapping):
            for number, item in enumerate(value):
                yield from flat(item, f"{path}[{number}].", depth + 1)
        elif value not in (None, "", [], {}):
            yield path, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def entry_of(event: Mapping[str, Any]) -> str:
    """Return the entry of the mapping that made an event. Pure."""
    found = (event.get("metadata") or {}).get(ENTRY_LIST.rpartition(".")[2]) or [{}]
    return str(found[0].get("name", "")) if isinstance(found[0], Mapping) else ""


def find(
    workspace: app.Workspace, uid: str, veil: Veil, at: int | None = None, to: int | None = None
) -> Mapping[str, Any]:
    """Return an event by its id; raises NotFoundError, also for one that whoever looks does not see.

    ``at`` (ms) is when it was, as far as that is known, or it was in [``at``, ``to``]: it is looked for there
    first.
    """
    quoted = uid.replace("\\", "\\\\").replace('"', '\\"')
    last = at if to is None or at is None or to < at else to
    there = [] if at is None or last is None or last >= LAST else [(to_iso(at), to_iso(last + 1))]
    for since, until in (*there, ("", "")):
        asked = asking.search(
            workspace, f'uid:"{quoted}"', since=since, until=until, limit=1, timeout=20, veil=veil
        )
        for hit in (one for some in asked.found() for one in some):
            return hit.event
    raise NotFoundError(f"no event {uid!r}", fix="retention may have taken it")


def page(request: Request) -> Response:
    """Show an event."""
    here = site.at(request)
    uid = str(request.path_params["uid"])
    person = site.whose(request)
    veil = Veil() if person is None else lake(here).veil(person, None, here.board)
    span = (instant(request.query_params.get(name, "")) for name in ("at", "to"))
    event = find(here.workspace, uid, veil, *span)
    known: tuple[Entity, ...] = entities(int(event.get("class_uid", 0)), event)
    masker = site.see(request, known, about=uid, also=site.personal_in(request, event))
    event = event if masker is None else masker.event(event)
    source = str((event.get("metadata") or {}).get("log_name", ""))
    entry = entry_of(event)
    lines = [one for one in _lines(here, source) if one.entry == entry]
    message = str(event.get("message") or event.get("class_name") or "An event")
    return here.page(
        request, "event.html", title=message[:120], here="/search", event=event, source=source,
        uid=uid, attributes=attributes(event, lines), about=known,
        raw=str(event.get("raw_data") or ""), unmapped=str(event.get("unmapped") or ""),
    )  # fmt: skip


def _lines(here: site.Site, source: str) -> Sequence[Origin]:
    """Return where a source's mapping has its values from; kept while the content is the same."""
    library = here.library

    def read() -> Sequence[Origin]:
        try:
            return source_traces.lines(library, source)
        except LemnisError:  # of findings of our own, and of sources that were taken away, no mapping tells
            return ()

    found: Sequence[Origin] = here.keep(f"lines:{library.digest}:{source}", read, _LINES_S).get()
    return found


ROUTES = (site.shows("/event/{uid}", page, "event.search"),)
