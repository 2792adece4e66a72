"""A workspace whose sources speak and fall silent as a test wants; no test itself."""

import itertools

import pyarrow as pa

from lemnis import app
from lemnis.app import init, watching
from lemnis.contracts.clock import ManualClock
from lemnis.contracts.errors import Location
from lemnis.contracts.events import EventBatch, Reject
from lemnis.contracts.watching import HOUR, Pulse, Sample

MONDAY = 1_767_571_200_000
SCHEMA = pa.schema(
    [
        ("time", pa.int64()),
        ("device", pa.struct([("hostname", pa.string())])),
        ("metadata", pa.struct([("uid", pa.string()), ("log_name", pa.string())])),
    ]
)


class World:
    """A workspace whose sources speak at the times they are told to."""

    def __init__(self, root):
        self.clock = ManualClock(MONDAY)
        self.workspace = init(root, clock=self.clock)
        self.lake = app.lake(self.workspace)
        self.journal = app.journal(self.workspace)
        self._numbers = itertools.count(1)

    def speak(self, source, *hosts, rejects=0, fields=None):
        now = self.clock.now()
        rows = [
            {"time": now, "device": {"hostname": host},
             "metadata": {"uid": f"ev-{next(self._numbers):016x}", "log_name": source}}
            for host in hosts
        ]  # fmt: skip
        refused = [Reject(Location("x", record=next(self._numbers)), "no time") for _ in range(rejects)]
        told = Pulse(samples=(Sample(source, 100, fields),)) if fields else None
        batch = EventBatch(6003, source, "o", pa.Table.from_pylist(rows, schema=SCHEMA))
        self.lake.append([batch], rejects=refused, source=source, told=told)

    def pass_hours(self, hours, *speaking, step=HOUR, **more):
        """Let time go by, in which sources speak; each is a name and its hosts."""
        for _ in range(int(hours * HOUR / step)):
            self.clock.advance(step)
            for source, *hosts in speaking:
                self.speak(source, *hosts, **more)
            self.lake.flush() if self.clock.now() % (6 * HOUR) == 0 else self.lake.append([])

    def look(self, **options):
        return {(w.health.source, w.health.host): w for w in watching.look(self.workspace, **options)}
