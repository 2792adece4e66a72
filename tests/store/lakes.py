"""Events for the tests of the lake; not a test itself."""

import pyarrow as pa

from lemnis.contracts.clock import ManualClock
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import stable_id
from lemnis.store.lake import Lake

DAY = 86_400_000
START = 20_000 * DAY

PROCESS = pa.schema([
    ("class_uid", pa.int64()),
    ("severity_id", pa.int32()),
    ("time", pa.int64()),
    ("message", pa.string()),
    ("metadata", pa.struct([("uid", pa.string()), ("log_name", pa.string())])),
    ("raw_data", pa.string()),
    ("actor", pa.struct([("process", pa.struct([("name", pa.string()), ("args", pa.list_(pa.string()))]))])),
])  # fmt: skip


def uid(number):
    return stable_id("ev", str(number))


def batch(numbers, class_uid=1007, source="linux", schema=PROCESS, step=60_000):
    rows = [
        {
            "class_uid": class_uid, "severity_id": n % 6, "time": START + n * step, "message": f"message {n}",
            "metadata": {"uid": uid(n), "log_name": source}, "raw_data": f"raw {n}",
            "actor": {"process": {"name": f"p{n % 7}", "args": ["a", str(n)] if n % 3 else None}} if n % 5 else None,
        }
        for n in numbers
    ]  # fmt: skip
    return EventBatch(class_uid, source, "origin", pa.Table.from_pylist(rows, schema=schema))


def lake(folder):
    return Lake(folder, ManualClock(START))


def numbers(lake, sql="SELECT message FROM events"):
    rows = lake.query(sql, limit=1_000_000).column("message").to_pylist()
    return sorted(int(text.split()[1]) for text in rows)
