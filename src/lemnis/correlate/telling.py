"""Why an alert is in an incident, in words: what it shares with which other alerts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from lemnis.contracts.alerts import Alert
from lemnis.contracts.clock import span

Reason = tuple[tuple[str, ...], int]
"""The entities that an alert shares (``kind:value``), and the number of the other alert that has them."""
Named = tuple[str, int, str]
"""An alert's id, time and title."""
_span = lru_cache(maxsize=10_000)(span)
_name = lru_cache(maxsize=100_000)(str)


def texts(alert: Alert, reasons: Iterable[Reason], named: Mapping[int, Named]) -> tuple[str, ...]:
    """Tell an alert's reasons, what it shares with one other alert in one; ``named`` has those others."""
    both: dict[int, tuple[str, ...]] = {}
    for shared, other in reasons:
        both[other] = (*both[other], *shared) if other in both else shared
    names = dict.fromkeys(map(_name, alert.entities)) if both else ()
    return tuple([
        _text(alert, " and ".join([_words(name) for name in names if name in some]), named[other])
        for other, some in both.items()
    ])  # fmt: skip


def _text(alert: Alert, what: str, other: Named) -> str:
    name, time, title = other
    apart = alert.time - time
    when = f"{_span(apart)} after" if apart >= 0 else f"{_span(-apart)} before"
    return f"shares {what} with {name} ({title}), {when} it"


@lru_cache(maxsize=100_000)
def _words(name: str) -> str:
    return name.replace(":", " ", 1)
