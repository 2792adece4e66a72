"""A console that is attacked, and visitors to it: whoever is signed in, machines, nobody; no test itself."""

import asyncio
import inspect
import re
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import argon2
import httpx

from lemnis.app.access import accounts, passwords, tokens
from lemnis.app.access.secret import csrf as csrf_of
from lemnis.app.access.service import Access
from lemnis.content.schemas.console import Console
from lemnis.interfaces import console
from lemnis.interfaces.api.guard import Rates
from lemnis.interfaces.api.limits import Rate

PASSWORD = "a lemniscate turns twice"
HOST = "127.0.0.1:8687"
BASE = f"http://{HOST}"
API = "/api/v1"
FREE = Rates(*(Rate(1e9, 1e9) for _ in range(3)))
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
HTML = {"accept": "text/html"}


@dataclass
class Attacked:
    """A console over a workspace, with people who are called as they are asked for; call ``end`` after it."""

    built: console.Built
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def access(self):
        return self.built.access

    @property
    def workspace(self):
        return self.access.workspace

    def run(self, work):
        """Do something that waits, and return what it gives."""
        return self.loop.run_until_complete(work)

    def join(self, name, *roles, teams=()):
        """Add an account, and return a browser in which it is signed in."""
        _, invitation = accounts.add(self.access, name, roles, teams, actor="root")
        self.cookies[name] = accounts.accept(self.access, invitation.secret, "", PASSWORD).cookie
        return self.browser(name)

    def browser(self, name="", *, cookie="", base=BASE, address="127.0.0.1", **headers):
        """Return a browser; of nobody, where no name is given."""
        known = cookie or self.cookies.get(name, "")
        return Browser(self, known, base=base, address=address, headers=HTML | headers)

    def machine(self, name, *scopes, **headers):
        """Return a program with a token of somebody, who may all that they may unless scopes are given."""
        account = accounts.find(self.access, name)
        wanted = scopes or sorted(self.access.rights.of(account.roles))
        key = tokens.make(self.access, account, "machine", wanted, days=1, actor=name)[1]
        return Browser(self, "", headers={"authorization": f"Bearer {key}"} | headers)

    @cached_property
    def routes(self):
        """Every route of pages and API, as an attacker finds them in the source."""
        found = []
        for mount in self.built.application._app.routes:
            for one in _flat(mount.routes):
                if "/static" in one.path or one.path == "/openapi.json":
                    continue
                found += [Door(m, f"{mount.path}{one.path}", one) for m in sorted(one.methods - {"HEAD"})]
        return found

    def end(self):
        self.loop.run_until_complete(self.built.hub.end())
        self.loop.close()


@dataclass(frozen=True, eq=False)
class Door:
    """A route: how it is asked, and what it asks of who comes."""

    method: str
    path: str
    route: object

    @property
    def page(self):
        return not self.path.startswith(API)

    @property
    def permission(self):
        """What it takes; empty where whoever is signed in may, or nobody has to be."""
        if self.page:
            return _closed(self.route.endpoint).get("permission", "")
        every = [one.call for one in self.route.dependant.dependencies]
        return next((known for call in every if (known := _closed(call).get("permission"))), "")

    def at(self, **given):
        """Return an address of it: with these in the places of what it has in braces, else with what is none."""
        return re.sub(
            r"{(\w+)(:\w+)?}", lambda found: given.get(found[1], _NONE.get(found[1], "none")), self.path
        )

    def __str__(self):
        return f"{self.method} {self.path}"


_NONE = {"id": "in-0000000000000000", "digest": f"sha256:{'0' * 64}"}


def _flat(routes):
    """Yield routes, and those of routers within them."""
    for one in routes:
        inner = getattr(one, "original_router", None)
        yield from [one] if inner is None else _flat(inner.routes)


def _closed(call):
    return dict(inspect.getclosurevars(call).nonlocals) if inspect.isfunction(call) else {}


class Browser:
    """Asks a console within this process, one thing after the other; keeps cookies, follows nothing."""

    def __init__(self, attacked, cookie="", *, headers=None, base=BASE, address="127.0.0.1"):
        self.of = attacked
        transport = httpx.ASGITransport(
            attacked.built.application, client=(address, 40000), raise_app_exceptions=False
        )
        self.client = httpx.AsyncClient(
            transport=transport, base_url=base, headers=headers or {}, timeout=60,
            cookies={"lemnis": cookie} if cookie else {},
        )  # fmt: skip

    @property
    def cookie(self):
        return self.client.cookies.get("lemnis") or ""

    @property
    def csrf(self):
        """What forms of this browser carry."""
        return csrf_of(self.cookie or self.client.cookies.get("lemnis-visit") or "")

    def ask(self, method, path, **how):
        return self.of.run(self.client.request(method, path, **how))

    def get(self, path, **how):
        return self.ask("GET", path, **how)

    def send(self, path, **fields):
        """Send a form as a page of ours does."""
        headers = {"origin": BASE}
        return self.ask("POST", path, data={"csrf": self.csrf, **fields}, headers=headers)

    def call(self, method, path, json=None, **headers):
        """Ask the API as a script of ours does."""
        return self.ask(method, f"{API}{path}", json=json, headers={"x-csrf-token": self.csrf, **headers})


def attacked(workspace, *, how=None, rates=FREE, hasher=CHEAP):
    """Return a console over a workspace."""
    access = Access(workspace, passwords=passwords.Passwords(hasher))
    return Attacked(console.built(workspace, how=how or Console(), access=access, rates=rates))


# -- what a page is, as a browser reads it -----------------------------------------------------------------


@dataclass(frozen=True)
class Element:
    name: str
    attributes: dict


@dataclass(frozen=True)
class SentForm:
    """A form of a page: where it goes, and the fields with what stands in them; buttons are each by itself."""

    action: str
    method: str
    fields: tuple
    buttons: tuple


class Page(HTMLParser):
    """A page's elements, the addresses in them, and its forms."""

    def __init__(self, answer):
        super().__init__(convert_charrefs=True)
        self.url = str(answer.request.url)
        self.elements, self.forms, self._form = [], [], None
        self.feed(answer.text)
        self.close()

    def handle_starttag(self, tag, attrs):
        known = {name: value or "" for name, value in attrs}
        self.elements.append(Element(tag, known))
        if tag == "form":
            self._form = known, [], []
        elif self._form is not None and known.get("name"):
            if tag == "button":
                self._form[2].append((known["name"], known.get("value", "")))
            elif tag in {"input", "select", "textarea"}:
                self._form[1].append((known["name"], known.get("value", "") or "something"))

    def handle_endtag(self, tag):
        if tag == "form" and self._form is not None:
            known, fields, buttons = self._form
            action = urljoin(self.url, known.get("action", ""))
            method = known.get("method", "get").upper()
            self.forms.append(SentForm(action, method, tuple(fields), tuple(buttons)))
            self._form = None

    @property
    def addresses(self):
        """Yield every address of the page that a browser may go to or load."""
        for one in self.elements:
            for name in ("href", "src", "action", "formaction", "data", "poster", "data-load", "data-fields"):
                if name in one.attributes:
                    yield one, name, one.attributes[name]


def crawl(browser, *, each=3, most=400):
    """Return the answers of all pages that can be reached by links, some of each route."""
    doors = [(one, pattern(one.path)) for one in browser.of.routes if one.method == "GET" and one.page]
    waiting = [one.path for one, _ in doors if "{" not in one.path and "sign-in" not in one.path]
    counts, found = {}, {}
    while waiting and len(found) < most:
        path = waiting.pop(0)
        door = next((one for one, known in doors if known.fullmatch(urlsplit(path).path)), None)
        if door is None or path in found or counts.get(door, 0) >= each:
            continue
        counts[door] = counts.get(door, 0) + 1
        answer = found[path] = settled(browser, path)
        if answer.headers.get("content-type", "").startswith("text/html"):
            for _, _, address in Page(answer).addresses:
                whole = urlsplit(urljoin(f"{BASE}{path}", address))
                if whole.netloc == HOST:
                    waiting.append(whole.path + (f"?{whole.query}" if whole.query else ""))
    return found


def settled(browser, path):
    """Return a page as it is when what is worked out beside it is there."""
    for _ in range(200):
        answer = browser.get(path)
        if "data-again" not in answer.text:
            break
        browser.of.run(asyncio.sleep(0.05))
    return answer


def pattern(path):
    """Return what fits the addresses of a route."""
    return re.compile(
        "".join(
            part if n % 2 == 0 else (".+" if ":path" in part else "[^/]+")
            for n, part in enumerate(re.split(r"({[^}]+})", path))
        )
    )
