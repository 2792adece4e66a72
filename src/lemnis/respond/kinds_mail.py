"""A mail server as a target of actions (SMTP, RFC 5321): a request is a message, its answer a status of HTTP.

The request is ``POST /messages`` with ``{"from", "to": […], "subject", "text", "id"}``. Taken over by the
server: 202; but not for everybody: 207. Refused for now, surely not taken (4yz): 429. Refused: 422. A
connection that breaks after the message began to go out says nothing of whether it was taken.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from lemnis.contracts.clock import Clock, SystemClock
from lemnis.contracts.errors import InputError, Location
from lemnis.respond.answers import Answer
from lemnis.respond.client import CallError
from lemnis.respond.logins import Login
from lemnis.respond.template import Rendered

_TAKEN, _IN_PART, _LATER, _REFUSED, _UNKNOWN = 202, 207, 429, 422, 404
_PERMANENT = 500
_PORTS = {"smtp": 587, "smtps": 465}


class Mail:
    """Implements ``Caller`` for a mail server; TLS is begun first, unless it is ``plain``."""

    def __init__(
        self,
        url: str,
        login: Login | None = None,
        *,
        ca: Path | None = None,
        plain: bool = False,
        timeout: float = 10,
        clock: Clock | None = None,
    ) -> None:
        """``url`` is ``smtp://HOST[:PORT]`` or, for TLS from the first byte, ``smtps://``."""
        self._url, self._login, self._plain, self._timeout = url, login or Login(), plain, timeout
        self._clock = clock or SystemClock()
        self._ca = ca

    @property
    def url(self) -> str:
        """The server's address."""
        return self._url

    def close(self) -> None:
        """Do nothing: each message has a connection of its own."""

    def send(self, request: Rendered, *, timeout: float, service: str = "") -> Answer:
        """Hand a message over; see the module's text. Raises CallError, InputError for what is no message."""
        del service
        if (request.method, request.path) != ("POST", "/messages"):
            return Answer(_UNKNOWN, "text/plain", b"a mail server only takes POST /messages")
        message = self._message(request.body)
        limit = min(timeout, self._timeout)
        held: list[smtplib.SMTP] = []
        watch = threading.Timer(limit, _break_off, (held,))  # a server that drips is never late for smtplib
        watch.daemon = True
        watch.start()
        try:
            return self._talk(held, limit, message)
        finally:
            watch.cancel()

    def _talk(self, held: list[smtplib.SMTP], limit: float, message: EmailMessage) -> Answer:
        try:
            server = self._connect(held, limit)
        except smtplib.SMTPResponseException as error:
            return _refused(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            raise CallError(self._said(error), unsent=True, at=Location(self._url)) from error
        try:
            return self._hand_over(server, message)
        finally:
            with suppress(OSError, smtplib.SMTPException):  # whether it was taken is known by now
                server.quit()
            server.close()

    def _hand_over(self, server: smtplib.SMTP, message: EmailMessage) -> Answer:
        try:
            left_out = server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            return _refused(code, text)
        except smtplib.SMTPResponseException as error:
            return _refused(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            raise CallError(self._said(error), at=Location(self._url)) from error
        if left_out:
            said = f"taken over, but not for {', '.join(sorted(left_out))}"
            return Answer(_IN_PART, "text/plain", said.encode())
        return Answer(_TAKEN, "text/plain", b"taken over")

    def _connect(self, held: list[smtplib.SMTP], limit: float) -> smtplib.SMTP:
        """Connect, begin TLS and log in; nothing of the message has gone out if this fails."""
        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        context = ssl.create_default_context(cafile=str(self._ca) if self._ca else None)
        if parts.scheme == "smtps":
            server: smtplib.SMTP = _Tls(host, port, held, timeout=limit, context=context)
        else:
            server = _Clear(host, port, held, timeout=limit)
        try:
            if parts.scheme == "smtp" and not self._plain:
                server.starttls(context=context)
            if self._login.user:
                server.login(self._login.user, self._login.password)
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, body: bytes) -> EmailMessage:
        """Make the message; header values with a line break are refused by it."""
        try:
            given = orjson.loads(body)
            if not isinstance(given["to"], list):
                raise TypeError("`to` is no list")  # noqa: TRY301 - as what else may be wrong
            message = EmailMessage()
            message["From"], message["To"] = given["from"], ", ".join(given["to"])
            message["Subject"] = given["subject"]
            message["Date"] = formatdate(self._clock.now() / 1000)
            message["Message-ID"] = f"<{given['id']}@lemnis>"
            message["Auto-Submitted"] = "auto-generated"  # so that nobody's holiday notice answers (RFC 3834)
            message.set_content(given["text"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"this is no message: {type(error).__name__} {error}") from error
        return message

    def _said(self, error: Exception) -> str:
        text = f"{type(error).__name__} {error}".strip()
        for secret in self._login.secrets:
            text = text.replace(secret, "(secret)")
        return text


class _Clear(smtplib.SMTP):
    """A client that is in ``held`` before it connects, so that it can be broken off meanwhile."""

    def __init__(self, host: str, port: int, held: list[smtplib.SMTP], *, timeout: float) -> None:
        held.append(self)
        super().__init__(host, port, timeout=timeout)


class _Tls(smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""

    def __init__(
        self, host: str, port: int, held: list[smtplib.SMTP], *, timeout: float, context: ssl.SSLContext
    ) -> None:
        held.append(self)
        super().__init__(host, port, timeout=timeout, context=context)


def _break_off(held: list[smtplib.SMTP]) -> None:
    """End the connections that another thread reads from: its read fails."""
    for there in (server.sock for server in held):
        if there is not None:
            with suppress(OSError):
                there.shutdown(socket.SHUT_RDWR)


def _refused(code: int, text: bytes | str) -> Answer:
    said = text if isinstance(text, bytes) else text.encode()
    status = _REFUSED if code >= _PERMANENT else _LATER
    return Answer(status, "text/plain", f"{code} ".encode() + said)
