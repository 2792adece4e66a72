"""Alerts and incidents into the lake: what the journal says, as OCSF findings that anything can query."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lemnis import app
from lemnis.contracts.events import Cursor
from lemnis.contracts.ids import Json
from lemnis.contracts.incidents import Incident
from lemnis.incidents import entries as kinds
from lemnis.incidents import findings

if TYPE_CHECKING:
    from lemnis.contracts.journal import Entry
    from lemnis.store.journal import SqlJournal

_ORIGIN = "journal"
_ROWS = 5000


def publish(
    workspace: app.Workspace,
    journal: SqlJournal,
    view: Callable[[], Mapping[str, Incident]],
    risks: Mapping[str, int],
) -> int:
    """Append what the journal has gained since the last time; return how many findings. Exactly once.

    Each alert is one finding, and one more, as it stands, each time that it was repeated; an incident that
    changed is one as it stands in what ``view`` returns. ``risks`` says what an alert of a severity weighs.
    """
    lake = app.lake(workspace)
    known = lake.cursor(findings.SOURCE, _ORIGIN)
    last = after = known.position if known else 0
    streams = [
        journal.entries(kind=kind, after=after) for kind in (kinds.ALERT, kinds.REPEATED, *kinds.KINDS)
    ]
    rows: list[dict[str, Json]] = []
    changed: dict[str, int] = {}
    repeated: dict[str, Entry] = {}
    published = 0
    for entry in heapq.merge(*streams, key=lambda entry: entry.seq):
        last = entry.seq
        if entry.kind == kinds.ALERT:
            rows.append(findings.alert_finding(kinds.read_alert(entry), entry.at, risks=risks))
        elif entry.kind == kinds.REPEATED:
            repeated[entry.subject] = entry
        else:
            changed[entry.subject] = entry.seq
        if len(rows) >= _ROWS:
            published += lake.append(findings.batches(rows)).accepted
            rows = []
    for alert, entry in repeated.items():
        told = kinds.tell(one for one in journal.entries(subject=alert) if one.seq <= entry.seq)
        if told is not None:
            rows.append(findings.alert_finding(told, entry.at, risks=risks, repeated=entry.seq))
    incidents = view() if changed else {}
    rows += [findings.incident_finding(incidents[one], n) for one, n in changed.items() if one in incidents]
    if last > after:
        cursor = Cursor(findings.SOURCE, _ORIGIN, _ORIGIN, last)
        published += lake.append(findings.batches(rows), cursor=cursor).accepted
    return published
