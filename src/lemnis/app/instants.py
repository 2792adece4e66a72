"""Times as people give them."""

from __future__ import annotations

from lemnis.contracts.clock import from_iso
from lemnis.contracts.errors import UsageError


def instant(text: str) -> int:
    """Read a time (ms) as people give it; raises UsageError."""
    try:
        return from_iso(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time", fix="write 2026-03-01 or 2026-03-01T12:00:00Z") from error
