"""What else happened around an incident: containers that were started where it took place."""

from __future__ import annotations

import pyarrow as pa

from lemnis.contracts.alerts import EntityKind
from lemnis.contracts.incidents import Incident, TimelineItem
from lemnis.store.columns import leaf
from lemnis.store.lakes import Readable

_BEFORE = 24 * 3_600_000
_SHOWN = 20
_PLACES = 50
_STARTS = """
    SELECT min(time) AS time, process.container.uid AS container, process.container.image.uid AS image,
           any_value(process.container.image.name) AS name, any_value(device.hostname) AS host,
           arg_min(metadata.uid, time) AS uid
    FROM process_activity
    WHERE activity_id = 1 AND process.container.uid IS NOT NULL AND process.container.image.uid IS NOT NULL
      AND (lower(device.hostname) IN (SELECT unnest(?)) OR process.container.uid IN (SELECT unnest(?)))
      AND time >= ? AND time <= ?
    GROUP BY process.container.uid, process.container.image.uid
    ORDER BY time DESC, container
"""
_NEEDED = (
    "process.container.uid", "process.container.image.uid", "process.container.image.name", "device.hostname",
)  # fmt: skip


def deployments(lake: Readable, incident: Incident) -> list[TimelineItem]:
    """Return the newest containers that were started on the incident's hosts up to a day before it ended."""
    schema = lake.schemas().get("process_activity")
    hosts = [e.value for e in incident.entities if e.kind is EntityKind.HOST][:_PLACES]
    containers = [e.value for e in incident.entities if e.kind is EntityKind.CONTAINER][:_PLACES]
    if schema is None or not (hosts or containers) or not _has(schema):
        return []
    start, end = incident.first_event - _BEFORE, incident.last_event
    found = lake.query(
        _STARTS, parameters=[hosts, containers, start, end], limit=_SHOWN, start=start, end=end + 1
    )
    return [
        TimelineItem(
            time=row["time"],
            recorded=row["time"],
            kind="deploy",
            title=f"{row['name'] or row['image']} started on {row['host']}",
            reference=row["uid"],
            detail={"container": row["container"], "image": row["image"], "host": row["host"]},
        )
        for row in found.to_pylist()
    ]


def _has(schema: pa.Schema) -> bool:
    """Say whether events of containers were ever stored."""
    empty = schema.empty_table()
    return all(leaf(empty, path) is not None for path in _NEEDED)
