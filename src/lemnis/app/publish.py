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
    from lemnis.store.journal import SqlJournal

_ORIGIN = "journal"
_ROWS = 5000


def publish(workspace: app.Workspace, journal: SqlJournal, view: Callable[[], Mapping[str, Incident]]) -> int:
    """Append what the journal has gained since the last time; return how many findings. Exactly once.

    Each alert is one finding; an incident that changed is one as it stands in what ``view`` returns.
    """
    lake = app.lake(workspace)
    known = lake.cursor(findings.SOURCE, _ORIGIN)
    last = after = known.position if known else 0
    streams = [journal.entries(kind=kind, after=after) for kind in (kinds.ALERT, *kinds.KINDS)]
    rows: list[dict[str, Json]] = []
    changed: dict[str, int] = {}
    published = 0
    for entry in heapq.merge(*streams, key=lambda entry: entry.seq):
        last = entry.seq
        if entry.kind == kinds.ALERT:
            rows.append(findings.alert_finding(kinds.read_alert(entry, whole=False), entry.at))
        else:
            changed[entry.subject] = entry.seq
        if len(rows) >= _ROWS:
            published += lake.append(findings.batches(rows)).accepted
            rows = []
    incidents = view() if changed else {}
    rows += [findings.incident_finding(incidents[one], n) for one, n in changed.items() if one in incidents]
    if last > after:
        cursor = Cursor(findings.SOURCE, _ORIGIN, _ORIGIN, last)
        published += lake.append(findings.batches(rows), cursor=cursor).accepted
    return published
