"""History to look at: logs of several sources, flushed in two parts, and some that is not; not a test itself."""

import correlated
import ingesting
import pyarrow as pa

from lemnis import app
from lemnis.app.ingest import Ingest
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import stable_id

NOW = 1_767_312_000_000  # 2026-01-02T00:00:00Z
EVENTS, PARTS, LEFT = 34_000, 2, 300
SOURCES = (("web_combined", "access.log"), ("linux_audit", "audit.log"), ("linux_syslog", "auth.log"))


def workspace(folder, events=EVENTS):
    """Make the workspace; each table has several files, and one has events that are not flushed yet."""
    made = app.init(folder / "w", clock=ManualClock(NOW))
    correlated.content(made.content)
    logs = ingesting.Logs(folder / "logs")
    logins = correlated.lines(events // 2)
    for part in range(PARTS):
        logs.grow(events // PARTS)
        (logs.folder / f"logins-{part}.jsonl").write_text("".join(logins[part::PARTS]))
        for source, name in SOURCES:
            Ingest(made, source).run([logs.folder / name])
        Ingest(made, "windows").run([logs.folder / f"logins-{part}.jsonl"])
        Ingest(made, "aws_cloudtrail").run(sorted(logs.folder.glob("trail*")))
        app.lake(made).flush()
    spool(app.lake(made))
    return made


def spool(lake):
    """Add events that stay in the spool: copies of others, under names of their own."""
    batch = next(lake.scan(4002))
    some = batch.table.slice(0, LEFT)
    rows = some.to_pylist()
    for row in rows:
        row["metadata"]["uid"] = stable_id("ev", "again", row["metadata"]["uid"])
    copies = pa.Table.from_pylist(rows, schema=some.schema)
    lake.append([EventBatch(batch.class_uid, batch.source, "again", copies)])
