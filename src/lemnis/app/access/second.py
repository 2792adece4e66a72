"""The second factor: codes of an authenticator (TOTP, RFC 6238), and codes for when that is lost.

The secret has to be had back to check a code, so it is sealed with a key that lies beside the database, not
in it. Each code counts once; a step before and after is let pass, for clocks that differ.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lemnis.app.access import secret
from lemnis.app.access.service import PENDING, Access
from lemnis.contracts.errors import AccessError, IntegrityError, Location, RefusedError
from lemnis.store.access import Account

_STEP_MS = 30_000
_SPARE = 8
_NONCE = 12
_BEGIN_MS = 15 * 60_000
_SECRET_BYTES = 20


class SecondError(AccessError):
    """The password is right, and a code of the second factor is missing or wrong."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A second factor that is to be confirmed by its first code: the secret in base32, and as an address."""

    key: str
    secret: str
    uri: str


def begin(access: Access, account: Account) -> Begun:
    """Make a secret for an authenticator; it counts when ``confirm`` is told a code of it."""
    key, now = secret.new(access.random), access.clock.now()
    shared = base64.b32encode(access.random(_SECRET_BYTES)).decode()
    data = {"account": account.id, "sealed": _seal(access, account.id, shared)}
    access.tables.put_once(secret.known_as(key, PENDING), PENDING, data, until=now + _BEGIN_MS, now=now)
    uri = pyotp.TOTP(shared, name=account.name, issuer="Lemnis").provisioning_uri()
    return Begun(key, shared, uri)


def confirm(access: Access, account: Account, key: str, code: str) -> tuple[str, ...]:
    """Let the second factor count from now on; return codes that each count once, for when it is lost.

    Raises AccessError where the code is wrong: then it is begun anew.
    """
    now = access.clock.now()
    begun = access.tables.take_once(secret.known_as(key, PENDING), PENDING, now)
    shared = (
        _open(access, account.id, str(begun["sealed"])) if begun and begun["account"] == account.id else ""
    )
    step = _step(shared, code, now, 0) if shared else None
    if step is None or begun is None:
        raise AccessError("the code is wrong, or it took too long", fix="begin anew")
    spare = _codes(access)
    kept = {"sealed": begun["sealed"], "last": step, "spare": [_spare(account.id, one) for one in spare]}
    access.tables.set_account(account.id, second=orjson.dumps(kept).decode(), changed=now)
    access.tell("second_set", account.id, actor=account.name)
    return spare


def drop(access: Access, account: Account, *, actor: str) -> None:
    """Take the second factor away."""
    access.tables.set_account(account.id, second="", changed=access.clock.now())
    access.tell("second_dropped", account.id, actor=actor)


def renew(access: Access, account: Account) -> tuple[str, ...]:
    """Return new spare codes of a second factor; those from before count no more.

    Raises RefusedError where there is no second factor, or somebody else changed it meanwhile.
    """
    if not account.second:
        raise RefusedError("there is no second factor", fix="set it up first")
    spare = _codes(access)
    kept = orjson.loads(account.second) | {"spare": [_spare(account.id, one) for one in spare]}
    if not access.tables.exchange_second(account.id, account.second, orjson.dumps(kept).decode()):
        raise RefusedError("it was used or changed meanwhile", fix="ask again")
    access.tell("spare_renewed", account.id, actor=account.name)
    return spare


@dataclass(frozen=True, slots=True)
class State:
    """A second factor that counts: how many spare codes are left, and when a code was taken last (ms)."""

    spare: int
    used: int


def state(account: Account) -> State | None:
    """Return how an account's second factor stands; None where it has none. Pure."""
    if not account.second:
        return None
    kept = orjson.loads(account.second)
    return State(len(kept["spare"]), int(kept["last"]) * _STEP_MS)


def demand(access: Access, account: Account, code: str) -> None:
    """Raise SecondError unless this is a code of the account that was not used yet."""
    if not account.second:
        return
    kept, given = orjson.loads(account.second), code.strip().replace(" ", "").replace("-", "").casefold()
    step = _step(_open(access, account.id, kept["sealed"]), given, access.clock.now(), int(kept["last"]))
    known = _spare(account.id, given)
    if step is not None:
        kept["last"] = step
    elif given and known in kept["spare"]:
        kept["spare"] = [one for one in kept["spare"] if one != known]
    else:
        what = "the code is wrong, or was used" if given else "a code of the second factor is needed"
        raise SecondError(what, fix="take the newest one" if given else "take it from the authenticator")
    if not access.tables.exchange_second(account.id, account.second, orjson.dumps(kept).decode()):
        raise SecondError("the code was used", fix="take the next one")


def _step(shared: str, code: str, now: int, last: int) -> int | None:
    """Return the step of time that a code is of, if it is one and was not used."""
    if len(code) != 6 or not code.isascii() or not code.isdecimal():  # noqa: PLR2004 - of the RFC's codes
        return None
    otp, here = pyotp.TOTP(shared), now // _STEP_MS
    fitting = [step for step in (here - 1, here, here + 1) if secret.same(otp.generate_otp(step), code)]
    return next((step for step in fitting if step > last), None)


def _codes(access: Access) -> tuple[str, ...]:
    return tuple(access.random(5).hex() for _ in range(_SPARE))


def _spare(account: str, code: str) -> str:
    return secret.known_as(f"{account} {code}", "spare")


def _seal(access: Access, account: str, text: str) -> str:
    nonce = access.random(_NONCE)
    sealed = AESGCM(key_of(access)).encrypt(nonce, text.encode(), account.encode())
    return base64.b64encode(nonce + sealed).decode()


def _open(access: Access, account: str, sealed: str) -> str:
    raw = base64.b64decode(sealed)
    try:
        return AESGCM(key_of(access)).decrypt(raw[:_NONCE], raw[_NONCE:], account.encode()).decode()
    except InvalidTag as error:
        raise IntegrityError(
            "a second factor cannot be opened: it was sealed with another key",
            at=Location(str(_file(access))), fix="restore the key, or `lemnis access reset NAME`",
        ) from error  # fmt: skip


def _file(access: Access) -> Path:
    return access.workspace.state / "keys" / "access.key"


def key_of(access: Access) -> bytes:
    """Return the key of this workspace, made when it is first needed."""
    path = _file(access)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, access.random(32))
    return path.read_bytes()


def _write_new(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, unless it is there by now."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()
