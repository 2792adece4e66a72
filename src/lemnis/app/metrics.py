"""Lemnis' own metrics: what a running service counts, for Prometheus and OpenTelemetry alike.

One registry of its own a service, no global one. Names begin with ``lemnis_``; the labels are ``source``,
``outcome``, ``stage``, ``transport``, ``worker``, ``kind``, and none of them is taken from what senders say:
sources beyond a bound share the label ``(others)``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

MAX_SOURCES = 200
OTHERS = "(others)"
_BATCH = (1, 10, 100, 1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000)
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300)
_OUTCOMES = {"accepted": "accepted", "duplicates": "duplicated", "rejected": "rejected", "dead": "given_up"}


@dataclass(frozen=True, slots=True)
class Waits:
    """What of a source waits in the inbox; ``since`` (seconds) for how long the oldest has."""

    source: str
    deliveries: int
    bytes: int
    since: float


@dataclass(frozen=True, slots=True)
class Runs:
    """A transport: whether anything is against it, how often it began anew, who is connected, what was lost.

    ``dropped`` are the datagrams that the kernel could not hold.
    """

    name: str
    well: bool
    restarts: int
    connected: int | None = None
    dropped: int | None = None


@dataclass(frozen=True, slots=True)
class Works:
    """A worker's process: whether it works, how often it began anew, and its process id if it has one."""

    name: str
    ready: bool
    restarts: int
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class State:
    """How a service is at one moment; ``unready`` says why it takes nothing now, or that of it."""

    waiting: Sequence[Waits] = ()
    inbox_limit: int = 0
    spool_rows: int = 0
    spool_bytes: int = 0
    transports: Sequence[Runs] = ()
    workers: Sequence[Works] = ()
    busy: int = 0
    commits: int = 0
    failed: int = 0
    gathered: int = 0
    rules: int = 0
    problems: int = 0
    incidents: int = 0
    dead_letters: dict[str, int] | None = None
    alarms: dict[str, int] | None = None
    silent: dict[str, int] | None = None
    unready: Sequence[str] = ()


class Look(Protocol):
    """Says how the service is, when metrics are asked for."""

    def __call__(self) -> State:
        """Return it; raises nothing."""
        ...


class Accounted(Protocol):
    """What was done of one source; see ``receiving.Account``."""

    source: str
    bytes: int
    deliveries: int
    lag_ms: int
    seconds: float
    stages: Any


class Metrics:
    """Counts what happens, and tells it with how the service is now."""

    def __init__(self, look: Look, *, process: bool = True) -> None:
        """``process`` adds memory and CPU of this process."""
        self.registry = CollectorRegistry()
        if process:
            ProcessCollector(registry=self.registry)
        self._sources: set[str] = set()
        self._records = self._counter("records", "Records that were worked on", "source", "outcome")
        self._bytes = self._counter("received_bytes", "Bytes that were worked on", "source")
        self._deliveries = self._counter("received_deliveries", "Deliveries that were worked on", "source")
        self._stages = self._counter("stage_seconds", "Seconds by stage of the work", "stage")
        self._work = self._counter("work_seconds", "Seconds of work", "source")
        self._alerts = self._counter("alerts", "Alerts that were written down")
        self._batches = Histogram(
            "lemnis_batch_records", "Records of one source worked on in one go", buckets=_BATCH,
            registry=self.registry,
        )  # fmt: skip
        self._lags = Histogram(
            "lemnis_receipt_to_lake_seconds", "Time from receipt to lake and alert, of the oldest in a batch",
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.registry.register(_Now(look, self.label))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"lemnis_{name}", text, labels, registry=self.registry)

    def label(self, source: str) -> str:
        """Return a source's label; what comes after too many shares one."""
        if source not in self._sources and len(self._sources) < MAX_SOURCES:
            self._sources.add(source)
        return source if source in self._sources else OTHERS

    def worked(self, account: Accounted, alerts: int) -> None:
        """Count what was done of one source."""
        source, records = self.label(account.source), 0
        for name, outcome in _OUTCOMES.items():
            count = int(getattr(account, name))
            records += count
            self._records.labels(source, outcome).inc(count)
        self._bytes.labels(source).inc(account.bytes)
        self._deliveries.labels(source).inc(account.deliveries)
        self._work.labels(source).inc(account.seconds)
        self._batches.observe(records)
        self._lags.observe(account.lag_ms / 1000)
        self.settled(account.stages, alerts)

    def settled(self, stages: Mapping[str, float], alerts: int) -> None:
        """Count what was done in the stages of the work, and its alerts."""
        self._alerts.inc(alerts)
        for stage, seconds in stages.items():
            self._stages.labels(stage).inc(seconds)

    def told(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics as text, and its content type; as OpenMetrics if that is what is accepted."""
        if "application/openmetrics-text" in accept:
            text: bytes = generate_openmetrics(self.registry)  # type: ignore[no-untyped-call]
            return text, OPENMETRICS
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class _Now(Collector):
    """How the service is at the moment that metrics are asked for."""

    def __init__(self, look: Look, label: Any) -> None:
        self._look, self._label = look, label

    def describe(self) -> Iterable[Metric]:
        """Return nothing: nothing need be looked at for registering."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield gauges of what is, and counters that are kept elsewhere."""
        state = self._look()
        yield from self._waits(state)
        yield _gauge("spool_rows", "Rows that are acknowledged and not in tables yet", state.spool_rows)
        yield _gauge("spool_bytes", "Bytes of the same", state.spool_bytes)
        yield _gauge("gathered_bytes", "Bytes that wait for the device", state.gathered)
        yield _counted("busy", "Deliveries that were told to come later", state.busy)
        yield _counted("commits", "Commits of the inbox", state.commits)
        yield _counted("commits_failed", "Deliveries that could not be stored", state.failed)
        yield _gauge("rules", "Rules that are in use", state.rules)
        yield _gauge("rule_errors", "Rules, sources and exceptions that cannot be used", state.problems)
        yield _counted("incidents", "Incidents that were opened", state.incidents)
        yield _gauge("ready", "Whether what comes is taken and worked on", int(not state.unready))
        yield from self._by(
            "dead_letters", "Records that were not taken and are kept", "source", state.dead_letters
        )
        yield from self._by("watch_alarms", "Open alarms about sources", "kind", state.alarms)
        yield from self._by("source_silent", "Whether a source is silent", "source", state.silent)
        yield from _running(state)

    def _waits(self, state: State) -> Iterator[Metric]:
        families = [
            GaugeMetricFamily(f"lemnis_inbox_{name}", text, labels=["source"])
            for name, text in (
                ("deliveries", "Deliveries that wait in the inbox"),
                ("bytes", "Bytes that wait in the inbox"),
                ("oldest_seconds", "How long the oldest of them has waited"),
            )
        ]
        for one in state.waiting:
            values = (one.deliveries, one.bytes, one.since)
            for family, value in zip(families, values, strict=True):
                family.add_metric([self._label(one.source)], value)
        yield from families
        yield _gauge("inbox_limit_bytes", "Bytes that the inbox holds at most", state.inbox_limit)

    def _by(self, name: str, text: str, label: str, counts: dict[str, int] | None) -> Iterator[Metric]:
        if counts is None:
            return
        family = GaugeMetricFamily(f"lemnis_{name}", text, labels=[label])
        summed: dict[str, int] = {}
        for key, value in counts.items():
            key = self._label(key) if label == "source" else key  # noqa: PLW2901 - its label
            summed[key] = summed.get(key, 0) + value
        for key, value in sorted(summed.items()):
            family.add_metric([key], value)
        yield family


def _running(state: State) -> Iterator[Metric]:
    """Yield how transports and workers are."""
    up = GaugeMetricFamily("lemnis_transport_up", "Whether a transport is well", labels=["transport"])
    again = CounterMetricFamily("lemnis_transport_restarts", "Times it began anew", labels=["transport"])
    open_ = GaugeMetricFamily("lemnis_open_connections", "Connections that are open", labels=["transport"])
    dropped = CounterMetricFamily(
        "lemnis_datagrams_dropped", "Datagrams that the kernel could not hold", labels=["transport"]
    )
    for one in state.transports:
        up.add_metric([one.name], int(one.well))
        again.add_metric([one.name], one.restarts)
        if one.connected is not None:
            open_.add_metric([one.name], one.connected)
        if one.dropped is not None:
            dropped.add_metric([one.name], one.dropped)
    yield from (up, again, open_, dropped)
    ready = GaugeMetricFamily("lemnis_worker_up", "Whether a worker works", labels=["worker"])
    anew = CounterMetricFamily("lemnis_worker_restarts", "Times it began anew", labels=["worker"])
    memory = GaugeMetricFamily("lemnis_worker_resident_bytes", "Its resident memory", labels=["worker"])
    cpu = CounterMetricFamily("lemnis_worker_cpu_seconds", "Its CPU time", labels=["worker"])
    for worker in state.workers:
        ready.add_metric([worker.name], int(worker.ready))
        anew.add_metric([worker.name], worker.restarts)
        if worker.pid is not None and (used := usage(worker.pid)) is not None:
            memory.add_metric([worker.name], used[0])
            cpu.add_metric([worker.name], used[1])
    yield from (ready, anew, memory, cpu)


def usage(pid: int) -> tuple[int, float] | None:
    """Return a process's resident bytes and CPU seconds; None where they cannot be had."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
        user, system, pages = int(fields[11]), int(fields[12]), int(fields[21])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE"), (user + system) / os.sysconf("SC_CLK_TCK")


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"lemnis_{name}", text, value=value)


def _counted(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"lemnis_{name}", text, value=value)
