"""How many there are of something, as people write it. Pure."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """Return how many there are of something that is named as one is: ``1 row``, ``1,200 entries``."""
    if number == 1:
        return f"1 {what}"
    if what.endswith("ch"):
        return f"{number:,} {what}es"
    if what.endswith("y") and not what.endswith("ay"):
        return f"{number:,} {what[:-1]}ies"
    return f"{number:,} {what}s"
