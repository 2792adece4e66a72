"""What keeps response within bounds: protected sets, caps, pauses, and where actions may call.

Everything is asked twice: while planning, so that whoever approves sees it, and again right before an effect
begins. Undo is exempt from all but the egress list: the way back is never barred.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from lemnis.content.schemas.action import Action
from lemnis.content.schemas.protected import Protected
from lemnis.contracts import kinds
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.clock import Clock
from lemnis.contracts.journal import Entry, Journal, NewEntry
from lemnis.contracts.response import EffectClass, PlannedAction

HOUR = 3_600_000
PAUSED, RESUMED = "action.paused", "action.resumed"
_COUNTED = frozenset({kinds.INTENT, kinds.RESULT, PAUSED, RESUMED})
_FAILED = "failed"


@dataclass(slots=True)
class Recent:
    """What the journal says of the last hour's effects; only what is new is read. Threads may share it."""

    journal: Journal
    clock: Clock
    _seq: int = 0
    _begun: dict[str, deque[tuple[int, str]]] = field(default_factory=dict)
    _failures: dict[str, deque[int]] = field(default_factory=dict)
    _paused: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def used(self, action: str) -> set[str]:
        """Return the targets that an action was begun on within the last hour, in all runs."""
        with self._lock:
            self._read()
            found = self._begun.get(action, deque())
            self._drop(found, lambda one: one[0])
            return {target for _, target in found}

    def failures(self, action: str) -> int:
        """Return how often an action failed within the last hour, since it was last let go on."""
        with self._lock:
            self._read()
            found = self._failures.get(action, deque())
            self._drop(found, lambda one: one)
            return len(found)

    def paused(self, action: str) -> str:
        """Say why an action is paused; empty if it is not."""
        with self._lock:
            self._read()
            return self._paused.get(action, "")

    def _drop(self, found: deque[Any], at: Callable[[Any], int]) -> None:
        since = self.clock.now() - HOUR
        while found and at(found[0]) < since:
            found.popleft()

    def _read(self) -> None:
        for entry in self._new():
            self._seq = entry.seq
            if entry.kind not in _COUNTED:
                continue
            payload: Mapping[str, Any] = entry.payload
            action = str(payload["action"])
            if entry.kind == kinds.INTENT:
                self._begun.setdefault(action, deque()).append((entry.at, str(payload["target"])))
            elif entry.kind == PAUSED:
                self._paused[action] = entry.reason
            elif entry.kind == RESUMED:
                self._paused.pop(action, None)
                self._failures.pop(action, None)
            elif payload["outcome"] == _FAILED and payload["effect"] != EffectClass.READ:
                self._failures.setdefault(action, deque()).append(entry.at)

    def _new(self) -> Iterable[Entry]:
        """Return what is new; the first time by kind, so that the rest of the journal need not be read."""
        if self._seq:
            return self.journal.entries(after=self._seq)
        found = [entry for kind in sorted(_COUNTED) for entry in self.journal.entries(kind=kind)]
        return sorted(found, key=lambda one: one.seq)


@dataclass(frozen=True, slots=True)
class Guards:
    """Says what must not be done; ``fleet`` gives how many assets of a kind are known."""

    recent: Recent
    protected: Mapping[str, Protected] = field(default_factory=dict)
    fleet: Callable[[EntityKind], int] = lambda _kind: 0

    def forbids(self, action: Action, one: PlannedAction, others: Iterable[str] = ()) -> str:
        """Say why an effect must not be; empty if it may. ``others`` are targets of the same plan."""
        if one.effect is EffectClass.READ:
            return ""
        never = next((glob for glob in action.never if fnmatchcase(one.target, glob)), "")
        if never:
            return f"{one.target} is protected ({never})"
        for text in one.touches:
            problem = self.protects(Entity.parse(text))
            if problem:
                return problem
        paused = self.recent.paused(one.action)
        if paused:
            return f"{one.action} is paused: {paused}"
        return self._over(action, {*self.recent.used(one.action), *others, one.target}, one.target)

    def protects(self, entity: Entity) -> str:
        """Say which protected set an entity is in; empty if in none."""
        for name, one in self.protected.items():
            for glob in one.entities.get(entity.kind, ()):
                if _matches(entity, glob):
                    return f"{entity} is protected ({name}: {one.reason})"
        return ""

    def _over(self, action: Action, targets: set[str], target: str) -> str:
        caps = action.caps
        if len(targets) > caps.targets_per_hour:
            number, cap = len(targets), caps.targets_per_hour
            return f"{target} would be target {number} within an hour, and the cap is {cap}"
        if caps.fleet_percent is None or caps.fleet is None:
            return ""
        known = self.fleet(caps.fleet)
        most = max(1, int(known * caps.fleet_percent / 100))
        if len(targets) > most:
            return (
                f"{target} would be target {len(targets)} within an hour, and the cap is {most}: "
                f"{caps.fleet_percent:g} % of {known} known assets of kind {caps.fleet}"
            )
        return ""

    def pause(self, action: Action, name: str, actor: str) -> NewEntry | None:
        """Return the entry that pauses an action, if it has failed as often as it may."""
        count = self.recent.failures(name)
        if count < action.pause.failures or self.recent.paused(name):
            return None
        return paused_entry(name, f"{count} failures within an hour", actor=actor, at=self.recent.clock.now())


def paused_entry(action: str, reason: str, *, actor: str, at: int) -> NewEntry:
    """Write down that an action is paused."""
    return NewEntry(PAUSED, action, f"{PAUSED}:{action}:{at}", {"action": action}, actor, reason)


def resumed_entry(action: str, reason: str, *, actor: str, at: int) -> NewEntry:
    """Write down that a person lets an action go on."""
    return NewEntry(RESUMED, action, f"{RESUMED}:{action}:{at}", {"action": action}, actor, reason)


def leaves(action: Action, url: str) -> str:
    """Say why an action may not call an address: its host is not in the action's egress list."""
    host = urlsplit(url).hostname or ""
    if not action.egress or any(fnmatchcase(host, glob.lower()) for glob in action.egress):
        return ""
    return f"{host} is not in the action's egress list ({', '.join(action.egress)})"


def _matches(entity: Entity, glob: str) -> bool:
    if entity.kind is EntityKind.ADDRESS and "/" in glob:
        try:
            inner, network = ip_network(entity.value, strict=False), ip_network(glob)
        except ValueError:
            return True  # what cannot be read as an address is not known to be outside
        return inner.version == network.version and inner.overlaps(network)
    return fnmatchcase(entity.value.lower(), glob.lower())
