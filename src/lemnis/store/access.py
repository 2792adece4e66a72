"""Who may sign in: accounts, sessions, tokens and one-time codes in the workspace's database.

What is a secret never comes here: sessions, tokens and codes are known by their hashes. Instants are in ms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
import sqlalchemy as sa

from lemnis.store.database import writing


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in: by ``password`` (an Argon2 hash), or as ``outside`` (issuer and subject).

    ``second`` is the sealed secret of one-time codes; each of the three may be empty.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    teams: tuple[str, ...]
    password: str = ""
    second: str = ""
    outside: str = ""
    disabled: bool = False
    created: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in; ``id`` is the hash of the cookie."""

    id: str
    account: str
    how: str
    began: int
    seen: int
    until: int
    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A key to the API for one account; ``hash`` is that of the key."""

    id: str
    account: str
    name: str
    hash: str
    scopes: tuple[str, ...]
    created: int
    until: int
    used: int | None = None


@dataclass(frozen=True, slots=True)
class Passkey:
    """A key of a device: its id and public key in base64url, and how often it says that it was used."""

    id: str
    account: str
    name: str
    key: str
    count: int
    created: int
    used: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a request with this key of its sender was answered; ``request`` is the digest of what it asked."""

    account: str
    key: str
    request: str
    status: int
    body: str
    at: int


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(f"access_{name}", *(sa.column(one) for one in columns))


_ACCOUNT = _table("account", *Account.__dataclass_fields__)
_SESSION = _table("session", *Session.__dataclass_fields__)
_TOKEN = _table("token", *Token.__dataclass_fields__)
_PASSKEY = _table("passkey", *Passkey.__dataclass_fields__)
_ANSWERED = _table("answered", *Answered.__dataclass_fields__)
_ONCE = _table("once", "hash", "kind", "data", "until")
_FAILURE = _table("failure", "what", "at")
_LISTS = ("roles", "teams", "scopes")
_WITH_ACCOUNT = (
    sa.select(_SESSION, *(column.label(f"a_{column.name}") for column in _ACCOUNT.c))
    .join_from(_SESSION, _ACCOUNT, _SESSION.c.account == _ACCOUNT.c.id)
    .where(_SESSION.c.id == sa.bindparam("session"))
)
"""A session and whose it is: asked by every request, and so made once."""


class AccessTables:
    """The tables. Any number of processes may use them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    # -- accounts ------------------------------------------------------------------------------------------

    def accounts(self) -> list[Account]:
        """Return every account, by name."""
        return [_account(row) for row in self._rows(sa.select(_ACCOUNT).order_by(_ACCOUNT.c.name))]

    def account(self, *, id: str = "", name: str = "", outside: str = "") -> Account | None:  # noqa: A002
        """Return the account of this id, name or identity elsewhere."""
        column, value = next(
            (_ACCOUNT.c[field], given)
            for field, given in (("id", id), ("name", name), ("outside", outside))
            if given
        )
        rows = self._rows(sa.select(_ACCOUNT).where(column == value).limit(1))
        return _account(rows[0]) if rows else None

    def put_account(self, account: Account) -> bool:
        """Write an account, in place of the one of that id.

        Return False if its name, or its identity elsewhere, is another one's.
        """
        row = _row(account) | {"disabled": int(account.disabled)}
        same = _ACCOUNT.c.name == account.name
        if account.outside:
            same |= _ACCOUNT.c.outside == account.outside
        with writing(self._engine) as connection:
            taken = sa.select(_ACCOUNT.c.id).where(same)
            if connection.execute(taken.where(_ACCOUNT.c.id != account.id)).first() is not None:
                return False
            _replace(connection, _ACCOUNT, row, "id")
        return True

    def set_account(self, account: str, **columns: str | int) -> None:
        """Write these columns of an account alone: what others change of it meanwhile stays as they say."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(_ACCOUNT).where(_ACCOUNT.c.id == account).values(**columns))

    def exchange_second(self, account: str, before: str, after: str) -> bool:
        """Change what is kept of an account's second factor, if it is still as it was."""
        which = (_ACCOUNT.c.id == account) & (_ACCOUNT.c.second == before)
        with writing(self._engine) as connection:
            changed = connection.execute(sa.update(_ACCOUNT).where(which).values(second=after))
            return bool(changed.rowcount)

    # -- sessions ------------------------------------------------------------------------------------------

    def session(self, id: str) -> tuple[Session, Account] | None:  # noqa: A002
        """Return a session and whose it is."""
        return self._joined(_WITH_ACCOUNT, Session, {"session": id})

    def sessions(self, account: str) -> list[Session]:
        """Return the sessions of an account, the last one that was used first."""
        query = sa.select(_SESSION).where(_SESSION.c.account == account).order_by(_SESSION.c.seen.desc())
        return [Session(**row) for row in self._rows(query)]

    def begin(self, session: Session) -> None:
        """Write a session, and forget those that are over."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(_SESSION).where(_SESSION.c.until <= session.began))
            connection.execute(sa.insert(_SESSION).values(**_row(session)))

    def touch(self, id: str, at: int) -> None:  # noqa: A002
        """Note that a session was used."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(_SESSION).where(_SESSION.c.id == id).values(seen=at))

    def end(self, *, id: str = "", account: str = "", but: str = "") -> int:  # noqa: A002
        """End a session, or all of an account (but one); return how many there were."""
        which = _SESSION.c.id == id if id else (_SESSION.c.account == account) & (_SESSION.c.id != but)
        with writing(self._engine) as connection:
            return connection.execute(sa.delete(_SESSION).where(which)).rowcount

    # -- tokens --------------------------------------------------------------------------------------------

    def token(self, hash: str) -> tuple[Token, Account] | None:  # noqa: A002
        """Return the token of this hash and whose it is."""
        query = sa.select(_TOKEN, *(column.label(f"a_{column.name}") for column in _ACCOUNT.c))
        query = query.join_from(_TOKEN, _ACCOUNT, _TOKEN.c.account == _ACCOUNT.c.id)
        return self._joined(query.where(_TOKEN.c.hash == hash), Token)

    def tokens(self, account: str = "") -> list[Token]:
        """Return the tokens of an account, or all, the newest first."""
        query = sa.select(_TOKEN).order_by(_TOKEN.c.created.desc(), _TOKEN.c.id)
        query = query.where(_TOKEN.c.account == account) if account else query
        return [_read(Token, row) for row in self._rows(query)]

    def put_token(self, token: Token) -> None:
        """Write a token, in place of the one of that id."""
        with writing(self._engine) as connection:
            _replace(connection, _TOKEN, _row(token), "id")

    def drop_token(self, id: str, account: str = "") -> bool:  # noqa: A002
        """Forget a token (if it is this account's); return whether there was one."""
        which = (_TOKEN.c.id == id) & ((_TOKEN.c.account == account) if account else sa.true())
        with writing(self._engine) as connection:
            return bool(connection.execute(sa.delete(_TOKEN).where(which)).rowcount)

    def used_token(self, id: str, at: int) -> None:  # noqa: A002
        """Note that a token was used."""
        with writing(self._engine) as connection:
            connection.execute(sa.update(_TOKEN).where(_TOKEN.c.id == id).values(used=at))

    # -- what is used once ---------------------------------------------------------------------------------

    def put_once(self, hash: str, kind: str, data: dict[str, Any], *, until: int, now: int) -> None:  # noqa: A002
        """Keep something that may be taken once, until then; forget what is over."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(_ONCE).where(_ONCE.c.until <= now))
            row = {"hash": hash, "kind": kind, "data": orjson.dumps(data).decode(), "until": until}
            connection.execute(sa.insert(_ONCE).values(**row))

    def look_once(self, hash: str, kind: str, now: int) -> dict[str, Any] | None:  # noqa: A002
        """Return what is kept under this hash; it stays."""
        query = sa.select(_ONCE.c.data).where(_ONCE.c.hash == hash, _ONCE.c.kind == kind, _ONCE.c.until > now)
        rows = self._rows(query)
        return dict(orjson.loads(rows[0]["data"])) if rows else None

    def take_once(self, hash: str, kind: str, now: int) -> dict[str, Any] | None:  # noqa: A002
        """Return what is kept under this hash, and forget it: of several who ask, one gets it."""
        which = (_ONCE.c.hash == hash) & (_ONCE.c.kind == kind)
        with writing(self._engine) as connection:
            row = connection.execute(sa.select(_ONCE.c.data, _ONCE.c.until).where(which)).first()
            connection.execute(sa.delete(_ONCE).where(which))
        return dict(orjson.loads(row.data)) if row is not None and row.until > now else None

    def drop_once(self, kind: str, account: str = "") -> None:
        """Forget everything of a kind, or what is of this account."""
        which = _ONCE.c.kind == kind
        with writing(self._engine) as connection:
            rows = connection.execute(sa.select(_ONCE.c.hash, _ONCE.c.data).where(which)).all()
            mine = [
                row.hash for row in rows if not account or orjson.loads(row.data).get("account") == account
            ]
            connection.execute(sa.delete(_ONCE).where(which & _ONCE.c.hash.in_(mine)))

    # -- failed tries --------------------------------------------------------------------------------------

    def fail(self, what: Sequence[str], at: int, *, forget: int) -> None:
        """Note a failed try of each of these; those from before ``forget`` no longer count."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(_FAILURE).where(_FAILURE.c.at < forget))
            connection.execute(sa.insert(_FAILURE), [{"what": one, "at": at} for one in what])

    def failures(self, what: Sequence[str], since: int) -> dict[str, list[int]]:
        """Return when each of these failed since then, in order."""
        query = sa.select(_FAILURE).where(_FAILURE.c.what.in_(what), _FAILURE.c.at >= since)
        found: dict[str, list[int]] = {one: [] for one in what}
        for row in self._rows(query.order_by(_FAILURE.c.at)):
            found[row["what"]].append(int(row["at"]))
        return found

    def forgive(self, what: str) -> None:
        """Forget the failed tries of one thing."""
        with writing(self._engine) as connection:
            connection.execute(sa.delete(_FAILURE).where(_FAILURE.c.what == what))

    # -- passkeys ------------------------------------------------------------------------------------------

    def passkeys(self, account: str) -> list[Passkey]:
        """Return the passkeys of an account, the oldest first."""
        query = sa.select(_PASSKEY).where(_PASSKEY.c.account == account)
        return [Passkey(**row) for row in self._rows(query.order_by(_PASSKEY.c.created, _PASSKEY.c.id))]

    def passkey(self, id: str) -> Passkey | None:  # noqa: A002
        """Return a passkey."""
        rows = self._rows(sa.select(_PASSKEY).where(_PASSKEY.c.id == id))
        return Passkey(**rows[0]) if rows else None

    def put_passkey(self, passkey: Passkey) -> None:
        """Write a passkey, in place of the one of that id."""
        with writing(self._engine) as connection:
            _replace(connection, _PASSKEY, _row(passkey), "id")

    def drop_passkey(self, id: str, account: str) -> bool:  # noqa: A002
        """Forget a passkey of an account; return whether there was one."""
        which = (_PASSKEY.c.id == id) & (_PASSKEY.c.account == account)
        with writing(self._engine) as connection:
            return bool(connection.execute(sa.delete(_PASSKEY).where(which)).rowcount)

    # -- requests that were answered -----------------------------------------------------------------------

    def answered(self, account: str, key: str) -> Answered | None:
        """Return what a request with this key was answered."""
        which = (_ANSWERED.c.account == account) & (_ANSWERED.c.key == key)
        rows = self._rows(sa.select(_ANSWERED).where(which))
        return Answered(**rows[0]) if rows else None

    def claim(self, wanted: Answered, *, forget: int) -> Answered | None:
        """Take a key for a request that is about to be done; return who has it already, if somebody has.

        What was answered before ``forget`` is forgotten.
        """
        which = (_ANSWERED.c.account == wanted.account) & (_ANSWERED.c.key == wanted.key)
        with writing(self._engine) as connection:
            connection.execute(sa.delete(_ANSWERED).where(_ANSWERED.c.at < forget))
            row = connection.execute(sa.select(_ANSWERED).where(which)).mappings().first()
            if row is not None:
                return Answered(**row)
            connection.execute(sa.insert(_ANSWERED).values(**_row(wanted)))
        return None

    def answer(self, one: Answered) -> None:
        """Keep what a request was answered; without a status it may be asked anew."""
        which = (_ANSWERED.c.account == one.account) & (_ANSWERED.c.key == one.key)
        with writing(self._engine) as connection:
            connection.execute(sa.delete(_ANSWERED).where(which))
            if one.status:
                connection.execute(sa.insert(_ANSWERED).values(**_row(one)))

    # -- inside --------------------------------------------------------------------------------------------

    def _rows(self, query: sa.Select[Any], given: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(query, given).mappings()]

    def _joined(
        self, query: sa.Select[Any], kind: type[Any], given: Mapping[str, Any] | None = None
    ) -> tuple[Any, Account] | None:
        rows = self._rows(query, given)
        if not rows:
            return None
        own = {name: one for name, one in rows[0].items() if not name.startswith("a_")}
        whose = {name.removeprefix("a_"): one for name, one in rows[0].items() if name.startswith("a_")}
        return _read(kind, own), _account(whose)


def _replace(connection: sa.Connection, table: sa.TableClause, row: dict[str, Any], key: str) -> None:
    changed = connection.execute(sa.update(table).where(table.c[key] == row[key]).values(**row)).rowcount
    if not changed:
        connection.execute(sa.insert(table).values(**row))


def _row(one: Any) -> dict[str, Any]:
    row = asdict(one)
    return {name: orjson.dumps(value).decode() if name in _LISTS else value for name, value in row.items()}


def _read(kind: type[Any], row: dict[str, Any]) -> Any:
    return kind(**{n: tuple(orjson.loads(value)) if n in _LISTS else value for n, value in row.items()})


def _account(row: dict[str, Any]) -> Account:
    found: Account = _read(Account, row)
    return replace(found, disabled=bool(found.disabled))
