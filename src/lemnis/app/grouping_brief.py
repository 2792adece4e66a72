"""Incidents in brief, as they are published: what grouping keeps of them, and how they are worked on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.app.incidents_handling import Desk
from lemnis.contracts.handling import Handling, Weighed
from lemnis.contracts.incidents import Incident
from lemnis.contracts.journal import Entry
from lemnis.incidents import entries as writing
from lemnis.incidents import handling as working
from lemnis.incidents import summary
from lemnis.incidents.handled import NOTHING, handled

if TYPE_CHECKING:
    from lemnis.app.grouping_parts import Parts
    from lemnis.content.library import Library
    from lemnis.store.journal import SqlJournal

_LIFECYCLE = tuple(kind for kind in writing.KINDS if kind != writing.JOINED)
_AT_ONCE = 200
_KINDS = tuple({*_LIFECYCLE, *working.KINDS})


class Briefly:
    """Incidents in brief: their groups have only the first and the last of their alerts."""

    def __init__(self, workspace: app.Workspace, library: Library, journal: SqlJournal, parts: Parts) -> None:
        """``parts`` are what is kept of them."""
        self._workspace, self._library = workspace, library
        self._journal, self._parts = journal, parts
        self._desk: Desk | None = None

    def __call__(self, names: Sequence[str]) -> Iterator[tuple[Incident, Weighed]]:
        """Yield incidents as they stand, each with what it weighs; what is none is passed over."""
        entries: dict[str, list[Entry]] = {}
        for entry in self._journal.about_all(names, _KINDS):
            entries.setdefault(entry.subject, []).append(entry)
        if not entries:
            return
        if self._desk is None:
            self._desk = Desk(self._workspace, library=self._library, journal=self._journal)
        self._desk.refresh()
        told = self._each(names, entries)
        while some := list(islice(told, _AT_ONCE)):
            self._desk.foresee(one for one, _ in some)
            for one, worked in some:
                yield one, self._desk.weigh(one, worked)

    def _each(
        self, names: Sequence[str], entries: Mapping[str, Sequence[Entry]]
    ) -> Iterator[tuple[Incident, Handling]]:
        for name in names:
            own = list(_with_former(self._journal, entries.get(name, ())))
            one = self._incident(name, own)
            if one is not None:
                yield one, handled(own).get(name, NOTHING)

    def _incident(self, name: str, entries: Sequence[Entry]) -> Incident | None:
        parts, facts = self._parts.of(name)
        told = [entry for entry in entries if entry.kind in _LIFECYCLE]
        return summary.incident(name, parts, facts, told) if parts else None


def lifecycle(journal: SqlJournal, incident: str) -> Iterator[Entry]:
    """Yield an incident's entries but those of its alerts; before, those of what it goes on from."""
    return _with_former(journal, journal.about(incident, _LIFECYCLE), _LIFECYCLE)


def _with_former(journal: SqlJournal, own: Sequence[Entry], kinds: Sequence[str] = _KINDS) -> Iterator[Entry]:
    """Yield entries of an incident; before them, those of the one that it goes on from."""
    for entry in own:
        payload: Mapping[str, object] = entry.payload
        if entry.kind == writing.MERGED and payload.get("continues") and "from" in payload:
            yield from _with_former(journal, journal.about(str(payload["from"]), kinds), kinds)
    yield from own
