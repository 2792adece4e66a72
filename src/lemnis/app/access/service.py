"""Access to one workspace: opened once a process, asked at each request who it is."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lemnis import app
from lemnis.app.access import secret
from lemnis.app.access.permissions import STAGE, Person, Rights, rights
from lemnis.app.policies import load_one
from lemnis.content import yaml
from lemnis.content.library import ROLES, Library
from lemnis.content.schemas.policy import Policy as PolicyFile
from lemnis.content.schemas.role import Role
from lemnis.contracts.errors import ContentError
from lemnis.contracts.ids import Json
from lemnis.contracts.journal import NewEntry
from lemnis.store.access import AccessTables, Account

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from lemnis.app.access.passwords import Passwords
    from lemnis.store.journal import SqlJournal

LOG = logging.getLogger("lemnis.access")
COOKIE, TOKEN, INVITE, PENDING = "session", "token", "invitation", "second"
"""What secrets are for."""
TOKEN_PREFIX = "lmn_"  # noqa: S105 - how tokens begin, so that scanners find those that leak
_LOOK_MS = 10_000
_TOUCH_MS = 60_000
IDLE_MS = 60 * 60_000
LASTS_MS = 12 * 60 * 60_000


class Access:
    """Who may do what in a workspace; ``changed`` things are written down in its journal."""

    def __init__(
        self,
        workspace: app.Workspace,
        *,
        engine: Engine | None = None,
        random: secret.Random = secrets.token_bytes,
        passwords: Passwords | None = None,
        idle_ms: int = IDLE_MS,
        lasts_ms: int = LASTS_MS,
    ) -> None:
        """Read roles and rules; raises ContentError with file, line and column.

        A session ends when it was not used for ``idle_ms``, and after ``lasts_ms`` in any case.
        """
        self.workspace, self.clock, self.random = workspace, workspace.clock, random
        self.engine = engine if engine is not None else app.engine(workspace)
        self.tables = AccessTables(self.engine)
        self.journal: SqlJournal = app.journal(workspace, on=self.engine)
        self.idle_ms, self.lasts_ms = idle_ms, lasts_ms
        self._passwords = passwords
        self._lock = threading.Lock()
        self._state = _signature(workspace.content)
        self._rights = _read(workspace)
        self._looked = self.clock.now()

    @property
    def passwords(self) -> Passwords:
        """What hashes passwords."""
        if self._passwords is None:
            from lemnis.app.access.passwords import Passwords

            self._passwords = Passwords()
        return self._passwords

    @property
    def rights(self) -> Rights:
        """What roles may, as the content says now; where it cannot be read any more, as it said last."""
        now = self.clock.now()
        if now - self._looked < _LOOK_MS or not self._lock.acquire(blocking=False):
            return self._rights
        try:
            self._looked, state = now, _signature(self.workspace.content)
            if state != self._state:
                self._state = state
                self._rights = _read(self.workspace)
        except ContentError as error:
            LOG.error("roles and rules stay as they were: %s", error)  # noqa: TRY400 - told in full
        finally:
            self._lock.release()
        return self._rights

    def person(
        self, account: Account, how: Literal["session", "token"] = "session", scopes: tuple[str, ...] = ()
    ) -> Person:
        """Return an account as whoever asks."""
        now = self.rights
        return Person(
            account.id,
            account.name,
            account.roles,
            account.teams,
            how,
            scopes,
            now.of(account.roles),
            now.rules,
        )

    def by_cookie(self, cookie: str) -> Person | None:
        """Return who uses this cookie; None if the session is over or the account was disabled."""
        return self._by_cookie(cookie, used=True)

    def looked_by_cookie(self, cookie: str) -> Person | None:
        """Return whose cookie this is, where nobody used it: what an open page does lets a session end."""
        return self._by_cookie(cookie, used=False)

    def _by_cookie(self, cookie: str, *, used: bool) -> Person | None:
        found = self.tables.session(secret.known_as(cookie, COOKIE))
        if found is None:
            return None
        (session, account), now = found, self.clock.now()
        if account.disabled or now >= session.until or now - session.seen >= self.idle_ms:
            return None
        if used and now - session.seen >= _TOUCH_MS:
            self.tables.touch(session.id, now)
        return self.person(account)

    def by_token(self, key: str) -> Person | None:
        """Return who has this token; None if it is unknown or expired, or the account was disabled."""
        if not key.startswith(TOKEN_PREFIX):
            return None
        found = self.tables.token(secret.known_as(key, TOKEN))
        if found is None:
            return None
        (token, account), now = found, self.clock.now()
        if account.disabled or now >= token.until:
            return None
        if token.used is None or now - token.used >= _TOUCH_MS:
            self.tables.used_token(token.id, now)
        return self.person(account, "token", token.scopes)

    def tell(
        self, kind: str, about: str, *, actor: str, reason: str = "", payload: dict[str, Json] | None = None
    ) -> None:
        """Write down in the journal what was done about an account."""
        key = f"access.{kind}:{secret.new_id('at', self.random)}"
        self.journal.append(NewEntry(f"access.{kind}", about, key, payload or {}, actor, reason))


def _read(workspace: app.Workspace) -> Rights:
    library = Library.open(workspace.content)
    roles = {name: yaml.load(one.manifest, Role) for name, one in library.items(ROLES).items()}
    deciding = (
        one
        for one in library.items("policies").values()
        if STAGE in yaml.load(one.manifest, PolicyFile).stages
    )
    return rights(roles, [load_one(one) for one in deciding])


def _signature(content: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what tells whether roles or policies of the workspace changed."""
    return tuple(sorted(signatures([*(content / ROLES).glob("*.yaml"), *(content / "policies").glob("*/*")])))


def signatures(paths: Iterable[Path]) -> Iterator[tuple[str, int, int]]:
    """Yield what tells whether files changed; not of those that are gone by now."""
    for path in paths:
        try:
            status = path.stat()
        except FileNotFoundError:  # an editor's, gone since it was listed
            continue
        yield str(path), status.st_mtime_ns, status.st_size
