"""Keeps the places that a process has taken: renews their leases while they are held, and gives them back.

A lease that could not be renewed in time (the process was stopped, the database was away) is no longer
relied on: whoever holds the place asks before each call, and takes it anew.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lemnis.contracts.errors import LemnisError, ServiceError
from lemnis.contracts.leases import Leases

LOG = logging.getLogger("lemnis.respond")
LONGEST_WAIT_S = 900.0
_FIRST_S, _LONGEST_S = 0.02, 0.5
_RENEWED = 3
"""A lease is renewed so often within its time."""

Hold = Callable[[], None]
"""Makes sure that a place is still held; raises ServiceError where it cannot be had again."""


@dataclass(slots=True)
class _Held:
    """A place that is held, and until when (seconds of ``tick``) that is surely so."""

    name: str
    places: int
    holder: str
    token: str = ""
    until: float = 0


@dataclass(slots=True)
class Keeper:
    """Takes, keeps and gives back places; threads may share it."""

    leases: Leases
    tick: Callable[[], float]
    sleep: Callable[[float], None]
    _held: list[_Held] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def place(self, name: str, places: int, holder: str) -> Iterator[Hold]:
        """Hold one of a name's places as soon as one is free; raises ServiceError if none is for long."""
        one = _Held(name, places, holder)
        self._take(one)
        with self._lock:
            self._held.append(one)
            self._begin()
        try:
            yield lambda: self._hold(one)
        finally:
            with self._lock:
                self._held.remove(one)
            try:
                self.leases.give(one.token)
            except LemnisError as error:
                LOG.warning("the place %s stays taken until its lease is over: %s", one.name, error)

    def close(self) -> None:
        """Renew nothing any more."""
        self._stop.set()

    def _take(self, one: _Held) -> None:
        began, pause = self.tick(), _FIRST_S
        while True:
            asked = self.tick()
            token = self.leases.take(one.name, one.places, one.holder)
            if token is not None:
                one.token, one.until = token, asked + self.leases.seconds
                return
            if asked - began > LONGEST_WAIT_S:
                raise ServiceError(
                    f"others have held {one.name} for {LONGEST_WAIT_S / 60:g} minutes",
                    fix="`lemnis playbook runs` shows what runs; run it again later",
                )
            self.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_S)

    def _hold(self, one: _Held) -> None:
        """Take a place anew whose lease may be over."""
        if self.tick() >= one.until and not self._renew([one]):
            self._take(one)

    def _begin(self) -> None:
        """Have somebody renew what is held; the caller has the lock."""
        if self._thread is None or not self._thread.is_alive():  # a forked process has no threads
            self._thread = threading.Thread(target=self._go_on, name="leases", daemon=True)
            self._thread.start()

    def _go_on(self) -> None:
        while not self._stop.wait(self.leases.seconds / _RENEWED):
            with self._lock:
                held = list(self._held)
                if not held:
                    self._thread = None
                    return
            try:
                self._renew(held)
            except LemnisError as error:
                LOG.warning("leases could not be renewed: %s", error)

    def _renew(self, held: list[_Held]) -> bool:
        """Renew leases; say whether all of them stand."""
        asked = self.tick()
        stand = self.leases.renew([one.token for one in held])
        for one in held:
            one.until = asked + self.leases.seconds if one.token in stand else 0
        return len(stand) == len(held)
