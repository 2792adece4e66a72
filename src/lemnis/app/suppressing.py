"""What exceptions hold back is counted, and kept up to a number a day: suppressed alerts, beside the alerts.

They are no alerts: nothing is grouped of them and no playbook begins by them, until a person reopens them. Of
an exception that holds back millions, the first ones of each day of event time are kept, and all are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lemnis import app
from lemnis.app.detection import Detection, times
from lemnis.app.exceptions import Aside
from lemnis.contracts.events import EventBatch
from lemnis.contracts.journal import NewEntry
from lemnis.incidents import entries as writing
from lemnis.store.columns import leaf
from lemnis.store.suppressed import DAY, Place, Suppressed

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal

_Wanted = dict[int, dict[int, frozenset[str]]]
"""Rows to be kept by their rules, each with the exceptions that hold it back."""


class Suppressing:
    """Takes what exceptions hold back of batches; ``write`` writes it down."""

    def __init__(self, workspace: app.Workspace, journal: SqlJournal) -> None:
        """Nothing is asked of the database before something is held back."""
        self._workspace, self._journal = workspace, journal
        self._store: Suppressed | None = None
        self._room: dict[Place, int] = {}
        self._counts: Counter[Place] = Counter()
        self._entries: list[tuple[NewEntry, frozenset[Place]]] = []

    def begin(self) -> None:
        """Forget what was taken and not written: it comes again."""
        self._counts.clear()
        self._entries.clear()
        self._room.clear()

    def take(self, detecting: Detection, batch: EventBatch, asides: Sequence[Aside]) -> None:
        """Count what was held back of a batch, and make suppressed alerts of as many as there is room for."""
        if not asides or detecting.excepting is None:
            return
        at = times(batch)
        days = at - at % DAY
        for aside in asides:
            for name, rows in aside.by.items():
                found, counts = np.unique(days[list(rows)], return_counts=True)
                for day, count in zip(found.tolist(), counts.tolist(), strict=True):
                    self._counts[name, day] += count
        self._make_room(detecting)
        wanted: _Wanted = {}
        for aside in asides:
            for row, names in _by_row(aside, at):
                places = [(name, int(days[row])) for name in names]
                if any(self._room[place] > 0 for place in places):
                    wanted.setdefault(aside.rule, {})[row] = names
                    for place in places:
                        self._room[place] -= 1
        if wanted:
            self._make(detecting, batch, wanted)

    def write(self) -> None:
        """Write down what was taken: what is there already is not written, nor counted as kept, again."""
        if not self._counts:
            return
        new = self._journal.write_all([entry for entry, _ in self._entries])
        kept = Counter(
            place for (_, places), fresh in zip(self._entries, new, strict=True) if fresh for place in places
        )
        self._counted.add({place: (count, kept[place]) for place, count in self._counts.items()})
        self.begin()

    @property
    def _counted(self) -> Suppressed:
        if self._store is None:
            self._store = Suppressed(app.engine(self._workspace))
        return self._store

    def _make_room(self, detecting: Detection) -> None:
        """Look how many more are kept of exceptions on days, unless that is known."""
        excepting = detecting.excepting
        new = [place for place in self._counts if place not in self._room]
        if excepting is not None and new:
            for place, kept in self._counted.kept(new).items():
                self._room[place] = excepting.keep(place[0]) - kept

    def _make(self, detecting: Detection, batch: EventBatch, wanted: _Wanted) -> None:
        """Make suppressed alerts of some rows."""
        uids = leaf(batch.table, "metadata.uid")
        if uids is None:
            return
        names: dict[tuple[str, str], frozenset[str]] = {}
        for place, rows in wanted.items():
            rule = detecting.rules[place]
            for row, some in rows.items():
                key = rule.id or rule.title, str(uids[row])
                names[key] = names.get(key, frozenset()) | some
        for alert in detecting.suppressed(batch, wanted):
            mine = names[alert.rule_id, alert.event_uids[0]]
            day = alert.time - alert.time % DAY
            entry = writing.suppressed_entry(alert, mine)
            self._entries.append((entry, frozenset((name, day) for name in mine)))


def _by_row(aside: Aside, at: npt.NDArray[Any]) -> Iterator[tuple[int, frozenset[str]]]:
    """Yield the rows that were held back, by event time, each with the exceptions that did."""
    rows = sorted({row for some in aside.by.values() for row in some}, key=lambda row: (at[row], row))
    for row in rows:
        yield row, frozenset(name for name, some in aside.by.items() if row in some)
