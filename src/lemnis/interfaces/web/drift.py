"""Drift: what changed between two collections of a cluster, stack or account, and what fails since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from starlette.requests import Request
from starlette.responses import Response

from lemnis.app import findings_life, posture_collect, posture_drift
from lemnis.app.access import naming
from lemnis.app.posture_collect import Snapshot
from lemnis.app.posture_drift import Drift
from lemnis.contracts.findings import Kind
from lemnis.interfaces.web import asking, site
from lemnis.interfaces.web.beside import beside
from lemnis.store.findings import Row

FILTERS = ("name", "before", "after", "show")
DAY, DAYS = 86_400_000, 30
SHOWN, MOST = 200, 10_000
_KEPT_S = 3_600.0
_DIGITS = slice(7, 15)


def mark(one: Snapshot) -> str:
    """Return what a snapshot is called in addresses: its instant and the beginning of its digest. Pure."""
    return f"{one.at}-{one.revision[_DIGITS]}"


@dataclass(frozen=True, slots=True)
class Moves:
    """What began to fail of something in the last days, and what was mended."""

    resource: str
    began: tuple[Row, ...]
    mended: tuple[Row, ...]


def moves(rows: Iterable[Row], now: int) -> list[Moves]:
    """Return for each resource what began to fail and what was mended in the last days. Pure."""
    since = now - DAYS * DAY
    began: dict[str, list[Row]] = {}
    mended: dict[str, list[Row]] = {}
    for row in rows:
        if row.fixed_at is None and row.first_seen > since:
            began.setdefault(row.resource, []).append(row)
        elif row.fixed_at is not None and row.fixed_at > since:
            mended.setdefault(row.resource, []).append(row)
    return [
        Moves(name, tuple(began.get(name, ())), tuple(mended.get(name, ())))
        for name in sorted(began.keys() | mended.keys())
    ]


def chosen(some: Sequence[Snapshot], before: str, after: str) -> tuple[Snapshot, Snapshot] | None:
    """Return the two snapshots that an address asks for, else the last two; None if there is one. Pure."""
    known = {mark(one): one for one in some}
    if before in known and after in known:
        return known[before], known[after]
    return next(iter(reversed(list(pairwise(some)))), None)


def page(request: Request) -> Response:
    """Show what changed between two snapshots, and what began to fail or was mended everywhere."""
    here = site.at(request)
    how = asking.asked(request.query_params, FILTERS)
    every = posture_collect.every(here.workspace)
    name = how.of("name") if how.of("name") in every else _first(every)
    some = every.get(name, [])
    pair = chosen(some, how.of("before"), how.of("after"))
    found: Drift | None = None
    if pair is not None:
        key = f"drift:{name}:{mark(pair[0])}:{mark(pair[1])}:{here.library.digest}"
        found = beside(here, key, lambda: posture_drift.between(here.workspace, here.library, *pair), _KEPT_S)
    rows = findings_life.store(here.workspace).rows(kind=Kind.CONFIG, open_only=False, limit=MOST)
    told = moves(rows, here.workspace.clock.now())
    moved = [one for one in found.moved if how.of("show") in {"", one.how}] if found else []
    said = [text for one in moved for text in (one.name, *(d.path for d in one.differences))]
    said += [row.finding.title for one in told for row in (*one.began, *one.mended)]
    site.see(request, naming.addressed([*said, *every, *(one.resource for one in told)]))
    return here.page(
        request, "drift.html", title="Drift", here="/posture", asked=how, names=sorted(every), name=name,
        snapshots=[(mark(one), one) for one in reversed(some)], found=found, moved=moved[:SHOWN],
        more=max(0, len(moved) - SHOWN), moves=told, days=DAYS,
        before=mark(pair[0]) if pair else "", after=mark(pair[1]) if pair else "",
    )  # fmt: skip


def _first(every: Mapping[str, Sequence[Snapshot]]) -> str:
    """Return what was collected more than once, last; else what was collected at all."""
    return max(every, key=lambda name: (len(every[name]) > 1, every[name][-1].at), default="")


ROUTES = (site.shows("/posture/drift", page, "posture.read"),)
