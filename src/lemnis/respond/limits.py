"""How much at once: one run at a time a target, and a connection's own concurrency and rate.

With a ``keeper`` they hold for all processes on the same database (ADR 0062), else within this one. Threads
of a process wait for each other here, so that at most one of them a place asks the database.
A wrapped caller also keeps a step's deadline: no call and no pause goes past it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from lemnis.contracts.errors import ServiceError
from lemnis.respond.answers import Answer
from lemnis.respond.client import Caller, CallError, Reach
from lemnis.respond.leasing import Hold, Keeper
from lemnis.respond.template import Rendered

_MINUTE_S = 60.0
_MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """What a connection bears: calls at once, and calls a minute; 0 is no limit."""

    concurrency: int = 0
    rate_per_min: int = 0


@dataclass(slots=True)
class Limits:
    """Counts calls; ``tick`` gives seconds that only go forward."""

    known: Mapping[str, Limit]
    tick: Callable[[], float]
    sleep: Callable[[float], None]
    keeper: Keeper | None = None
    _slots: dict[str, threading.Semaphore] = field(default_factory=dict)
    _sent: dict[str, deque[float]] = field(default_factory=dict)
    _targets: dict[str, threading.Lock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self, run: str) -> None:
        """Give back what a killed process held for a run that goes on here."""
        if self.keeper is not None:
            self.keeper.leases.forget(run)

    @contextmanager
    def target(self, name: str, run: str = "") -> Iterator[Hold]:
        """Hold a target for a run: whoever else acts on it waits. What is given makes sure of it."""
        with self._lock:
            one = self._targets.setdefault(name, threading.Lock())
        with one, ExitStack() as stack:
            yield self._place(stack, f"target {name}", 1, run)

    @contextmanager
    def call(self, connection: str, run: str = "") -> Iterator[None]:
        """Hold one of a connection's places, when its rate allows it."""
        limit = self.known.get(connection, Limit())
        with self._lock:
            slot = self._slots.setdefault(connection, threading.Semaphore(limit.concurrency or _MANY))
        with slot, ExitStack() as stack:
            if limit.concurrency:
                self._place(stack, f"connection {connection}", limit.concurrency, run)
            if limit.rate_per_min:
                wait = self._turn(connection, limit.rate_per_min)
                if wait:
                    self.sleep(wait)
            yield

    def _place(self, stack: ExitStack, name: str, places: int, run: str) -> Hold:
        """Take a place that is given back with the stack."""
        if self.keeper is None:
            return unheld
        return stack.enter_context(self.keeper.place(name, places, run))

    def _turn(self, connection: str, rate: int) -> float:
        """Take the next free moment of a connection; return the seconds until then."""
        if self.keeper is not None:
            return self.keeper.leases.turn(f"connection {connection}", rate)
        with self._lock:
            sent, now = self._sent.setdefault(connection, deque()), self.tick()
            while sent and sent[0] <= now - _MINUTE_S:
                sent.popleft()
            at = max(now, sent[-rate] + _MINUTE_S) if len(sent) >= rate else now
            sent.append(at)
            return at - now


def unheld() -> None:
    """Nothing can take a place away that only this process knows of."""


@dataclass(frozen=True, slots=True)
class Limited:
    """A caller within limits; ``until`` is when its step must be over (seconds of ``tick``), 0 if never.

    ``hold`` is asked before each call: it makes sure that the target is still this run's.
    """

    inner: Caller
    connection: str
    limits: Limits
    until: float = 0
    run: str = ""
    hold: Hold = unheld

    @property
    def url(self) -> str:
        """The connection's address."""
        return self.inner.url

    def send(self, request: Rendered, *, timeout: float, service: str = "") -> Answer:
        """Return the answer; see ``Caller``. Raises CallError where the step's time is over."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self.limits.call(self.connection, self.run))
                self.hold()
            except ServiceError as error:
                raise CallError(f"{request.line} was not sent: {error.what}", unsent=True) from error
            left = self.until - self.limits.tick() if self.until else timeout
            if left <= 0:
                raise CallError(f"{request.line} was not sent: the step's time is over", unsent=True)
            return self.inner.send(request, timeout=min(timeout, left), service=service)


def within(
    limits: Limits, reach: Reach, timeout_s: float = 0, *, run: str = "", hold: Hold = unheld
) -> tuple[Reach, Callable[[float], None]]:
    """Return how a step reaches connections and pauses, all within its time (0: no bound of its own)."""
    until = limits.tick() + timeout_s if timeout_s else 0.0

    def bounded(name: str) -> Caller:
        return Limited(reach(name), name, limits, until, run, hold)

    def pause(seconds: float) -> None:
        if until and limits.tick() + seconds > until:
            raise ServiceError(f"the step's {timeout_s:g} s are over")
        limits.sleep(seconds)

    return bounded, pause
