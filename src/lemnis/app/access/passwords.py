"""Passwords: which are good enough (NIST SP 800-63B), and Argon2id (RFC 9106) over them."""

from __future__ import annotations

import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from lemnis.contracts.errors import BusyError, UsageError

SHORTEST, LONGEST = 12, 256
_FEWEST_SIGNS = 5
_AT_ONCE, _WAITING = 2, 6
_WAIT_S = 10.0
_COMMON = ("password", "passwort", "12345", "qwert", "letmein", "welcome", "lemnis", "admin", "changeme")
"""What passwords are made of that are tried first; what is left without them must still be long enough."""


class Passwords:
    """Hashes and verifies, a few at once: each takes 64 MiB and some ten milliseconds of a processor.

    A few more wait; others are told to come again, so that no flood of them keeps pages from being worked on.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """``hasher`` says how dear it is; the RFC's second recommendation unless given."""
        self._hasher = hasher or PasswordHasher()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._room = threading.BoundedSemaphore(_AT_ONCE + _WAITING)
        self._nobody = ""

    def hash(self, password: str) -> str:
        """Return the hash of a password that is good enough."""
        with self._slot():
            return self._hasher.hash(_form(password))

    def fits(self, hashed: str, password: str) -> bool:
        """Say whether it is the password; for an account without one it takes as long to say no.

        Raises BusyError where too many ask at once.
        """
        if not self._nobody:
            self._nobody = self.hash("nobody has this password")
        with self._slot():
            try:
                self._hasher.verify(hashed or self._nobody, _form(password))
            except (VerificationError, InvalidHashError):
                return False
        return bool(hashed)

    def stale(self, hashed: str) -> bool:
        """Say whether a hash was made by other parameters than those of today."""
        return self._hasher.check_needs_rehash(hashed)

    def _slot(self) -> _Slot:
        return _Slot(self._slots, self._room)


class _Slot:
    def __init__(self, slots: threading.BoundedSemaphore, room: threading.BoundedSemaphore) -> None:
        self._slots, self._room = slots, room

    def __enter__(self) -> None:
        busy = BusyError("too many sign in at once", retry_after_s=2, fix="try again in a moment")
        if not self._room.acquire(blocking=False):
            raise busy
        if not self._slots.acquire(timeout=_WAIT_S):
            self._room.release()
            raise busy

    def __exit__(self, *_: object) -> None:
        self._slots.release()
        self._room.release()


def check(password: str, name: str) -> None:
    """Raise UsageError for a password that is too short, too long or too easily guessed."""
    text = _form(password)
    if not SHORTEST <= len(text) <= LONGEST:
        raise UsageError(
            f"the password has {len(text)} characters",
            fix=f"take {SHORTEST} to {LONGEST}: a sentence will do",
        )
    rest = text.casefold()
    for part in (name.casefold(), *_COMMON):
        rest = rest.replace(part, "") if part else rest
    if len(rest) < SHORTEST // 2 or len(set(rest)) < _FEWEST_SIGNS:
        raise UsageError(
            "the password is too easily guessed", fix="take a sentence that only you would write"
        )


def _form(password: str) -> str:
    """Return the one form of what may be typed in several."""
    return unicodedata.normalize("NFKC", password)
