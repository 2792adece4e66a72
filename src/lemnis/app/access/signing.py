"""Signing in and out: password first, a second factor where there is one; guessing is slowed down."""

from __future__ import annotations

from dataclasses import dataclass

from lemnis.app.access import attempts, secret
from lemnis.app.access.passwords import check
from lemnis.app.access.permissions import Person
from lemnis.app.access.service import COOKIE, Access
from lemnis.contracts.errors import AccessError, BusyError
from lemnis.store.access import Account, Session

_WRONG = "name or password is wrong"
_AGENT = 200
_LATELY = 50
_SIGNED = 500


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that began: ``cookie`` is the secret for its owner's browser, ``until`` when it ends (ms)."""

    cookie: str
    person: Person
    until: int


def sign_in(
    access: Access, name: str, password: str, *, address: str, agent: str = "", code: str = ""
) -> SignedIn:
    """Sign somebody in by password, with ``code`` where the account has a second factor.

    Raises AccessError if name, password or code is wrong (SecondError where only the code is missing),
    BusyError after too many failures: try later. Unknown names take as long as wrong passwords, and count.
    """
    known = name.strip().casefold()[:100]
    patience(access, known, address)
    account = access.tables.account(name=known) if known else None
    hashed = account.password if account is not None and not account.disabled else ""
    if not access.passwords.fits(hashed, password) or account is None:
        fail(access, known, address)
        raise AccessError(_WRONG)
    if account.second:
        _second(access, account, known, code, address)
    access.tables.forgive(attempts.names(known, address)[0])
    if access.passwords.stale(account.password):
        access.tables.set_account(account.id, password=access.passwords.hash(password))
    return begin(access, account, "password", address=address, agent=agent)


def _second(access: Access, account: Account, name: str, code: str, address: str) -> None:
    """Demand a code; a wrong one counts as a failed try, one that was not given yet does not."""
    from lemnis.app.access import second

    try:
        second.demand(access, account, code)
    except second.SecondError:
        if code.strip():
            fail(access, name, address)
        raise


def begin(access: Access, account: Account, how: str, *, address: str = "", agent: str = "") -> SignedIn:
    """Begin a session of an account that has proven itself: always with a new cookie."""
    cookie, now = secret.new(access.random), access.clock.now()
    until = now + access.lasts_ms
    known = secret.known_as(cookie, COOKIE)
    access.tables.begin(Session(known, account.id, how, now, now, until, address, agent[:_AGENT]))
    access.tell("signed_in", account.id, actor=account.name, reason=f"by {how}", payload={"address": address})
    return SignedIn(cookie, access.person(account), until)


def sign_out(access: Access, cookie: str) -> None:
    """End a session; one that is none any more is no mistake."""
    known = secret.known_as(cookie, COOKIE)
    found = access.tables.session(known)
    if found is not None and access.tables.end(id=known):
        access.tell("signed_out", found[1].id, actor=found[1].name)


def sign_out_everywhere(access: Access, account: Account) -> int:
    """End every session of an account, this one too; return how many there were. Tokens stay."""
    ended = access.tables.end(account=account.id)
    if ended:
        access.tell("sessions_ended", account.id, actor=account.name, payload={"sessions": ended})
    return ended


def last_used(access: Access, account: Account) -> dict[str, int]:
    """Return when somebody signed in last (ms), by what: the newest entries of the journal say it."""
    found: dict[str, int] = {}
    for entry in access.journal.newest(kinds=["access.signed_in"], subject=account.id, limit=_SIGNED):
        found.setdefault(entry.reason.removeprefix("by "), entry.at)
    return found


def change_password(access: Access, person: Person, old: str, new: str, *, cookie: str, address: str) -> None:
    """Change the own password; other sessions end. Raises AccessError for a wrong old one, UsageError."""
    patience(access, person.name, address)
    account = access.tables.account(id=person.id)
    if account is None or not access.passwords.fits(account.password, old):
        fail(access, person.name, address)
        raise AccessError("the old password is wrong")
    check(new, account.name)
    hashed = access.passwords.hash(new)
    access.tables.set_account(account.id, password=hashed, changed=access.clock.now())
    access.tables.end(account=account.id, but=secret.known_as(cookie, COOKIE))
    access.tell("password_changed", account.id, actor=account.name)


def patience(access: Access, name: str, address: str) -> None:
    """Raise BusyError while nothing is to be tried."""
    now = access.clock.now()
    counted = attempts.names(name, address)
    failures = access.tables.failures(counted, now - attempts.WINDOW_MS)
    left = attempts.wait(failures, now)
    if left > 0 and _works_at(access, name, address):  # what is tried elsewhere shuts out no owner
        left = attempts.wait({one: failures[one] for one in counted[:2]}, now)
    if left > 0:
        raise BusyError("too many failed tries", retry_after_s=left / 1000, fix="try again later")


def _works_at(access: Access, name: str, address: str) -> bool:
    """Say whether an account signed in from an address lately, by the newest entries of the journal."""
    account = access.tables.account(name=name) if name else None
    if account is None or not address:
        return False
    told = access.journal.newest(kinds=["access.signed_in"], subject=account.id, limit=_LATELY)
    place = attempts.network(address)
    return any(attempts.network(str(one.payload.get("address", ""))) == place for one in told)


def fail(access: Access, name: str, address: str) -> None:
    """Count a failed try; that it was the last for a while is written down, once."""
    now, counted = access.clock.now(), attempts.names(name, address)
    since = now - attempts.WINDOW_MS
    access.tables.fail(counted, now, forget=since)
    left = attempts.wait(access.tables.failures(counted, since), now)
    if left > 0:
        account = access.tables.account(name=name) if name else None
        access.tell(
            "locked", account.id if account else "nobody", actor="lemnis", reason=f"{_WRONG} too often",
            payload={"address": address, "name": name if account else "", "ms": left},
        )  # fmt: skip
