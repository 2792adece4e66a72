"""Which request made a service start a process: one whose own text stands in the process's command line.

A value of a request that turns up, whole, in what a process was told to do is as near to proof as logs give;
a request that merely came shortly before is a hint, and said to be one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

from lemnis.contracts.provenance import Strength
from lemnis.graph.process_tree import Started

BEFORE, AFTER = 30_000, 60_000  # ms: how late after a request a process starts, or is logged before it
SHORTEST = 4  # a shorter value stands in too many command lines
_QUOTES = {ord(mark): None for mark in "'\"\\"}
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a web service logged: the event's uid, the host that logged it if known, when (ms).

    ``verb`` is its HTTP method, where the log tells it.
    """

    uid: str
    host: str
    at: int
    client: str
    path: str
    query: str
    verb: str = ""


@dataclass(frozen=True, slots=True)
class Behind:
    """A request, the process in whose command line its text stands, and that text; none if only near.

    ``connection`` is the event of a connection to the address that the text is: then that ties the two.
    """

    request: Request
    process: Started
    text: str
    connection: str = ""

    @property
    def injected(self) -> bool:
        """Say whether the text is more than a word: words may stand in both by chance."""
        return bool(self.connection) or bool(set(self.text) - _PLAIN)

    @property
    def method(self) -> str:
        """How the two were brought together."""
        if self.connection:
            return "address_reached"
        return "injected_text" if self.injected else "same_word" if self.text else "time"

    @property
    def strength(self) -> Strength:
        """How far that can be trusted."""
        return Strength.OBSERVED if self.injected else Strength.LABEL if self.text else Strength.NAME_MATCH


def behind(chain: Sequence[Started], requests: Iterable[Request]) -> list[Behind]:
    """Return the requests behind a chain of processes (nearest first), the most telling first.

    Those with injected text in a command line of the chain: the longest text, then the nearest in time; then
    those with a word in it. Where no request's text is found, those that came up to ``BEFORE`` ms before,
    nearest first, as mere hints.
    """
    if not chain:
        return []
    first = chain[-1] if len(chain) == 1 else min(chain, key=lambda one: one.at)
    told: list[Behind] = []
    near: list[Behind] = []
    for request in requests:
        if request.host and request.host != chain[0].host:
            continue
        found = _told(chain, request)
        if found is not None:
            told.append(found)
        elif 0 <= first.at - request.at <= BEFORE:
            near.append(Behind(request, first, ""))
    told.sort(
        key=lambda one: (
            not one.injected, -len(one.text), abs(one.process.at - one.request.at), one.request.uid,
        )
    )  # fmt: skip
    near.sort(key=lambda one: (one.process.at - one.request.at, one.request.uid))
    return told or near


def values(query: str) -> list[str]:
    """Return the decoded values of a query, longest first, each also as it is with ``+`` kept."""
    found = set()
    for parameter in query.split("&"):
        raw = parameter.partition("=")[2]
        found |= {unquote_plus(raw), unquote(raw)}
    return sorted((one for one in found if one), key=lambda one: (-len(one), one))


def _told(chain: Sequence[Started], request: Request) -> Behind | None:
    """Return where a value of the request, or a part of its path that is no word, stands in the chain."""
    around = [process for process in chain if -AFTER <= process.at - request.at <= BEFORE]
    if not around:
        return None
    for text, bare in _texts(request.path, request.query):
        for process in around:
            if bare in _bare(process.command):
                return Behind(request, process, text)
    return None


@lru_cache(maxsize=65_536)
def _texts(path: str, query: str) -> tuple[tuple[str, str], ...]:
    """Return what of a request may stand in a command line: as it is told, and as it is looked for."""
    parts = [part for part in map(unquote, path.split("/")) if set(part) - _PLAIN]
    both = ((_plain(value), _bare(value)) for value in [*values(query), *parts])
    return tuple((text, bare) for text, bare in both if len(bare) >= SHORTEST)


def _plain(text: str) -> str:
    """Return a text with each run of white space as one blank: logs differ in how they keep it."""
    return " ".join(text.split())


@lru_cache(maxsize=65_536)
def _bare(text: str) -> str:
    """Return a text without what quotes: a command line is told with the quotes that a shell would need."""
    return _plain(text.translate(_QUOTES))


def caused(starts: Iterable[Started], requests: Iterable[Request]) -> dict[str, str]:
    """Return the processes in whose command line injected text of a request stands: event uid to uid."""
    asked = list(requests)
    found = {}
    for start in starts:
        best = next(iter(behind([start], asked)), None)
        if best is not None and best.injected:
            found[start.uid] = best.request.uid
    return found
