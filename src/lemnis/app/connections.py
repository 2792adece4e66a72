"""Callers of a workspace's connections: addresses from ``lemnis.yaml``, credentials from where it says."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lemnis import app
from lemnis.app import settings
from lemnis.content.schemas.settings import Connection
from lemnis.contracts.clock import SystemClock
from lemnis.contracts.errors import Location, NotFoundError, UsageError

if TYPE_CHECKING:
    from lemnis.respond.client import Client
    from lemnis.respond.kinds_host import Host
    from lemnis.respond.kinds_mail import Mail
    from lemnis.respond.logins import Login, Tokens


class Connections:
    """Opens callers when they are first asked for; a context manager that closes them."""

    def __init__(
        self, connections: Mapping[str, Connection], root: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """``root`` is where relative paths start; ``environment`` has the credentials; else this one."""
        self._known, self._root = connections, root
        self._environment = os.environ if environment is None else environment
        self._open: dict[str, Client | Host | Mail] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, workspace: app.Workspace) -> Self:
        """Read a workspace's connections."""
        return cls(settings.load(workspace).connections, workspace.root)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every caller."""
        for client in self._open.values():
            client.close()
        self._open.clear()

    def reach(self, name: str) -> Client | Host | Mail:
        """Return the caller of a connection; raises NotFoundError, UsageError for a missing credential."""
        if name not in self._known:
            raise NotFoundError(
                f"no connection {name!r}",
                at=Location(app.SETTINGS),
                fix=f"add it under `connections:`: {name}: …",
            )
        with self._lock:  # runs that go on at the same time share what is open
            if name not in self._open:
                self._open[name] = self._caller(name, self._known[name])
            return self._open[name]

    def login(self, name: str) -> tuple[str, Login]:
        """Return a connection's address and login, for who calls it by other means; see ``reach``."""
        if name not in self._known:
            raise NotFoundError(f"no connection {name!r}", at=Location(app.SETTINGS), fix="add it")
        one = self._known[name]
        return one.url, self._login(name, one)

    def _caller(self, name: str, one: Connection) -> Client | Host | Mail:
        from lemnis.respond.client import Client
        from lemnis.respond.kinds_host import Host
        from lemnis.respond.kinds_mail import Mail

        ca = self._root / one.ca if one.ca else None
        if one.command:
            return Host(one.url, one.command, timeout=one.timeout_s)
        login = self._login(name, one)
        if one.url.startswith("smtp"):
            return Mail(one.url, login, ca=ca, plain=one.plain, timeout=one.timeout_s)
        return Client(name, one.url, login, ca=ca, timeout=one.timeout_s)

    def _login(self, name: str, one: Connection) -> Login:
        from lemnis.respond.logins import Login
        from lemnis.respond.sigv4 import Keys

        keys = None
        if one.access_key_env:
            session = self._variable(name, one.session_token_env) if one.session_token_env else ""
            access, secret = (self._variable(name, v) for v in (one.access_key_env, one.secret_key_env))
            keys = Keys(access, secret, session)
        token = self._variable(name, one.token_env) if one.token_env else ""
        if one.token_file:
            token = _private(self._root / one.token_file)
        password, signing, address = (
            self._variable(name, variable) if variable else ""
            for variable in (one.password_env, one.signing_key_env, one.path_env)
        )
        if address and not address.startswith("/"):
            raise UsageError(
                f"the variable {one.path_env} of the connection {name} holds no path",
                at=Location(app.SETTINGS), fix="set it to what follows the host, from the slash on",
            )  # fmt: skip
        return Login(
            token, keys, one.region, scheme=one.scheme, user=one.user, password=password,
            signing_key=signing, tokens=self._tokens(name, one), address=address, extra=one.headers,
        )  # fmt: skip

    def _tokens(self, name: str, one: Connection) -> Tokens | None:
        """Return what fetches a connection's tokens, if they are fetched."""
        from lemnis.respond.logins import ClientCredentials, GithubApp

        clock = SystemClock()
        if one.oauth is not None:
            secret = self._variable(name, one.oauth.secret_env)
            return ClientCredentials(
                one.oauth.url, one.oauth.client_id, secret, one.oauth.scope, clock, one.timeout_s
            )
        if one.github_app is None:
            return None
        pem = _private(self._root / one.github_app.key_file, lines=True)
        given = one.github_app
        return GithubApp.read(pem, url=one.url, app_id=given.id, installation=given.installation, clock=clock)

    def _variable(self, name: str, variable: str) -> str:
        value = self._environment.get(variable, "").strip()
        if not value:
            raise UsageError(
                f"the connection {name} needs the variable {variable or '(unnamed)'}",
                at=Location(app.SETTINGS), fix="set it in the environment of this command",
            )  # fmt: skip
        if not _carried(value):
            raise UsageError(
                f"the variable {variable} of the connection {name} holds what no header can carry",
                at=Location(app.SETTINGS), fix="set it to the credential alone: printable ASCII, one line",
            )  # fmt: skip
        return value


def _carried(credential: str) -> bool:
    """Say whether an HTTP header can carry it; a client that is given another would show it in its error."""
    return credential.isascii() and credential.isprintable()


def _private(path: Path, *, lines: bool = False) -> str:
    """Read a secret's file, which nobody but its owner may read; a token is one line, a key has ``lines``."""
    try:
        mode = path.stat().st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError("others can read this token", at=Location(str(path)), fix="chmod 600")
        token = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise UsageError("the token is no text", at=Location(str(path))) from error
    except OSError as error:
        raise UsageError(f"the token cannot be read: {error.strerror}", at=Location(str(path))) from error
    if not lines and not _carried(token):
        raise UsageError(
            "this token holds what no header can carry", at=Location(str(path)),
            fix="put the token alone into it: printable ASCII, one line",
        )  # fmt: skip
    return token
