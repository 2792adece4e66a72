"""The queue: incidents and alerts by risk, duplicates folded, decided on by keyboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import incidents
from lemnis.app.access.masking import KINDS, Masker
from lemnis.app.access.people import demand, may
from lemnis.app.access.seeing import Eyes, about_incident
from lemnis.app.access.seeing import shown as may_see
from lemnis.app.board import Loose, View
from lemnis.app.incidents_handling import Standing
from lemnis.contracts.alerts import Entity, Severity, Verdict
from lemnis.contracts.errors import LemnisError, UsageError
from lemnis.contracts.handling import Timer
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import NewEntry
from lemnis.interfaces.web import asking, site
from lemnis.interfaces.web.asking import Asked, Column
from lemnis.interfaces.web.forms import Form

FILTERS = ("show", "q", "severity", "owner")
SIZE = 50
MOST_AT_ONCE = 500
SAVED = "console.view"
"""The kind of journal entry by which somebody saves a view; its subject is who."""
_VERDICTS = tuple(one for one in Verdict if one is not Verdict.UNKNOWN)
_SHOWN_ENTITIES = 3
_MINE = "mine"
_FILTERS, _ORDERS = 50, 50
"""So many filters' lines, and orders of each, are at hand until something changes."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the queue: an incident, or alerts that are in none and say the same."""

    id: str
    href: str
    kind: str
    title: str
    severity: str
    level: int
    priority: str
    urgency: int
    why: str
    status: str
    owner: str
    alerts: int
    rules: int
    risk: int
    first: int
    last: int
    timer: Timer | None
    entities: tuple[Entity, ...]
    more_entities: int
    open: bool
    breached: bool
    about: Mapping[str, Json]
    plain: str = ""
    """The title without the names of people that it is about."""
    named: tuple[Entity, ...] = ()
    """Those people, where the title names some."""

    @property
    def text(self) -> str:
        """What the filter looks in."""
        return " ".join(
            (self.id, self.title, self.owner, *(f"{e.kind}:{e.value}" for e in self.entities))
        ).lower()

    @property
    def plain_text(self) -> str:
        """What the filter of somebody looks in who sees no names of people: none can be guessed by it."""
        told = (f"{e.kind}:{e.value}" for e in self.entities if e.kind not in KINDS)
        return " ".join((self.id, self.plain, self.owner, *told)).lower()


def plain(title: str, entities: Iterable[Entity]) -> str:
    """Return a title without the people that it names. Pure."""
    if not any(one.kind in KINDS for one in entities):
        return title
    hide = _NAMELESS.hiding(_NAMELESS.of_entities(map(str, entities)))
    return hide(title) if hide else title


def named(entities: Iterable[Entity]) -> tuple[Entity, ...]:
    """Return those entities that are people. Pure."""
    return tuple(one for one in entities if one.kind in KINDS)


_NAMELESS = Masker({}, lambda _: "person")


COLUMNS: tuple[Column[Row], ...] = (
    Column(
        "risk", "Risk", lambda row: (row.urgency, row.breached, row.level, row.risk), up=False, numeric=True
    ),
    Column("title", "What", lambda row: row.plain.lower()),
    Column("alerts", "Alerts", lambda row: row.alerts, up=False, numeric=True),
    Column("owner", "Owner", lambda row: (not row.owner, row.owner.lower())),
    Column("due", "Due", lambda row: row.timer.due if row.timer else 2**62),
    Column("last", "Last seen", lambda row: row.last, up=False),
)
_Test = Callable[[Row, str], bool]
TABS: Mapping[str, tuple[str, _Test]] = {
    "open": ("Open", lambda row, _: row.open),
    "mine": ("Mine", lambda row, me: row.open and bool(me) and row.owner == me),
    "unassigned": ("Nobody's", lambda row, _: row.open and row.kind == "incident" and not row.owner),
    "breached": ("Too late", lambda row, _: row.open and row.breached),
    "alerts": ("Alerts alone", lambda row, _: row.kind == "alerts"),
    "closed": ("Closed", lambda row, _: not row.open),
}


@dataclass(frozen=True, slots=True)
class Tab:
    """A choice of rows: its name in the address, its title, and how many rows it has."""

    name: str
    title: str
    count: int


@dataclass(frozen=True, slots=True)
class Shown:
    """The queue as a page shows it."""

    tabs: tuple[Tab, ...]
    chosen: str
    page: asking.Page[Row]
    asked: Asked
    hidden: int


Known = dict[str, tuple[Standing | Loose, Row]]
"""Lines that were made before, by the id of the incident or the first alert, with what they were made of."""


def seen(eyes: Eyes, row: Row) -> bool:
    """Say whether rules let somebody see a line."""
    return not (eyes.incident(row.id) if row.kind == "incident" else eyes.alert(row.id, Severity(row.level)))


def rows(view: View, known: Known | None = None) -> list[Row]:
    """Return the lines of the queue, in no order; ``known`` is what it keeps for the next time."""
    before = known or {}
    made: Known = {one.incident.id: (one, _again(one, before)) for one in view.standings}
    made |= {one.id: (one, _same(one, before)) for one in view.loose}
    if known is not None:
        known.clear()
        known.update(made)
    return [row for _, row in made.values()]


def _same(one: Loose, known: Known) -> Row:
    """Return the line of alerts that are in no incident: the one of before where they are the same."""
    was, row = known.get(one.id, (None, None))
    return row if row is not None and was is one else of_alerts(one)


def lines_of(here: site.Site, some: Iterable[Standing]) -> list[Row]:
    """Return the lines of some incidents, those that were made before again."""
    known: Known = here.once.setdefault("rows", {})
    return [_again(one, known) for one in some]


def _again(one: Standing, known: Known) -> Row:
    """Return an incident's line; only what time changes is new where nothing else is."""
    was, row = known.get(one.incident.id, (None, None))
    if not isinstance(was, Standing) or was.incident is not one.incident or was.weighed is not one.weighed:
        row = None
    row, timer, breached = row or of_incident(one), one.next, one.incident.open and one.breached
    if timer == row.timer and breached == row.breached:
        return row
    return replace(row, timer=timer, breached=breached)


def of_incident(one: Standing) -> Row:
    """Return an incident as a line. Pure."""
    incident, weighed = one.incident, one.weighed
    entities = tuple(incident.entities)
    return Row(
        id=incident.id, href=f"/incident/{incident.id}", kind="incident", title=incident.title,
        severity=weighed.severity.name.lower(), level=int(weighed.severity),
        priority=weighed.priority.name.lower(), urgency=int(weighed.priority), why=weighed.priority_because,
        status=incident.status.name.lower(), owner=incident.owner,
        alerts=sum(group.count for group in incident.groups),
        rules=len({group.rule_id for group in incident.groups}), risk=weighed.risk or incident.risk,
        first=incident.first_event, last=incident.last_event, timer=one.next,
        entities=entities[:_SHOWN_ENTITIES], more_entities=max(0, len(entities) - _SHOWN_ENTITIES),
        open=incident.open, breached=incident.open and one.breached, about=about_incident(one),
        plain=(nameless := plain(incident.title, entities)),
        named=named(entities) if nameless != incident.title else (),
    )  # fmt: skip


def of_alerts(one: Loose) -> Row:
    """Return alerts that are in no incident as a line. Pure."""
    group = one.group
    return Row(
        id=one.id, href=f"/alert/{one.id}", kind="alerts", title=group.title,
        severity=group.severity.name.lower(), level=int(group.severity), priority="", urgency=0,
        why="it does not weigh enough to be an incident", status="", owner="", alerts=group.count, rules=1,
        risk=one.risk, first=group.first, last=group.last, timer=None,
        entities=group.entities[:_SHOWN_ENTITIES],
        more_entities=max(0, len(group.entities) - _SHOWN_ENTITIES), open=True, breached=False,
        about={"kind": "alert", "id": one.id, "severity": group.severity.name.lower()},
        plain=(nameless := plain(group.title, group.entities)),
        named=named(group.entities) if nameless != group.title else (),
    )  # fmt: skip


def shown(every: Sequence[Row], how: Asked, me: str, *, names: bool = True) -> Shown:
    """Return the page that was asked for; ``names`` says whether people are seen. Pure."""
    return of_matching(matching(every, how, names=names), how, me, len(every))


@dataclass(frozen=True, slots=True)
class Matching:
    """Lines that fit a filter, by their ids; how many of each choice, but for those of somebody's own."""

    rows: tuple[Row, ...]
    counts: Mapping[str, int]
    owners: Mapping[str, int]
    """How many are open, by owner."""
    in_order: dict[tuple[str, str, bool], list[Row]]
    """Lines of a choice in an order, as they were asked for before."""
    drawn: dict[tuple[object, ...], Markup]
    """Tables, as they were shown before."""


def matching(every: Sequence[Row], how: Asked, *, names: bool = True) -> Matching:
    """Return the lines that fit; ``names`` says whether people are seen. Pure."""
    words = how.of("q").lower().split()
    found = [
        row
        for row in every
        if all(word in (row.text if names else row.plain_text) for word in words)
        and how.of("severity") in {"", row.severity}
        and how.of("owner") in {"", row.owner}
    ]
    found.sort(key=lambda row: row.id)
    counts = {name: sum(test(row, "") for row in found) for name, (_, test) in TABS.items() if name != _MINE}
    return Matching(tuple(found), counts, Counter(row.owner for row in found if row.open), {}, {})


def of_matching(found: Matching, how: Asked, me: str, every: int) -> Shown:
    """Return the page that was asked for, of lines that fit its filter."""
    chosen = how.of("show") if how.of("show") in TABS else "open"
    counts = {**found.counts, _MINE: found.owners.get(me, 0) if me else 0}
    tabs = tuple(Tab(name, title, counts[name]) for name, (title, _) in TABS.items())
    key = (f"{chosen} {me}" if chosen == _MINE else chosen, how.sort, how.up)
    rows = found.in_order.get(key)
    if rows is None:
        if len(found.in_order) >= _ORDERS:
            found.in_order.clear()
        some = [row for row in found.rows if TABS[chosen][1](row, me)]
        rows = found.in_order[key] = asking.ordered(some, COLUMNS, how)[0]
    _, understood = asking.ordered([], COLUMNS, how)
    page = asking.paged(rows, understood, SIZE)
    return Shown(tabs, chosen, page, understood, every - len(found.rows))


# -- the page ----------------------------------------------------------------------------------------------


def page(request: Request) -> Response:
    """Show the queue."""
    here = site.at(request)
    how = asking.asked(request.query_params, FILTERS, sort="-risk")
    matching, found = _shown(request, how)
    masker = site.see(request, {entity for row in found.page.rows for entity in (*row.entities, *row.named)})
    return here.page(
        request, "queue.html", title="Queue", here="/queue", verdicts=_VERDICTS, found=found,
        views=saved(here.workspace, site.actor(request)), asked=found.asked,
        table=_table(request, matching, found, names=masker is None),
    )  # fmt: skip


def _table(request: Request, matching: Matching, found: Shown, *, names: bool) -> Markup:
    """Return the lines as a table: drawn once for all who ask for the same and see the same."""
    base, asked = str(request.scope.get("root_path", "")), found.asked
    mine = site.actor(request) if found.chosen == _MINE else ""
    key = (base, names, found.chosen, mine, asked.sort, asked.up, asked.after, *sorted(asked.filters.items()))
    table = matching.drawn.get(key)  # others may let all of them go meanwhile
    if table is None:
        if len(matching.drawn) >= _ORDERS:
            matching.drawn.clear()
        table = matching.drawn[key] = site.at(request).part(
            "queue_table.html", base=base, columns=COLUMNS, found=found, asked=asked, page=found.page,
            filtered=any(asked.of(one) for one in FILTERS[1:]),
        )  # fmt: skip
    return table


@dataclass(frozen=True, slots=True)
class _Lines:
    """Lines that somebody sees, and those of them that fitted filters: of one view, and of one who looks."""

    every: Sequence[Row]
    known: dict[tuple[object, ...], Matching]


def _shown(request: Request, how: Asked) -> tuple[Matching, Shown]:
    lines, names = _visible(request), bool(site.at(request).purpose(request))
    key = (how.of("q"), how.of("severity"), how.of("owner"), names)
    found = lines.known.get(key)
    if found is None:
        if len(lines.known) >= _FILTERS:
            lines.known.clear()
        found = lines.known[key] = matching(lines.every, how, names=names)
    return found, of_matching(found, how, site.actor(request), len(lines.every))


def everything(here: site.Site) -> tuple[list[Row], dict[object, _Lines]]:
    """Return all lines there are, made once of what there is, and what was made of them for who looks."""
    view = here.board.look()
    before: tuple[View, list[Row], dict[object, _Lines]] | None = here.once.get("queue")
    if before is None or before[0] is not view:
        known: Known = here.once.setdefault("rows", {})
        before = here.once["queue"] = view, rows(view, known), {}
    return before[1], before[2]


def _visible(request: Request) -> _Lines:
    """Return the lines that somebody sees: made once of what there is, and once for each who looks.

    People from whom no rule takes anything, and who may read the same kinds, see the same.
    """
    here, person = site.at(request), site.whose(request)
    every, by_eyes = everything(here)
    if person is None:
        return _Lines((), {})
    gives, eyes = {kind: may(person, permission) for kind, permission in _READ.items()}, site.eyes(request)
    key: object = tuple(gives.values()) if eyes.all else (person, person.rules)
    found = by_eyes.get(key)
    if found is None:
        found = by_eyes[key] = _Lines([row for row in every if gives[row.kind] and seen(eyes, row)], {})
    return found


_READ = {"incident": "incident.read", "alerts": "alert.read"}


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view that somebody saved: its name and its address's query."""

    name: str
    query: str


def saved(workspace: app.Workspace, who: str) -> list[SavedView]:
    """Return the views that somebody saved, by name; the last word on a name counts."""
    found: dict[str, str] = {}
    for entry in app.journal(workspace).entries(kind=SAVED, subject=who):
        found[str(entry.payload["name"])] = str(entry.payload["query"])
    return [SavedView(name, query) for name, query in sorted(found.items()) if query]


def act(request: Request, form: Form) -> Response:
    """Do what was chosen with the incidents that were chosen."""
    chosen = [one for one in dict.fromkeys(form.every("id")) if one.startswith("in-")]
    back = f"/queue?{form.get('back', '')[:2000]}"
    if not chosen:
        return site.back(
            request, back, "Nothing was chosen", "Choose incidents with x, then act.", kind="warn"
        )
    if len(chosen) > MOST_AT_ONCE:
        raise UsageError(f"{len(chosen)} incidents at once", fix=f"at most {MOST_AT_ONCE}")
    done, refused = each(chosen, lambda one: _one(request, form, one))
    title = f"{len(done)} of {len(chosen)} done" if refused else f"{len(done)} done"
    return site.back(request, back, title, "; ".join(refused[:3]), kind="warn" if refused else "fine")


def each(chosen: Iterable[str], work: Callable[[str], object]) -> tuple[list[str], list[str]]:
    """Do something with each; return those that it was done with, and why not with the others."""
    done, refused = [], []
    for one in chosen:
        try:
            work(one)
        except LemnisError as error:
            refused.append(f"{one}: {error.what}")
        else:
            done.append(one)
    return done, refused


def _one(request: Request, form: Mapping[str, str], incident: str) -> None:
    here, who = site.at(request), site.actor(request)
    what = form.get("do", "")
    may_see(site.eyes(request).incident(incident))
    known = about_incident(here.board.find(incident))
    if what == "close":
        demand(site.whose(request), "incident.close", known)
        verdict = verdict_of(form.get("verdict", ""))
        incidents.close(here.workspace, incident, verdict, actor=who, reason=form.get("reason", ""))
        return
    demand(site.whose(request), "incident.change", known)
    if what == "take":
        incidents.acknowledge(here.workspace, incident, actor=who, reason=form.get("reason", ""))
    elif what == "assign":
        owner = form.get("to", "").strip() or who
        incidents.assign(here.workspace, incident, owner[:200], actor=who)
    else:
        raise UsageError(f"{what!r} cannot be done with incidents", fix="take, assign or close them")


def verdict_of(name: str) -> Verdict:
    """Read a verdict; raises UsageError for none."""
    found = next((one for one in _VERDICTS if one.name.lower() == name), None)
    if found is None:
        raise UsageError("an incident is closed with a verdict", fix="choose what it was")
    return found


def save(request: Request, form: Form) -> Response:
    """Save the view at hand under a name; without a query it is forgotten."""
    here, who = site.at(request), site.actor(request)
    name, query = form.get("name", "").strip()[:60], form.get("query", "")[:2000]
    if not name:
        return site.back(request, f"/queue?{query}", "A view needs a name", kind="warn")
    now = here.workspace.clock.now()
    payload = {"name": name, "query": query}
    key = stable_id("cv", who, name, query, str(now))
    app.journal(here.workspace).append(NewEntry(SAVED, who, key, payload, actor=who, reason=f"view {name}"))
    return site.back(request, f"/queue?{query}", f"The view {name} is {'kept' if query else 'gone'}")


ROUTES = (
    site.shows("/queue", page, "incident.read"),
    site.does("/queue", act, "incident.read"),
    site.does("/queue/views", save, "incident.read"),
)
