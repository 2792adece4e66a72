"""`lemnis bench ingest`: what comes in becomes OCSF and is looked at; ratios against bare parsers in one run.

Lanes: `http` (1 kB events as NDJSON to a running `lemnis serve`: durable, normalised, detected on with all of
SigmaHQ's rules, in the lake; by the clock, for `--minutes`, the sender on the same cores), `syslog` (lines to
OCSF), `evtx` and `json` (to OCSF, against a peer that only parses the same files). The latter run in a child
on one core; their rates are by CPU time, because other work on the machine changes that little.
LEMNIS_BENCH_DATA has the rules and real logs, LEMNIS_BENCH_SCALE makes lanes smaller, for a look,
LEMNIS_BENCH_RATE is another rate to send at than the target.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import _data, _events, _evtxlog, _serving
from bench._measure import module
from lemnis import app
from lemnis.app.bench import Figure

EVENTS = 200_000
"""How many made records a lane has."""
LINES_A_CORE = 60_000.0
EVTX_SHARE = 40.0
JSON_SHARE = 35.0
LONG_LOG = 128 << 20
"""Bytes: what Windows Server gives the Security log (its newer default; 20 MB before)."""
HTTP_RATE = 20_000.0
ALERT_P99_S = 3.0
_WARM_S = 3.0
_AS_SENT, _HOLDS = 0.98, 0.7
"""What keeps up with what is sent; and the part of what is sustained at which delays say something."""


@dataclass(slots=True)
class Bench:
    """A scratch folder, how much of everything there is to be, and how long what lasts has to last."""

    work: Path
    scale: float
    minutes: float

    def made(self, name: str, make: _events.Maker) -> Path:
        """Return a file of made records."""
        count = max(2_000, round(EVENTS * self.scale))
        return _events.write(self.work / f"{name}-{count}.log", make, count)


def normalised(files: Sequence[Path], source: str, peer: str = "") -> dict[str, Any]:
    """Measure reading and mapping of files on one core, in turns with a peer."""
    spec = {"files": list(files), "source": source, "peer": peer}
    return module("_normalise", spec, one_core=True).said


def syslog(bench: Bench) -> Iterator[Figure]:
    """Measure lines of syslog to OCSF."""
    said = normalised([bench.made("messages", _events.messages)], "linux_syslog")
    yield from _parts("syslog", said, "lines/s of CPU", LINES_A_CORE)


def evtx(bench: Bench) -> Iterator[Figure]:
    """Measure real Windows event logs to OCSF against the bare parser.

    A log as long as hosts keep one (chunks of hosts' logs, again and again), hosts' short logs, small files.
    What a batch costs is shared by its records, so the share that is asked for is that of the long one.
    """
    hosts, small = "windows/splunk-attack-data", "windows/evtx-attack-samples"
    short = sorted(_data.unpack(hosts, bench.work).rglob("*.evtx"))
    sets = {
        "evtx, a long log": [_evtxlog.long(short, bench.work / "long.evtx", round(LONG_LOG * bench.scale))],
        "evtx, short logs": short,
        "evtx, small files": sorted(_data.unpack(small, bench.work).rglob("*.evtx")),
    }
    for lane, files in sets.items():
        said = normalised(files[: max(1, round(len(files) * bench.scale))], "windows", "evtx")
        yield from _parts(lane, said, "records/s of CPU")
        target = EVTX_SHARE if lane == "evtx, a long log" else None
        yield from _against(lane, said, "the bare parser", target)


def json(bench: Bench) -> Iterator[Figure]:
    """Measure JSON lines to OCSF against parsing alone: two made logs, and the real Windows events."""
    kinds = {"cloudtrail": (_events.cloud, "aws_cloudtrail"), "sysmon": (_events.sysmon, "windows")}
    for name, (make, source) in kinds.items():
        yield from _json(name, normalised([bench.made(name, make)], source, "orjson"))
    try:
        file, _ = _data.real_events(bench.work, part=min(1.0, 0.2 * bench.scale))
    except _data.MissingError as error:
        yield Figure(f"json, real Windows events: left out: {error}", 0, "records/s of CPU")
        return
    yield from _json("real Windows events", normalised([file], "windows", "orjson"))


def _json(name: str, said: dict[str, Any]) -> Iterator[Figure]:
    lane = f"json, {name}"
    yield from _parts(lane, said, "records/s of CPU")
    yield from _against(lane, said, "parsing alone", JSON_SHARE)


def _parts(lane: str, said: dict[str, Any], unit: str, target: float | None = None) -> Iterator[Figure]:
    """Yield what is told of every lane."""
    count = said["events"] + said["rejects"]
    yield Figure(f"{lane}: records", count, "records", 1.0)
    yield Figure(f"{lane}: rejected", said["rejects"], "records")
    yield Figure(f"{lane}: bytes a record", round(said["bytes"] / max(1, count)), "bytes")
    yield Figure(f"{lane}: to OCSF, one core", round(count / said["ours"]), unit, target)
    yield Figure(f"{lane}: of that, reading", round(100 * said["read"] / said["ours"]), "%")


def _against(lane: str, said: dict[str, Any], peer: str, target: float | None) -> Iterator[Figure]:
    yield Figure(f"{lane}: {peer}", round(said["records"] / said["peer"]), "records/s of CPU")
    yield Figure(f"{lane}: of the rate of {peer}", round(100 * said["peer"] / said["ours"], 1), "%", target)


@dataclass(frozen=True, slots=True)
class Phase:
    """What became of sending at a rate for a while: events, seconds to the last one in the lake, delays."""

    sent: _serving.Sent
    began: float
    done: int
    seconds: float
    delays: list[float]

    @property
    def sustained(self) -> float:
        """Return events a second, to durable, detected on and in the lake."""
        return self.done / self.seconds

    def late(self, part: float) -> float:
        """Return a quantile of the alerts' delays, in seconds."""
        return round(self.delays[min(len(self.delays) - 1, int(len(self.delays) * part))], 2)


def _phase(
    made: app.Workspace, service: _serving.Service, requests: Sequence[bytes], rate: float, seconds: float
) -> Phase:
    began, since, already, before = time.monotonic(), time.time(), service.accepted, service.done
    sent = _serving.send(service.port, requests, rate=rate, seconds=seconds)
    until = time.time()
    service.drain(before + sent.events)
    return Phase(
        sent, began, service.accepted - already, time.monotonic() - began,
        _serving.delays(made, since, until),
    )  # fmt: skip


def http(bench: Bench) -> Iterator[Figure]:
    """Measure a running service: what it sustains at a rate, how late alerts are, whether memory stays."""
    sigma = _data.sigma(bench.work)
    made = _serving.workspace(bench.work / "http", [sigma / name for name in _data.RULES])
    rate, requests = float(os.environ.get("LEMNIS_BENCH_RATE") or HTTP_RATE), _serving.blocks()
    with _serving.serving(made) as service:
        warm = _phase(made, service, requests, rate, _WARM_S)  # what is loaded once is not what is sustained
        cold, worked = service.stages(), service.cpu()
        main = _phase(made, service, requests, rate, 60 * bench.minutes)
        stages = {name: seconds - cold.get(name, 0.0) for name, seconds in service.stages().items()}
        worked = service.cpu() - worked
        held, calm = main.sustained * _HOLDS, None
        if main.sustained < rate * _AS_SENT:
            calm = _phase(made, service, requests, held, max(_WARM_S, 20 * bench.minutes))
        memory, roles, total = service.memory, service.roles, service.accepted
    found = app.lake(made).query("SELECT count(*) AS n FROM events WHERE metadata.log_name = 'windows'")
    size = sum(map(len, requests)) / (len(requests) * _serving.BLOCK)
    yield Figure("http: rules", service.rules, "rules", 3_700)
    yield Figure("http: bytes an event", round(size), "bytes")
    yield Figure("http: events sent", main.sent.events, "events")
    yield Figure("http: minutes of sending", round(main.sent.seconds / 60, 2), "minutes")
    yield Figure("http: told to come later", main.sent.busy, "requests")
    yield Figure(
        "http: sustained, to detected on and in the lake", round(main.sustained), "events/s", HTTP_RATE
    )
    yield Figure("http: events that can be queried", found.to_pylist()[0]["n"], "events", total)
    sent = sum(one.sent.events for one in (warm, main, calm) if one is not None)
    yield Figure("http: lost", sent - total, "events", 0, at_least=False)
    yield from _alerts("http", main, ALERT_P99_S)
    if calm is not None:
        yield from _alerts(f"http, at {held:,.0f} events/s, which it can hold", calm, None)
    yield Figure("http: CPU of the service", round(1e6 * worked / max(1, main.done), 1), "µs/event")
    whole = sum(stages.values())
    for name, seconds in sorted(stages.items(), key=lambda pair: -pair[1]):
        yield Figure(f"http: of the work, {name}", round(100 * seconds / whole), "%")
    yield Figure("http: peak memory of all its processes", round(max(m for _, m in memory)), "MB")
    until = main.began + main.sent.seconds
    for role, used in sorted(roles.items(), key=lambda pair: -max(m for _, m in pair[1])):
        yield Figure(f"http: memory of {role}, peak", round(max(m for _, m in used)), "MB")
        for part, mean in zip(
            ("first", "second", "last"), _serving.thirds(used, main.began, until), strict=True
        ):
            yield Figure(f"http: memory of {role}, {part} third", round(mean), "MB")
    grown = _serving.growth(memory, main.began, until)
    yield Figure("http: memory, last third of the middle third", round(100 * grown), "%", 110, at_least=False)


def _alerts(lane: str, phase: Phase, target: float | None) -> Iterator[Figure]:
    yield Figure(f"{lane}: alerts", len(phase.delays), "alerts", 1.0)
    if phase.delays:
        yield Figure(f"{lane}: receipt to alert, median", phase.late(0.5), "s")
        yield Figure(f"{lane}: receipt to alert, p99", phase.late(0.99), "s", target, at_least=False)


LANES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "http": http,
    "syslog": syslog,
    "evtx": evtx,
    "json": json,
}


def run(lanes: Sequence[str] = (), minutes: float = 1.0) -> list[Figure]:
    """Run the lanes, all of them if none is named."""
    return list(measured(lanes, minutes))


def measured(lanes: Sequence[str], minutes: float) -> Iterator[Figure]:
    """Yield the figures as they come."""
    with tempfile.TemporaryDirectory(prefix="lemnis-bench-") as work:
        bench = Bench(Path(work), float(os.environ.get("LEMNIS_BENCH_SCALE") or 1), minutes)
        for name in lanes or LANES:
            try:
                yield from LANES[name](bench)
            except _data.MissingError as error:
                yield Figure(f"{name}: left out: {error}", 0, "records/s")
