"""`lemnis bench scale`: a cluster on this machine, by the CPU time of each of its parts, beside one process.

Three NATS servers (R3, `sync_interval: always`), PostgreSQL, and moto as S3 are begun, and a gateway, two
workers and a correlator with all of SigmaHQ's rules. The same requests go to `lemnis serve` first. Both must
have the same alerts and events. Rates are by CPU time, because all of it shares one machine: what a core of a
machine of its own would do. Measured is what runs on: before that, as many requests as there are different
ones are sent and worked on. moto is no part of it: it stands for an object store.

LEMNIS_BENCH_SCALE makes it smaller, for a look.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bench import _data, _serving
from lemnis import app
from lemnis.app.bench import Figure
from lemnis.app.cluster import Setup
from lemnis.app.cluster.looking import status
from lemnis.contracts.clock import to_iso
from lemnis.contracts.errors import ServiceError
from lemnis.store.database import open_engine
from lemnis.store.journal import SqlJournal
from lemnis.testing import cluster as servers
from lemnis.testing.cluster import Cluster, Process, cpu_seconds

EVENTS = 300_000
WORKERS = 2
SHARE = 0.5
"""Of the events a core does in one process, so many at least a core of a worker does."""
_START = 1_767_225_600_000
_TOKEN = b"@" * 23
_RECORD = re.compile(rb'"EventRecordID":(\d+)')
_WAIT_S = 1200.0


@dataclass(slots=True)
class Made:
    """What came of the requests, and the CPU time (s) of whatever took part, by its name."""

    alerts: set[str]
    events: int
    cpu: Counter[str] = field(default_factory=Counter)
    facts: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def requests(count: int) -> list[bytes]:
    """Make requests of 1,000 events of 1 kB, each at a time of its own."""
    blocks = _serving.blocks()
    made = []
    for number in range(max(1, count // _serving.BLOCK)):
        at = to_iso(_START + number * 1000)[:23].replace("T", " ").encode()
        body = blocks[number % len(blocks)].replace(_TOKEN, at)
        ahead = number // len(blocks) * len(blocks) * _serving.BLOCK
        made.append(
            _RECORD.sub(lambda found, ahead=ahead: b'"EventRecordID":%d' % (int(found[1]) + ahead), body)
        )
    return made


def _send(address: dict[str, Any], bodies: list[bytes]) -> None:
    headers = {"Content-Type": "application/x-ndjson"}
    with httpx.Client(base_url=f"http://{address['host']}:{address['port']}", timeout=120) as client:
        for body in bodies:
            while client.post("/ingest/windows", content=body, headers=headers).status_code != 200:  # noqa: PLR2004
                time.sleep(0.2)


def _alerts(journal: SqlJournal) -> set[str]:
    return {entry.subject for entry in journal.entries(kind="alert")}


def alone(root: Path, rules: list[Path], bodies: list[bytes], warm: int) -> Made:
    """Let one process with one worker do it; the first ``warm`` requests are not measured."""
    made = _serving.workspace(root, rules)
    serving = Process(["serve", "--workspace", str(root), "--workers", "1"], {}, root / "log")
    serving.start()
    try:
        serving.wait_for("ready", seconds=_WAIT_S)
        address = serving.wait_for("listening")

        def send(some: list[bytes], so_far: int) -> None:
            _send(address, some)

            def done() -> bool:
                worked = [one for one in serving.told if one["event"] == "worked"]
                taken = sum(one["accepted"] for one in worked[-1]["sources"].values()) if worked else 0
                return bool(taken >= so_far * _serving.BLOCK)

            servers.wait(done, "one process is not done", seconds=_WAIT_S, look=0.5)

        send(bodies[:warm], warm)
        before, began = _tree(serving), time.monotonic()
        send(bodies[warm:], len(bodies))
        spent, seconds = _tree(serving) - before, time.monotonic() - began
    finally:
        serving.end()
    found = app.events(made).query("SELECT count(*) AS n FROM events WHERE metadata.log_name = 'windows'")
    result = Made(_alerts(app.journal(made)), found.to_pylist()[0]["n"], seconds=seconds)
    result.cpu["one process"] = spent
    return result


def _tree(process: Process) -> float:
    """Return the CPU time of a process, and of those below it."""
    return 0.0 if process.process is None else _below(process.process.pid)


def _below(root: int) -> float:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(folder.name))
    total, waiting = 0.0, [root]
    while waiting:
        one = waiting.pop()
        total += cpu_seconds(one)
        waiting += children.get(one, [])
    return total


def together(root: Path, cluster: Cluster, bodies: list[bytes], warm: int, like: Path) -> Made:
    """Let the cluster do it, with the rules of another workspace; see ``alone``."""
    gate = servers.Gate(cluster.endpoint)
    shutil.copytree(like / "content", root / "content")
    shutil.copytree(like / ".lemnis" / "cache", root / ".lemnis" / "cache")
    settings = {
        "name": "bench",
        "transports": {"in": {"kind": "http", "port": 0}},
        "cluster": cluster.settings(endpoint=gate.endpoint),
    }
    (root / "lemnis.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    workspace = app.open_workspace(root)

    def process(role: str, number: int = 0) -> Process:
        arguments = ["worker", role, "--workspace", str(root), "--admin", "127.0.0.1:0"]
        return Process(arguments, cluster.environment, root / f"{role}-{number}.log")

    gateway, correlator = process("gateway"), process("correlate")
    workers = [process("detect", number) for number in range(WORKERS)]
    every = [gateway, correlator, *workers]
    for one in every:
        one.start()
    try:
        for one in every:
            one.wait_for("ready", seconds=_WAIT_S)
        setup = Setup.of(workspace, cluster.environment)
        parts: dict[str, Callable[[], float]] = {
            "gateway": lambda: _tree(gateway),
            "workers": lambda: sum(map(_tree, workers)),
            "correlator": lambda: _tree(correlator),
            "NATS": lambda: sum(one.cpu_seconds for one in cluster.nats),
            "PostgreSQL": lambda: _below(cluster.postmaster),
            "S3 (moto)": lambda: cpu_seconds(cluster.s3.pid),
        }
        address = gateway.wait_for("listening")
        _send(address, bodies[:warm])
        _settled(setup)
        ahead, gate.asked = _facts([gateway, *workers]), Counter()
        before, began = {name: part() for name, part in parts.items()}, time.monotonic()
        _send(address, bodies[warm:])
        _settled(setup)
        seconds = time.monotonic() - began
        cpu = Counter({name: part() - before[name] for name, part in parts.items()})
        told, asked = _facts([gateway, *workers]), gate.asked.copy()
        facts = {name: value - ahead.get(name, 0) for name, value in told.items()}
    finally:
        for one in every:
            one.end()
    facts |= {f"S3 {method}": count for method, count in asked.items()}
    engine = open_engine(cluster.database)
    alerts = _alerts(SqlJournal(engine, workspace.clock))
    engine.dispose()
    lake = setup.lake()
    found = lake.query("SELECT count(*) AS n FROM events WHERE metadata.log_name = 'windows'").to_pylist()
    facts["lake bytes"] = sum(one.bytes for one in lake.status())
    facts["lake files"] = sum(one.files for one in lake.status())
    return Made(alerts, found[0]["n"], cpu, facts, seconds)


def _settled(setup: Setup) -> None:
    def done() -> bool:
        return all(not one.behind for one in asyncio.run(status(setup)) if "signals" not in one.stream)

    servers.wait(done, "the cluster is not done", seconds=_WAIT_S, look=1.0)


def _facts(processes: list[Process]) -> dict[str, float]:
    """Add up what processes tell in their metrics: counters, and seconds by stage."""
    found: Counter[str] = Counter()
    for one in processes:
        where = one.wait_for("admin")
        text = httpx.get(f"http://{where['host']}:{where['port']}/metrics", timeout=30).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removeprefix("lemnis_").removesuffix("_total")
                if name.startswith(("cluster_", "stage_")):
                    found[f"{one.arguments[1]} {sample.labels.get('stage') or name}"] += sample.value  # type: ignore[assignment]
    return dict(found)


def run() -> list[Figure]:
    """Measure; raises ServiceError where a server is not on this machine."""
    missing = servers.missing()
    if missing:
        raise ServiceError(missing, fix="see docs/scale.md for what the bench needs")
    scale = float(os.environ.get("LEMNIS_BENCH_SCALE") or 1)
    measured = max(1, round(EVENTS * scale) // _serving.BLOCK)
    warm = min(2 * measured, _serving.BLOCKS)
    bodies = requests((warm + measured) * _serving.BLOCK)
    with tempfile.TemporaryDirectory(prefix="lemnis-", dir="/tmp") as name:
        work = Path(name)
        sigma = _data.sigma(work)
        rules = [sigma / one for one in _data.RULES]
        one = alone(work / "one", rules, bodies, warm)
        with servers.cluster(work / "c") as cluster:
            many = together(work / "many", cluster, bodies, warm, work / "one")
    return list(figures(measured * _serving.BLOCK, len(bodies) * _serving.BLOCK, one, many))


def figures(count: int, sent_events: int, one: Made, many: Made) -> Iterator[Figure]:
    """Yield what was measured: of the last ``count`` events of all that were sent."""
    yield Figure("events measured", count, "events")
    yield Figure("events sent to each", sent_events, "events")
    yield Figure("events in the lake of the cluster", many.events, "events", one.events)
    yield Figure("alerts of one process", len(one.alerts), "alerts")
    yield Figure("alerts that differ", len(one.alerts ^ many.alerts), "alerts", 0, at_least=False)
    base = count / max(0.01, one.cpu["one process"])
    yield Figure("one process, a core", round(base), "events/s")
    for name in ("gateway", "workers", "correlator", "NATS", "PostgreSQL", "S3 (moto)"):
        spent = max(0.01, many.cpu[name])
        yield Figure(f"{name}: CPU", round(1e6 * spent / count, 2), "µs/event")
        yield Figure(f"{name}, a core", round(count / spent), "events/s")
    share = count / max(0.01, many.cpu["workers"]) / base
    yield Figure("a worker's core against one process's", round(share, 2), "ratio", SHARE)
    whole = sum(spent for name, spent in many.cpu.items() if "moto" not in name)
    yield Figure("all of the cluster: CPU", round(1e6 * whole / count, 2), "µs/event")
    yield Figure("by the clock, on this machine", round(count / many.seconds), "events/s")
    yield Figure("one process by the clock, on this machine", round(count / one.seconds), "events/s")
    sent = many.facts.get("gateway cluster_sent_bytes", 0)
    yield Figure("bytes through NATS", round(sent / count), "bytes/event")
    messages = many.facts.get("gateway cluster_messages", 1)
    yield Figure("events a message", round(count / max(1, messages)), "events")
    yield Figure("bytes in the lake", round(many.facts["lake bytes"] / sent_events), "bytes/event")
    yield Figure("files in the lake", many.facts["lake files"], "files")
    yield Figure("commits of batches", many.facts.get("detect cluster_commits", 0), "commits")
    for name, asked in sorted(many.facts.items()):
        if name.startswith("S3 "):
            yield Figure(f"{name} requests", asked, "requests")
    for name, seconds in sorted(many.facts.items()):
        if name.startswith("detect ") and "cluster_" not in name:
            stage = name.removeprefix("detect ")
            yield Figure(f"workers, {stage}, by the clock", round(1e6 * seconds / count, 2), "µs/event")
