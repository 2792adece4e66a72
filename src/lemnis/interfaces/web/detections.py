"""Detections: what of ATT&CK they cover and how well, and each rule with its tests and what it told."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import coverage_now, noise, noise_rule, rules_lint, rules_test
from lemnis.app.access.people import may
from lemnis.app.board import View
from lemnis.app.coverage import STATES, Coverage, Covering
from lemnis.app.coverage_now import Now
from lemnis.content import yaml
from lemnis.content.library import Item, Library
from lemnis.contracts.errors import ContentError, LemnisError
from lemnis.contracts.incidents import AlertGroup
from lemnis.detect.rules import load_rules
from lemnis.ingest.sources import Sources
from lemnis.interfaces.web import asking, drawing, site
from lemnis.interfaces.web.asking import Column
from lemnis.interfaces.web.sources import watched_by, whole
from lemnis.interfaces.web.words import query, words

FILTERS = ("q", "technique", "state", "own")
DAY, DAYS = 86_400_000, 30
SIZE = 100
COUNTS_S = 15

LOG = logging.getLogger("lemnis.console")


@dataclass(frozen=True, slots=True)
class Cell:
    """A technique in the matrix."""

    id: str
    name: str
    state: str
    rules: int
    href: str
    said: str


@dataclass(frozen=True, slots=True)
class Tactic:
    """A column of the matrix; ``of`` is how many techniques ATT&CK has there, 0 where that is not known."""

    title: str
    of: int
    cells: tuple[Cell, ...]


def matrix(found: Coverage, base: str = "") -> list[Tactic]:
    """Return the matrix: tactics with their techniques, the best covered first. Pure."""
    return [
        Tactic(
            words(tactic),
            found.total.get(tactic, 0),
            tuple(
                Cell(
                    one.id,
                    one.name,
                    one.state,
                    len(one.rules),
                    f"{base}/detections?{query({'technique': one.id})}#rules",
                    f"{one.id} {one.name}: {one.state}, rules: {len(one.rules)}",
                )
                for one in sorted(found.under(tactic), key=lambda one: (-one.reached, one.id))
            ),
        )
        for tactic in found.tactics
    ]


@dataclass(frozen=True, slots=True)
class Row:
    """A detection as a line."""

    name: str
    title: str
    state: str
    reached: int
    techniques: tuple[str, ...]
    alerts: int
    last: int
    false: int


COLUMNS: tuple[Column[Row], ...] = (
    Column("title", "Detection", lambda row: row.title.lower()),
    Column("state", "State", lambda row: row.reached, up=False),
    Column("alerts", "Alerts", lambda row: row.alerts, up=False, numeric=True),
    Column("false", "Judged harmless", lambda row: row.false, up=False, numeric=True),
    Column("last", "Last alert", lambda row: row.last, up=False),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """By rule: the groups of its alerts, how many alerts, the last one, how closed incidents were judged."""

    groups: Mapping[str, Sequence[AlertGroup]]
    alerts: Mapping[str, int]
    last: Mapping[str, int]
    judged: Mapping[str, Counter[str]]

    def harmless(self, rule: str) -> int:
        """Return how many of a rule's alerts were judged harmless."""
        found = self.judged.get(rule, Counter[str]())
        return found["false_positive"] + found["benign"]


def counted(view: View) -> Counts:
    """Count the alerts of each rule. Pure."""
    found: dict[str, list[AlertGroup]] = {}
    for group in groups(view):
        found.setdefault(group.rule_id, []).append(group)
    return Counts(
        found,
        {rule: sum([one.total or len(one.alerts) for one in some]) for rule, some in found.items()},
        {rule: max([one.alerts[-1][1] for one in some]) for rule, some in found.items()},
        noise.verdicts(one.incident for one in view.standings),
    )


def counts(here: site.Site, seen: site.Seen) -> Counts:
    """Return the counts of what somebody sees, some seconds old at most."""
    found: Counts = here.keep(f"counts:{seen.name}", lambda: counted(seen.view()), COUNTS_S).get()
    return found


def groups(view: View) -> Iterable[AlertGroup]:
    """Yield all groups of alerts, of incidents and alone. Pure."""
    for one in view.standings:
        yield from one.incident.groups
    for alone in view.loose:
        yield alone.group


def rows(found: Sequence[Covering], known: Counts) -> list[Row]:
    """Return the detections as lines. Pure."""
    return [
        Row(
            one.name,
            one.title,
            STATES[max(0, one.reached - 1)],
            one.reached,
            one.techniques,
            known.alerts.get(one.rule_id or one.title, 0),
            known.last.get(one.rule_id or one.title, 0),
            known.harmless(one.rule_id or one.title),
        )
        for one in found
    ]


class Passing:
    """The detections whose tests pass: run beside the pages, once for each state of the content."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of = ""
        self.names: frozenset[str] = frozenset()
        self.ready = False

    def look(self, library: Library) -> bool:
        """Begin to run the tests if the content is another; return whether the names are of it."""
        digest = library.digest
        with self._lock:
            if self._of == digest:
                return self.ready
            self._of, self.ready = digest, False
        threading.Thread(target=self._run, args=(library, digest), daemon=True, name="tests of rules").start()
        return False

    def _run(self, library: Library, digest: str) -> None:
        try:
            found = coverage_now.passing(library)
        except Exception:  # the next look begins anew
            LOG.exception("the tests of rules could not be run")
            found = None
        with self._lock:
            if self._of != digest:
                return
            if found is None:
                self._of = ""
            else:
                self.names, self.ready = found, True


def now(here: site.Site, seen: site.Seen) -> tuple[Now, bool]:
    """Return what is covered as somebody sees it, and whether the tests of all rules were run for that."""
    library = here.library
    passing: Passing = here.once.setdefault("tested", Passing())
    ready = passing.look(library)
    rules = watched_by(here)

    def look() -> Now:
        return coverage_now.look(
            here.workspace, seen.view(), rules, passing.names, library, sources=whole(here)
        )

    kept = here.keep(f"coverage:{library.digest}:{ready}:{seen.name}", look, 30)
    found: Now = kept.get()
    return found, ready


def heat(here: site.Site, found: Now, base: str) -> Markup:
    """Return the matrix as it is shown, made once of what is covered; it has nothing that is hidden."""
    before: tuple[Now, str, Markup] | None = here.once.get("heat")
    if before is None or before[0] is not found or before[1] != base:
        text = here.templates.get_template("detections_heat.html").render(
            tactics=matrix(found.coverage, base)
        )
        before = here.once["heat"] = found, base, Markup(text)  # noqa: S704 - of a template that escapes
    return before[2]


def page(request: Request) -> Response:
    """Show the matrix and the rules."""
    here = site.at(request)
    seen = site.seen_by(request)
    found, ready = now(here, seen)
    how = asking.asked(request.query_params, FILTERS, sort="title")
    every = rows(found.rules, counts(here, seen))
    some = [
        one
        for one in every
        if all(word in f"{one.title} {one.name}".lower() for word in how.of("q").lower().split())
        and (not how.of("technique") or how.of("technique") in one.techniques)
        and how.of("state") in {"", one.state}
    ]
    in_order, how = asking.ordered(some, COLUMNS, how)
    states = Counter(one.state for one in found.coverage.techniques)
    return here.page(
        request,
        "detections.html",
        title="Detections",
        here="/detections",
        heat=heat(here, found, base(request)),
        page=asking.paged(in_order, how, SIZE),
        columns=COLUMNS,
        asked=how,
        counts=states,
        states=STATES,
        ready=ready,
        untagged=len(found.coverage.untagged),
        problems=found.coverage.problems[:5],
        total=len(every),
    )


def base(request: Request) -> str:
    """Return what addresses begin with."""
    return str(request.scope.get("root_path", ""))


def detection(request: Request) -> Response:
    """Show one detection."""
    here = site.at(request)
    library = here.library
    item = library.get("detections", request.path_params["name"])
    loaded = load_rules([item.manifest])
    fires: Any = (*loaded.rules, *loaded.correlations)
    keys = {one.id or one.title for one in fires}
    seen = site.seen_by(request)
    known = counts(here, seen)
    mine = [group for key in sorted(keys) for group in known.groups.get(key, ())]
    site.see(request, {entity for group in mine for entity in group.entities}, about=item.name)
    at = here.workspace.clock.now()
    found, _ = now(here, seen)
    covering = next((one for one in found.rules if one.name == item.name), None)
    head = fires[-1] if fires else None
    return here.page(
        request,
        "detection.html",
        title=head.title if head else item.name,
        here="/detections",
        item=item,
        rule=head,
        covering=covering,
        states=STATES,
        text=yaml.read_text(item.manifest),
        why=why(item),
        bars=per_day(mine, at),
        groups=sorted(mine, key=lambda one: -one.last)[:50] if may(site.whose(request), "alert.read") else [],
        total=sum(one.count for one in mine),
        verdicts=verdicts(known, keys),
        problems=loaded.problems,
        tested=tested(here, item),
        over=noise_rule.over(library, item),
        now=at,
    )


def why(item: Item) -> str:
    """Return what a rule says of itself: its description. Empty where it has none, or cannot be read."""
    try:
        first = next(iter(yaml.parse_all(yaml.read_text(item.manifest))), None)
    except ContentError:
        return ""
    return str(first.get("description", "")) if isinstance(first, dict) else ""


def forget_tests(here: site.Site, item: Item) -> None:
    """Let a detection's tests be run again."""
    here.forget(f"test:{here.library.digest}:{item.name}")


def tested(here: site.Site, item: Item) -> rules_test.Tested:
    """Return how a detection's tests went, run once for each state of the content."""
    kept = here.keep(
        f"test:{here.library.digest}:{item.name}",
        lambda: rules_test.test_rule(item, Sources.load(here.library)),
        3_600,
    )
    found: rules_test.Tested = kept.get()
    return found


def per_day(mine: Sequence[AlertGroup], now: int) -> Any:
    """Return the alerts of the last days as a drawing. Pure."""
    first = now // DAY - DAYS + 1
    counts: Counter[int] = Counter()
    for group in mine:
        for _, at in group.alerts:
            if first <= at // DAY <= now // DAY:
                counts[at // DAY] += 1
    bars = [(day * DAY, counts[day]) for day in range(first, first + DAYS)]
    return drawing.histogram(
        bars, first * DAY, (first + DAYS) * DAY, label=f"alerts of the last {DAYS} days", height=72
    )


def verdicts(known: Counts, keys: set[str]) -> Mapping[str, int]:
    """Return how incidents with alerts of a rule were judged. Pure."""
    found: Counter[str] = Counter()
    for key in keys:
        found.update(known.judged.get(key, Counter()))
    return dict(found.most_common())


def check(request: Request) -> Response:
    """Show what lint says of all detections."""
    here = site.at(request)
    try:
        found = here.keep(
            f"lint:{here.library.digest}", lambda: rules_lint.lint(app.library(here.workspace)), 3_600
        ).get()
        findings, trouble = found.findings, ""
    except LemnisError as error:
        findings, trouble = (), str(error)
    return here.page(
        request, "lint.html", title="Lint", here="/detections", findings=findings, trouble=trouble
    )


ROUTES = (
    site.shows("/detections", page, "rule.read"),
    site.shows("/detections/lint", check, "rule.read"),
    site.shows("/detection/{name}", detection, "rule.read"),
)
