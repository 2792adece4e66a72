"""A running `lemnis serve` under load: what is sent over HTTP at a rate, and what became of it.

LEMNIS_BENCH_ATTACKS is how many of the 1,000 events of a request are attacks: with more of them, as many
alerts come in a shorter time or at a lower rate.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any

import httpx
import orjson
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bench import _events
from bench._measure import ROOT, _members, _share
from lemnis import app
from lemnis.incidents.entries import ALERT

EVENT_BYTES = 1000
BLOCK, BLOCKS = 1000, 50
"""Events a request, and how many different requests there are; their times make each sending its own."""
SENDERS = 4
_TOKEN = "@" * 23
_LOOK_S = 5.0
"""Every second, to look took the system 3 % of two cores."""
_START_S, _DRAIN_S = 300.0, 600.0
_SOURCE = "windows"
_KB = 1024


def workspace(root: Path, rules: Sequence[Path]) -> app.Workspace:
    """Make a workspace that detects with rules beside those that ship, and listens on a free port."""
    made = app.init(root)
    settings = {
        "name": "bench",
        "transports": {"in": {"kind": "http", "port": 0}},
        "admin": {"port": 0},
    }
    (root / "lemnis.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    for folder in rules:
        for file in folder.rglob("*.yml"):
            place = made.content / "detections" / f"sigma_{file.stem}"
            place.mkdir(parents=True, exist_ok=True)
            (place / "rule.yml").write_bytes(file.read_bytes())
    return made


def blocks() -> list[bytes]:
    """Make requests of 1 kB events of a workstation fleet, one attack in each; their time is a token."""
    source = random.Random(_events.SEED)  # noqa: S311 - made-up events, no secret
    quiet, loud = _events.sysmon(source), _events.attacks(source)
    attacks = int(os.environ.get("LEMNIS_BENCH_ATTACKS") or 1)
    made = []
    for number in range(BLOCKS):
        lines = [*islice(quiet, BLOCK - attacks), *islice(loud, attacks)]
        made.append(b"".join(_padded(line, number * BLOCK + n) for n, line in enumerate(lines)))
    return made


def _padded(line: bytes, number: int) -> bytes:
    """Return an event with a number of its own, which tells it from all others, and a token as its time."""
    event = orjson.loads(line) | {"EventRecordID": number, "SystemTime": _TOKEN, "UtcTime": _TOKEN}
    event["RuleName"] = ""
    event["RuleName"] = "-" * max(0, EVENT_BYTES - 1 - len(orjson.dumps(event)))
    return orjson.dumps(event) + b"\n"


@dataclass(slots=True)
class Sent:
    """What was sent: events, seconds from the first to the last, and those told to come later."""

    events: int = 0
    busy: int = 0
    seconds: float = 0.0
    late: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


def send(port: int, requests: Sequence[bytes], *, rate: float, seconds: float) -> Sent:
    """Send so many events a second for so long; a sender that is told to wait does, and sends it again."""
    sent, began = Sent(), time.monotonic()
    turns = iter(range(sys.maxsize))

    def sender() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            while True:
                with sent.lock:
                    turn = next(turns)
                due = began + turn * BLOCK / rate
                if due >= began + seconds:
                    return
                if (wait := due - time.monotonic()) > 0:
                    time.sleep(wait)
                _deliver(connection, requests[turn % len(requests)], sent)
                with sent.lock:
                    sent.events += BLOCK
                    sent.late = max(sent.late, time.monotonic() - due)
        finally:
            connection.close()

    threads = [threading.Thread(target=sender) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent.seconds = time.monotonic() - began
    return sent


def _deliver(connection: http.client.HTTPConnection, request: bytes, sent: Sent) -> None:
    """Send a request, with the time in its events, until it is taken."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:23].encode()
    body = request.replace(_TOKEN.encode(), now)
    while True:
        connection.request("POST", f"/ingest/{_SOURCE}", body, {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:  # noqa: PLR2004 - HTTP
            return
        if answer.status not in {429, 503}:
            raise RuntimeError(f"HTTP {answer.status}")
        with sent.lock:
            sent.busy += 1
        time.sleep(min(5.0, float(answer.headers.get("Retry-After") or 1)))


Memory = list[tuple[float, float]]
"""When it was looked at (by the monotonic clock, in s), and MB."""


class Service:
    """`lemnis serve --json` as a child: its events as they come, and now and then its memory, by process."""

    def __init__(self, made: app.Workspace) -> None:
        command = [sys.executable, "-c", "from lemnis.interfaces.cli import main; main()"]
        self._process = subprocess.Popen(
            [*command, "serve", "--json", "-w", str(made.root)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True,
            env={**os.environ, "LEMNIS_LOG": "error"},
        )  # fmt: skip
        self.port = self.admin = 0
        self.ready = threading.Event()
        self.accepted = 0
        self.done = 0
        self.rules = 0
        self.memory: Memory = []
        self.roles: dict[str, Memory] = {}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._hear, args=(self._process.stdout,)),
            threading.Thread(target=self._look),
        ]
        for thread in self._threads:
            thread.start()

    def begin(self) -> None:
        """Wait until it is ready."""
        if not self.ready.wait(_START_S):
            raise RuntimeError("lemnis serve did not begin")

    def drain(self, events: int) -> None:
        """Wait until so many events are in the lake."""
        until = time.monotonic() + _DRAIN_S
        while self.done < events and time.monotonic() < until:
            if self._process.poll() is not None:
                raise RuntimeError("lemnis serve ended")
            time.sleep(0.05)

    def stages(self) -> dict[str, float]:
        """Return the seconds that each stage of its work took so far, over all workers."""
        text = httpx.get(f"http://127.0.0.1:{self.admin}/metrics", timeout=30).raise_for_status().text
        return {
            one.labels["stage"]: one.value
            for family in text_string_to_metric_families(text)
            for one in family.samples
            if one.name == "lemnis_stage_seconds_total"
        }

    def cpu(self) -> float:
        """Return the CPU seconds that its processes took so far."""
        return sum(map(_cpu, _members(self._process.pid)))

    def end(self) -> None:
        """End it as an administrator would."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(_DRAIN_S)
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _hear(self, pipe: IO[bytes] | None) -> None:
        for line in pipe or ():
            event: dict[str, Any] = orjson.loads(line)
            if event["event"] == "listening":
                self.port = event["port"]
            elif event["event"] == "admin":
                self.admin = event["port"]
            elif event["event"] == "ready":
                self.rules = event["rules"]
            elif event["event"] == "worked" and _SOURCE in event["sources"]:
                counts = event["sources"][_SOURCE]
                self.accepted = counts["accepted"]
                self.done = sum(counts[name] for name in ("accepted", "rejected", "duplicates"))
            if self.port and self.rules:
                self.ready.set()

    def _look(self) -> None:
        while True:
            now, used = time.monotonic(), Counter[str]()
            for place in _members(self._process.pid):
                used[_role(place, self._process.pid)] += _share(place) / _KB
            self.memory.append((now, sum(used.values())))
            for role, size in used.items():
                self.roles.setdefault(role, []).append((now, size))
            if self._over.wait(_LOOK_S):
                return


def _role(place: Path, first: int) -> str:
    """Return what a process does: its name, without numbers; the one that began the others is ``serve``."""
    if int(place.name) == first:
        return "serve"
    try:
        return (place / "comm").read_text().strip().removeprefix("lemnis-").rstrip("-0123456789")
    except OSError:  # it has ended
        return "ended"


def _cpu(place: Path) -> float:
    """Return the CPU seconds of a process."""
    try:
        fields = (place / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def delays(made: app.Workspace, since: float, until: float) -> list[float]:
    """Return the seconds from when an event was sent to when its alert was written down, ascending.

    Only of what was sent between two moments (seconds since the epoch).
    """
    entries = app.journal(made).entries(kind=ALERT)
    moments = [(int(str(entry.payload["time"])), entry.at) for entry in entries]
    return sorted((written - sent) / 1000 for sent, written in moments if since * 1000 <= sent < until * 1000)


def growth(memory: Memory, first: float, last: float) -> float:
    """Return the last third's mean memory as a share of the middle third's, between two moments."""
    _, middle, end = thirds(memory, first, last)
    return end / middle if middle else 0.0


def thirds(memory: Memory, first: float, last: float) -> tuple[float, float, float]:
    """Return the mean memory in each third of the time between two moments."""
    third = (last - first) / 3
    one, two, three = (_mean(memory, first + third * n, first + third * (n + 1)) for n in range(3))
    return one, two, three


def _mean(memory: Memory, low: float, high: float) -> float:
    some = [used for at, used in memory if low <= at < high]
    return sum(some) / len(some) if some else 0.0


@contextlib.contextmanager
def serving(made: app.Workspace) -> Iterator[Service]:
    """Have a service that is ready, and end it."""
    service = Service(made)
    try:
        service.begin()
        yield service
    finally:
        service.end()
