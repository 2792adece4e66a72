"""Findings: listed by priority with why, decided on one by one or many at once, and how each came to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from lemnis import app
from lemnis.app import exemptions, feedback_findings, findings_life, gates, policies
from lemnis.app import findings_decisions as deciding
from lemnis.app.access import naming
from lemnis.app.access.people import demand, refusal
from lemnis.app.findings_decisions import Standing, State, Word
from lemnis.contracts.alerts import Severity
from lemnis.contracts.errors import LemnisError, UsageError
from lemnis.interfaces.web import asking, site, words
from lemnis.interfaces.web.asking import Asked, Column
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.pipeline_said import passed, said_by_gates
from lemnis.interfaces.web.queue import Tab, each

FILTERS = ("show", "q", "severity", "resource")
SIZE, MOST, MOST_AT_ONCE = 100, 5_000, 500
FRESH_S = 15
PRIORITIES = ("unknown", "low", "medium", "high", "critical")
ASIDE = frozenset({State.ACCEPTED, State.FALSE_POSITIVE, State.MITIGATED})
TITLES: Mapping[Word, str] = {
    Word.ACCEPT: "Accept the risk", Word.FALSE_POSITIVE: "It is no problem",
    Word.MITIGATED: "It is mitigated", Word.FIXED: "It is mended", Word.REOPEN: "Open it again",
    Word.ASSIGN: "Assign",
}  # fmt: skip


# -- what is shown, pure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A problem that scanners found, as a line."""

    id: str
    title: str
    severity: str
    level: int
    priority: str
    because: str
    where: str
    resource: str
    tools: tuple[str, ...]
    first: int
    fix: str
    state: str = "open"
    owner: str = ""
    told: str = ""

    @property
    def text(self) -> str:
        """What the filter looks in: what is shown."""
        said = (self.id, self.title, self.where, self.resource, self.owner, *self.tools)
        return " ".join(said).lower()


COLUMNS: tuple[Column[Line], ...] = (
    Column("priority", "Priority", lambda row: (PRIORITIES.index(row.priority), row.level), up=False),
    Column("title", "Finding", lambda row: row.title.lower()),
    Column("where", "Where", lambda row: (row.resource, row.where)),
    Column("owner", "Owner", lambda row: (not row.owner, row.owner.lower())),
    Column("first", "First seen", lambda row: row.first, up=False),
)
TABS: Mapping[str, tuple[str, Callable[[Line, str], bool]]] = {
    "open": ("Open", lambda row, _: row.state == "open"),
    "mine": ("Mine", lambda row, me: row.state == "open" and bool(me) and row.owner == me),
    "aside": ("Set aside", lambda row, _: row.state in ASIDE),
    "fixed": ("Said to be mended", lambda row, _: row.state == "fixed"),
}


def line(one: findings_life.Problem, priority: Mapping[str, Any]) -> Line:
    """Return a problem as a line. Pure."""
    chief = one.chief.finding
    return Line(
        one.id,
        chief.title,
        chief.severity.name.lower(),
        int(chief.severity),
        str(priority.get("priority", "unknown")),
        str(priority.get("priority_because", "")),
        f"{chief.path}:{chief.line}" if chief.path else chief.resource,
        one.chief.resource,
        tuple(sorted({row.finding.tool for row in one.rows})),
        min(row.first_seen for row in one.rows),
        chief.fix,
    )


def standing(row: Line, now: Standing) -> Line:
    """Return a line with how it stands, and why. Pure."""
    last = now.decision
    told = now.void or (last.reason if last and now.state is not State.OPEN else "")
    until = f", until {last.until}" if last and last.until and now.state is not State.OPEN else ""
    return replace(row, state=now.state.value, owner=now.owner, told=f"{told}{until}")


@dataclass(frozen=True, slots=True)
class Listed:
    """The findings that a page shows: tabs with counts, rows, what was asked, resources to choose from."""

    tabs: tuple[Tab, ...]
    chosen: str
    page: asking.Page[Line]
    asked: Asked
    resources: tuple[str, ...]
    total: int


def listed(every: Sequence[Line], how: Asked, me: str) -> Listed:
    """Return the page of findings that was asked for; ``every`` are as who looks sees them. Pure."""
    chosen = how.of("show") if how.of("show") in TABS else "open"
    wanted = how.of("q").lower().split()
    some = [
        one
        for one in every
        if all(word in one.text for word in wanted)
        and how.of("severity") in {"", one.severity}
        and how.of("resource") in {"", one.resource}
    ]
    tabs = tuple(
        Tab(name, title, sum(holds(one, me) for one in some)) for name, (title, holds) in TABS.items()
    )
    rows, how = asking.ordered([one for one in some if TABS[chosen][1](one, me)], COLUMNS, how)
    resources = tuple(sorted({one.resource for one in every}))
    return Listed(tabs, chosen, asking.paged(rows, how, SIZE), how, resources, len(every))


# -- what is known -----------------------------------------------------------------------------------------


@dataclass
class Known:
    """The problems that are there, with what their lines say, and whom these name; some seconds old."""

    problems: Sequence[findings_life.Problem]
    lines: Sequence[Line]
    attacked: feedback_findings.Attacked
    people: frozenset[str]
    seen: dict[frozenset[str], Sequence[Line]] = field(default_factory=dict)

    def without(self, people: frozenset[str]) -> Sequence[Line]:
        """Return the lines as who may not see these people sees them; made once."""
        if people not in self.seen:
            self.seen.clear()
            self.seen[people] = [hidden(one) for one in self.lines]
        return self.seen[people]


def hidden(one: Line) -> Line:
    """Return a line without the personal data that who looks is not to see."""
    masked = words.masked
    return replace(
        one, title=masked(one.title), because=masked(one.because), where=masked(one.where),
        resource=masked(one.resource), fix=masked(one.fix),
    )  # fmt: skip


def known(here: site.Site) -> Known:
    """Return the problems that are there."""
    found: Known = here.keep("problems", lambda: _known(here), FRESH_S).get()
    return found


def newest_alerts(here: site.Site) -> feedback_findings.Newest:
    """Return the newest alerts: what was read of them before is not read again."""
    found: feedback_findings.Newest = here.once.setdefault(
        "newest alerts", feedback_findings.Newest(here.workspace)
    )
    return found


def _known(here: site.Site) -> Known:
    attacked = feedback_findings.Attacked(here.workspace, alerts=newest_alerts(here))
    problems = findings_life.problems(here.workspace, limit=MOST)
    lines = [line(one, attacked.problem(one)) for one in problems]
    said = (text for one in lines for text in (one.title, one.because, one.where, one.resource, one.fix))
    return Known(problems, lines, attacked, frozenset(naming.addressed(said)))


def decisions(here: site.Site) -> Mapping[str, Sequence[deciding.Decided]]:
    """Return the decisions by problem: what was written since is read."""
    kept: deciding.Decisions = here.once.setdefault("decisions", deciding.Decisions(here.workspace))
    return kept.look()


def lines(request: Request, people: frozenset[str]) -> Sequence[Line]:
    """Return the findings as who asks sees them; ``people`` are all whom the page names (``site.see``)."""
    here = site.at(request)
    now, words_ = known(here), decisions(here)
    shown = now.lines if words.HIDES.get() is None else now.without(people)
    stand = deciding.Stand(here.workspace, now.attacked, words_)
    return [
        standing(row, stand.of(one)) if one.id in words_ else row
        for one, row in zip(now.problems, shown, strict=True)
    ]


# -- pages -------------------------------------------------------------------------------------------------


def finding(request: Request) -> Response:
    """Show one problem: what every tool says of it, how it came in, how to mend it, what was decided."""
    here = site.at(request)
    one = findings_life.problem(here.workspace, request.path_params["id"])
    attacked = feedback_findings.Attacked(here.workspace, alerts=newest_alerts(here))
    past = deciding.of(here.workspace, one.id)
    now = deciding.Stand(here.workspace, attacked, {one.id: past}).of(one)
    _, about = next(deciding.about(here.workspace, [one]))
    exceptions, wrong = exemptions.granted(here.workspace, here.library, [one], passed(said_by_gates(here)))
    said = [text for row in one.rows for text in (row.because, *naming.texts(_told(row)))]
    said += [word.reason for word in past] + [text for e in exceptions for text in (e.file.reason, e.void)]
    people = naming.addressed([*said, one.chief.resource, *(e.file.owner for e in exceptions)])
    site.see(request, people, about=one.id)
    return here.page(
        request, "finding.html", title=one.chief.finding.title, here="/pipeline", one=one,
        shown=standing(line(one, attacked.problem(one)), now), now=now, severity=Severity,
        decisions=list(reversed(past)), titles=TITLES, about=about,
        why_not=refusal(site.whose(request), "finding.change", about),
        gone=all(row.fixed_at is not None for row in one.rows),
        exceptions=[e for e in exceptions if one.id in e.problems], wrong=wrong,
        refused=refusing(here, one), today=here.workspace.clock.now(),
    )  # fmt: skip


def _told(row: Any) -> list[str]:
    told = row.finding
    return [told.title, told.message, told.snippet, told.fix, told.path]


def refusing(here: site.Site, one: findings_life.Problem) -> list[tuple[str, str]]:
    """Return the policies that an exception for a problem may be asked from, those first that refused it."""
    journal = app.journal(here.workspace)
    head, said = journal.head()[0], dict[str, None]()
    for name in {row.finding.fingerprint for row in one.rows}:
        for entry in journal.mentioning(name, kind=gates.DECISION, after=0, up_to=head):
            reasons: Any = entry.payload.get("reasons") or ()
            said |= {str(r.get("policy")): None for r in reasons if r.get("finding") == name}
    try:
        granting = {
            p.name: p.grants
            for p in policies.load(here.library)
            if p.grants and {*p.stages} & {*exemptions.CODE}
        }
    except LemnisError:  # the page of gates tells which
        return []
    return [(name, granting[name]) for name in dict.fromkeys([*said, *granting]) if name in granting]


# -- what is done ------------------------------------------------------------------------------------------


def decide(request: Request, form: Form) -> Response:
    """Decide on one problem, or ask for an exception for it."""
    here, who = site.at(request), site.actor(request)
    one = findings_life.problem(here.workspace, request.path_params["id"])
    _demand(request, one)
    place = f"/pipeline/problem/{one.id}"
    if form.get("do") == "ask":
        name = exemptions.ask(
            here.workspace, here.library, policy=form.get("policy", ""), actor=who,
            fingerprint=one.chief.finding.fingerprint, reason=form.get("reason", ""),
            until=form.get("until", ""), compensating=form.get("compensating", "").strip()[:2000],
        )  # fmt: skip
        return site.back(request, place, "Asked for", f"Somebody else approves {name}.")
    version = form.get("version", "")
    if not (version.isascii() and version.isdigit()):
        raise UsageError("the form does not say what it was about", fix="reload the page and send it again")
    word = _word(form)
    _decide(here, one.id, word, form, who, version=int(version[:9]))
    return site.back(request, place, "Decided", _SAID[word])


_SAID: Mapping[Word, str] = {
    Word.ACCEPT: "It is off the list until its last day, or an alert about it. Gates still refuse it.",
    Word.FALSE_POSITIVE: "It is off the list. Gates still refuse it: that takes an exception.",
    Word.MITIGATED: "It is off the list until an alert about it. Gates still refuse it.",
    Word.FIXED: "It is off the list; if a scan still sees it, it comes back.",
    Word.REOPEN: "It is on the list again.", Word.ASSIGN: "It has an owner.",
}  # fmt: skip


def act(request: Request, form: Form) -> Response:
    """Decide on what was chosen in the list."""
    who = site.actor(request)
    chosen = list(dict.fromkeys(form.every("id")))
    back = f"/pipeline?{form.get('back', '')[:2000]}#findings"
    if not chosen:
        return site.back(
            request, back, "Nothing was chosen", "Choose findings with x, then act.", kind="warn"
        )
    if len(chosen) > MOST_AT_ONCE:
        raise UsageError(f"{len(chosen)} findings at once", fix=f"at most {MOST_AT_ONCE}")
    word = _word(form)
    done, refused = each(chosen, lambda name: _one(request, name, word, form, who))
    title = f"{len(done)} of {len(chosen)} done" if refused else f"{len(done)} done"
    return site.back(request, back, title, "; ".join(refused[:3]), kind="warn" if refused else "fine")


def _one(request: Request, name: str, word: Word, form: Mapping[str, str], who: str) -> None:
    here = site.at(request)
    one = findings_life.problem(here.workspace, name)
    _demand(request, one)
    _decide(here, one.id, word, form, who)


def _decide(
    here: site.Site, name: str, word: Word, form: Mapping[str, str], who: str, *, version: int | None = None
) -> None:
    until = form.get("until", "") if word in {Word.ACCEPT, Word.MITIGATED} else ""
    to = form.get("to", "").strip() or who
    deciding.decide(
        here.workspace,
        name,
        word,
        actor=who,
        reason=form.get("reason", ""),
        until=until,
        to=to,
        version=version,
    )


def _demand(request: Request, one: findings_life.Problem) -> None:
    _, about = next(deciding.about(site.at(request).workspace, [one]))
    demand(site.whose(request), "finding.change", about)


def _word(form: Mapping[str, str]) -> Word:
    try:
        return Word(form.get("do", ""))
    except ValueError as error:
        raise UsageError("what is decided?", fix=f"one of {', '.join(Word)}") from error


ROUTES = (
    site.shows("/pipeline/problem/{id}", finding, "finding.read"),
    site.does("/pipeline/problem/{id}", decide, "finding.change"),
    site.does("/pipeline", act, "finding.change"),
)
