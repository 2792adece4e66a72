"""The worker: what lies in the inbox is read, mapped, looked at by detection and put into the lake.

What is taken is worked on by source, many deliveries in one go, and leaves the inbox when the lake has it.
A worker that is killed anywhere does it again, with the same uids: it is in the lake once. Of what is put
aside here, and not among the lake's dead letters, there is no source, or its mapping fails for nearly all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app import settings
from lemnis.app.normalising import Normalising
from lemnis.app.settling import Settling
from lemnis.app.stages import Stages
from lemnis.app.storing import Stored, Storing
from lemnis.content.schemas.source import LoadedSource
from lemnis.contracts.errors import LemnisError
from lemnis.ingest import reading
from lemnis.ingest.received import Piece
from lemnis.ingest.sources import Sources
from lemnis.store import durable
from lemnis.store.inbox import Dead, Inbox, Parcel

if TYPE_CHECKING:
    from lemnis.app.watch import Watch

LOG = logging.getLogger("lemnis.receiving")
FILE = "inbox.db"
TAKE_BYTES = 24 << 20
"""So much at most is worked on in one go."""
_HELD_S = (5.0, 300.0)
_WAIT_S = (0.5, 30.0)
_POLL_S = 0.05
_ALL = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """What became of some of a source's deliveries: records, deliveries given up, and how long it took.

    ``lag_ms`` is from when the oldest of it came to now; ``reasons`` are those of the first few that were
    rejected or given up; ``stages`` are the seconds by stage of the work since the account before.
    """

    source: str
    deliveries: int
    bytes: int
    accepted: int
    duplicates: int
    rejected: int
    dead: int
    lag_ms: int
    seconds: float
    reasons: tuple[str, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)


Told = Callable[[Account], None]
"""Told of what was done, on the worker's thread."""


def _nothing(account: Account) -> None:
    """Do nothing with it."""


class Worker:
    """Works on an inbox, alone or as one of several; ``run`` holds a lock beside it."""

    def __init__(
        self,
        workspace: app.Workspace,
        inbox: Inbox,
        watch: Watch | None = None,
        *,
        told: Told = _nothing,
        part: tuple[int, int] = (0, 1),
        settles: bool = True,
    ) -> None:
        """``watch`` looks at events on their way into the lake; ``told`` hears of each source's share.

        As ``part`` (k, n) it is the k-th of n workers. Only one that is alone also settles what it has done,
        unless another process does.
        """
        self.workspace, self.inbox, self.watch = workspace, inbox, watch
        self.part = part
        self._told = told
        self._normalising = Normalising(workspace.content)
        self._stages = Stages()
        self._storing = Storing(workspace, watch, self._stages)
        self._held: dict[str, tuple[float, float]] = {}
        self._settling = Settling(workspace, watch, self._stages) if settles and part[1] == 1 else None

    # -- a step --------------------------------------------------------------------------------------------

    def step(self) -> bool:
        """Work on what waits, of every source some; say whether there was anything.

        Raises ServiceError where lake, journal or inbox cannot be used: all of it still waits then.
        """
        self._refresh()
        now = time.monotonic()
        held = [source for source, (until, _) in self._held.items() if until > now]
        parcels = self.inbox.take(TAKE_BYTES, without=held, part=self.part)
        by_source: dict[str, list[Parcel]] = {}
        for parcel in parcels:
            by_source.setdefault(parcel.source, []).append(parcel)
        for source, some in by_source.items():
            try:
                self._work(source, some)
            except (LemnisError, OSError):
                raise
            except Exception as error:
                LOG.exception("what came of %s cannot be worked on; the others go on", source)
                self._hold(source, f"{type(error).__name__}: {error}")
        return bool(parcels)

    def settle(self, *, everything: bool = False) -> None:
        """Correlate and flush what is due, or ``everything`` at the end. It is not for one of several."""
        if self._settling is not None:
            if everything:
                self._settling.finish()
            else:
                self._settling.step()

    def _refresh(self) -> None:
        """Take over content that changed."""
        if self._normalising.refresh():
            self._held.clear()
        if self.watch is not None:
            self.watch.refresh()

    # -- one source's share --------------------------------------------------------------------------------

    def _work(self, name: str, parcels: Sequence[Parcel]) -> None:
        """Work on a source's parcels and let them go."""
        began = time.monotonic()
        pieces = [Piece.of(one, parcel.at) for parcel in parcels for one in parcel.deliveries]
        parted = by_source(self._normalising.sources, name, pieces)
        jobs = [self._stored(source, some) for source, some in parted]
        dead = [one for job in jobs for one in job.dead]
        if dead and not any(job.done.accepted or job.done.duplicates for job in jobs):
            if self.inbox.dead_full():
                self._hold(name, f"the dead letters are full: {dead[0][2]}")
                return
        else:
            self._held.pop(name, None)
        self.inbox.remove(parcels, dead)
        if dead:
            LOG.warning("%d deliveries of %s were given up: %s", len(dead), name, dead[0][2])
        oldest = min(parcel.at for parcel in parcels)
        self._told(
            Account(
                source=name,
                deliveries=len(pieces),
                bytes=sum(parcel.bytes for parcel in parcels),
                accepted=sum(job.done.accepted for job in jobs),
                duplicates=sum(job.done.duplicates for job in jobs),
                rejected=sum(job.done.rejected for job in jobs),
                dead=len(dead),
                lag_ms=max(0, self.workspace.clock.now() - oldest),
                seconds=time.monotonic() - began,
                reasons=tuple(dict.fromkeys(reason for job in jobs for reason in job.reasons))[:3],
                stages=self._stages.take(),
            )
        )

    def _hold(self, name: str, reason: str) -> None:
        """Leave a source alone for a while: nothing of it can be worked on, or given up any more."""
        _, before = self._held.get(name, (0.0, 0.0))
        pause = min(max(_HELD_S[0], 2 * before), _HELD_S[1])
        self._held[name] = (time.monotonic() + pause, pause)
        LOG.error("%s waits for %.0f s: %s", name, pause, reason)

    def _stored(self, source: LoadedSource | str, pieces: Sequence[Piece]) -> Stored:
        """Put pieces of one source into the lake, and say what became of them."""
        if not isinstance(source, str):
            return self._storing.store(source, pieces)
        stored = Stored()
        for piece in pieces:
            stored.put_aside(piece, source)
        return stored

    # -- all the time --------------------------------------------------------------------------------------

    def run(self, stop: Callable[[], bool]) -> None:
        """Work until ``stop`` says so, then finish: what was taken is done, flushed and correlated."""
        lock = self.inbox.path.with_suffix(f".{self.part[0]}.lock")
        with durable.exclusive(lock):
            wait = _WAIT_S[0]
            while not stop():
                try:
                    busy = self.step()
                    self.settle()
                    wait = _WAIT_S[0]
                except (LemnisError, OSError) as error:
                    LOG.error("nothing can be worked on, the next try is in %.1f s: %s", wait, error)  # noqa: TRY400 - it is told in full
                    _pause(wait, stop)
                    wait = min(2 * wait, _WAIT_S[1])
                    continue
                if not busy:
                    time.sleep(_POLL_S)
        self.finish()

    def finish(self) -> None:
        """Settle what is left; what cannot be done now is done when it begins again."""
        try:
            self.settle(everything=True)
        except (LemnisError, OSError) as error:
            LOG.error("the rest is done at the next start: %s", error)  # noqa: TRY400 - it is told in full
        self.inbox.close()


def by_source(
    sources: Sources, name: str, pieces: Sequence[Piece]
) -> Iterator[tuple[LoadedSource | str, list[Piece]]]:
    """Yield pieces by what their source is; a text says why there is none."""
    if name != reading.AUTO:
        try:
            yield sources.get(name), list(pieces)
        except LemnisError as error:
            yield f"{error}", list(pieces)
        return
    found: dict[str, list[Piece]] = {}
    for piece in pieces:
        source = sources.recognise(piece.stream)
        found.setdefault("" if source is None else source.name, []).append(piece)
    for key, some in found.items():
        yield (sources.by_name[key] if key else reading.UNRECOGNISED), some


def _pause(seconds: float, stop: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop():
        time.sleep(_POLL_S)


def inbox(workspace: app.Workspace) -> Inbox:
    """Open the workspace's inbox; raises ContentError where the settings are wrong."""
    most = int(settings.load(workspace).inbox.megabytes * 1_000_000)
    return Inbox(workspace.state / FILE, workspace.clock, max_bytes=most)


def given_up(workspace: app.Workspace, names: Collection[str] = ()) -> list[Dead]:
    """Return the deliveries that were put aside, optionally of some sources."""
    if not (workspace.state / FILE).exists():
        return []
    box = inbox(workspace)
    try:
        return [one for one in box.dead(limit=_ALL) if not names or one.delivery.source in names]
    finally:
        box.close()


def revive(workspace: app.Workspace, names: Collection[str] = ()) -> int:
    """Put them back into the inbox, for the workers to try again; return how many."""
    found = given_up(workspace, names)
    if not found:
        return 0
    box = inbox(workspace)
    try:
        return box.revive(one.id for one in found)
    finally:
        box.close()
