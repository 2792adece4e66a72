"""What all pages share: templates, the board, who asks; how a handler becomes an answer."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from lemnis import app
from lemnis.app import settings
from lemnis.app.access.masking import Masker
from lemnis.app.access.people import Person, demand, may
from lemnis.app.access.personal import Personal
from lemnis.app.access.seeing import Eyes
from lemnis.app.board import Board, View
from lemnis.content.library import Library
from lemnis.contracts.errors import (
    AccessError,
    BusyError,
    LemnisError,
    NotFoundError,
)
from lemnis.contracts.ids import Json
from lemnis.interfaces.api.services import Slots
from lemnis.interfaces.api.turns import Turn, taken
from lemnis.interfaces.web import words
from lemnis.interfaces.web.echoes import unechoed
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.keeping import Kept
from lemnis.interfaces.web.menu import menu
from lemnis.interfaces.web.static_files import asset
from lemnis.interfaces.web.statuses import TITLES, status_of
from lemnis.interfaces.web.templating import Environment

TEMPLATES = Path(__file__).parent / "templates"
MOST_FORM = 65_536
"""So many bytes a form may have."""
_DEAR, _DEAR_EACH = 32, 4
"""How much dear work is begun or waited for at once: by all, and by one person."""
_MOST_KEPT, _CONTENT_S = 200, 10.0
ANYBODY = ""
"""In the place of a permission: whoever is signed in, for what is about themselves."""
_THEMES = frozenset({"light", "dark"})


@dataclass(frozen=True, slots=True)
class Said:
    """What a page tells of what was just done."""

    title: str
    text: str = ""
    kind: str = "fine"


@dataclass(frozen=True)
class Site:
    """The console's pages over one workspace. ``stream`` is the address of live events; empty: none."""

    workspace: app.Workspace
    board: Board
    stream: str = ""
    kept: dict[str, Kept[Any]] = field(default_factory=dict)
    """What is dear to work out and may be some minutes old, by name."""
    once: dict[str, Any] = field(default_factory=dict)
    slots: Slots = field(default_factory=lambda: Slots(_DEAR, _DEAR_EACH))
    purposes: dict[str, tuple[str, float]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    """Words that outlive a request."""

    @cached_property
    def templates(self) -> Environment:
        """The templates: what they are given is escaped, and shows what hides in it."""
        made = Environment(TEMPLATES)
        made.globals.update(asset=asset)
        return made

    @cached_property
    def name(self) -> str:
        """What the workspace is called."""
        return settings.load(self.workspace).name

    @property
    def library(self) -> Library:
        """The content, looked at anew every few seconds: the same one while no file of it changed."""
        found: Library = self.keep("library", self._content, _CONTENT_S).get()
        return found

    def _content(self) -> Library:
        before: Library | None = self.once.get("content")
        found = app.library(self.workspace)
        if before is not None and before.roots == found.roots and before.stands:
            return before
        self.once["content"] = found
        return found.stamped()

    def keep(self, name: str, make: Callable[[], Any], seconds: float) -> Kept[Any]:
        """Return what is kept by a name, worked out when it is asked for; what nobody asks for is let go."""
        found = self.kept.get(name)
        if found is None:
            while len(self.kept) >= _MOST_KEPT:
                known = list(self.kept.items())
                self.kept.pop(min(known, key=lambda one: one[1].used)[0], None)
            found = self.kept.setdefault(name, Kept(make, seconds))
        return found

    def forget(self, name: str) -> None:
        """Let what is kept by a name be worked out anew."""
        if name in self.kept:
            self.kept[name].forget()

    def warm(self) -> None:
        """Read what people work on beside the pages: whoever signs in will ask for it."""
        self.board.begin()

    def personal(self, request: Request) -> Personal:
        """Return who sees personal data."""
        if "personal" not in self.once:
            self.once["personal"] = Personal(request.state.access)
        found: Personal = self.once["personal"]
        return found

    def purpose(self, request: Request) -> str:
        """Return for what who asks said that they need personal data; empty if they did not, or long ago."""
        said, until = self.purposes.get(_session(request), ("", 0.0))
        person = whose(request)
        sees = person is not None and person.how == "session" and may(person, "personal.read")
        return said if sees and time.monotonic() < until else ""

    def state_purpose(self, request: Request, text: str) -> None:
        """Keep for what somebody needs personal data, in this session and for a while; empty ends it."""
        now = time.monotonic()
        for old in [one for one, (_, until) in self.purposes.items() if until <= now]:
            self.purposes.pop(old, None)
        self.purposes.pop(_session(request), None)
        if text:
            self.purposes[_session(request)] = (text, now + PURPOSE_S)

    def say(self, name: str, text: str) -> None:
        """Keep a word, such as why what was begun beside a page failed; empty takes it away."""
        self.said.pop(name, None)
        if text:
            while len(self.said) >= _MOST_KEPT:
                self.said.pop(next(iter(self.said)), None)
            self.said[name] = text

    def kept_word(self, name: str) -> str:
        """Return a word that was kept; empty if there is none."""
        return self.said.get(name, "")

    def page(self, request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
        """Render a page."""
        person = whose(request)
        theme = request.cookies.get("lemnis-theme", "")
        known = {
            "base": str(request.scope.get("root_path", "")),
            "person": person,
            "csrf": csrf(request),
            "theme": theme if theme in _THEMES else "",
            "workspace_name": self.name,
            "menu": menu(person, {"queue": self._count(request)} if person is not None else {}),
            "here": context.pop("here", request.url.path),
            "address": _address(request),
            "purpose": self.purpose(request) if person is not None else "",
            "said": told(request),
            "live": self._live(request) if person is not None else "",
            "can": _Can(person),
        }
        text = self.templates.get_template(template).render(known | context)
        answer = HTMLResponse(text, status)
        if known["said"] is not None:
            answer.delete_cookie(
                _SAID, path=f"{known['base']}/", httponly=True, samesite="lax", secure=_secure(request)
            )
        return answer

    def _live(self, request: Request) -> str:
        """Return the address of what happens after what a page shows: a browser may ask for it late."""
        since: int | None = getattr(request.state, "since", None)
        return f"{self.stream}?after={since}" if self.stream and since is not None else self.stream

    def part(self, template: str, **context: Any) -> Markup:
        """Render a part of a page that has nothing of a session in it: it may be kept."""
        return Markup(self.templates.get_template(template).render(context))  # noqa: S704 - it escapes

    def _count(self, request: Request) -> int:
        """Return how many open incidents whoever asks sees; counted once for each state of things."""
        person, view = whose(request), self.board.last_view
        if person is None or eyes(request).all:
            return view.open
        known: tuple[object, dict[object, int]] | None = self.once.get("count")
        if known is None or known[0] is not view:
            known = self.once["count"] = view, {}
        key = person, person.rules
        if key not in known[1]:
            sees = eyes(request).sees
            known[1][key] = sum(one.incident.open and sees(one) for one in view.standings)
        return known[1][key]


class _Can:
    """Asked in templates: may who looks do this, about that."""

    def __init__(self, person: Person | None) -> None:
        self._person = person

    def __call__(self, permission: str, about: Mapping[str, Json] | None = None) -> bool:
        return may(self._person, permission, about)


def whose(request: Request) -> Person | None:
    """Return who asks; None if nobody is signed in."""
    found: Person | None = getattr(request.state, "person", None)
    return found


def eyes(request: Request) -> Eyes:
    """Return what whoever asks sees of incidents and what belongs to them; made once a request.

    Raises AccessError where nobody is signed in.
    """
    person = whose(request)
    if person is None:
        raise AccessError("nobody is signed in", fix="sign in")
    known: Eyes | None = getattr(request.state, "eyes", None)
    if known is None:
        known = request.state.eyes = Eyes(person, at(request).board)
    return known


@dataclass(frozen=True, slots=True)
class Seen:
    """What one person sees of incidents, whenever it is asked; ``name`` is the same for all who see all."""

    name: str
    board: Board
    person: Person | None
    """None: whoever sees all."""

    def eyes(self) -> Eyes | None:
        """Return what they see as things stand now; None where they see all."""
        return None if self.person is None else Eyes(self.person, self.board)

    def view(self) -> View:
        """Return what there is now, without what they do not see."""
        view, eyes = self.board.look(), self.eyes()
        return view if eyes is None else eyes.view(view)


def seen_by(request: Request) -> Seen:
    """Return what who asks sees, for what is kept longer than a request."""
    board, person = at(request).board, eyes(request).person
    view = board.look()
    if eyes(request).view(view) is view:
        return Seen("", board, None)
    return Seen(f"{hash((person, person.rules))}", board, person)


def _session(request: Request) -> str:
    """Return what stands for a session, and says nothing of its cookie."""
    return hashlib.sha256(str(getattr(request.state, "cookie", "")).encode()).hexdigest()


def csrf(request: Request) -> str:
    """Return the token that a form of this session carries."""
    return str(getattr(request.state, "csrf", "") or "")


def at(request: Request) -> Site:
    """Return the site that a request came to."""
    found: Site = request.app.state.site
    return found


def actor(request: Request) -> str:
    """Return by whom a change is, as the journal names people."""
    person = whose(request)
    return person.name if person is not None else ""


# -- personal data -----------------------------------------------------------------------------------------

PURPOSE_S = 1_800.0
"""How long somebody who said what for sees personal data."""


def see(
    request: Request, entities: Iterable[object] = (), *, about: str = "", also: Iterable[str] = ()
) -> Masker | None:
    """Let the page at hand show no personal data of these entities, unless who looks said what for.

    Then it is written down that they saw it. Returns what takes personal data out of events; None if nothing
    does. ``also`` are further values that are personal.
    """
    here, person = at(request), whose(request)
    if person is None:
        raise AccessError("nobody is signed in", fix="sign in")
    masker = here.personal(request).seen_by(
        person, here.purpose(request), what=f"GET {request.url.path}", about=about
    )
    if masker is None:
        words.HIDES.set(None)
        return None
    values = {*masker.of_entities(map(str, entities)), *also}
    words.HIDES.set(masker.hiding(values))
    return masker


def hide(request: Request, entities: Iterable[object], also: Iterable[str] = ()) -> None:
    """Let nothing that is told from here on, errors too, name these, unless who looks said what for.

    Nothing is written down: a page that shows them calls ``see``.
    """
    here = at(request)
    masker = None if here.purpose(request) else here.personal(request).masker
    values = set() if masker is None else {*masker.of_entities(map(str, entities)), *also}
    words.HIDES.set(masker.hiding(values) if masker is not None else None)


def personal_in(request: Request, event: Mapping[str, Any]) -> frozenset[str]:
    """Return what in an event is personal by the labels of its source."""
    return at(request).personal(request).masker.values(event)


# -- handlers ----------------------------------------------------------------------------------------------


Shows = Callable[[Request], Response]


class Does(Protocol):
    """What answers a form."""

    def __call__(self, request: Request, form: Form, /) -> Response:
        """Do it."""
        ...


def shows(
    path: str, handler: Shows, permission: str, turn: Turn | Callable[[Request], Turn] = Turn.PAGE
) -> Route:
    """Return a route of a page that people with a permission see; ``turn`` says what kind of work it is.

    Of what is dear only so much is waited for at once, by all and by one person; others are told so.
    """

    async def endpoint(request: Request) -> Response:
        if whose(request) is None:
            return to_sign_in(request)
        kind = turn if isinstance(turn, Turn) else turn(request)

        def work() -> Response:
            request.state.since = at(request).board.seq  # before anything is read
            return handler(request)

        return await answered(request, lambda: _permitted(request, permission, work), kind)

    return Route(path, endpoint, methods=["GET"], name=path)


def does(path: str, handler: Does, permission: str) -> Route:
    """Return a route of a form that people with a permission send; it needs the session's token."""

    async def endpoint(request: Request) -> Response:
        if whose(request) is None:
            return to_sign_in(request)
        form = await read_form(request)
        if isinstance(form, Response):
            return form
        request.state.form = form
        return await answered(
            request, lambda: _permitted(request, permission, lambda: handler(request, form)), Turn.CHANGE
        )

    return Route(path, endpoint, methods=["POST"], name=f"{path} POST")


async def read_form(request: Request) -> Form | Response:
    """Read a form and check its token; return an answer instead where it is too large or has none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_FORM:
            return _refused(request, 413, "this form is too large", "send less")
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=2_000, strict_parsing=False
        )
    except ValueError:
        return _refused(request, 400, "this form cannot be read", "reload the page and send it again")
    form = Form(pairs)
    if not csrf(request) or not hmac.compare_digest(form.get("csrf", "").encode(), csrf(request).encode()):
        return _refused(request, 403, "this form is not of your session", "reload the page and send it again")
    return form


def _permitted(request: Request, permission: str, handler: Callable[[], Response]) -> Response:
    if permission != ANYBODY:
        demand(whose(request), permission)
    return handler()


async def answered(request: Request, work: Callable[[], Response], turn: Turn = Turn.PAGE) -> Response:
    """Do the work beside the event loop; what is wrong is told as a page."""
    person = whose(request)

    def told() -> Response:
        try:
            return work()
        except LemnisError as error:  # here, where it is known whom the page would have hidden
            return trouble(request, error)

    if turn is not Turn.DEAR:
        return await taken(turn, told)
    try:
        with at(request).slots.taken(person.id if person is not None else ""):
            return await taken(turn, told)
    except BusyError as error:
        wrong = error
    return await taken(Turn.PAGE, trouble, request, wrong)


def trouble(request: Request, error: LemnisError) -> Response:
    """Return the page that tells of an error."""
    where = f"{error.at}: " if error.at and not isinstance(error, NotFoundError) else ""
    answer = at(request).page(
        request, "trouble.html", status=status_of(error), title=words.Ours(TITLES[status_of(error)]),
        what=unechoed(request, error, f"{where}{error.what}"), fix=unechoed(request, error, error.fix),
        again=isinstance(error, BusyError) and request.method == "GET",
    )  # fmt: skip
    if isinstance(error, BusyError):
        answer.headers["retry-after"] = f"{error.retry_after_s:.0f}"
    return answer


def _refused(request: Request, status: int, what: str, fix: str) -> Response:
    return at(request).page(
        request, "trouble.html", status=status, title="That was refused", what=what, fix=fix, again=False
    )


def _address(request: Request) -> str:
    """Return the address of the page at hand, within the site."""
    path = request.url.path.removeprefix(str(request.scope.get("root_path", "")))
    return path + (f"?{request.url.query}" if request.url.query else "")


def to_sign_in(request: Request) -> Response:
    """Send who is not signed in to the page where that is done, and back from there."""
    base = str(request.scope.get("root_path", ""))
    return RedirectResponse(f"{base}/sign-in?{urlencode({'next': _address(request)})}", 303)


def back(request: Request, path: str, title: str = "", text: str = "", *, kind: str = "fine") -> Response:
    """Send on to a page after something was done, which tells what."""
    base = str(request.scope.get("root_path", ""))
    answer = RedirectResponse(f"{base}{safe(path)}", 303)
    if title:
        told_once = urlencode({"t": title[:200], "d": text[:600], "k": kind})
        answer.set_cookie(
            _SAID, told_once, max_age=20, httponly=True, samesite="lax", path=f"{base}/",
            secure=_secure(request),
        )  # fmt: skip
    return answer


def _secure(request: Request) -> bool:
    """Say whether the browser is asked to send cookies over TLS alone."""
    visitor = getattr(request.state, "visitor", None)
    return visitor is not None and bool(visitor.secure)


_SAID = "lemnis-said"


def told(request: Request) -> Said | None:
    """Return what the last form said that was done; it is told once, for a while."""
    raw = request.cookies.get(_SAID, "")
    if not raw or request.method != "GET":
        return None
    parts = dict(parse_qsl(raw[:2000]))
    kind = parts.get("k", "fine")
    return Said(parts.get("t", ""), parts.get("d", ""), kind if kind in {"fine", "warn", "bad"} else "fine")


def safe(path: str) -> str:
    """Return a path of this site; the queue's for what leads elsewhere."""
    inside = path.startswith("/") and not path.startswith("//")
    return path if inside and not any(one == "\\" or one < " " for one in path) else "/queue"
