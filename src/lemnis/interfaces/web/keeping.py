"""What is dear to work out and may be some minutes old: worked out once at a time, whoever asks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lemnis.contracts.errors import LemnisError, ServiceError

LOG = logging.getLogger("lemnis.console")
Value = TypeVar("Value")


@dataclass
class Kept(Generic[Value]):
    """One value, and how old it may be. While it is worked out anew, others are given the old one."""

    make: Callable[[], Value]
    seconds: float
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _value: Value | None = None
    _made: float | None = None
    _forgotten: int = 0
    used: float = 0.0
    """When it was asked for last."""

    @property
    def there(self) -> bool:
        """Whether it is given at once."""
        return self._value is not None and self._made is not None and self.clock() - self._made < self.seconds

    def get(self) -> Value:
        """Return the value: that at hand while it is young, or while someone else works on a newer one."""
        self.used = self.clock()
        if self.there:
            return self._known()
        free = self._lock.acquire(blocking=self._value is None)
        if not free:
            return self._known()
        try:
            if self._made is None or self.clock() - self._made >= self.seconds:
                before = self._forgotten
                self._value = self.make()
                self._made = self.clock() if before == self._forgotten else None
            return self._known()
        finally:
            self._lock.release()

    def forget(self) -> None:
        """Work it out anew when it is asked for next, also if it is being worked out now."""
        self._forgotten += 1
        self._made = None

    def _known(self) -> Value:
        if self._value is None:
            raise RuntimeError("there is no value yet")
        return self._value


@dataclass
class Later(Generic[Value]):
    """A value that takes too long for a page: it is worked out beside the pages, and None until then."""

    make: Callable[[], Value]
    seconds: float
    clock: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _value: Value | None = None
    _made: float | None = None
    _working: bool = False
    _forgotten: bool = False
    _wrong: Exception | None = None

    def get(self) -> Value | None:
        """Return the value, which may be an old one while a new one is made; raises what went wrong last."""
        with self._lock:
            old = self._made is None or self.clock() - self._made >= self.seconds
            if old and not self._working:
                self._working, self._forgotten = True, False
                threading.Thread(target=self._work, daemon=True, name="a page's figures").start()
            if self._wrong is not None:
                raise self._wrong
            return self._value

    def forget(self) -> None:
        """Work it out anew when it is asked for next, also if it is being worked out now."""
        with self._lock:
            self._made, self._forgotten = None, True

    def _work(self) -> None:
        value: Value | None = None
        wrong: Exception | None = None
        try:
            value = self.make()
        except LemnisError as error:
            wrong = error
        except Exception as error:  # whatever it is, the page says so and it is tried again
            LOG.exception("what a page shows could not be worked out")
            wrong = ServiceError(f"this could not be worked out: {error}", fix="the log has the whole of it")
        with self._lock:
            self._value, self._wrong = value, wrong
            self._made = None if self._forgotten else self.clock()
            self._working = False
