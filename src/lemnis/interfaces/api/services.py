"""What routes ask: the workspace, the board of incidents, who may see what; one of each a console."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from lemnis import app
from lemnis.app.access import naming
from lemnis.app.access.lake import Lake
from lemnis.app.access.masking import Masker, entities_in
from lemnis.app.access.permissions import Person
from lemnis.app.access.personal import Personal
from lemnis.app.access.seeing import Eyes
from lemnis.app.access.service import Access
from lemnis.app.board import Board
from lemnis.app.feedback_findings import Newest
from lemnis.content.schemas.console import Console
from lemnis.contracts.errors import BusyError
from lemnis.interfaces.api.running import Running
from lemnis.store.journal import SqlJournal

if TYPE_CHECKING:
    from lemnis.app.access.openid import Provider


@dataclass(frozen=True)
class Services:
    """What routes ask; made once."""

    workspace: app.Workspace
    access: Access
    board: Board
    settings: Console
    slots: Slots

    @property
    def journal(self) -> SqlJournal:
        """The account of what was done."""
        return self.access.journal

    def eyes(self, person: Person) -> Eyes:
        """Return what somebody sees of incidents and what belongs to them, for one request."""
        return Eyes(person, self.board)

    @cached_property
    def providers(self) -> dict[str, Provider]:
        """The providers of OpenID Connect that people sign in with."""
        from lemnis.app.access import openid  # noqa: PLC0415 - where there are some

        return openid.providers(self.settings.openid)

    @cached_property
    def lake(self) -> Lake:
        """Who sees which events."""
        return Lake(self.workspace)

    @cached_property
    def newest(self) -> Newest:
        """The newest alerts: what was read of them before is not read again."""
        return Newest(self.workspace)

    @cached_property
    def running(self) -> Running:
        """The searches that go on."""
        return Running()

    @cached_property
    def personal(self) -> Personal:
        """Who sees personal data."""
        return Personal(self.access)


class Slots:
    """How much dear work goes on at once: of all, and of one person."""

    def __init__(self, most: int = 4, each: int = 2) -> None:
        """``most`` at once, ``each`` of one person."""
        self._most, self._each = most, each
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, name: str) -> Iterator[None]:
        """Hold a slot in the block; raises BusyError where there is none."""
        with self._lock:
            if self._held.total() >= self._most or self._held[name] >= self._each:
                raise BusyError(
                    "as much goes on as may at once", retry_after_s=2, fix="try again in a moment"
                )
            self._held[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._held[name] -= 1
                self._held += Counter()


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees of personal data: ``masker`` takes it out; None where they see it."""

    masker: Masker | None
    seen: list[str] = field(default_factory=list)

    def document(self, document: Any, *also: str) -> Any:
        """Return a document as they see it: without people's names, if they are not to see them."""
        if self.masker is None:
            return document
        values = self.masker.of_entities(entities_in(document))
        return self.masker.document(document, {*values, *also})

    def named(self, document: Any, *authors: str) -> Any:
        """Return a document whose texts name people by their addresses, beside ``Name <address>``."""
        if self.masker is None:
            return document
        people = naming.addressed(naming.texts(document)).union(*map(naming.author, authors))
        return self.document(document, *self.masker.of_entities(people))

    def alert(self, document: Any) -> Any:
        """Return an alert as they see it: its event, and what is said of it."""
        if self.masker is None:
            return document
        event = document.get("event") or {}
        values = {*self.masker.values(event), *self.masker.of_entities(entities_in(document))}
        shown = self.masker.document({**document, "event": None}, values)
        return {**shown, "event": self.masker.event(event, values)}

    def event(self, event: Any) -> Any:
        """Return an event as they see it."""
        return event if self.masker is None else self.masker.event(event)


def services(request: Request) -> Services:
    """Return the services of the console that a request came to."""
    found: Services = request.app.state.services
    return found


def sight(request: Request, person: Person, purpose: str, about: str = "") -> Sight:
    """Return what this person sees for this purpose; that they see personal data is written down."""
    path = request.url.path.removeprefix(str(request.scope.get("root_path", "")))
    masker = services(request).personal.seen_by(person, purpose, what=f"{request.method} {path}", about=about)
    return Sight(masker)
