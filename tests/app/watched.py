"""A detection made for the tests of what follows from it, and events for it; not a test itself."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lemnis.app.detection import Detection
from lemnis.contracts.alerts import Entity, EntityKind
from lemnis.contracts.detection import Frame, Match, Offers
from lemnis.contracts.events import EventBatch
from lemnis.contracts.ids import stable_id
from lemnis.detect.alerts import Alerts

START = 1_700_000_000_000
MINUTE = 60_000


@dataclass(frozen=True)
class Rule:
    id: str
    level: str
    title: str = ""
    tags: tuple[str, ...] = ()


RULES = (Rule("low", "low", "A knock"), Rule("high", "high", "A break-in", ("attack.execution",)))
SCHEMA = pa.schema([
    ("time", pa.int64()), ("metadata", pa.struct([("uid", pa.string()), ("log_name", pa.string())])),
    ("message", pa.string()), ("address", pa.string()),
])  # fmt: skip


class ByMessage:
    """Matches a rule on the events whose message is its id."""

    def match(self, frame):
        said = frame.columns["message"].to_pylist()
        return [
            Match(n, [int(frame.rows[i]) for i, text in enumerate(said) if text == rule.id])
            for n, rule in enumerate(RULES)
        ]


def frames(batch):
    rows = np.arange(len(batch), dtype=np.int64)
    if batch.source == "lemnis":
        return
    message = batch.table.column("message").combine_chunks()
    yield Frame(batch.source, batch.origin, Offers(), {"message": message}, message, rows)


def entities(class_uid, event):
    return [Entity(EntityKind.ADDRESS, event["address"])] if event.get("address") else []


DETECTION = Detection(frames, ByMessage(), RULES, Alerts("sha256:test", entities))


def batch(*rows, source="test"):
    """Events of (number, minute, message, address)."""
    return EventBatch(
        1007, source, "file",
        pa.Table.from_pylist(
            [
                {"time": START + minute * MINUTE, "metadata": {"uid": stable_id("ev", str(n)), "log_name": source}, "message": m, "address": a}
                for n, minute, m, a in rows
            ],
            schema=SCHEMA,
        ),
    )  # fmt: skip
