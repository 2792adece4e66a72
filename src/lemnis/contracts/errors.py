"""The error tree.

LemnisError
├── InputError          exit 2: the caller gave something wrong
│   ├── ContentError      a content file (rule, policy, mapping, playbook …) is invalid
│   │   └── UnsupportedError  valid, but uses what this version cannot evaluate
│   ├── RecordError       one record of a log could not be read or mapped
│   ├── NotFoundError     a named thing (incident, source, workspace …) does not exist
│   └── UsageError        arguments that do not fit together
├── RefusedError        exit 1: understood, and declined (policy, cap, approval, protection)
│   ├── AccessError       whoever asks may not do this
│   │   └── StrangerError   nobody knows who asks: they have to sign in
│   └── StaleError        it was to follow what is no more the last word
├── IntegrityError      exit 1: a hash, a signature or a chain does not hold
└── ServiceError        exit 3: a needed service or tool is missing or failed
    └── BusyError         it takes no more for now: come again later
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """Where something is: a file, and in it a line and column (from 1) or a record number (from 1)."""

    file: str = ""
    line: int | None = None
    column: int | None = None
    record: int | None = None

    def __str__(self) -> str:
        """Render as ``file:line:column`` or ``file#record``."""
        text = self.file or "<input>"
        if self.line is not None:
            text += f":{self.line}"
            if self.column is not None:
                text += f":{self.column}"
        if self.record is not None:
            text += f"#{self.record}"
        return text


class LemnisError(Exception):
    """Base of every error that Lemnis raises on purpose: what is wrong, where, and what to do."""

    exit_code: ClassVar[int] = 3

    def __init__(self, what: str, *, at: Location | None = None, fix: str = "") -> None:
        """``what`` is wrong; ``at`` says where; ``fix`` says what the reader can do."""
        super().__init__(what)
        self.what = what
        self.at = at
        self.fix = fix

    def __str__(self) -> str:
        """Render as ``where: what (fix)``, on one line."""
        where = f"{self.at}: " if self.at else ""
        fix = f" ({self.fix})" if self.fix else ""
        return f"{where}{self.what}{fix}"


class InputError(LemnisError):
    """The caller gave something wrong."""

    exit_code: ClassVar[int] = 2


class ContentError(InputError):
    """A content file is invalid."""


class UnsupportedError(ContentError):
    """A content file is valid, but uses a feature that this version cannot evaluate."""


class RecordError(InputError):
    """One record of a log could not be read or mapped."""


class NotFoundError(InputError):
    """A named thing does not exist."""


class UsageError(InputError):
    """The arguments do not fit together."""


class RefusedError(LemnisError):
    """Understood, and declined: by a policy, a cap, a missing approval or a protection."""

    exit_code: ClassVar[int] = 1


class AccessError(RefusedError):
    """Whoever asks may not do this."""


class StrangerError(AccessError):
    """Nobody knows who asks: they have to sign in."""


class StaleError(RefusedError):
    """Somebody changed meanwhile what a change was to follow."""


class IntegrityError(LemnisError):
    """A hash, a signature or a chain does not hold."""

    exit_code: ClassVar[int] = 1


class ServiceError(LemnisError):
    """A needed service or tool is missing or failed."""

    exit_code: ClassVar[int] = 3


class BusyError(ServiceError):
    """It takes no more for now; ``retry_after_s`` seconds later it may."""

    def __init__(self, what: str, *, retry_after_s: float, at: Location | None = None, fix: str = "") -> None:
        """Say for how many seconds to wait, beside what every error says."""
        super().__init__(what, at=at, fix=fix)
        self.retry_after_s = retry_after_s


_FEW, _NEAR = 20, 3


def choices(name: str, known: Collection[str], listed_by: str) -> str:
    """Say what there is instead of a name: all of few, of many those that are alike and what lists them."""
    if len(known) <= _FEW:
        return f"there are: {', '.join(known) or 'none'}"
    alike = get_close_matches(name, list(known), _NEAR) or [one for one in known if name and name in one]
    meant = f"perhaps {', '.join(alike[:_NEAR])}; " if alike else ""
    return f"{meant}{listed_by} lists all {len(known)}"
