"""The crash campaign's workplace: a workspace under load, where processes are when they are killed, accounts.

A process that works notes in shared memory which part of the store it is in, so that a kill has a place; some
kill themselves on entering or leaving one. Nothing here is known to what is tested.
"""

from __future__ import annotations

import errno
import mmap
import os
import random
import signal
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401 - what is loaded before is not loaded by every process that is killed
import deltalake  # noqa: F401 - the same
import duckdb  # noqa: F401 - the same
import orjson
import sqlalchemy.dialects.sqlite  # noqa: F401 - the same

import lemnis.correlate.incremental
import lemnis.ingest.parsers.jsonl
import lemnis.ocsf.entities
import lemnis.ocsf.validation  # noqa: F401 - the same
from lemnis import app
from lemnis.app import correlation, deadletters, incidents, ingest, receiving
from lemnis.app.detection import Detection, detection
from lemnis.app.watch import Watch
from lemnis.content import library as content
from lemnis.content.library import Library
from lemnis.contracts.clock import ManualClock, to_iso
from lemnis.contracts.errors import BusyError, ServiceError
from lemnis.contracts.ids import canonical, digest
from lemnis.contracts.receiving import Delivery
from lemnis.store import compaction, delta, durable, known
from lemnis.store import deadletters as dead
from lemnis.store.inbox import Inbox, Letter
from lemnis.store.journal import SqlJournal
from lemnis.store.known import Known
from lemnis.store.lake import Lake
from lemnis.store.spool import Writer

HALF = 0.5
BEGIN = "start"
START = 1_762_200_000_000
SOURCE = "crash"
_DISK = {errno.ENOSPC, errno.EROFS, errno.EDQUOT}
TOLD, UNFORESEEN = 3, 70
"""Exit codes of a process that ended for a full or read-only disk as it should, and of one that did not."""
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
PLACES: tuple[tuple[Any, str, str], ...] = (
    (Lake, "append", "spool append"),
    (Writer, "add", "spool segment"),
    (Writer, "set_cursor", "cursor"),
    (Writer, "drop", "spool, after a flush"),
    (Writer, "end", "known uids, of a transaction"),
    (Known, "write", "known uids, a run"),
    (Writer, "replace", "known uids, a run in place of others"),
    (Lake, "flush", "flush"),
    (delta.Table, "append", "lake commit"),
    (delta.Table, "_commit", "lake log entry"),
    (compaction.Rewriting, "stage", "compaction"),
    (delta, "recover", "recovery"),
    (durable, "sync", "sync"),
    (SqlJournal, "write_all", "journal"),
    (SqlJournal, "append_all", "journal"),
    (correlation.Running, "catch_up", "correlation"),
    (correlation.Running, "save", "correlation checkpoint"),
    (dead.DeadLetters, "add", "dead letters"),
    (dead.DeadLetters, "settle", "dead letters"),
    (deadletters, "replay", "replay of dead letters"),
    (Inbox, "append", "inbox append"),
    (Inbox, "remove", "inbox remove"),
    (receiving.Worker, "step", "worker"),
)


class Place:
    """Where a process is: a name in shared memory; it may end itself after so many steps."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 64)
        self._left = 0
        self._own = threading.local()

    def begin(self, countdown: int) -> None:
        """Be at the beginning; kill this process at the ``countdown``-th step, if it is not 0."""
        self._left = countdown
        self._write(BEGIN)

    @property
    def name(self) -> str:
        """The name of the innermost part that the process was in."""
        return bytes(self._memory[:]).rstrip(b"\0").decode()

    def _write(self, name: str) -> None:
        self._memory[:] = name.encode().ljust(64, b"\0")

    def step(self) -> None:
        """Count a step."""
        if self._left:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: Any, name: str, label: str) -> None:
        """Have a function note that the process is in it."""
        original: Callable[..., Any] = getattr(owner, name)

        @wraps(original)
        def noted(*given: Any, **more: Any) -> Any:
            before = self.name
            self._write(label)
            self.step()
            try:
                return original(*given, **more)
            finally:
                self.step()
                self._write(before)

        setattr(owner, name, noted)


@dataclass(slots=True)
class Site:
    """One workspace under test: its clock, its content, what was sent and what was acknowledged."""

    root: Path
    place: Place
    sent: int = 0
    lines: int = 0
    _detection: Detection | None = None
    _library: Library | None = None
    seen: set[int] = field(default_factory=set)

    @classmethod
    def make(cls, root: Path, place: Place) -> Site:
        """Make the workspace, with one source and its rules; what ships is left out, to begin sooner."""
        builtin = root / "builtin"
        (builtin / "correlations").mkdir(parents=True, exist_ok=True)
        shipped = content.builtin_root() / "correlations" / "default"
        if not (builtin / "correlations" / "default").exists():
            (builtin / "correlations" / "default").symlink_to(shipped)
        site = cls(root, place)
        folder = root / "workspace" / "content" / "sources" / SOURCE
        folder.mkdir(parents=True)
        (folder / "source.yaml").write_text(MANIFEST)
        site.choose(0)
        (root / "rules.yml").write_text(RULES)
        (root / "acknowledged").touch()
        (root / "crash.log").touch()
        return site

    def choose(self, number: int) -> None:
        """Put one of the mappings in place."""
        folder = self.root / "workspace" / "content" / "sources" / SOURCE
        (folder / "mapping.yaml").write_text(MAPPINGS[number])

    @property
    def workspace(self) -> app.Workspace:
        """The workspace, at a time that stands still."""
        return app.open_workspace(self.root / "workspace", clock=ManualClock(START))

    def prepare(self) -> None:
        """Load once what every process needs."""
        self._library = Library.open(self.workspace.content)
        self._detection = detection(self._library, rules=[self.root / "rules.yml"])

    def watch(self) -> Watch:
        """Return a watch with what was loaded."""
        return Watch(self.workspace, library=self._library, detecting=self._detection)

    def grow(self, count: int) -> None:
        """Add lines to the followed file."""
        with (self.root / "crash.log").open("ab") as file:
            file.writelines(record("f", self.lines + n) for n in range(1, count + 1))
        self.lines += count


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


known.FOLDED = 200  # so that runs are made, and become one, in a campaign too


def fork(work: Callable[[], None], place: Place, countdown: int = 0) -> int:
    """Run something in a child; it ends with TOLD where the disk says no, else UNFORESEEN if it fails."""
    child = os.fork()
    if child:
        return child
    code = UNFORESEEN
    try:
        place.begin(countdown)
        work()
        code = 0
    except ServiceError:
        code = TOLD
    except OSError as error:  # the command line names the file, and ends with the same code
        code = TOLD if error.errno in _DISK and error.filename is not None else UNFORESEEN
        if code == UNFORESEEN:
            traceback.print_exc()
    except BaseException:  # noqa: BLE001 - a child must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)
    return child  # pragma: no cover - never reached


def work_files(site: Site, rng: random.Random) -> None:
    """Do as `ingest` does, then as `sources replay`, with flush and compaction."""
    watch = site.watch()
    ingest.Ingest(site.workspace, SOURCE, watch).run([site.root / "crash.log"])
    if rng.random() < HALF:
        deadletters.replay(site.workspace, watcher=watch)
    lake = app.lake(site.workspace)
    lake.flush()
    lake.compact(min_files=3)


def work_network(site: Site, rng: random.Random, count: int) -> None:
    """Send, and work on what was received, as `serve` does; what was acknowledged is noted outside."""
    box = receiving.inbox(site.workspace)
    worker = receiving.Worker(site.workspace, receiving.inbox(site.workspace), site.watch())
    sent = threading.Event()
    failed: list[ServiceError] = []

    def send() -> None:
        try:
            _send(site, box, rng, count)
        except ServiceError as error:
            failed.append(error)
        finally:
            sent.set()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        while not sent.is_set() or worker.inbox.waiting():
            if not worker.step() and sent.is_set():
                break
            worker.settle()
    finally:
        thread.join()
    worker.settle(everything=True)
    app.lake(site.workspace).flush()
    if failed:
        raise failed[0]


def _send(site: Site, box: Inbox, rng: random.Random, count: int) -> None:
    path = site.root / "acknowledged"
    with path.open("ab", buffering=0) as file:
        number = path.stat().st_size
        first = max(0, number - rng.randrange(3))  # the last ones again, as who lost the answer does
        for one in range(first, number + count):
            outcome = box.append([Letter([delivery(one)])])[0]
            if isinstance(outcome, BusyError):
                break
            if outcome is not None:
                raise ServiceError(str(outcome))
            if one >= number:
                file.write(b".")


def delivery(number: int) -> Delivery:
    """Return the delivery of a number: three records."""
    data = b"".join(record("n", 3 * number + n) for n in (1, 2, 3))
    return Delivery(SOURCE, "sender", data, key=str(number))


@dataclass(frozen=True, slots=True)
class Account:
    """What is there: records by what they are, and what is wrong with it.

    ``both`` are events that a dead letter is left of: what was sent again met another mapping than before. A
    replay settles them.
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
    answered = (site.root / "acknowledged").stat().st_size
    acknowledged = [f"f {n}" for n in range(1, done + 1)]
    acknowledged += [f"n {3 * one + n}" for one in range(answered) for n in (1, 2, 3)]
    doubled = [name for kind in (events, letters) for name, count in Counter(kind).items() if count > 1]
    journal = app.journal(workspace)
    chain = journal.verify()
    stands = {e.subject: not e.payload.get("withdrawn") for e in journal.entries(kind="alert")}
    alerts = [alert for alert, yes in stands.items() if yes]
    found = [one for one in incidents.incidents(workspace) if not one.merged_into]
    groups = [together for one in found if (together := _standing(one.alert_ids, stands))]
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
    text = orjson.loads(raw)["said"] if raw.startswith(b"{") else raw.decode()
    kind, number, *_ = text.split()
    return f"{kind} {number}"
