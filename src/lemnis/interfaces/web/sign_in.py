"""Signing in and out, and the link by which an account is begun."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from lemnis.app import settings
from lemnis.app.access import accounts, signing
from lemnis.app.access.people import demand
from lemnis.app.access.personal import LONGEST, SHORTEST
from lemnis.app.access.second import SecondError
from lemnis.app.access.service import Access
from lemnis.app.access.signing import SignedIn
from lemnis.contracts.errors import BusyError, LemnisError, UsageError
from lemnis.interfaces.api import guard
from lemnis.interfaces.api.turns import Turn, taken
from lemnis.interfaces.api.visitor import named
from lemnis.interfaces.web import site
from lemnis.interfaces.web.forms import Form
from lemnis.interfaces.web.words import lasting

_AGENT = "user-agent"


def _access(request: Request) -> Access:
    found: Access = request.state.access
    return found


def _from(request: Request) -> dict[str, str]:
    """Return from where and by what somebody signs in."""
    return {"address": request.state.visitor.address, "agent": request.headers.get(_AGENT, "")}


def _base(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


async def sign_in(request: Request) -> Response:
    """Show where one signs in; who is signed in already is sent on."""
    onward = site.safe(request.query_params.get("next", "/"))
    if site.whose(request) is not None:
        return RedirectResponse(f"{_base(request)}{onward}", 303)
    site.at(request).warm()
    return await taken(Turn.PAGE, lambda: _form(request, onward))


def _form(
    request: Request, onward: str, *, name: str = "", why: str = "", code: bool = False, status: int = 200
) -> Response:
    here = site.at(request)
    return here.page(
        request,
        "sign_in.html",
        status=status,
        title="Sign in",
        onward=onward,
        name=name,
        why=why,
        code=code,
        providers=providers(here),
        elsewhere=elsewhere(request),
    )


async def do_sign_in(request: Request) -> Response:
    """Sign somebody in by name and password, and by a code where the account has a second factor."""
    form = await site.read_form(request)
    if isinstance(form, Response):
        return form
    onward, name = site.safe(form.get("next", "/")), form.get("name", "")

    def work() -> Response:
        try:
            signed = signing.sign_in(
                _access(request), name, form.get("password", ""), code=form.get("code", ""), **_from(request)
            )
        except LemnisError as error:
            needs = isinstance(error, SecondError) or bool(form.get("code"))
            status = 429 if isinstance(error, BusyError) else 403
            return _form(request, onward, name=name, why=reason_of(error), code=needs, status=status)
        return _begun(request, signed, onward)

    return await taken(Turn.SIGNING, work)


def providers(here: site.Site) -> list[tuple[str, str]]:
    """Return the names and titles of the providers that one can sign in with."""
    read = settings.load(here.workspace).console
    return [(one.name, one.title or one.name) for one in read.openid] if read is not None else []


def elsewhere(request: Request) -> str | None:
    """Return where passkeys work: None where they do here, empty where this console has no name anywhere."""
    read = settings.load(site.at(request).workspace).console
    there = named(request.state.visitor, read.url if read is not None else "")
    return f"{there}{_base(request)}" if there else there


def reason_of(error: LemnisError) -> str:
    """Return what went wrong with a form and what to do; of what is tried too often, when to try again."""
    if isinstance(error, BusyError):
        return f"{error.what}: try again in {lasting(int(error.retry_after_s * 1000))}"
    return f"{error.what}{f': {error.fix}' if error.fix else ''}"


def _begun(request: Request, signed: SignedIn, onward: str) -> Response:
    answer = RedirectResponse(f"{_base(request)}{onward}", 303)
    guard.signed_in(request, answer, signed)
    return answer


async def sign_out(request: Request) -> Response:
    """End the session."""
    form = await site.read_form(request)
    if isinstance(form, Response):
        return form
    await taken(Turn.PAGE, signing.sign_out, _access(request), request.state.cookie)
    answer = RedirectResponse(f"{_base(request)}/sign-in", 303)
    guard.signed_out(request, answer)
    return answer


def purpose(request: Request, form: Form) -> Response:
    """Keep for what somebody needs to see personal data, for a while; empty ends it."""
    here, text = site.at(request), " ".join(form.get("purpose", "").split())
    if text:
        demand(site.whose(request), "personal.read")
        if not SHORTEST <= len(text) <= LONGEST:
            raise UsageError(
                f"a purpose has {SHORTEST} to {LONGEST} characters", fix="say what it is needed for"
            )
    here.state_purpose(request, text)
    return site.back(request, form.get("back", "/queue"))


async def welcome(request: Request) -> Response:
    """Show where an account is begun, by a link that counts once."""
    return await taken(Turn.PAGE, lambda: _welcome(request, request.path_params["key"]))


def _welcome(
    request: Request, key: str, *, given: Mapping[str, str] | None = None, why: str = "", status: int = 200
) -> Response:
    name = accounts.invited(_access(request), key)
    return site.at(request).page(
        request, "welcome.html", status=404 if name is None else status, title="Begin", over=name is None,
        fixed=name or "", name=(given or {}).get("name", name or ""), why=why,
    )  # fmt: skip


async def do_welcome(request: Request) -> Response:
    """Begin the account, and sign in."""
    form = await site.read_form(request)
    if isinstance(form, Response):
        return form
    key = request.path_params["key"]

    def work() -> Response:
        if form.get("password", "") != form.get("again", ""):
            return _welcome(request, key, given=form, why="the two passwords differ", status=400)
        try:
            signed = accounts.accept(
                _access(request), key, form.get("name", ""), form.get("password", ""), **_from(request)
            )
        except LemnisError as error:
            return _welcome(request, key, given=form, why=reason_of(error), status=400)
        return _begun(request, signed, "/")

    return await taken(Turn.SIGNING, work)


ROUTES = (
    Route("/sign-in", sign_in, methods=["GET"]),
    Route("/sign-in", do_sign_in, methods=["POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
    site.does("/purpose", purpose, "incident.read"),
    Route("/welcome/{key}", welcome, methods=["GET"]),
    Route("/welcome/{key}", do_welcome, methods=["POST"]),
)
