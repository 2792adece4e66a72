"""A small workspace with incidents and alerts, and the console over it; no test itself."""

import re
from contextlib import asynccontextmanager

import argon2
import httpx

from lemnis import app
from lemnis.app.access import accounts, passwords
from lemnis.app.access.service import Access
from lemnis.contracts.alerts import Alert, Entity, EntityKind, IncidentChange, MatchedField, Severity
from lemnis.contracts.clock import ManualClock
from lemnis.incidents import entries as writing
from lemnis.interfaces import console
from lemnis.interfaces.api.guard import Rates
from lemnis.interfaces.api.limits import Rate

START = 1_790_000_000_000
PASSWORD = "a lemniscate turns twice"
BASE = "http://127.0.0.1:8687"
HOST, USER = Entity(EntityKind.HOST, "web-1"), Entity(EntityKind.USER, "maria.k")
FREE = Rate(1e6, 1e6)


def alert(number, *, title="A shell was opened", severity=Severity.HIGH, rule="rule-1", entities=(HOST, USER),
          at=0, **more):  # fmt: skip
    facts = {
        "source": "linux_audit", "event_uids": (f"ev-{number:016x}",), "content_digest": "sha256:00",
        "tags": ("attack.execution", "attack.t1059"),
        "event": {"class_uid": 1007, "time": START + at, "message": title, "metadata": {"log_name": "linux_audit"}},
        "matched": (MatchedField("process.cmd_line", "contains sh", "/bin/sh -c id"),),
    } | more  # fmt: skip
    return Alert(
        id=f"al-{number:016x}", rule_id=rule, title=title, severity=severity, time=START + at, entities=tuple(entities),
        **facts,
    )  # fmt: skip


def workspace(folder):
    return app.init(folder / "soc", clock=ManualClock(START + 3_600_000))


def tell(opened, *alerts):
    """Write alerts down that are in no incident."""
    app.journal(opened).append_all([writing.alert_entry(one) for one in alerts])


def incident(opened, *alerts, risk=120, because="risk 120 >= 60: rules 2 high (60 each)"):
    """Write an incident down with its alerts; return its id."""
    tell(opened, *alerts)
    name = "in-" + alerts[0].id.removeprefix("al-")
    reasons = {one.id: (f"shares {one.entities[0]}",) if one.entities else () for one in alerts}
    change = IncidentChange(name, alerts, reasons, risk=risk, because=because, decisive=alerts[0].time)
    app.journal(opened).append_all(writing.change_entries(change, None, "sha256:00"))
    return name


def built(opened):
    cheap = passwords.Passwords(argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    return console.built(opened, access=Access(opened, passwords=cheap), rates=Rates(FREE, FREE, FREE))


def joined(made, name, *roles, teams=()):
    """Add an account; return the cookie of its session."""
    _, invitation = accounts.add(made.access, name, roles, teams, actor="root")
    return accounts.accept(made.access, invitation.secret, "", PASSWORD).cookie


@asynccontextmanager
async def browser(made, *, cookie=""):
    """A browser without scripts: it keeps cookies and asks for pages."""
    transport = httpx.ASGITransport(made.application, client=("127.0.0.1", 40000))
    cookies = {"lemnis": cookie} if cookie else {}
    async with httpx.AsyncClient(
        transport=transport, base_url=BASE, headers={"accept": "text/html"}, cookies=cookies, timeout=60
    ) as client:
        yield client


def token_of(page):
    return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]


async def send(client, page, path, **fields):
    """Send a form of a page that was shown."""
    return await client.post(path, data={"csrf": token_of(page), **fields}, headers={"origin": BASE})
