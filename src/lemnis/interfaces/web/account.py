"""Oneself: sessions, password, authenticator, passkeys and tokens of whoever is signed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import segno
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lemnis.app.access import accounts, passkeys, second, secret, signing, tokens
from lemnis.app.access.service import COOKIE, Access
from lemnis.content.schemas.role import PERMISSIONS
from lemnis.contracts.errors import AccessError, LemnisError, NotFoundError, StrangerError, UsageError
from lemnis.interfaces.api import guard
from lemnis.interfaces.api.oneself import proven
from lemnis.interfaces.web import site
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.sign_in import elsewhere, reason_of
from lemnis.interfaces.web.statuses import status_of

if TYPE_CHECKING:
    from lemnis.app.access.people import Person
    from lemnis.store import access as kept

DAYS = (7, 30, 90, 365)
"""How long a token can be asked to last."""
_USUAL_DAYS = 30
_ID = 16
"""So much of a session's hash names it on the page."""


# -- what is shown, pure -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionShown:
    """A session as a line; ``current`` is the one that looks."""

    id: str
    how: str
    began: int
    seen: int
    address: str
    agent: str
    current: bool


def sessions(found: Iterable[kept.Session], now: int, *, idle_ms: int, here: str) -> list[SessionShown]:
    """Return the sessions that still count (ms), one's own first. Pure."""
    alive = (one for one in found if now < one.until and now - one.seen < idle_ms)
    shown = [
        SessionShown(one.id[:_ID], one.how, one.began, one.seen, one.address, one.agent, one.id == here)
        for one in alive
    ]
    return sorted(shown, key=lambda one: not one.current)


def parted(text: str, size: int = 4) -> str:
    """Return a secret in groups, as people type it over. Pure."""
    return " ".join(text[start : start + size] for start in range(0, len(text), size))


def picture(address: str) -> Markup:
    """Return an address as a QR code (ISO/IEC 18004): black on white with its margin in any colours. Pure."""
    drawn = segno.make(address, error="m", micro=False).svg_inline(
        border=4, dark="#000", light="#fff", omitsize=True, svgclass="qr", lineclass=None
    )
    return Markup(drawn)  # noqa: S704 - shapes alone: what is encoded is not in it as text


@dataclass(frozen=True, slots=True)
class Once:
    """What is shown this once: a token's key, spare codes, or a secret that waits for its first code."""

    key: str = ""
    spare: tuple[str, ...] = ()
    begun: second.Begun | None = None


# -- the page ----------------------------------------------------------------------------------------------


def page(request: Request) -> Response:
    """Show who one is, and what one can sign in by."""
    return _page(request)


def _oneself(request: Request) -> tuple[Access, Person, kept.Account]:
    """Return who is present: a token changes and shows nothing of the account that it is of."""
    access: Access = request.state.access
    person = site.whose(request)
    if person is None:
        raise StrangerError("sign in first", fix="sign in")
    if person.how != "session":
        raise AccessError("a token may not do this", fix="sign in")
    return access, person, accounts.find(access, person.id)


def _page(
    request: Request,
    *,
    once: Once | None = None,
    wrong: str = "",
    why: str = "",
    form: Mapping[str, Any] | None = None,
    status: int = 200,
) -> Response:
    """Show the page; ``wrong`` is the part of it where something failed, ``form`` what was sent."""
    access, person, account = _oneself(request)
    now, given = access.clock.now(), form if wrong == "token" and form is not None else {}
    shown = once or Once()
    return site.at(request).page(
        request, "me.html", status=status, title="Your account", here="/me", account=account, now=now,
        sessions=sessions(
            access.tables.sessions(person.id), now, idle_ms=access.idle_ms,
            here=secret.known_as(request.state.cookie, COOKIE),
        ),
        passkeys=access.tables.passkeys(person.id), most_name=passkeys.LONGEST, second=second.state(account),
        used=signing.last_used(access, account), elsewhere=elsewhere(request),
        tokens=access.tables.tokens(person.id),
        scopes=[(name, what) for name, what in PERMISSIONS.items() if name in person.permissions],
        days=DAYS, once=shown, picture=picture(shown.begun.uri) if shown.begun else "", parted=parted,
        wrong=wrong, why=why,
        label=given.get("name", ""), lasts=given.get("days", str(_USUAL_DAYS)),
        chosen=given.every("scope") if isinstance(given, Form) else [],
    )  # fmt: skip


def act(request: Request, form: Form) -> Response:
    """Do what a form of the page asks for; what is wrong is told where it was asked."""
    what = form.get("do", "")
    step = _STEPS.get(what)
    if step is None:
        raise UsageError("the page has no such form", fix="load it again")
    _oneself(request)
    try:
        return step(request, form)
    except LemnisError as error:
        return _page(
            request, wrong=what.partition("-")[0], why=reason_of(error), form=form,
            status=status_of(error),
        )  # fmt: skip


# -- steps -------------------------------------------------------------------------------------------------


def _end_session(request: Request, form: Form) -> Response:
    access, person, _ = _oneself(request)
    mine = [one.id for one in access.tables.sessions(person.id) if one.id[:_ID] == form.get("id", "")]
    if not mine:
        raise NotFoundError("this session is over already")
    access.tables.end(id=mine[0])
    access.tell("session_ended", person.id, actor=person.name)
    return site.back(request, "/me", "The session is over")


def _end_others(request: Request, _form: Form) -> Response:
    access, person, _ = _oneself(request)
    ended = access.tables.end(account=person.id, but=secret.known_as(request.state.cookie, COOKIE))
    if ended:
        access.tell("sessions_ended", person.id, actor=person.name)
    return site.back(request, "/me", "Your other sessions are over")


def _end_all(request: Request, _form: Form) -> Response:
    access, _, account = _oneself(request)
    signing.sign_out_everywhere(access, account)
    answer = RedirectResponse(f"{request.scope.get('root_path', '')}/sign-in", 303)
    guard.signed_out(request, answer)
    return answer


def _change_password(request: Request, form: Form) -> Response:
    access, person, _ = _oneself(request)
    if form.get("new", "") != form.get("again", ""):
        raise UsageError("the two new passwords differ", fix="type the new one twice")
    signing.change_password(
        access, person, form.get("old", ""), form.get("new", ""), cookie=request.state.cookie,
        address=request.state.visitor.address,
    )  # fmt: skip
    return site.back(request, "/me", "The password is changed", "Your other sessions are over.")


def _proven(request: Request, form: Form) -> tuple[Access, kept.Account]:
    """Return the own account, of somebody who knows its password."""
    access, person, _ = _oneself(request)
    return access, proven(request, request.state, person, form.get("password", ""))


def _begin_second(request: Request, form: Form) -> Response:
    access, account = _proven(request, form)
    return _page(request, once=Once(begun=second.begin(access, account)))


def _confirm_second(request: Request, form: Form) -> Response:
    access, _, account = _oneself(request)
    spare = second.confirm(access, account, form.get("key", ""), form.get("code", "").replace(" ", ""))
    return _page(request, once=Once(spare=spare))


def _drop_second(request: Request, form: Form) -> Response:
    access, account = _proven(request, form)
    second.drop(access, account, actor=account.name)
    return site.back(request, "/me", "No code is asked for any more")


def _renew_spare(request: Request, form: Form) -> Response:
    access, account = _proven(request, form)
    return _page(request, once=Once(spare=second.renew(access, account)))


def _rename_passkey(request: Request, form: Form) -> Response:
    access, _, account = _oneself(request)
    renamed = passkeys.rename(access, account, form.get("id", ""), form.get("name", ""))
    return site.back(request, "/me", f"The passkey is called {renamed.name}")


def _drop_passkey(request: Request, form: Form) -> Response:
    access, _, account = _oneself(request)
    passkeys.drop(access, account, form.get("id", ""))
    return site.back(request, "/me", "The passkey is forgotten here", "Remove it from the device too.")


def _make_token(request: Request, form: Form) -> Response:
    access, person, account = _oneself(request)
    days = form.get("days", "")
    if days not in map(str, DAYS):
        raise UsageError("a token needs an end", fix=f"one of {', '.join(map(str, DAYS))} days")
    _, key = tokens.make(
        access, account, form.get("name", ""), form.every("scope"), days=int(days), actor=person.name
    )
    return _page(request, once=Once(key=key))


def _revoke_token(request: Request, form: Form) -> Response:
    access, person, account = _oneself(request)
    tokens.revoke(access, form.get("id", ""), account, actor=person.name)
    return site.back(request, "/me", "The token is revoked")


_STEPS: Mapping[str, Callable[[Request, Form], Response]] = {
    "session-end": _end_session,
    "session-others": _end_others,
    "session-all": _end_all,
    "password-change": _change_password,
    "second-begin": _begin_second,
    "second-confirm": _confirm_second,
    "second-drop": _drop_second,
    "second-spare": _renew_spare,
    "passkey-rename": _rename_passkey,
    "passkey-drop": _drop_passkey,
    "token-make": _make_token,
    "token-revoke": _revoke_token,
}
"""What forms of the page do; the first word is the part of it that tells what went wrong."""

ROUTES = (site.shows("/me", page, site.ANYBODY), site.does("/me", act, site.ANYBODY))
