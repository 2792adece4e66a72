"""Legal holds: what must not go, whoever would let it go. They are a fold over the journal, and nothing else.

So each has its actor, reason and time in the chain, and none can be taken away without an entry that says so.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lemnis.contracts.errors import NotFoundError, UsageError
from lemnis.contracts.ids import Json
from lemnis.contracts.journal import Entry, Journal, NewEntry

ADDED, RELEASED = "lake.hold.added", "lake.hold.released"


@dataclass(frozen=True, slots=True)
class Hold:
    """Which events are held: of classes and sources (globs), in [since, until) (ms), that a search finds."""

    name: str
    classes: tuple[str, ...] = ("*",)
    sources: tuple[str, ...] = ("*",)
    since: int | None = None
    until: int | None = None
    search: str = ""

    def covers(self, name: str, source: str) -> bool:
        """Say whether events of this class and source may be held."""
        return _any(name, self.classes) and _any(source, self.sources)


@dataclass(frozen=True, slots=True)
class Held:
    """A hold on record: who began it, when and why; and how it was released, if it was."""

    hold: Hold
    reason: str
    actor: str
    at: int
    released: str = ""
    released_by: str = ""
    released_at: int | None = None

    @property
    def active(self) -> bool:
        """Whether it holds."""
        return self.released_at is None


class Holds:
    """The holds in a journal."""

    def __init__(self, journal: Journal) -> None:
        """``journal`` is read with each question."""
        self._journal = journal

    def all(self) -> list[Held]:
        """Return all holds there ever were, in the order in which they began."""
        found: dict[str, Held] = {}
        done: list[Held] = []
        for entry in self._entries():
            if entry.kind == ADDED:
                found[entry.subject] = _held(entry)
            elif entry.subject in found:
                done.append(_released(found.pop(entry.subject), entry))
        return sorted([*done, *found.values()], key=lambda one: (one.at, one.hold.name))

    def active(self) -> list[Held]:
        """Return the holds that hold."""
        return [one for one in self.all() if one.active]

    def add(self, hold: Hold, *, reason: str, actor: str) -> Held:
        """Begin a hold; raises UsageError if one of its name holds already, or it has no reason."""
        if not reason.strip():
            raise UsageError("a hold needs a reason", fix="--reason 'case 2026-14, letter of counsel'")
        if any(one.hold.name == hold.name for one in self.active()):
            raise UsageError(
                f"there is a hold {hold.name!r} already", fix="release it first, or use another name"
            )
        if hold.since is not None and hold.until is not None and hold.since >= hold.until:
            raise UsageError("this hold begins when it has ended", fix="--since is before --until")
        payload: dict[str, Json] = {
            **asdict(hold), "classes": list(hold.classes), "sources": list(hold.sources)
        }  # fmt: skip
        return _held(self._write(ADDED, hold.name, payload, reason, actor))

    def release(self, name: str, *, reason: str, actor: str) -> Held:
        """End a hold; raises NotFoundError if there is none of this name, UsageError without a reason."""
        if not reason.strip():
            raise UsageError("to release a hold needs a reason", fix="--reason 'case closed, letter of …'")
        held = next((one for one in self.active() if one.hold.name == name), None)
        if held is None:
            there = ", ".join(one.hold.name for one in self.active()) or "none"
            raise NotFoundError(f"no hold {name!r} that holds", fix=f"there are: {there}")
        return _released(held, self._write(RELEASED, name, {}, reason, actor))

    def _entries(self) -> Sequence[Entry]:
        found = [*self._journal.entries(kind=ADDED), *self._journal.entries(kind=RELEASED)]
        return sorted(found, key=lambda entry: entry.seq)

    def _write(self, kind: str, name: str, payload: Mapping[str, Json], reason: str, actor: str) -> Entry:
        number = sum(entry.subject == name for entry in self._entries())
        key = f"{kind}:{name}:{number}"
        entry, new = self._journal.append(
            NewEntry(kind, name, key, payload=dict(payload), actor=actor, reason=reason)
        )
        if not new:
            raise UsageError(f"hold {name!r} was changed by another at this moment", fix="look at it again")
        return entry


def _held(entry: Entry) -> Held:
    said: Mapping[str, Any] = entry.payload
    hold = Hold(
        str(said["name"]), tuple(said["classes"]), tuple(said["sources"]), said["since"], said["until"],
        str(said["search"]),
    )  # fmt: skip
    return Held(hold, entry.reason, entry.actor, entry.at)


def _released(held: Held, entry: Entry) -> Held:
    return Held(held.hold, held.reason, held.actor, held.at, entry.reason, entry.actor, entry.at)


def _any(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, one) for one in globs)
