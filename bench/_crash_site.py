"""The crash campaign's workplace: a workspace, what was sent and acknowledged, and what it has of that."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from lemnis import app
from lemnis.app import incidents, receiving
from lemnis.content import library as content
from lemnis.contracts.clock import ManualClock, to_iso
from lemnis.contracts.ids import canonical, digest
from lemnis.contracts.receiving import Delivery
from lemnis.store import deadletters as dead
from lemnis.store.lake import Lake

START = 1_762_200_000_000
SOURCE = "crash"
MANIFEST = """
name: crash
title: Crash
vendor: Lemnis
product: Campaign
parser: jsonl
sigma: {routes: [{when: {}, product: crash}]}
"""
_STRICT = """
common: {time: {from: t, format: iso}}
events:
  - name: all
    class: http_activity
    when: {}
    activity: 99
    set: {message: said, http_request.http_method: {value: GET}, actor.user.name: user}
"""
MAPPINGS = (
    _STRICT,
    _STRICT.replace("{from: t, format: iso}", "[{from: t, format: iso}, {from: t, format: epoch_ms}]"),
)
RULES = """
title: Bad word
name: bad
id: 00000000-0000-4000-8000-0000000000c1
logsource: {product: crash}
detection: {s: {said|contains: bad}, condition: s}
level: high
---
title: Many bad words
id: 00000000-0000-4000-8000-0000000000c2
level: high
correlation: {type: event_count, rules: [bad], group-by: [user], timespan: 1h, condition: {gte: 4}}
---
title: A seven
id: 00000000-0000-4000-8000-0000000000c3
logsource: {product: crash}
detection: {s: {said|contains: '7 '}, condition: s}
level: medium
"""
SETTINGS = {"admin": {"on": False}, "workers": 2, "lake": {"look_s": 0.3, "compact_files": 2}}


@dataclass(slots=True)
class Site:
    """One workspace under test: its content, what was sent and acknowledged. Its clock stands still."""

    root: Path

    @classmethod
    def make(cls, root: Path, port: int = 0) -> Site:
        """Make the workspace, with one source and its rules; what ships is left out, to begin sooner."""
        for kind in ("correlations", "handling"):
            (root / "builtin" / kind).mkdir(parents=True)
            (root / "builtin" / kind / "default").symlink_to(content.builtin_root() / kind / "default")
        site = cls(root)
        folder = root / "workspace" / "content" / "sources" / SOURCE
        folder.mkdir(parents=True)
        (folder / "source.yaml").write_text(MANIFEST)
        site.choose(0)
        settings = {"name": "crash", "transports": {"in": {"kind": "http", "port": port}}, **SETTINGS}
        (root / "workspace" / "lemnis.yaml").write_text(yaml.safe_dump(settings))
        (root / "rules.yml").write_text(RULES)
        (root / "run").mkdir()
        for name in ("acknowledged", "sent", "crash.log"):
            (root / name).touch()
        return site

    def choose(self, number: int) -> None:
        """Put one of the mappings in place."""
        folder = self.root / "workspace" / "content" / "sources" / SOURCE
        (folder / "mapping.yaml").write_text(MAPPINGS[number])

    @property
    def workspace(self) -> app.Workspace:
        """The workspace, at a time that stands still."""
        return app.open_workspace(self.root / "workspace", clock=ManualClock(START))

    def grow(self, count: int) -> None:
        """Add lines to the followed file."""
        path = self.root / "crash.log"
        lines = path.read_bytes().count(b"\n")
        with path.open("ab") as file:
            file.writelines(record("f", lines + n) for n in range(1, count + 1))

    def acknowledged(self) -> set[int]:
        """Return the numbers of the deliveries that were answered with 200."""
        return {int(line) for line in (self.root / "acknowledged").read_bytes().split()}

    def sent(self) -> int:
        """Return how many deliveries were begun to be sent, answered or not."""
        return (self.root / "sent").stat().st_size


def record(kind: str, number: int) -> bytes:
    """Return a record: some have a time that only one mapping takes, some say a bad word, some are none."""
    if number % 41 == 0:
        return f"{kind} {number} no JSON\n".encode()
    rng = random.Random(number)  # noqa: S311 - input, not a secret
    text = "bad" if number % 13 == 0 else "fine"
    at = (
        START + 100 * number + rng.randrange(60_000)
    )  # within the hour that correlations wait for what is late
    when: object = at if number % 17 == 0 else to_iso(at)
    value = {"t": when, "said": f"{kind} {number} {text}", "user": f"u{rng.randrange(5)}"}
    return orjson.dumps(value) + b"\n"


def body(number: int) -> bytes:
    """Return the body of a delivery: three records."""
    return b"".join(record("n", 3 * number + n) for n in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Account:
    """What is there: records by what they are, and what is wrong with it.

    ``both`` are events that a dead letter is left of: what was sent again met another mapping than before. A
    replay settles them. ``groups`` are the incidents: the id, then the alerts in it that still hold.
    """

    events: int
    letters: int
    waiting: int
    both: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    alerts: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    uids: str
    chain: int

    def dump(self) -> bytes:
        """Return it as JSON."""
        return orjson.dumps({name: getattr(self, name) for name in self.__slots__})


def account(site: Site) -> Account:
    """Look at everything that the workspace has, and compare it with what was acknowledged."""
    workspace = site.workspace
    lake = app.lake(workspace)
    rows = []
    if "http_activity" in lake.schemas():
        sql = "SELECT message, metadata.uid AS uid, raw_data FROM http_activity ORDER BY uid"
        rows = lake.query(sql, limit=10_000_000).to_pylist()
    events = [_name(row["raw_data"].encode()) for row in rows]
    letters = [_name(one.raw) for one in _letters(lake)]
    waiting = [_name(line) for one in _waiting(workspace) for line in one.data.splitlines()]
    there = {*events, *letters, *waiting}
    done = sum(cursor.position for cursor in lake.cursors(SOURCE))
    acknowledged = [f"f {n}" for n in range(1, done + 1)]
    acknowledged += [f"n {3 * one + n}" for one in site.acknowledged() for n in (1, 2, 3)]
    doubled = [name for kind in (events, letters) for name, count in Counter(kind).items() if count > 1]
    journal = app.journal(workspace)
    chain = journal.verify()
    stands = {e.subject: not e.payload.get("withdrawn") for e in journal.entries(kind="alert")}
    alerts = [alert for alert, yes in stands.items() if yes]
    found = [one for one in incidents.incidents(workspace) if not one.merged_into]
    groups = [(one.id, *inside) for one in found if (inside := _standing(one.alert_ids, stands))]
    return Account(
        len(events), len(letters), len(waiting), len(set(events) & set(letters)),
        tuple(sorted(set(acknowledged) - there)), tuple(sorted(doubled)),
        tuple(sorted(alerts)), tuple(sorted(groups)),
        digest(canonical([[row["uid"], row["message"]] for row in rows])), chain,
    )  # fmt: skip


def _standing(alerts: Iterable[str], stands: Mapping[str, bool]) -> tuple[str, ...]:
    """Return those of an incident's alerts that still hold."""
    return tuple(sorted(alert for alert in alerts if stands.get(alert)))


def _letters(lake: Lake) -> Iterator[dead.DeadLetter]:
    after = 0
    while some := lake.dead_letters(after=after):
        yield from some
        after = some[-1].id


def _waiting(workspace: app.Workspace) -> Iterator[Delivery]:
    if (workspace.state / receiving.FILE).exists():
        box = receiving.inbox(workspace)
        for parcel in box.take(1 << 40):
            yield from parcel.deliveries
        yield from (one.delivery for one in box.dead(limit=1_000_000))
        box.close()


def _name(raw: bytes) -> str:
    """Return which record a raw one is: its kind and number."""
    value: Any = orjson.loads(raw)["said"] if raw.startswith(b"{") else raw.decode()
    kind, number, *_ = value.split()
    return f"{kind} {number}"
