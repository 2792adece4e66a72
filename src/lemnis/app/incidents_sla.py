"""What is due about incidents: timers that ran out or are near, each written down once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from contextlib import suppress

from lemnis import app
from lemnis.app import incidents, incidents_handling
from lemnis.app.incidents_handling import Standing
from lemnis.contracts.errors import LemnisError
from lemnis.contracts.handling import Timer
from lemnis.contracts.journal import NewEntry
from lemnis.incidents import entries as lifecycle
from lemnis.incidents import handling as writing
from lemnis.incidents import sla

LOG = logging.getLogger("lemnis.incidents")
EVERY_S = 15.0
_SHARE = 20
"""So many times as long as a look took nothing is looked at: a twentieth of a core at most."""
_LONGEST_MS = 600_000
"""After so long it is looked anyway: what assets are worth may change, and what is near."""
_MOVES = frozenset({*lifecycle.KINDS, *writing.KINDS})
Due = tuple[Standing, Timer]


def waiting(workspace: app.Workspace) -> list[Due]:
    """Return the timers of open incidents that wait for something, the next first."""
    found = [
        (one, timer)
        for one in incidents_handling.standings(workspace, incidents.incidents(workspace))
        if one.incident.open and not one.incident.merged_into
        for timer in one.timers
        if timer.done is None
    ]
    return sorted(found, key=lambda pair: (pair[1].due, pair[0].incident.id, sla.NAMES.index(pair[1].name)))


def tell(workspace: app.Workspace, found: Iterable[Due]) -> list[Due]:
    """Write down which of these timers ran out or are near; return those that nobody had written down."""
    new = [(one, timer, entry) for one, timer in found if (entry := _entry(one, timer)) is not None]
    written = app.journal(workspace).append_all([entry for *_, entry in new])
    return [(one, timer) for (one, timer, _), (_, first) in zip(new, written, strict=True) if first]


def _entry(one: Standing, timer: Timer) -> NewEntry | None:
    """Return what is to be written down of a timer that nobody has told of yet."""
    told, name = f"{timer.name}:{timer.due}", one.weighed.priority.name.lower()
    if timer.state == "breached" and told not in one.handling.told:
        return writing.breached(one.incident.id, timer, name)
    if timer.state == "near" and f"near:{told}" not in one.handling.told:
        return writing.nearing(one.incident.id, timer, name)
    return None


class Watching:
    """Looks at timers when something happened to an incident, or when the next of them is near or due."""

    def __init__(self, workspace: app.Workspace) -> None:
        self.workspace = workspace
        self._seq: int | None = None
        self._next = 0

    def look(self) -> list[Due]:
        """Write down what ran out or is near; return what is new."""
        journal = app.journal(self.workspace)
        head = journal.head()[0]
        moved = self._seq is None or any(
            entry.kind in _MOVES for entry in journal.entries(after=self._seq) if entry.seq <= head
        )
        self._seq = head
        if not moved and self.workspace.clock.now() < self._next:
            return []
        found = waiting(self.workspace)
        new = tell(self.workspace, found)
        now = self.workspace.clock.now()
        times = (at for _, timer in found if timer.state != "paused" for at in (timer.near, timer.due))
        self._next = min(at for at in (*times, now + _LONGEST_MS) if at > now)
        return new


async def keep(workspace: app.Workspace, stop: asyncio.Event) -> None:
    """Watch timers until ``stop``; what fails is told in the log, and looked at again."""
    watching = Watching(workspace)
    while not stop.is_set():
        began = time.monotonic()
        try:
            for one, timer in await asyncio.to_thread(watching.look):
                late = "ran out" if timer.state == "breached" else "is near"
                LOG.warning("%s: the time to %s %s", one.incident.id, timer.name, late)
        except (LemnisError, OSError) as error:
            LOG.warning("timers of incidents: %s", error)
        wait = max(EVERY_S, _SHARE * (time.monotonic() - began))
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)
