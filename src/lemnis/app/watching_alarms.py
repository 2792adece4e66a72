"""Alarms about sources in the journal: one entry when one opens, one when it closes; both also in the lake.

An alarm's id follows from source, host, what is wrong and since when, so whoever looks writes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lemnis.app.watching_blind import Blind, techniques
from lemnis.contracts.alerts import Severity
from lemnis.contracts.events import Cursor
from lemnis.contracts.ids import Json, stable_id
from lemnis.contracts.journal import Entry, NewEntry
from lemnis.incidents import findings
from lemnis.ingest.health import LAGGING, LOUD, QUIET, SILENT, Trouble
from lemnis.ocsf import watch_findings

if TYPE_CHECKING:
    from lemnis.store.journal import SqlJournal
    from lemnis.store.lakes import Readable

OPENED, CLOSED = "watch.opened", "watch.closed"
_ORIGIN = "journal:watch"


class Of(NamedTuple):
    """What an alarm is about: a source, a host of it ("": all of it), and what is wrong."""

    source: str
    host: str
    kind: str

    def __str__(self) -> str:
        """Say it in words."""
        return (
            f"{self.source} on {self.host} is {self.kind}" if self.host else f"{self.source} is {self.kind}"
        )


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something wrong that was written down: its id, what, since when (ms), and when it was opened."""

    id: str
    of: Of
    since: int
    opened: int


def alarms(journal: SqlJournal) -> list[Alarm]:
    """Return the alarms that are open."""
    found: dict[str, Alarm] = {}
    for entry in journal.entries(kind=OPENED):
        said = entry.payload
        of = Of(*(str(said[name]) for name in Of._fields))
        found[entry.subject] = Alarm(entry.subject, of, int(str(said["since"])), entry.at)
    for entry in journal.entries(kind=CLOSED):
        found.pop(entry.subject, None)
    return list(found.values())


def settle(
    journal: SqlJournal,
    known: Sequence[Alarm],
    wrong: Mapping[Of, Trouble],
    looked: Callable[[Of], bool],
    blind: Callable[[Of], Sequence[Blind]],
) -> list[Alarm]:
    """Open alarms for what is wrong, close those for what no longer is; return those open now.

    ``looked`` says whether what an alarm is about was looked at, ``blind`` what does not see because of it.
    """
    before = {one.of: one for one in known}
    entries = [_opening(of, trouble, blind(of)) for of, trouble in wrong.items() if of not in before]
    entries += [_closing(journal, one) for of, one in before.items() if of not in wrong and looked(of)]
    journal.append_all(entries)
    return alarms(journal) if entries else list(known)


def _opening(of: Of, trouble: Trouble, blind: Sequence[Blind]) -> NewEntry:
    name = stable_id("watch", *of, str(trouble.since))
    payload: dict[str, Json] = {
        **of._asdict(), "since": trouble.since, "why": trouble.why,
        "severity": int(severity(of.kind, blind)), "techniques": list(techniques(blind)),
        "blind": [document(one) for one in blind],
    }  # fmt: skip
    return NewEntry(OPENED, name, name, payload, reason=f"{of}: {trouble.why}"[:500])


def _closing(journal: SqlJournal, one: Alarm) -> NewEntry:
    opened = journal.get(one.id)
    payload = {name: value for name, value in opened.payload.items() if name != "blind"} if opened else {}
    return NewEntry(CLOSED, one.id, f"{one.id}:closed", payload, reason=f"no longer: {one.of}")


def publish(lake: Readable, journal: SqlJournal) -> None:
    """Put alarms that were written down into the lake as findings. Exactly once."""
    known = lake.cursor(findings.SOURCE, _ORIGIN)
    after = known.position if known else 0
    entries: list[Entry] = [e for kind in (OPENED, CLOSED) for e in journal.entries(kind=kind, after=after)]
    if entries:
        rows = [watch_findings.finding(entry, closed=entry.kind == CLOSED) for entry in entries]
        cursor = Cursor(findings.SOURCE, _ORIGIN, _ORIGIN, max(entry.seq for entry in entries))
        lake.append(findings.batches(rows), cursor=cursor)


def severity(kind: str, blind: Sequence[Blind]) -> Severity:
    """Return how bad it is: as bad as the worst detection that it takes away, less if that only suffers."""
    if kind == LOUD:
        return Severity.MEDIUM  # nothing is blind: something floods, or is attacked
    levels = {one.level for one in blind if not one.elsewhere}
    grave = bool(levels & {"critical", "high"})
    if kind in {LAGGING, QUIET}:
        return Severity.MEDIUM if grave else Severity.LOW
    if grave:
        return Severity.HIGH
    return Severity.MEDIUM if kind == SILENT or levels else Severity.LOW


def document(one: Blind) -> dict[str, Json]:
    """Return a blind detection as JSON."""
    return {
        "name": one.name, "rule_id": one.rule_id, "title": one.title, "level": one.level,
        "techniques": list(one.techniques), "elsewhere": list(one.elsewhere), "withheld": one.withheld,
    }  # fmt: skip
