"""Events and rejects as the lake's tables keep them: what can be stored, what cannot and why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from lemnis.contracts.errors import InputError, Location
from lemnis.contracts.events import EventBatch, Reject
from lemnis.store.columns import conform, leaf, storable

REJECTS = "rejects"
_EARLIEST, _LATEST = -62_135_596_800_000, 253_402_300_799_999  # the years 1 to 9999, which dates can say
CLASS_NAMES = {
    1001: "file_activity", 1007: "process_activity", 2002: "vulnerability_finding",
    2003: "compliance_finding", 2004: "detection_finding", 2005: "incident_finding",
    2007: "application_security_posture_finding", 3001: "account_change", 3002: "authentication",
    4001: "network_activity", 4002: "http_activity", 4003: "dns_activity", 6003: "api_activity",
}  # fmt: skip


def table_name(class_uid: int) -> str:
    """Return the name of a class's table."""
    return CLASS_NAMES.get(class_uid) or f"class_{class_uid}"


def table_class(name: str) -> int:
    """Return the class of a table of events."""
    known = next((uid for uid, known in CLASS_NAMES.items() if known == name), None)
    return known or int(name.rpartition("_")[2])


def part(batch: EventBatch) -> tuple[pa.Table, list[Reject]]:
    """Part a batch into rows that can be stored, as tables keep them, and rejects that say why not.

    Raises InputError if the batch as a whole lacks ``metadata.uid`` or ``time``.
    """
    table = conform(batch.table, storable(batch.table.schema))
    if table.num_rows == 0:
        return table, []
    uid, time = leaf(table, "metadata.uid"), leaf(table, "time")
    if uid is None or time is None or not pa.types.is_string(uid.type) or not pa.types.is_int64(time.type):
        raise InputError(
            f"events of class {batch.class_uid} lack metadata.uid (string) or time (int64, ms)",
            at=Location(batch.origin),
        )
    instants: Any = time
    times = instants.fill_null(_LATEST + 1).to_numpy()
    named = uid.is_valid().to_numpy()
    good = named & (times >= _EARLIEST) & (times <= _LATEST)
    if good.all():
        return table, []
    raw = leaf(table, "raw_data")
    rejects = []
    for row in np.flatnonzero(~good).tolist():
        reason = "the event has no metadata.uid"
        if named[row]:
            reason = f"the event's time is no date between the years 1 and 9999: {time[row]}"
        text = str(raw[row] if raw is not None else table.slice(row, 1).to_pylist()[0])
        rejects.append(Reject(Location(batch.origin), reason, text.encode()))
    return table.filter(pa.array(good)), rejects


def uids(table: pa.Table) -> pa.ChunkedArray[Any]:
    """Return the column ``metadata.uid``, which every table of the lake has."""
    column = leaf(table, "metadata.uid")
    if column is None:
        raise InputError("a table of the lake lacks metadata.uid")
    return column
