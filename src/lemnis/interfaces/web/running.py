"""Work that takes longer than a page: done beside it, watched while it goes on, ended when nobody looks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lemnis.contracts.errors import BusyError, LemnisError, ServiceError

LOG = logging.getLogger("lemnis.console")
Value = TypeVar("Value")
Tell = Callable[[int, int], None]
"""Called by the work with how much is done of how much; it raises where nobody looks any more."""
MOST, EACH, KEPT = 2, 1, 20
"""How much goes on at once, of that of one person, and how many results are kept."""
LEASE_S, GRACE_S = 90.0, 5.0
"""So long nobody need look; and so long where the last who looked said that they go."""


class EndedError(Exception):
    """Nobody looks any more, or somebody stopped it: the work ends."""


@dataclass
class Work(Generic[Value]):
    """One piece of work: how far it is, its result, or why there is none."""

    name: str
    who: str
    looked: float
    done: int = 0
    of: int = 0
    result: Value | None = None
    wrong: LemnisError | None = None
    ended: str = ""
    going: bool = True
    stopping: bool = False


@dataclass
class Works(Generic[Value]):
    """Pieces of work by name; the same is done once, whoever asks."""

    clock: Callable[[], float] = time.monotonic
    _works: dict[str, Work[Value]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, name: str, who: str, make: Callable[[Tell], Value]) -> Work[Value]:
        """Begin a piece of work, or join it where it goes on; raises BusyError where too much does."""
        with self._lock:
            known = self._works.get(name)
            if known is not None and known.going:
                return known
            going = [one for one in self._works.values() if one.going]
            if len(going) >= MOST or sum(one.who == who for one in going) >= EACH:
                raise BusyError(
                    "as much goes on as may at once", retry_after_s=5, fix="wait for it, or stop the other"
                )
            work: Work[Value] = Work(name, who, self.clock())
            self._works.pop(name, None)
            self._works[name] = work
            over = [one.name for one in self._works.values() if not one.going]
            for old in over[: max(0, len(self._works) - KEPT)]:
                self._works.pop(old)
        threading.Thread(target=self._run, args=(work, make), daemon=True, name="a replay").start()
        return work

    def look(self, name: str) -> Work[Value] | None:
        """Return a piece of work; that somebody looks keeps it going."""
        work = self._works.get(name)
        if work is not None:
            work.looked = self.clock()
        return work

    def leave(self, name: str) -> None:
        """Take note that somebody who looked goes: it ends soon, unless others look."""
        work = self._works.get(name)
        if work is not None:
            work.looked = min(work.looked, self.clock() - LEASE_S + GRACE_S)

    def stop(self, name: str) -> None:
        """End a piece of work as soon as it next tells how far it is."""
        work = self._works.get(name)
        if work is not None:
            work.stopping = True

    def _run(self, work: Work[Value], make: Callable[[Tell], Value]) -> None:
        def tell(done: int, of: int) -> None:
            work.done, work.of = done, of
            if work.stopping or self.clock() - work.looked > LEASE_S:
                raise EndedError

        try:
            work.result = make(tell)
        except EndedError:
            work.ended = "it was stopped" if work.stopping else "nobody looked any more"
        except LemnisError as error:
            work.wrong = error
        except Exception as error:  # whatever it is, the page says so
            LOG.exception("what a page began could not be done")
            work.wrong = ServiceError(f"this could not be done: {error}", fix="the log has the whole of it")
        finally:
            work.going = False
