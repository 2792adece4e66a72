"""What VEX says: a statement about vulnerabilities in products, and to which components it applies. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from packageurl import PackageURL


class Status(StrEnum):
    """The statuses of VEX (CISA, minimum requirements; OpenVEX 0.2)."""

    NOT_AFFECTED = "not_affected"
    AFFECTED = "affected"
    FIXED = "fixed"
    UNDER_INVESTIGATION = "under_investigation"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: a status of vulnerabilities (any of ``ids``) in products, with its justification.

    ``products`` are package URLs, references of components or names; ``parts``, if any, narrow them to these
    components within. ``time`` is as written; of several about the same the newest holds. ``file`` said it.
    """

    ids: tuple[str, ...]
    products: tuple[str, ...]
    status: Status
    justification: str = ""
    detail: str = ""
    time: str = ""
    parts: tuple[str, ...] = ()
    file: str = ""

    @property
    def suppresses(self) -> bool:
        """Say whether a finding that it is about does not count."""
        return self.status in {Status.NOT_AFFECTED, Status.FIXED}

    def __str__(self) -> str:
        """Render as ``not_affected: component_not_present: why``."""
        return ": ".join(part for part in (self.status.value, self.justification, self.detail) if part)


def applying(
    statements: Collection[Statement],
    ids: Collection[str],
    *,
    purl: str,
    refs: Collection[str] = (),
    subject: Collection[str] = (),
) -> Statement | None:
    """Return the newest statement about one of ``ids`` in a component; None if nobody says anything.

    ``refs`` are the component's names in its document, ``subject`` what names the whole that it is part of.
    """
    if not statements:
        return None
    wanted = {one.upper() for one in ids}
    found = [
        one
        for one in statements
        if not wanted.isdisjoint(map(str.upper, one.ids))
        and _about(one, purl, frozenset(refs), frozenset(subject))
    ]
    return max(found, key=lambda one: one.time, default=None)


def _about(one: Statement, purl: str, refs: frozenset[str], subject: frozenset[str]) -> bool:
    if one.parts:
        return _named(one.parts, purl, refs)
    return _named(one.products, purl, refs) or not subject.isdisjoint(one.products)


def _named(names: Iterable[str], purl: str, refs: frozenset[str]) -> bool:
    return any(name in refs or covers(name, purl) for name in names)


def covers(pattern: str, purl: str) -> bool:
    """Say whether a package URL names a package: what the pattern leaves out (version, qualifiers) is any."""
    wide, one = _parsed(pattern), _parsed(purl)
    if wide is None or one is None:
        return False
    if (wide.type, wide.namespace, wide.name) != (one.type, one.namespace, one.name):
        return False
    return (not wide.version or wide.version == one.version) and all(
        one.qualifiers.get(name) == value for name, value in wide.qualifiers.items()
    )


@lru_cache(maxsize=65_536)
def _parsed(text: str) -> PackageURL | None:
    try:
        return PackageURL.from_string(text)
    except ValueError:
        return None
