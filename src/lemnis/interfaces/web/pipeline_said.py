"""What gates said, all of it: read once, and then only what was written since."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lemnis import app
from lemnis.app import gates
from lemnis.app.loop import short
from lemnis.contracts.journal import Entry
from lemnis.interfaces.web import site


@dataclass(frozen=True, slots=True)
class Decided:
    """A gate's last word on something."""

    seq: int
    at: int
    stage: str
    subject: str
    name: str
    service: str
    effect: str
    why: str
    reasons: int
    exceptions: tuple[str, ...] = ()


def decided(entry: Entry) -> Decided:
    """Return a decision as a line. Pure."""
    p: Mapping[str, Any] = entry.payload
    facts = p.get("attestation")
    service = p.get("repository") or (facts.get("repository") if isinstance(facts, Mapping) else "") or "?"
    return Decided(
        entry.seq, entry.at, str(p.get("stage", "")), entry.subject, short(entry.subject), str(service),
        str(p.get("decision", "")), entry.reason, len(p.get("reasons") or ()),
        tuple(map(str, p.get("exceptions") or ())),
    )  # fmt: skip


def passed(found: Iterable[Decided]) -> Counter[str]:
    """Count for each exception the changes and images that it lets through, of each the last word. Pure."""
    last = {(one.subject, one.stage): one.exceptions for one in found}
    return Counter(name for names in last.values() for name in set(names))


@dataclass
class Said:
    """What gates said, all of it; each look reads what was written since the one before."""

    workspace: app.Workspace
    _lines: list[Decided] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> Sequence[Decided]:
        """Return the decisions, the oldest first."""
        with self._lock:
            after = self._lines[-1].seq if self._lines else 0
            self._lines += map(decided, app.journal(self.workspace).entries(kind=gates.DECISION, after=after))
            return tuple(self._lines)


def said_by_gates(here: site.Site) -> Sequence[Decided]:
    """Return all that gates said, the oldest first."""
    told: Said = here.once.setdefault("gates", Said(here.workspace))
    return told.look()
