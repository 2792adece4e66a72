"""How pages ask the lake: with what whoever looks does not see, and so that they can end what they began."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from lemnis import app
from lemnis.app import searches
from lemnis.app.access.lake import Lake
from lemnis.app.access.masking import Masker
from lemnis.contracts.errors import AccessError, InputError, NotFoundError
from lemnis.interfaces.api.running import Running
from lemnis.interfaces.web import site
from lemnis.store.lakes import Readable
from lemnis.store.query import Handle
from lemnis.store.searching.veils import Veil


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees of events: what searches leave out, and what takes names out of the rest."""

    veil: Veil
    masker: Masker | None

    def event(self, event: Any) -> Any:
        """Return an event as they see it."""
        return event if self.masker is None else self.masker.event(event)

    def some(self, event: Any, names: Sequence[str]) -> Any:
        """Return what an event has at these names, as they see it."""
        return event if self.masker is None else self.masker.some(event, names)


def sight(request: Request, text: str = "", *, about: str = "") -> Sight:
    """Return what whoever asks sees; that they see personal data is written down.

    Raises AccessError for a query that names what is personal, where they do not see it. What is no query is
    told where it is run.
    """
    here, person = site.at(request), site.whose(request)
    masker = site.see(request, about=about or text[:200])
    if person is None:
        raise AccessError("nobody is signed in", fix="sign in")
    if masker is not None and text:
        with suppress(InputError, NotFoundError):  # the search itself says where it is wrong
            here.personal(request).demand_plain(searches.expand(here.workspace, text)[0])
    return Sight(lake(here).veil(person, masker, here.board), masker)


def lake(here: site.Site) -> Lake:
    """Return who sees which events."""
    found: Lake = here.once.setdefault("lake", Lake(here.workspace))
    return found


def tries(request: Request, *rules: str) -> Readable:
    """Return what rules are tried on: the lake as far as whoever asks sees it.

    Raises AccessError for a rule (its text) whose hits would confirm a person, where they do not see people.
    """
    here, person = site.at(request), site.whose(request)
    if person is None:
        raise AccessError("nobody is signed in", fix="sign in")
    seen = lake(here).shown(person, app.events(here.workspace))
    return seen if here.purpose(request) else here.personal(request).without(here.library, seen, *rules)


@contextmanager
def running(request: Request) -> Iterator[Handle]:
    """Hold a handle by which whoever asks can end what they began."""
    person = site.whose(request)
    with running_of(request).begun(person.id if person is not None else "") as handle:
        yield handle


def running_of(request: Request) -> Running:
    """Return the searches that go on."""
    found: Running = site.at(request).once.setdefault("searches", Running())
    return found
