"""A console in this process, and visitors to it: browsers that keep cookies, and machines with tokens."""

import argon2
import httpx

from lemnis import app
from lemnis.app.access import accounts, passwords, tokens
from lemnis.app.access.service import Access
from lemnis.contracts.clock import ManualClock
from lemnis.interfaces import console

START = 1_790_000_000_000
PASSWORD = "a lemniscate turns twice"
BASE = "http://127.0.0.1:8687"


def access_of(workspace, **how):
    cheap = passwords.Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    return Access(workspace, passwords=cheap, **how)


def workspace(folder):
    return app.init(folder / "soc", clock=ManualClock(START))


def console_of(opened, **how):
    return console.built(opened, access=access_of(opened), **{"pages": False, **how})


def joined(built, name, *roles, teams=()):
    """Add an account and return its first session's cookie."""
    _, invitation = accounts.add(built.access, name, roles, teams, actor="root")
    return accounts.accept(built.access, invitation.secret, "", PASSWORD).cookie


def token(built, name, *scopes, days=30):
    account = accounts.find(built.access, name)
    allowed = sorted(built.access.rights.of(account.roles))
    return tokens.make(built.access, account, "test", scopes or allowed, days=days, actor=name)[1]


def client(built, *, cookie="", key="", base=BASE, **how):
    """Return a client: a browser with a cookie, a machine with a token, or nobody."""
    transport = httpx.ASGITransport(built.application, client=("10.0.0.7", 40000))
    headers = {"authorization": f"Bearer {key}"} if key else {}
    cookies = {"lemnis": cookie} if cookie else {}
    return httpx.AsyncClient(transport=transport, base_url=base, headers=headers | how, cookies=cookies)
