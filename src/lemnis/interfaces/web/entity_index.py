"""What alerts there are about each entity: brought up to date by the incidents that changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from lemnis.app.board import Loose, View
from lemnis.contracts.alerts import Entity
from lemnis.contracts.incidents import AlertGroup, Incident

Told = tuple[str, AlertGroup]
"""Alerts, and the incident that they are in; empty: in none."""


class Index:
    """The alerts about each entity, of one workspace; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._view: View | None = None
        self._incidents: dict[str, Incident] = {}
        self._loose: tuple[Loose, ...] = ()
        self._inside: dict[Entity, dict[str, tuple[AlertGroup, ...]]] = {}
        self._alone: dict[Entity, list[AlertGroup]] = {}

    def look(self, view: View) -> Index:
        """Take what changed; return itself."""
        with self._lock:
            if view is not self._view:
                self._incidents_of(view)
                if view.loose is not self._loose:
                    self._alone = {}
                    for one in view.loose:
                        for entity in one.group.entities:
                            self._alone.setdefault(entity, []).append(one.group)
                    self._loose = view.loose
                self._view = view
        return self

    def about(self, entity: Entity) -> Sequence[Told]:
        """Return the alerts about an entity, those in incidents first."""
        with self._lock:
            inside = self._inside.get(entity, {})
            found = [(name, group) for name, groups in inside.items() for group in groups]
            return [*found, *(("", group) for group in self._alone.get(entity, ()))]

    def entities(self) -> Iterator[Entity]:
        """Yield the entities that there are alerts about."""
        with self._lock:
            known = list({**self._inside, **self._alone})
        yield from known

    def _incidents_of(self, view: View) -> None:
        now = {one.incident.id: one.incident for one in view.standings}
        changed = [one for name, one in now.items() if self._incidents.get(name) is not one]
        gone = [one for name, one in self._incidents.items() if name not in now]
        for one in (*gone, *(self._incidents[new.id] for new in changed if new.id in self._incidents)):
            for group in one.groups:
                for entity in group.entities:
                    places = self._inside.get(entity)
                    if places is not None:
                        places.pop(one.id, None)
                        if not places:
                            del self._inside[entity]
        for one in changed:
            for group in one.groups:
                for entity in group.entities:
                    places = self._inside.setdefault(entity, {})
                    places[one.id] = (*places.get(one.id, ()), group)
        self._incidents = now
